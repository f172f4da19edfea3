//! The join against a naive model.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn id(n: u8) -> RecordId {
    RecordId::from_text(&format!("id-{n}")).unwrap()
}

fn join(label_policy: LabelPolicy) -> Join {
    Join::new(&Config {
        age_max_ms: 100,
        pending_max: 4,
        label_policy,
        ..Config::default()
    })
}

#[test]
fn halves_match_in_either_order_and_once() {
    let mut join = join(LabelPolicy::First);
    for (n, first, second) in [
        (1, Kind::Truth, Kind::Prediction),
        (2, Kind::Prediction, Kind::Truth),
    ] {
        let Outcome::Pending(key) = join.accept(&id(n), first, 1.0, 5) else {
            panic!("the first half waits");
        };
        let outcome = join.accept(&id(n), second, 1.0, 6);
        assert!(matches!(outcome, Outcome::Matched { partner, .. } if partner == key));
        assert_eq!(join.accept(&id(n), first, 1.0, 7), Outcome::Duplicate(None));
    }
    assert_eq!((join.counters.matched, join.counters.duplicate), (2, 2));
}

#[test]
fn a_half_that_expired_makes_its_partner_late_and_not_pending() {
    let mut join = join(LabelPolicy::First);
    join.accept(&id(1), Kind::Prediction, 1.0, 0);
    assert_eq!(join.pop_unmatched(99), None);
    let left = join.pop_unmatched(100).unwrap();
    assert_eq!((left.reason, left.value), (Reason::Expired, 1.0));
    assert_eq!(join.accept(&id(1), Kind::Truth, 2.0, 101), Outcome::Late);
    assert_eq!(
        join.accept(&id(1), Kind::Truth, 2.0, 102),
        Outcome::Duplicate(None)
    );
    assert_eq!(
        (join.counters.expired_prediction, join.counters.late),
        (1, 1)
    );
}

#[test]
fn beyond_the_count_the_oldest_is_evicted() {
    let mut join = join(LabelPolicy::First);
    for n in 0..6 {
        join.accept(&id(n), Kind::Truth, f64::from(n), 0);
    }
    let left: Vec<_> = std::iter::from_fn(|| join.pop_unmatched(0)).collect();
    assert_eq!(
        left.iter().map(|left| left.value).collect::<Vec<_>>(),
        [0.0, 1.0]
    );
    assert!(left.iter().all(|left| left.reason == Reason::Evicted));
}

#[test]
fn a_corrected_label_follows_the_policy() {
    let corrected = |policy| {
        let mut join = join(policy);
        join.accept(&id(1), Kind::Truth, 1.0, 0);
        let waiting = join.accept(&id(1), Kind::Truth, 2.0, 0);
        join.accept(&id(1), Kind::Prediction, 5.0, 0);
        (waiting, join.accept(&id(1), Kind::Truth, 3.0, 0))
    };
    assert_eq!(
        corrected(LabelPolicy::First),
        (Outcome::Conflicting, Outcome::Conflicting)
    );
    assert_eq!(
        corrected(LabelPolicy::Reject),
        (Outcome::Refused, Outcome::Refused)
    );
    let (waiting, recorded) = corrected(LabelPolicy::Last);
    assert!(matches!(waiting, Outcome::Replaced(_)));
    assert_eq!(
        recorded,
        Outcome::Corrected {
            y_true: 3.0,
            y_pred: 5.0
        }
    );
}

