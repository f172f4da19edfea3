//! The task behind a subscription: receives deliveries, extends their leases, waits out retries, settles.
//!
//! It knows every tag of its session from arrival to settlement. When the session ends the epoch ends with it: the
//! broker delivers again to some member of the group, and tokens of the old epoch are stale.
//!
//! Each delivery is in one of three places. It waits in the [`DeliveryQueue`], it is with the consumer, or it was
//! settled as a retry whose delay this task waits out, where the broker cannot. In the first two cases `unsettled` has
//! its tag with `None`, in the third with the time at which it is due. So the tag of a delayed retry cannot be settled
//! twice, and its delay ends with the session at the latest.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::debug;

use super::{
    BrokerDelivery, Event, Inlet, SessionError, SessionErrorKind,
    delivery_counts::SubscriptionCount,
    link::{Link, LiveSession, MemberGuard},
    queue::DeliveryQueue,
    sleep_until_some, within,
};
use crate::{
    bus::{BusError, Delivery, Settled, Token, backend::Disposition},
    telemetry::with_causes,
};

/// What a subscription asks of its intake.
pub(super) enum Command {
    Settle(Vec<(Token, Disposition)>, oneshot::Sender<Settled>),
    Stop(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// The group to join, with which window and lease.
pub(super) struct Membership {
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) window: usize,
    pub(super) lease: Duration,
}

/// See the module.
pub(super) struct Intake {
    link: Link,
    _member: MemberGuard,
    membership: Membership,
    unsettled_count: SubscriptionCount,
    queue: Arc<DeliveryQueue>,
    commands: mpsc::Receiver<Command>,
    epoch: u64,
    stopped: bool,
    /// Every tag of this epoch that is not settled, with the time at which a retry is due.
    unsettled: BTreeMap<u64, Option<Instant>>,
    delayed: usize,
}

/// Why the work on a session ended.
enum End {
    /// The session is lost: go on with the next one.
    Lost(SessionError),
    /// The subscription was closed or dropped.
    Closed,
}

impl Intake {
    pub(super) fn new(
        link: Link,
        membership: Membership,
        unsettled_count: SubscriptionCount,
        queue: Arc<DeliveryQueue>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            _member: link.member_guard(),
            link,
            membership,
            unsettled_count,
            queue,
            commands,
            epoch: 0,
            stopped: false,
            unsettled: BTreeMap::new(),
            delayed: 0,
        }
    }

    pub(super) async fn run(mut self) {
        self.run_sessions().await;
        // Dropping the receiver at once would leave a command that is being sent right now in the channel, and whoever
        // sent it would wait for ever. A closed channel lets such a command arrive; dropping it here answers it.
        self.commands.close();
        while self.commands.recv().await.is_some() {}
    }

    async fn run_sessions(&mut self) {
        loop {
            let Some(session) = self.await_session().await else {
                return;
            };
            self.epoch = session.epoch;
            self.queue.reset(self.epoch);
            match self.run_session(&session).await {
                End::Lost(error) => {
                    debug!(
                        reason = with_causes(&error),
                        topic = self.membership.topic,
                        group = self.membership.group,
                        "subscription begins anew"
                    );
                    session.end(error);
                }
                End::Closed => return,
            }
            self.unsettled.clear();
            self.unsettled_count.set(0);
            self.delayed = 0;
            self.queue.reset(0);
        }
    }

    /// Waits for a session, and answers commands meanwhile: without a session every token is stale.
    async fn await_session(&mut self) -> Option<Arc<LiveSession>> {
        loop {
            let command = tokio::select! {
                biased;
                command = self.commands.recv() => command,
                // After a stop no new session is needed: the deliveries of the old one are gone with it.
                session = self.link.session_after(self.epoch), if !self.stopped => match session {
                    Ok(session) => return Some(session),
                    Err(error) => {
                        self.queue.fail(error);
                        return None;
                    }
                },
            };
            match command {
                Some(Command::Settle(dispositions, reply)) => {
                    let stale = dispositions.len();
                    reply.send(Settled { ok: 0, stale }).ok();
                }
                Some(Command::Stop(reply)) => {
                    self.stopped = true;
                    self.queue.stop();
                    reply.send(()).ok();
                }
                Some(Command::Close(reply)) => {
                    self.queue.stop();
                    answer(Some(reply));
                    return None;
                }
                None => return None,
            }
        }
    }

