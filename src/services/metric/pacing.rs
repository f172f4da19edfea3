//! Which topic is left in the broker for a while, so that both are read at one pace.
//!
//! Where more arrives than can be committed, one topic gets ahead of the other. Read evenly, it would stay ahead for
//! good, and each of its halves would go into the store only to come out again when its partner arrives. So the topic
//! that is ahead is not read until the other has caught up.
//!
//! Promise: this holds up nothing that has no partner on its way. A topic waits only while the other fills its groups
//! and most of what the other brings completes a row, and never longer than `hold_ms` after such a group; labels that
//! come days later, or never, delay no prediction. Deliberately absent: a clock (time is a parameter).

use std::time::Duration;

use tokio::time::Instant;

use super::{config::Config, pending::Kind};

/// What the last group says about the pace of each topic.
#[derive(Debug)]
pub(super) struct Pacing {
    /// More deliveries than this that stay unsettled after a group mean that their topic is ahead.
    ahead_min: usize,
    wait: Duration,
    truths: Topic,
    predictions: Topic,
}

#[derive(Clone, Copy, Debug)]
struct Topic {
    /// Deliveries that stayed unsettled after the last group.
    unsettled: usize,
    /// The last group had as much of this topic as fits.
    was_full: bool,
    /// Until then this topic may be left waiting.
    wait_until: Instant,
}

impl Pacing {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        let topic = Topic {
            unsettled: 0,
            was_full: false,
            wait_until: now,
        };
        Self {
            ahead_min: config.hold_max / 4,
            wait: Duration::from_millis(config.hold_ms),
            truths: topic,
            predictions: topic,
        }
    }

    /// Until when a topic is not to be read; none when it may be.
    pub(super) fn paused_until(&self, kind: Kind, now: Instant) -> Option<Instant> {
        let topic = self.topic(kind);
        let is_ahead = topic.unsettled > self.ahead_min;
        (is_ahead && now < topic.wait_until).then_some(topic.wait_until)
    }

    /// A group begins; `is_full` says whether it has as much of the topic as fits.
    pub(super) fn note_group(&mut self, kind: Kind, is_full: bool) {
        self.topic_mut(kind).was_full = is_full;
    }

    /// The group was committed: it incoming so many halves and completed so many rows.
    pub(super) fn note_commit(&mut self, received: u64, recorded: u64, now: Instant) {
        // A topic that brings all that fits, and mostly partners, is catching up with the other.
        let brings_partners = recorded * 2 >= received;
        if !brings_partners {
            return;
        }
        let until = now + self.wait;
        if self.predictions.was_full {
            self.truths.wait_until = until;
        }
        if self.truths.was_full {
            self.predictions.wait_until = until;
        }
    }

    /// The group was settled; so many deliveries of the topic were not.
    pub(super) fn note_unsettled(&mut self, kind: Kind, unsettled: usize) {
        self.topic_mut(kind).unsettled = unsettled;
    }

    fn topic(&self, kind: Kind) -> &Topic {
        match kind {
            Kind::Truth => &self.truths,
            Kind::Prediction => &self.predictions,
        }
    }

    fn topic_mut(&mut self, kind: Kind) -> &mut Topic {
        match kind {
            Kind::Truth => &mut self.truths,
            Kind::Prediction => &mut self.predictions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_millis(50);

    fn pacing(now: Instant) -> Pacing {
        let config = Config {
            hold_ms: 50,
            hold_max: 160,
            ..Config::default()
        };
        Pacing::new(&config, now)
    }

    #[test]
    fn a_topic_that_is_ahead_waits_while_the_other_catches_up_and_no_longer() {
        let now = Instant::now();
        let mut pacing = pacing(now);
        pacing.note_group(Kind::Prediction, true);
        pacing.note_commit(64, 40, now);
        assert_eq!(pacing.paused_until(Kind::Truth, now), None, "not ahead");
        pacing.note_unsettled(Kind::Truth, 41);
        assert_eq!(pacing.paused_until(Kind::Truth, now), Some(now + HOLD));
        assert_eq!(pacing.paused_until(Kind::Prediction, now), None);
        assert_eq!(pacing.paused_until(Kind::Truth, now + HOLD), None);
    }

    #[test]
    fn a_topic_whose_partners_do_not_come_holds_up_nothing() {
        let now = Instant::now();
        let mut pacing = pacing(now);
        pacing.note_unsettled(Kind::Truth, 160);
        pacing.note_group(Kind::Prediction, false);
        pacing.note_commit(64, 64, now);
        assert_eq!(pacing.paused_until(Kind::Truth, now), None, "not full");
        pacing.note_group(Kind::Prediction, true);
        pacing.note_commit(64, 31, now);
        assert_eq!(pacing.paused_until(Kind::Truth, now), None, "few partners");
    }
}
