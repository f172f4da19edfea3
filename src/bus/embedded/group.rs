//! One consumer group of one topic, as a state machine without clock, lock or disk.
//!
//! Promise: each message of the group is in exactly one of five places: not yet reached by the cursor, to be
//! redelivered, delayed, held by one member, or done. Whatever a member held comes back when the member leaves.
//! Everything is kept in ordered maps, so the same calls give the same deliveries.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::super::backend::Disposition;

/// A member's delivery: its tag, the message's number and which try it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupDelivery {
    pub(super) tag: u64,
    pub(super) seq: u64,
    pub(super) attempt: u32,
}

/// What a valid token did to its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    /// The group is done with the message.
    Done { seq: u64 },
    /// The message came back, and the try counts.
    Returned,
    /// The message came back and the try does not count; so many tries are left on record.
    Uncounted { seq: u64, attempts: u32 },
}

#[derive(Debug, Default)]
struct Member {
    client: u64,
    next_tag: u64,
    held: BTreeMap<u64, u64>,
}

/// State of one group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// The first message that belongs to the group: a group that is declared later gets what comes later.
    pub(super) from: u64,
    cursor: u64,
    redeliver: BTreeSet<u64>,
    delayed: BTreeSet<(Instant, u64)>,
    attempts: BTreeMap<u64, u32>,
    members: BTreeMap<u64, Member>,
}

