//! The probabilities of predictions that wait for their truth, and the log-loss of those that met it.
//!
//! Only a classification has probabilities; a regression costs nothing here. They wait where their half waits: in memory
//! here, or in the store, so memory stays bounded as it is for halves. The running sum is saved with each checkpoint. After
//! a kill, the rows since the last checkpoint are in the log but not in the sum; its `n` says how many rows it covers.

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
    /// Probabilities of the prediction that is being taken in.
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

    /// Sets the probabilities of the prediction that is taken in next. A regression has none, so if some come, the setting
    /// is wrong.
    pub(super) fn set_incoming(&mut self, probabilities: Probabilities) {
        if self.spec.is_classification() {
            self.incoming = Some(probabilities);
        } else if !std::mem::replace(&mut self.is_warned, true) {
            tracing::warn!(
                "predictions come with probabilities, so a classifier makes them, but here they are treated as numbers: stop, \
                 move the log away and start with `--task classification`"
            );
        }
    }

    /// Drops them: the prediction was not new.
    pub(super) fn clear_incoming(&mut self) {
        self.incoming = None;
    }

    /// Keeps them: the prediction waits under this key.
    pub(super) fn keep_incoming(&mut self, key: Key) {
        if let Some(probabilities) = self.incoming.take() {
            self.unstored.insert(key.0, probabilities);
        }
    }

    /// Drops those of a half that left without its partner.
    pub(super) fn forget(&mut self, key: Key) {
        if !self.unstored.is_empty() {
            self.unstored.remove(&key.0);
        }
    }

    /// Adds the loss of a complete row; `partner` is the key of the half that waited, in memory or in the store.
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
            // If the store cannot be read, the commit that follows fails and reports it.
            .or_else(|| stored_in.and_then(|store| store.probabilities(partner).ok().flatten()));
        let class = self.spec.class(row.y_true);
        if let (Some(probabilities), Some(class)) = (probabilities, class)
            && let Some(probability) = probabilities.as_slice().get(class)
        {
            self.losses.push(loss(*probability), now_ms);
        }
    }

    /// What to write when halves of these keys go to the store; none for a regression.
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
