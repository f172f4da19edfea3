//! One topic: its log, its bytes, its groups.
//!
//! Promise: a message stays until every group that had been declared when it came is done with it, then its bytes
//! are free again. Critical sections are short and hold no await; waiting is done on a semaphore of bytes
//! (publishers, first come first served) and on a notification for each group (consumers, one woken at a time).

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{
    super::{Depth, Message, backend::Disposition},
    group::{Group, GroupDelivery, Settlement},
};

/// What a message costs beside its body: the headers, the maps' nodes, the allocations.
const OVERHEAD_BYTES: usize = 128;

/// A topic of the embedded broker.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) bytes_max: u64,
    /// Bytes that are free; closed when the broker shuts down.
    pub(super) free_bytes: Semaphore,
    state: Mutex<State>,
    /// One for each group, in the same order; groups are only ever added.
    wakeups: Mutex<Vec<Arc<Notify>>>,
}

/// What is behind the topic's lock.
#[derive(Debug)]
pub(super) struct State {
    /// The number of the next message to come.
    pub(super) next_assigned: u64,
    /// Messages below this number can be delivered.
    visible: u64,
    entries: BTreeMap<u64, Entry>,
    pub(super) groups: Vec<Group>,
}

#[derive(Debug)]
struct Entry {
    message: Message,
    /// Groups that are not done with it.
    groups_left: usize,
    /// Permits of `room` that it took.
    charged: u32,
}

/// A message with its number and the bytes that it was charged.
#[derive(Clone, Debug)]
pub(super) struct AppendedMessage {
    pub(super) seq: u64,
    pub(super) message: Message,
    pub(super) charged: u32,
}

/// What settling a batch did: the counts for the caller, the rest for the store.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SettleOutcome {
    pub(super) ok: usize,
    pub(super) stale: usize,
    /// Messages that the group is done with; `true` where it was the last group.
    pub(super) done: Vec<(u64, bool)>,
    /// Messages released uncounted with the tries left on record.
    pub(super) uncounted: Vec<(u64, u32)>,
}

