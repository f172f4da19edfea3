//! Who is hurt, when and how: all of it drawn from one seed before anything starts.

use std::{collections::BTreeMap, fmt};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

/// Who can be hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
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
pub(crate) enum Act {
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
pub(crate) struct Step {
    pub(crate) at_ms: u64,
    pub(crate) actor: Actor,
    pub(crate) act: Act,
}

/// How fast faults follow each other, as the bus allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Faults are injected for so long, in milliseconds, unless `CHAOS_SECONDS` says otherwise.
    pub(crate) length_ms: u64,
    /// Longest time between two faults, in milliseconds.
    pub(crate) gap_max_ms: u64,
    /// Between two faults of the broker are so many rounds of the others.
    pub(crate) broker_every: u64,
    /// The broker is left alone for so long after its start, in milliseconds.
    pub(crate) boot_ms: u64,
}

/// Steps in the order of their time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Schedule(pub(crate) Vec<Step>);

impl Schedule {
    /// Every actor runs again at the end.
    pub(crate) fn draw(seed: u64, actors: &[Actor], pace: Pace) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut steps = Vec::new();
        let mut busy_until: BTreeMap<Actor, u64> = BTreeMap::new();
        let (mut now_ms, mut round) = (0, 0);
        while now_ms < pace.length_ms {
            for (actor, act) in deck(actors, round, pace, &mut rng) {
                now_ms += rng.random_range(50..=pace.gap_max_ms);
                let rest_ms = rest_ms(actor, act, &mut rng);
                if now_ms >= pace.length_ms
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

    pub(crate) fn count(&self, act: Act) -> usize {
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