    async fn run_session(&mut self, session: &LiveSession) -> End {
        let Membership {
            topic,
            group,
            window,
            ..
        } = &self.membership;
        let opened = tokio::select! {
            error = session.ended() => Err(error),
            inlet = within("the subscription", session.session.inlet(topic, group, *window)) => inlet,
        };
        let mut inlet = match opened {
            Ok(inlet) => inlet,
            Err(error) => return End::Lost(error),
        };
        match self.serve(session, inlet.as_mut()).await {
            Ok(()) => {
                inlet.close().await;
                End::Closed
            }
            Err(error) => End::Lost(error),
        }
    }

    /// Serves one session until the subscription is closed (`Ok`) or the session is lost.
    async fn serve(
        &mut self,
        session: &LiveSession,
        inlet: &mut dyn Inlet,
    ) -> Result<(), SessionError> {
        let mut renewal = interval(self.membership.lease / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let link = self.link.clone();
        let (ended, closing) = (session.ended(), link.closing());
        tokio::pin!(ended, closing);
        loop {
            self.unsettled_count.set(self.unsettled.len());
            inlet
                .update_credit(self.unsettled.len(), self.delayed)
                .await?;
            let next_due = self.next_due();
            tokio::select! {
                biased;
                error = &mut ended => return Err(error),
                () = &mut closing => {
                    self.queue.fail(BusError::Closed);
                    return self.leave(session, inlet, None).await;
                }
                command = self.commands.recv() => match command {
                    Some(Command::Settle(dispositions, reply)) => {
                        let settled = self.settle(inlet, dispositions).await;
                        reply.send(settled.0).ok();
                        settled.1?;
                    }
                    Some(Command::Stop(reply)) => {
                        let stopped = self.stop(inlet).await;
                        answer(Some(reply));
                        stopped?;
                    }
                    Some(Command::Close(reply)) => return self.leave(session, inlet, Some(reply)).await,
                    None => return self.leave(session, inlet, None).await,
                },
                _ = renewal.tick() => if !self.unsettled.is_empty() { inlet.extend_leases().await? },
                () = sleep_until_some(next_due) => self.requeue_due(inlet).await?,
                event = inlet.next(), if !self.stopped => match event? {
                    Event::Delivery(arrival) => self.receive(arrival),
                    Event::Wake => {}
                    Event::End => {
                        return Err(SessionError::new(SessionErrorKind::Ended, "the subscription"));
                    }
                },
            }
        }
    }

    fn receive(&mut self, arrival: BrokerDelivery) {
        let BrokerDelivery {
            tag,
            message,
            attempt,
        } = arrival;
        self.unsettled.insert(tag, None);
        let token = Token {
            epoch: self.epoch,
            tag,
        };
        self.queue.push(Delivery {
            message,
            attempt,
            token,
        });
    }

    async fn settle(
        &mut self,
        inlet: &mut dyn Inlet,
        dispositions: Vec<(Token, Disposition)>,
    ) -> (Settled, Result<(), SessionError>) {
        let asked = dispositions.len();
        let mut now = Vec::with_capacity(asked);
        let mut ok = 0;
        for (token, disposition) in dispositions {
            if token.epoch != self.epoch || self.unsettled.get(&token.tag) != Some(&None) {
                continue;
            }
            ok += 1;
            match disposition {
                Disposition::Retry(delay) if !delay.is_zero() && !inlet.delays_retries() => {
                    self.unsettled
                        .insert(token.tag, Some(Instant::now() + delay));
                    self.delayed += 1;
                }
                Disposition::Ack | Disposition::Retry(_) | Disposition::Release => {
                    self.unsettled.remove(&token.tag);
                    now.push((token.tag, disposition));
                }
            }
        }
        self.queue.settled(ok);
        self.unsettled_count.set(self.unsettled.len());
        let stale = asked - ok;
        match inlet.settle(&now).await {
            Ok(()) => (Settled { ok, stale }, Ok(())),
            Err(error) => (
                Settled {
                    ok: 0,
                    stale: asked,
                },
                Err(error),
            ),
        }
    }

    /// Receives nothing more and releases what was not handed out; returns when no delivery can be on its way.
    async fn stop(&mut self, inlet: &mut dyn Inlet) -> Result<(), SessionError> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        inlet.stop().await?;
        let waiting = self.queue.stop();
        let releases = waiting
            .into_iter()
            .filter(|delivery| self.unsettled.remove(&delivery.token.tag).is_some())
            .map(|delivery| (delivery.token.tag, Disposition::Release))
            .collect::<Vec<_>>();
        inlet.settle(&releases).await?;
        within("the end of the subscription", return_late_arrivals(inlet)).await
    }

