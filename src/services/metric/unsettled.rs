//! Deliveries on their way through the ledger: what it takes in, what it rejects, and how each delivery is settled.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeBounds,
};

use uuid::Uuid;

use super::{
    error::MetricError,
    ledger::{Committed, Flush, Ledger},
    pending::Kind,
};
use crate::{
    bus::{DeadLetter, Delivery, Message, Token, Verdict},
    clock::UnixMs,
    message::{self, Body, Encoding, Frame, Prediction, Probabilities, Record, Truth},
};

/// A delivery that is not settled yet.
#[derive(Debug)]
struct Unsettled {
    kind: Kind,
    message: Message,
    attempt: u32,
    token: Token,
    /// Its rejected records are in the dead letters already.
    is_dead_lettered: bool,
}

/// Everything received and not settled, by number.
#[derive(Debug, Default)]
pub(super) struct UnsettledDeliveries {
    deliveries: BTreeMap<u64, Unsettled>,
    next: u64,
    /// The ledger has not seen deliveries from this number on.
    first_unprocessed: u64,
}

/// One group of deliveries for the ledger.
#[derive(Debug)]
pub(super) struct CommitRequest {
    pub(super) deliveries: Vec<(u64, Kind, Message)>,
    pub(super) flush: Flush,
    pub(super) now_ms: UnixMs,
}

/// What became of a group.
#[derive(Debug, Default)]
pub(super) struct CommitOutcome {
    pub(super) committed: Committed,
    /// Why whole frames could not be taken apart.
    undecodable: HashMap<u64, String>,
    /// Single records that could not be used, or whose label was refused.
    rejected: HashMap<u64, Vec<RejectedRecord>>,
}

#[derive(Debug)]
struct RejectedRecord {
    index: u64,
    reason: String,
    frame: Frame,
}

/// How the consumer of one topic is to settle its deliveries.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    pub(super) letters: Vec<DeadLetter>,
    pub(super) verdicts: Vec<(Token, Verdict)>,
}

impl UnsettledDeliveries {
    pub(super) fn push(&mut self, kind: Kind, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            let unsettled = Unsettled {
                kind,
                message: delivery.message,
                attempt: delivery.attempt,
                token: delivery.token,
                is_dead_lettered: false,
            };
            self.deliveries.insert(self.next, unsettled);
            self.next += 1;
        }
    }

    /// Deliveries of one topic that the ledger has seen and that are not settled.
    pub(super) fn processed(&self, kind: Kind) -> usize {
        self.count(..self.first_unprocessed, kind)
    }

    /// Deliveries of one topic that the ledger has not seen.
    pub(super) fn unprocessed(&self, kind: Kind) -> usize {
        self.count(self.first_unprocessed.., kind)
    }

    fn count(&self, numbers: impl RangeBounds<u64>, kind: Kind) -> usize {
        self.deliveries
            .range(numbers)
            .filter(|(_, unsettled)| unsettled.kind == kind)
            .count()
    }

    pub(super) fn has_unprocessed(&self) -> bool {
        self.first_unprocessed < self.next
    }

    /// A group of all deliveries that the ledger has not seen yet.
    pub(super) fn next_request(&mut self, flush: Flush, now_ms: UnixMs) -> CommitRequest {
        let deliveries = self
            .deliveries
            .range(self.first_unprocessed..)
            .map(|(number, unsettled)| (*number, unsettled.kind, unsettled.message.clone()))
            .collect();
        self.first_unprocessed = self.next;
        CommitRequest {
            deliveries,
            flush,
            now_ms,
        }
    }

    /// The ledger was opened again and has seen nothing.
    pub(super) fn reprocess_all(&mut self) {
        self.first_unprocessed = 0;
    }

    /// What the consumer of that topic has to do after a commit.
    pub(super) fn settle(&mut self, kind: Kind, outcome: &mut CommitOutcome) -> Settlement {
        let mut settlement = Settlement::default();
        for (number, unsettled) in &mut self.deliveries {
            if unsettled.kind == kind
                && !unsettled.is_dead_lettered
                && let Some(rejected) = outcome.rejected.remove(number)
            {
                unsettled.is_dead_lettered = true;
                let letters = rejected.into_iter().map(|record| record.letter(unsettled));
                settlement.letters.extend(letters);
            }
        }
        for number in &outcome.committed.settled {
            if self
                .deliveries
                .get(number)
                .is_some_and(|unsettled| unsettled.kind == kind)
                && let Some(unsettled) = self.deliveries.remove(number)
            {
                let verdict = outcome
                    .undecodable
                    .remove(number)
                    .map_or(Verdict::Ack, Verdict::Dead);
                settlement.verdicts.push((unsettled.token, verdict));
            }
        }
        settlement
    }
}