#[test]
fn label_delay_is_the_time_from_prediction_to_truth() {
    let mut join = join(LabelPolicy::First);
    join.accept(&id(1), Kind::Prediction, 1.0, 0);
    join.accept(&id(1), Kind::Truth, 1.0, 10);
    assert_eq!(join.delays().quantile(0.5), Some(10));
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

/// The obvious ledger: a list of what waits and a map of what is known.
#[derive(Default)]
struct Model {
    waiting: Vec<(u8, Kind, f64, u64)>,
    known: HashMap<u8, [Option<f64>; 2]>,
    earlier_truths: HashMap<u8, Vec<f64>>,
}

impl Model {
    fn accept(&mut self, policy: LabelPolicy, n: u8, kind: Kind, value: f64, now: u64) -> String {
        let last = policy == LabelPolicy::Last && kind == Kind::Truth;
        let kept = if policy == LabelPolicy::Reject && kind == Kind::Truth {
            "refused"
        } else {
            "kept"
        };
        if let Some(at) = self.waiting.iter().position(|half| half.0 == n) {
            if self.waiting[at].1 != kind {
                let other = self.waiting.remove(at).2;
                let pair = if kind == Kind::Truth {
                    [value, other]
                } else {
                    [other, value]
                };
                self.known.insert(n, pair.map(Some));
                return format!("matched {pair:?}");
            }
            if same(self.waiting[at].2, value) {
                return "duplicate".to_owned();
            }
            if last {
                self.waiting[at].2 = value;
                return "replaced".to_owned();
            }
            return kept.to_owned();
        }
        let side = usize::from(kind == Kind::Prediction);
        let Some(known) = self.known.get_mut(&n) else {
            self.waiting.push((n, kind, value, now));
            return "pending".to_owned();
        };
        let earlier = self.earlier_truths.entry(n).or_default();
        match known[side] {
            None => {
                known[side] = Some(value);
                "late".to_owned()
            }
            Some(old) if same(old, value) => "duplicate".to_owned(),
            Some(_) if side == 0 && earlier.contains(&value) => "duplicate".to_owned(),
            Some(old) if last && known[1].is_some() => {
                earlier.push(old);
                known[0] = Some(value);
                format!("corrected {:?}", [value, known[1].unwrap()])
            }
            Some(_) => kept.to_owned(),
        }
    }

    fn pop_unmatched(&mut self, now: u64) -> Option<(f64, Reason)> {
        let (n, kind, value, at) = *self.waiting.first()?;
        let reason = if self.waiting.len() > 4 {
            Reason::Evicted
        } else if at + 100 <= now {
            Reason::Expired
        } else {
            return None;
        };
        self.waiting.remove(0);
        let mut known = [None, None];
        known[usize::from(kind == Kind::Prediction)] = Some(value);
        self.known.insert(n, known);
        Some((value, reason))
    }
}

fn told(outcome: Outcome) -> String {
    match outcome {
        Outcome::Pending(_) => "pending".to_owned(),
        Outcome::Matched { y_true, y_pred, .. } => format!("matched {:?}", [y_true, y_pred]),
        Outcome::Duplicate(_) => "duplicate".to_owned(),
        Outcome::Conflicting => "kept".to_owned(),
        Outcome::Refused => "refused".to_owned(),
        Outcome::Replaced(_) => "replaced".to_owned(),
        Outcome::Corrected { y_true, y_pred } => format!("corrected {:?}", [y_true, y_pred]),
        Outcome::Late => "late".to_owned(),
    }
}

fn policies() -> impl Strategy<Value = LabelPolicy> {
    prop_oneof![
        Just(LabelPolicy::First),
        Just(LabelPolicy::Last),
        Just(LabelPolicy::Reject)
    ]
}

proptest! {
    #[test]
    fn the_join_does_what_the_obvious_ledger_does_and_always_balances(
        policy in policies(),
        steps in proptest::collection::vec((0u8..8, any::<bool>(), 0u8..3, 0u64..60), 1..120),
    ) {
        let (mut join, mut model) = (join(policy), Model::default());
        let mut now = 1_000;
        for (n, is_truth, value, pause) in steps {
            now += pause;
            let kind = if is_truth { Kind::Truth } else { Kind::Prediction };
            let value = f64::from(value);
            let outcome = join.accept(&id(n), kind, value, now);
            prop_assert_eq!(told(outcome), model.accept(policy, n, kind, value, now));
            prop_assert!(join.counters.is_balanced(join.pending() as u64));
            loop {
                let left = join.pop_unmatched(now);
                prop_assert_eq!(left.map(|left| (left.value, left.reason)), model.pop_unmatched(now));
                prop_assert!(join.counters.is_balanced(join.pending() as u64));
                if left.is_none() {
                    break;
                }
            }
            prop_assert_eq!(join.pending(), model.waiting.len());
        }
    }
}