    /// Releases everything but the delayed retries. The caller is answered then; the task stays until the delays are
    /// over.
    async fn leave(
        &mut self,
        session: &LiveSession,
        inlet: &mut dyn Inlet,
        reply: Option<oneshot::Sender<()>>,
    ) -> Result<(), SessionError> {
        let released = self.release_rest(inlet).await;
        answer(reply);
        released?;
        while let Some(at) = self.next_due() {
            tokio::select! {
                biased;
                error = session.ended() => return Err(error),
                // The link closes and cannot wait: these retries come back early.
                () = self.link.closing() => break,
                () = sleep_until(at) => self.requeue_due(inlet).await?,
            }
        }
        let early = self.take_unsettled(|_| true, Disposition::Retry(Duration::ZERO));
        inlet.settle(&early).await
    }

    async fn release_rest(&mut self, inlet: &mut dyn Inlet) -> Result<(), SessionError> {
        self.commands.close();
        self.stop(inlet).await?;
        let releases = self.take_unsettled(|due| due.is_none(), Disposition::Release);
        inlet.settle(&releases).await?;
        within("leaving the group", inlet.flush()).await
    }

    /// Takes the chosen ones out of `unsettled`, all with the same disposition.
    fn take_unsettled(
        &mut self,
        chosen: impl Fn(Option<Instant>) -> bool,
        disposition: Disposition,
    ) -> Vec<(u64, Disposition)> {
        let (taken, kept) = std::mem::take(&mut self.unsettled)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, due)| chosen(*due));
        self.unsettled = kept;
        self.unsettled_count.set(self.unsettled.len());
        taken.into_keys().map(|tag| (tag, disposition)).collect()
    }

    fn next_due(&self) -> Option<Instant> {
        if self.delayed == 0 {
            return None;
        }
        self.unsettled.values().flatten().min().copied()
    }

    async fn requeue_due(&mut self, inlet: &mut dyn Inlet) -> Result<(), SessionError> {
        let now = Instant::now();
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let due = self.take_unsettled(is_due, Disposition::Retry(Duration::ZERO));
        self.delayed -= due.len();
        inlet.settle(&due).await
    }
}

/// Releases what still arrives after a stop, until nothing more can.
async fn return_late_arrivals(inlet: &mut dyn Inlet) -> Result<(), SessionError> {
    loop {
        match inlet.next().await? {
            Event::Delivery(arrival) => {
                inlet.settle(&[(arrival.tag, Disposition::Release)]).await?;
            }
            Event::Wake => {}
            Event::End => return Ok(()),
        }
    }
}

fn answer(reply: Option<oneshot::Sender<()>>) {
    if let Some(reply) = reply {
        // The caller may have been dropped.
        reply.send(()).ok();
    }
}
