//! One `residual run` on the embedded bus on disk, killed and stopped at random; and that a schedule is fair.

use std::time::Instant;

use crate::chaos::{
    Run,
    schedule::{Act, Actor, Pace, Schedule},
    witness::Sight,
};

#[test]
fn the_log_on_embedded_is_exact() {
    let begun = Instant::now();
    let actors = [Actor::Whole];
    let pace = Pace {
        length_ms: 6_000,
        gap_max_ms: 800,
        broker_every: 1,
        boot_ms: 0,
    };
    let sight = Sight {
        of_messages: true,
        of_all_groups: true,
    };
    let mut run = Run::new(None, &actors, pace, sight);
    run.play(&actors);
    run.come_to_rest(&actors);
    run.check(begun);
}

#[test]
fn a_seed_is_a_schedule_that_spares_no_process_and_restarts_each() {
    let actors = [
        Actor::Broker,
        Actor::Metric,
        Actor::Predictor(0),
        Actor::Features,
    ];
    let pace = Pace {
        length_ms: 30_000,
        gap_max_ms: 500,
        broker_every: 2,
        boot_ms: 2_000,
    };
    let draw = |seed| Schedule::draw(seed, &actors, pace);
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
