//! Who is hurt, when and how: all of it drawn from one seed before anything starts.

use std::{collections::BTreeMap, fmt};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

/// Who can be hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Actor {
    /// The broker's process.
    Broker,
    /// `residual metric`.
    Metric,
    /// One of two `residual predictor`.
    Predictor(u8),
    /// `residual features`.
    Features,
    /// `residual run`: all four services in one process.
    Whole,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// `kill -9`.
    Kill,
    /// Started again after a kill.
    Start,
    /// `kill -STOP`.
    Pause,
    /// `kill -CONT`.
    Resume,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at_ms: u64,
    pub(super) actor: Actor,
    pub(super) act: Act,
}

/// What a bus can bear.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Longest time between two faults, in milliseconds.
    pub(super) gap_max_ms: u64,
    /// Between two faults of the broker are so many rounds of the others.
    pub(super) broker_every: u64,
    /// The broker is left alone for so long after its start, in milliseconds.
    pub(super) boot_ms: u64,
}

/// Steps in the order of their time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Schedule(pub(super) Vec<Step>);

impl Schedule {
    /// Faults for so long; every actor is well again at the end.
    pub(super) fn draw(seed: u64, length_ms: u64, actors: &[Actor], pace: Pace) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut steps = Vec::new();
        let mut busy_until: BTreeMap<Actor, u64> = BTreeMap::new();
        let (mut now_ms, mut round) = (0, 0);
        while now_ms < length_ms {
            for (actor, act) in deck(actors, round, pace, &mut rng) {
                now_ms += rng.random_range(50..=pace.gap_max_ms);
                let rest_ms = rest_ms(actor, act, &mut rng);
                if now_ms >= length_ms
                    || busy_until.get(&actor).is_some_and(|until| *until > now_ms)
                {
                    continue;
                }
                let back = if act == Act::Kill {
                    Act::Start
                } else {
                    Act::Resume
                };
                let back_ms = now_ms + rest_ms;
                for (at_ms, act) in [(now_ms, act), (back_ms, back)] {
                    steps.push(Step { at_ms, actor, act });
                }
                let boot_ms = if actor == Actor::Broker {
                    pace.boot_ms
                } else {
                    0
                };
                busy_until.insert(actor, back_ms + boot_ms);
            }
            round += 1;
        }
        steps.sort_by_key(|step| step.at_ms);
        Self(steps)
    }

    pub(super) fn count(&self, act: Act) -> usize {
        self.0.iter().filter(|step| step.act == act).count()
    }
}

/// One round of faults, shuffled: each process is killed more often than stopped, and no seed spares anyone.
fn deck(actors: &[Actor], round: u64, pace: Pace, rng: &mut ChaCha8Rng) -> Vec<(Actor, Act)> {
    let mut deck = Vec::new();
    for actor in actors {
        match actor {
            Actor::Broker if round.is_multiple_of(pace.broker_every) => {
                deck.extend([(*actor, Act::Kill), (*actor, Act::Pause)]);
            }
            Actor::Broker => {}
            Actor::Whole => {
                deck.extend([(*actor, Act::Kill); 8]);
                deck.push((*actor, Act::Pause));
            }
            _ => deck.extend([
                (*actor, Act::Kill),
                (*actor, Act::Kill),
                (*actor, Act::Pause),
            ]),
        }
    }
    deck.shuffle(rng);
    deck
}

/// How long it stays down. A pause may outlast the lease, so that work is taken over from someone who is still alive.
fn rest_ms(actor: Actor, act: Act, rng: &mut ChaCha8Rng) -> u64 {
    match (actor, act) {
        (_, Act::Pause) => rng.random_range(50..3_500),
        (Actor::Broker, _) => rng.random_range(0..1_500),
        _ => rng.random_range(0..400),
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { at_ms, actor, act } in &self.0 {
            writeln!(f, "{at_ms:>6} ms  {act:?} {actor:?}")?;
        }
        Ok(())
    }
}

#[test]
fn a_seed_is_a_schedule_in_which_nobody_is_spared_and_everybody_comes_back() {
    let actors = [
        Actor::Broker,
        Actor::Metric,
        Actor::Predictor(0),
        Actor::Features,
    ];
    let pace = Pace {
        gap_max_ms: 500,
        broker_every: 2,
        boot_ms: 2_000,
    };
    let draw = |seed| Schedule::draw(seed, 30_000, &actors, pace);
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    for seed in 0..50 {
        let schedule = draw(seed);
        for actor in actors {
            let of = |wanted| {
                let steps = schedule.0.iter();
                steps
                    .filter(|step| step.actor == actor && step.act == wanted)
                    .count()
            };
            assert!(of(Act::Kill) > 0, "seed {seed} spares {actor:?}");
            assert_eq!(
                (of(Act::Kill), of(Act::Pause)),
                (of(Act::Start), of(Act::Resume))
            );
        }
    }
}