impl Topic {
    pub(super) fn new(id: u32, name: &str, bytes_max: u64, groups: Vec<Group>, next: u64) -> Self {
        let permits = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let wakeups = groups.iter().map(|_| Arc::default()).collect();
        Self {
            id,
            name: name.to_owned(),
            bytes_max,
            free_bytes: Semaphore::new(permits.min(Semaphore::MAX_PERMITS)),
            state: Mutex::new(State {
                next_assigned: next,
                visible: next,
                entries: BTreeMap::new(),
                groups,
            }),
            wakeups: Mutex::new(wakeups),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn wakeups(&self) -> MutexGuard<'_, Vec<Arc<Notify>>> {
        self.wakeups.lock()
    }

    /// The permits that a message takes: never more than the topic has, so that every message can pass alone.
    pub(super) fn charge(&self, message: &Message) -> u32 {
        let headers: usize = message.headers.iter().map(|(k, v)| k.len() + v.len()).sum();
        let size = message.body.len() + message.content_type.len() + headers + OVERHEAD_BYTES;
        let most = u32::try_from(self.bytes_max).unwrap_or(u32::MAX);
        u32::try_from(size).unwrap_or(u32::MAX).min(most)
    }

    pub(super) fn group_index(&self, group: &str) -> Option<usize> {
        self.lock().groups.iter().position(|g| g.name == group)
    }

    pub(super) fn wakeup(&self, group: usize) -> Arc<Notify> {
        Arc::clone(&self.wakeups()[group])
    }

    /// Adds a group; it gets what is published from now on.
    /// Returns whether it is new.
    pub(super) fn add_group(&self, name: &str) -> bool {
        let mut state = self.lock();
        if state.groups.iter().any(|group| group.name == name) {
            return false;
        }
        let from = state.next_assigned;
        state.groups.push(Group::new(name, from));
        self.wakeups().push(Arc::default());
        true
    }

    /// Numbers messages and makes them deliverable, in one step.
    pub(super) fn append(&self, items: Vec<(Message, u32)>) {
        let mut state = self.lock();
        for appended in state.number(items) {
            self.make_one_visible(&mut state, appended);
        }
        drop(state);
        self.wake_groups();
    }

    /// Makes numbered messages deliverable. They come in the order of their numbers.
    pub(super) fn make_visible(&self, messages: Vec<AppendedMessage>) {
        let mut state = self.lock();
        for appended in messages {
            self.make_one_visible(&mut state, appended);
        }
        drop(state);
        self.wake_groups();
    }

    fn wake_groups(&self) {
        for wakeup in self.wakeups().iter() {
            wakeup.notify_one();
        }
    }

    fn make_one_visible(&self, state: &mut State, appended: AppendedMessage) {
        let seq = appended.seq;
        state.visible = state.visible.max(seq + 1);
        let groups_left = state.groups.iter().filter(|g| g.from <= seq).count();
        if groups_left == 0 {
            return self.free_bytes.add_permits(appended.charged as usize);
        }
        let entry = Entry {
            message: appended.message,
            groups_left,
            charged: appended.charged,
        };
        state.entries.insert(seq, entry);
    }

    /// Puts a message back after a restart; `groups_left` groups still wait for it.
    pub(super) fn restore(&self, seq: u64, message: Message, groups_left: usize) {
        let wanted = self.charge(&message);
        let charged = match self.free_bytes.try_acquire_many(wanted) {
            Ok(permit) => {
                permit.forget();
                wanted
            }
            Err(_) => 0,
        };
        let entry = Entry {
            message,
            groups_left,
            charged,
        };
        self.lock().entries.insert(seq, entry);
    }

    /// Hands messages to a member, as many as its window allows. Returns, too, when the next delayed one is due.
    pub(super) fn deliver(
        &self,
        (group, epoch): (usize, u64),
        window: usize,
        max: usize,
    ) -> (Vec<(GroupDelivery, Message)>, Option<Instant>) {
        let now = Instant::now();
        let mut state = self.lock();
        let State {
            visible,
            entries,
            groups,
            ..
        } = &mut *state;
        let group_state = &mut groups[group];
        let room = window.saturating_sub(group_state.held_by(epoch));
        let taken = group_state.deliver(epoch, now, *visible, max.min(room));
        let due = group_state.next_due();
        let more = group_state.is_ready(*visible, now);
        let deliveries = taken
            .into_iter()
            .filter_map(|t| Some((t, entries.get(&t.seq)?.message.clone())))
            .collect::<Vec<_>>();
        drop(state);
        if more && (room == 0 || !deliveries.is_empty()) {
            self.wakeup(group).notify_one();
        }
        (deliveries, due)
    }

    /// Settles tokens of one member.
    pub(super) fn settle(
        &self,
        (group, epoch): (usize, u64),
        dispositions: impl IntoIterator<Item = (u64, Disposition)>,
    ) -> SettleOutcome {
        let now = Instant::now();
        let (mut outcome, mut freed) = (SettleOutcome::default(), 0_usize);
        let mut came_back = false;
        let mut state = self.lock();
        for (tag, disposition) in dispositions {
            let Some(settlement) = state.groups[group].settle(epoch, tag, disposition, now) else {
                outcome.stale += 1;
                continue;
            };
            outcome.ok += 1;
            match settlement {
                Settlement::Done { seq } => {
                    let charged = state.done(seq);
                    freed += charged.unwrap_or(0) as usize;
                    outcome.done.push((seq, charged.is_some()));
                }
                Settlement::Returned => came_back = true,
                Settlement::Uncounted { seq, attempts } => {
                    came_back = true;
                    outcome.uncounted.push((seq, attempts));
                }
            }
        }
        drop(state);
        self.free_bytes.add_permits(freed);
        if came_back {
            self.wakeup(group).notify_waiters();
            self.wakeup(group).notify_one();
        }
        outcome
    }

    /// A member goes; `cleanly` means uncounted. Returns the tries left on record for each message it held.
    pub(super) fn leave(&self, (group, epoch): (usize, u64), cleanly: bool) -> Vec<(u64, u32)> {
        let mut state = self.lock();
        let uncounted = if cleanly {
            state.groups[group].leave_cleanly(epoch)
        } else {
            state.groups[group].leave(epoch);
            Vec::new()
        };
        drop(state);
        self.wakeup(group).notify_waiters();
        self.wakeup(group).notify_one();
        uncounted
    }

    /// All members of a client go.
    pub(super) fn leave_all(&self, client: u64) {
        for group in &mut self.lock().groups {
            group.leave_all(client);
        }
        for wakeup in self.wakeups().iter() {
            wakeup.notify_waiters();
            wakeup.notify_one();
        }
    }

    pub(super) fn depth(&self, group: usize) -> Depth {
        let state = self.lock();
        Depth {
            ready: state.groups[group].ready(state.visible),
            in_flight: state.groups[group].in_flight(),
            // Every consumer is in this process.
            elsewhere: Some(0),
            dead: 0,
        }
    }
}

impl State {
    /// One group is done with a message. Returns the room it frees when that was the last group.
    fn done(&mut self, seq: u64) -> Option<u32> {
        let entry = self.entries.get_mut(&seq)?;
        entry.groups_left -= 1;
        if entry.groups_left > 0 {
            return None;
        }
        self.entries.remove(&seq).map(|entry| entry.charged)
    }

    /// Gives messages their numbers.
    pub(super) fn number(&mut self, items: Vec<(Message, u32)>) -> Vec<AppendedMessage> {
        let first = self.next_assigned;
        self.next_assigned += items.len() as u64;
        (first..)
            .zip(items)
            .map(|(seq, (message, charged))| AppendedMessage {
                seq,
                message,
                charged,
            })
            .collect()
    }
}
