//! The probabilities of predictions that wait for their truth, and the log-loss of those that met it.
//!
//! Only a classification has any; a regression costs nothing here. A half that is only in memory has its probabilities
//! here, one in the store has them there, so memory stays bounded as it is for halves. The running sum is saved with each
//! checkpoint. After a kill the rows since the last one are in the log but not in the sum; its `n` tells how many rows it is
//! of.

use hashbrown::HashMap;

use super::{
    context::Windows,
    pending::Key,
    store::{LossChanges, Store},
};
use crate::{
    message::Probabilities,
    metric_log::Row,
    stats::{LogLoss, LogLosses, loss},
    task::TaskSpec,
};

#[derive(Debug)]
pub(super) struct LossTracker {
    spec: TaskSpec,
    /// Of the prediction that is being taken in.
    incoming: Option<Probabilities>,
    unstored: HashMap<u64, Probabilities>,
    losses: LogLosses,
    is_warned: bool,
}

impl LossTracker {
    pub(super) fn new(spec: TaskSpec, windows: Windows, saved: LogLoss) -> Self {
        let mut losses = LogLosses::new(windows.rows, windows.ms);
        losses.resume(saved);
        Self {
            spec,
            incoming: None,
            unstored: HashMap::new(),
            losses,
            is_warned: false,
        }
    }

    /// Of the prediction that is taken in next. A regression has none, so some are a sign that the setting is wrong.
    pub(super) fn set_incoming(&mut self, probabilities: Probabilities) {
        if self.spec.is_classification() {
            self.incoming = Some(probabilities);
        } else if !std::mem::replace(&mut self.is_warned, true) {
            tracing::warn!(
                "predictions bring probabilities, so a classifier makes them, but they are judged as numbers here: stop, move \
                 the log away and start with `--task classification`"
            );
        }
    }

    /// The prediction was not new.
    pub(super) fn clear_incoming(&mut self) {
        self.incoming = None;
    }

    /// The prediction waits under this key.
    pub(super) fn keep_incoming(&mut self, key: Key) {
        if let Some(probabilities) = self.incoming.take() {
            self.unstored.insert(key.0, probabilities);
        }
    }

    /// The half under this key left.
    pub(super) fn forget(&mut self, key: Key) {
        if !self.unstored.is_empty() {
            self.unstored.remove(&key.0);
        }
    }

    /// A row is complete; `partner` is the key of the half that waited, in the store or here.
    pub(super) fn record(
        &mut self,
        row: &Row,
        partner: Key,
        stored_in: Option<&Store>,
        now_ms: u64,
    ) {
        if !self.spec.is_classification() {
            return;
        }
        let waiting = self.unstored.remove(&partner.0);
        let probabilities = self
            .incoming
            .take()
            .or(waiting)
            // A store that cannot be read fails at the commit, which is told.
            .or_else(|| stored_in.and_then(|store| store.probabilities(partner).ok().flatten()));
        let class = self.spec.class(row.y_true);
        if let (Some(probabilities), Some(class)) = (probabilities, class)
            && let Some(probability) = probabilities.as_slice().get(class)
        {
            self.losses.push(loss(*probability), now_ms);
        }
    }

    /// What is to be written when halves of these keys go to the store; none for a regression.
    pub(super) fn take_for_store(
        &mut self,
        keys: impl Iterator<Item = Key>,
    ) -> Option<LossChanges> {
        if !self.spec.is_classification() {
            return None;
        }
        let inserted = keys.filter_map(|key| Some((key, self.unstored.remove(&key.0)?)));
        Some(LossChanges {
            inserted: inserted.collect(),
            loss: self.losses.all_time(),
        })
    }

    /// None for a regression.
    pub(super) fn losses(&self) -> Option<&LogLosses> {
        self.spec.is_classification().then_some(&self.losses)
    }
}