impl Group {
    pub(super) fn new(name: &str, from: u64) -> Self {
        Self {
            name: name.to_owned(),
            from,
            cursor: from,
            redeliver: BTreeSet::new(),
            delayed: BTreeSet::new(),
            attempts: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }

    /// A group after a restart: these messages wait, with the tries they have had; `next` is the first new one.
    pub(super) fn recovered(
        name: &str,
        from: u64,
        next: u64,
        waiting: BTreeSet<u64>,
        attempts: BTreeMap<u64, u32>,
    ) -> Self {
        Self {
            cursor: next,
            redeliver: waiting,
            attempts,
            ..Self::new(name, from)
        }
    }

    pub(super) fn join(&mut self, epoch: u64, client: u64) {
        let member = Member {
            client,
            ..Member::default()
        };
        self.members.insert(epoch, member);
    }

    /// Hands out up to `max` messages, those that came back first, then new ones below `next`.
    pub(super) fn deliver(
        &mut self,
        epoch: u64,
        now: Instant,
        next: u64,
        max: usize,
    ) -> Vec<GroupDelivery> {
        self.wake_delayed(now);
        let mut delivered = Vec::new();
        while delivered.len() < max {
            let Some(seq) = self.next_ready(next) else {
                break;
            };
            let Some(member) = self.members.get_mut(&epoch) else {
                self.redeliver.insert(seq);
                break;
            };
            let attempt = self.attempts.entry(seq).or_default();
            *attempt = attempt.saturating_add(1);
            member.next_tag += 1;
            member.held.insert(member.next_tag, seq);
            delivered.push(GroupDelivery {
                tag: member.next_tag,
                seq,
                attempt: *attempt,
            });
        }
        delivered
    }

    fn next_ready(&mut self, next: u64) -> Option<u64> {
        if let Some(seq) = self.redeliver.pop_first() {
            return Some(seq);
        }
        (self.cursor < next).then(|| {
            self.cursor += 1;
            self.cursor - 1
        })
    }

    fn wake_delayed(&mut self, now: Instant) {
        while let Some(&(due, seq)) = self.delayed.first()
            && due <= now
        {
            self.delayed.pop_first();
            self.redeliver.insert(seq);
        }
    }

    /// Settles one token, or returns `None` when it is stale.
    pub(super) fn settle(
        &mut self,
        epoch: u64,
        tag: u64,
        disposition: Disposition,
        now: Instant,
    ) -> Option<Settlement> {
        let seq = self.members.get_mut(&epoch)?.held.remove(&tag)?;
        Some(match disposition {
            Disposition::Ack => {
                self.attempts.remove(&seq);
                Settlement::Done { seq }
            }
            Disposition::Retry(delay) => {
                self.retry(seq, delay, now);
                Settlement::Returned
            }
            Disposition::Release => Settlement::Uncounted {
                seq,
                attempts: self.release(seq),
            },
        })
    }

    fn retry(&mut self, seq: u64, delay: Duration, now: Instant) {
        match now.checked_add(delay) {
            Some(due) if !delay.is_zero() => self.delayed.insert((due, seq)),
            _ => self.redeliver.insert(seq),
        };
    }

    fn release(&mut self, seq: u64) -> u32 {
        self.redeliver.insert(seq);
        let attempts = self.attempts.get(&seq).map_or(0, |n| n.saturating_sub(1));
        if attempts == 0 {
            self.attempts.remove(&seq);
        } else {
            self.attempts.insert(seq, attempts);
        }
        attempts
    }

    /// A member goes without a close, as after a crash: what it held comes back with its tries counted.
    pub(super) fn leave(&mut self, epoch: u64) {
        if let Some(member) = self.members.remove(&epoch) {
            self.redeliver.extend(member.held.into_values());
        }
    }

    /// A member closes: what it held comes back uncounted. Returns the tries left on record for each.
    pub(super) fn leave_cleanly(&mut self, epoch: u64) -> Vec<(u64, u32)> {
        let held = self.members.remove(&epoch).map(|member| member.held);
        held.into_iter()
            .flat_map(BTreeMap::into_values)
            .map(|seq| (seq, self.release(seq)))
            .collect()
    }

    /// Members of that client go.
    pub(super) fn leave_all(&mut self, client: u64) {
        let epochs: Vec<u64> = self
            .members
            .iter()
            .filter(|(_, member)| member.client == client)
            .map(|(epoch, _)| *epoch)
            .collect();
        for epoch in epochs {
            self.leave(epoch);
        }
    }

    pub(super) fn held_by(&self, epoch: u64) -> usize {
        self.members.get(&epoch).map_or(0, |m| m.held.len())
    }

    /// Whether something could be handed out now.
    pub(super) fn is_ready(&self, next: u64, now: Instant) -> bool {
        !self.redeliver.is_empty()
            || self.cursor < next
            || self.next_due().is_some_and(|due| due <= now)
    }

    /// When the next delayed message is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// Messages that wait, delayed ones included.
    pub(super) fn ready(&self, next: u64) -> u64 {
        next.saturating_sub(self.cursor) + (self.redeliver.len() + self.delayed.len()) as u64
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.members.values().map(|m| m.held.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPOCH: u64 = 7;

    fn group() -> Group {
        let mut group = Group::new("metric", 0);
        group.join(EPOCH, 1);
        group
    }

    fn seqs(delivered: &[GroupDelivery]) -> Vec<u64> {
        delivered.iter().map(|t| t.seq).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_waits_its_delay_and_the_others_pass_it() {
        let (mut group, now) = (group(), Instant::now());
        let first = group.deliver(EPOCH, now, 3, 1)[0];
        group.settle(
            EPOCH,
            first.tag,
            Disposition::Retry(Duration::from_secs(5)),
            now,
        );
        assert_eq!(seqs(&group.deliver(EPOCH, now, 3, 9)), [1, 2]);
        let later = now + Duration::from_secs(5);
        let again = group.deliver(EPOCH, later, 3, 9);
        assert_eq!((again[0].seq, again[0].attempt), (0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_death_is_counted_and_a_release_is_not() {
        let (mut group, now) = (group(), Instant::now());
        group.deliver(EPOCH, now, 1, 1);
        group.leave_cleanly(EPOCH);
        group.join(8, 1);
        assert_eq!(group.deliver(8, now, 1, 1)[0].attempt, 1);
        group.leave(8);
        group.join(9, 1);
        assert_eq!(group.deliver(9, now, 1, 1)[0].attempt, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_works_once_and_only_for_its_own_member() {
        let (mut group, now) = (group(), Instant::now());
        let tag = group.deliver(EPOCH, now, 1, 1)[0].tag;
        assert_eq!(group.settle(8, tag, Disposition::Ack, now), None);
        assert!(group.settle(EPOCH, tag, Disposition::Ack, now).is_some());
        assert_eq!(group.settle(EPOCH, tag, Disposition::Ack, now), None);
    }

    proptest! {
        /// Any mix of takes, verdicts, deaths and departures: ready + held + done is all there is, nothing twice.
        #[test]
        fn nothing_is_lost_or_held_twice(steps in prop::collection::vec((0_u8..6, 0_u64..4), 1..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _guard = runtime.enter();
            let (total, now) = (50, Instant::now());
            let mut group = Group::new("g", 0);
            let mut held: Vec<(u64, u64)> = Vec::new();
            let mut done = BTreeSet::new();
            for epoch in 0..4 { group.join(epoch, epoch); }
            for (kind, epoch) in steps {
                let own = held.iter().position(|(e, _)| *e == epoch);
                match (kind, own) {
                    (0, _) => held.extend(group.deliver(epoch, now, total, 3).iter().map(|t| (epoch, t.tag))),
                    (1..=3, Some(index)) => {
                        let (_, tag) = held.remove(index);
                        let verdict = [Disposition::Ack, Disposition::Retry(Duration::ZERO), Disposition::Release][usize::from(kind) - 1];
                        if let Some(Settlement::Done { seq }) = group.settle(epoch, tag, verdict, now) {
                            prop_assert!(done.insert(seq), "{seq} was done twice");
                        }
                    }
                    (4, _) => { group.leave(epoch); group.join(epoch, epoch); held.retain(|(e, _)| *e != epoch); }
                    (5, _) => { group.leave_cleanly(epoch); group.join(epoch, epoch); held.retain(|(e, _)| *e != epoch); }
                    _ => {}
                }
                prop_assert_eq!(group.in_flight(), held.len() as u64);
                prop_assert_eq!(group.ready(total) + group.in_flight() + done.len() as u64, total);
            }
        }
    }
}