impl RejectedRecord {
    fn letter(self, unsettled: &Unsettled) -> DeadLetter {
        // The same record of the same message always gets the same id, so a broker that deduplicates drops a repeated copy.
        let place = u128::from(self.index) + 1;
        let id = Uuid::from_u128(unsettled.message.id.as_u128() ^ (place << 64));
        let mut message = Message::new(id, self.frame.content_type, self.frame.body);
        message.headers.clone_from(&unsettled.message.headers);
        DeadLetter {
            message,
            reason: self.reason,
            attempts: unsettled.attempt,
        }
    }
}

/// Gives a group to the ledger and commits it. Blocks.
pub(super) fn process(
    ledger: &mut Ledger,
    request: CommitRequest,
) -> Result<CommitOutcome, MetricError> {
    let mut outcome = CommitOutcome::default();
    for (number, kind, message) in request.deliveries {
        ledger.begin(number);
        match kind {
            Kind::Truth => take_in::<Truth>(ledger, &mut outcome, number, &message, request.now_ms),
            Kind::Prediction => {
                take_in::<Prediction>(ledger, &mut outcome, number, &message, request.now_ms);
            }
        }
    }
    outcome.committed = ledger.commit(request.now_ms, request.flush)?;
    Ok(outcome)
}

/// A message body that is one half.
trait HalfBody: Body {
    const KIND: Kind;
    fn value(&self) -> f64;

    /// Takes the probabilities out of the body.
    fn take_probabilities(&mut self) -> Option<Box<Probabilities>> {
        None
    }
}

impl HalfBody for Truth {
    const KIND: Kind = Kind::Truth;

    fn value(&self) -> f64 {
        self.0
    }
}

impl HalfBody for Prediction {
    const KIND: Kind = Kind::Prediction;

    fn value(&self) -> f64 {
        self.y_pred
    }

    fn take_probabilities(&mut self) -> Option<Box<Probabilities>> {
        self.probabilities.take()
    }
}

fn take_in<B: HalfBody>(
    ledger: &mut Ledger,
    outcome: &mut CommitOutcome,
    number: u64,
    message: &Message,
    now_ms: UnixMs,
) {
    let decoded = match message::decode::<B>(&message.content_type, &message.body) {
        Ok(decoded) => decoded,
        Err(error) => {
            ledger.count_malformed(1);
            outcome
                .undecodable
                .insert(number, crate::telemetry::with_causes(&error));
            return;
        }
    };
    let mut rejected: Vec<RejectedRecord> = decoded
        .malformed
        .into_iter()
        .map(|malformed| RejectedRecord {
            index: malformed.index as u64,
            reason: malformed.reason.to_string(),
            frame: malformed.frame,
        })
        .collect();
    ledger.count_malformed(rejected.len() as u64);
    for (index, record) in decoded.records.into_iter().enumerate() {
        let Record { id, mut body } = record;
        let copy = ledger.refuses_labels().then(|| id.clone());
        let is_refused = match body.take_probabilities() {
            None => ledger.accept(number, B::KIND, id, body.value(), now_ms),
            Some(probabilities) => {
                ledger.accept_with_probabilities(number, id, body.value(), *probabilities, now_ms)
            }
        };
        if is_refused && let Some(id) = copy {
            rejected.push(RejectedRecord {
                // Shifted beyond the indexes of malformed records, so that no two letters of a message get the same id.
                index: index as u64 + (1 << 32),
                reason: "another label of this id came before".to_owned(),
                frame: message::encode(&[Record { id, body }], Encoding::Json),
            });
        }
    }
    if !rejected.is_empty() {
        outcome.rejected.insert(number, rejected);
    }
}
