//! Deliveries on their way through the ledger: what is taken in, what is refused, and what is settled how.

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
    /// Its bad records are in the dead letters already.
    is_buried: bool,
}

/// Everything received and not settled, by number.
#[derive(Debug, Default)]
pub(super) struct UnsettledDeliveries {
    deliveries: BTreeMap<u64, Unsettled>,
    next: u64,
    /// Numbers from here on are not given to the ledger yet.
    ungiven: u64,
}

/// What the ledger is to do in one go.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) deliveries: Vec<(u64, Kind, Message)>,
    pub(super) flush: Flush,
    pub(super) now_ms: UnixMs,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) committed: Committed,
    /// Frames that could not be taken apart.
    dead: HashMap<u64, String>,
    /// Single records that could not be used.
    bad: HashMap<u64, Vec<Bad>>,
}

#[derive(Debug)]
struct Bad {
    index: u64,
    reason: String,
    frame: Frame,
}

/// What the consumer of one topic is to be told.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    pub(super) letters: Vec<DeadLetter>,
    pub(super) verdicts: Vec<(Token, Verdict)>,
}

impl UnsettledDeliveries {
    pub(super) fn push(&mut self, kind: Kind, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            let desked = Unsettled {
                kind,
                message: delivery.message,
                attempt: delivery.attempt,
                token: delivery.token,
                is_buried: false,
            };
            self.deliveries.insert(self.next, desked);
            self.next += 1;
        }
    }

    /// Deliveries of one topic that the ledger has seen and that are not settled.
    pub(super) fn given(&self, kind: Kind) -> usize {
        self.count(..self.ungiven, kind)
    }

    /// Deliveries of one topic that the ledger has not seen.
    pub(super) fn waiting(&self, kind: Kind) -> usize {
        self.count(self.ungiven.., kind)
    }

    fn count(&self, numbers: impl RangeBounds<u64>, kind: Kind) -> usize {
        self.deliveries
            .range(numbers)
            .filter(|(_, desked)| desked.kind == kind)
            .count()
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.ungiven < self.next
    }

    /// What the ledger has not seen; it has then.
    pub(super) fn give(&mut self, flush: Flush, now_ms: UnixMs) -> Work {
        let deliveries = self
            .deliveries
            .range(self.ungiven..)
            .map(|(number, desked)| (*number, desked.kind, desked.message.clone()))
            .collect();
        self.ungiven = self.next;
        Work {
            deliveries,
            flush,
            now_ms,
        }
    }

    /// The ledger was opened anew and has seen nothing.
    pub(super) fn give_all_again(&mut self) {
        self.ungiven = 0;
    }

    /// What to tell the consumer of that topic.
    pub(super) fn settle(&mut self, kind: Kind, done: &mut Done) -> Settlement {
        let mut settlement = Settlement::default();
        for (number, desked) in &mut self.deliveries {
            if desked.kind == kind
                && !desked.is_buried
                && let Some(bad) = done.bad.remove(number)
            {
                desked.is_buried = true;
                let letters = bad.into_iter().map(|bad| bad.letter(desked));
                settlement.letters.extend(letters);
            }
        }
        for number in &done.committed.settled {
            if self
                .deliveries
                .get(number)
                .is_some_and(|desked| desked.kind == kind)
                && let Some(desked) = self.deliveries.remove(number)
            {
                let verdict = done.dead.remove(number).map_or(Verdict::Ack, Verdict::Dead);
                settlement.verdicts.push((desked.token, verdict));
            }
        }
        settlement
    }
}

impl Bad {
    fn letter(self, desked: &Unsettled) -> DeadLetter {
        // The same record of the same message has the same id, so that brokers that can, drop a repeated copy.
        let place = u128::from(self.index) + 1;
        let id = Uuid::from_u128(desked.message.id.as_u128() ^ (place << 64));
        let mut message = Message::new(id, self.frame.content_type, self.frame.body);
        message.headers.clone_from(&desked.message.headers);
        DeadLetter {
            message,
            reason: self.reason,
            attempts: desked.attempt,
        }
    }
}

/// Takes everything in and commits. Blocking.
pub(super) fn process(ledger: &mut Ledger, work: Work) -> Result<Done, MetricError> {
    let mut done = Done::default();
    for (number, kind, message) in work.deliveries {
        ledger.begin(number);
        match kind {
            Kind::Truth => take_in::<Truth>(ledger, &mut done, number, &message, work.now_ms),
            Kind::Prediction => {
                take_in::<Prediction>(ledger, &mut done, number, &message, work.now_ms);
            }
        }
    }
    done.committed = ledger.commit(work.now_ms, work.flush)?;
    Ok(done)
}

/// A body that is one half.
trait HalfBody: Body {
    const KIND: Kind;
    fn value(&self) -> f64;

    /// Moves the probabilities out.
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
    done: &mut Done,
    number: u64,
    message: &Message,
    now_ms: UnixMs,
) {
    let decoded = match message::decode::<B>(&message.content_type, &message.body) {
        Ok(decoded) => decoded,
        Err(error) => {
            ledger.count_malformed(1);
            done.dead
                .insert(number, crate::telemetry::with_causes(&error));
            return;
        }
    };
    let mut bad: Vec<Bad> = decoded
        .malformed
        .into_iter()
        .map(|malformed| Bad {
            index: malformed.index as u64,
            reason: malformed.reason.to_string(),
            frame: malformed.frame,
        })
        .collect();
    ledger.count_malformed(bad.len() as u64);
    for (index, record) in decoded.records.into_iter().enumerate() {
        let Record { id, mut body } = record;
        let copy = ledger.refuses_labels().then(|| id.clone());
        let is_refused = match body.take_probabilities() {
            None => ledger.accept(number, B::KIND, id, body.value(), now_ms),
            Some(probabilities) => {
                ledger.accept_scored(number, id, body.value(), *probabilities, now_ms)
            }
        };
        if is_refused && let Some(id) = copy {
            bad.push(Bad {
                // Beyond the places of malformed records, which count all records of the frame.
                index: index as u64 + (1 << 32),
                reason: "another label of this id came before".to_owned(),
                frame: message::encode(&[Record { id, body }], Encoding::Json),
            });
        }
    }
    if !bad.is_empty() {
        done.bad.insert(number, bad);
    }
}
