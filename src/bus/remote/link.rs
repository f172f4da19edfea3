//! One supervised link: at most one session at a time, opened again for ever.
//!
//! A task of its own, the [`Supervisor`], opens sessions. Everybody else waits for one ([`Link::session_after`]) and
//! reports its failure ([`LiveSession::end`]); the first report counts, and wakes all who work on that session. The
//! number of a session is the epoch of the tokens that it gave out.
//!
//! Closing is done in two steps: [`Link::close`] asks everybody to leave, and the session is closed when the last
//! [`MemberGuard`] is dropped, or after a bounded wait.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    ConnectError, Dial, EXCHANGE_TIMEOUT, PermanentError, Session, SessionError, SessionErrorKind,
    backoff::Backoff, within,
};
use crate::{
    bus::{BusError, Link as LinkState, Topology},
    clock::saturating_ms,
    telemetry::with_causes,
};

/// How often the supervisor checks that the topology still exists.
const TOPOLOGY_CHECK_PERIOD: Duration = Duration::from_secs(5);

/// How long closing waits for subscriptions to release their deliveries.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Refusals in a row after which a link that once worked gives up. A broker that is starting may refuse for a while.
const REFUSALS_MAX: u32 = 12;

/// One session and its number.
pub(super) struct LiveSession {
    /// Counts up with every session.
    pub(super) epoch: u64,
    pub(super) session: Box<dyn Session>,
    end: watch::Sender<Option<SessionError>>,
}

impl LiveSession {
    /// Ends the session for everybody.
    pub(super) fn end(&self, error: SessionError) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(error);
            }
            first
        });
    }

    /// Resolves with the reason once the session has ended.
    pub(super) async fn ended(&self) -> SessionError {
        let mut end = self.end.subscribe();
        let error = match end.wait_for(Option::is_some).await {
            Ok(error) => error.clone(),
            Err(_) => None,
        };
        error.unwrap_or_else(closed)
    }
}

#[derive(Clone)]
enum Phase {
    Down,
    Up(Arc<LiveSession>),
    Failed(PermanentError),
    Closed,
}

/// Shared by the bus, its publishers and its subscriptions; the last one to go closes the link.
#[derive(Clone)]
pub(super) struct Link(Arc<CloseOnDrop>);

struct CloseOnDrop(Arc<Inner>);

struct Inner {
    phase: watch::Sender<Phase>,
    state: watch::Sender<LinkState>,
    topology: Mutex<Topology>,
    closing: CancellationToken,
    /// How many subscriptions may have deliveries to release before the session is closed.
    members: watch::Sender<usize>,
}

/// Held by a subscription: the link is closed only after it is dropped, as far as there is time.
pub(super) struct MemberGuard(Arc<Inner>);

impl Drop for MemberGuard {
    fn drop(&mut self) {
        self.0.members.send_modify(|members| *members -= 1);
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.closing.cancel();
    }
}

impl Link {
    /// Starts the supervisor and returns after its first try; an absent broker is no error here.
    pub(super) async fn start(dial: impl Dial, backoff: Backoff) -> Result<Self, BusError> {
        let down = LinkState::Down {
            reason: "not connected yet".to_owned(),
            tries: 0,
        };
        let inner = Arc::new(Inner {
            phase: watch::Sender::new(Phase::Down),
            state: watch::Sender::new(down),
            topology: Mutex::new(Topology { topics: Vec::new() }),
            closing: CancellationToken::new(),
            members: watch::Sender::new(0),
        });
        let link = Self(Arc::new(CloseOnDrop(Arc::clone(&inner))));
        let mut state = inner.state.subscribe();
        tokio::spawn(Supervisor::new(Arc::clone(&inner), dial, backoff).run());
        // The sender lives in `inner`, so the first change always comes.
        drop(state.changed().await);
        let phase = inner.phase.borrow().clone();
        match phase {
            Phase::Failed(error) => Err(error.into()),
            Phase::Down | Phase::Up(_) | Phase::Closed => Ok(link),
        }
    }

    pub(super) fn state(&self) -> watch::Receiver<LinkState> {
        self.inner().state.subscribe()
    }

    /// Waits for a session younger than `epoch`.
    pub(super) async fn session_after(&self, epoch: u64) -> Result<Arc<LiveSession>, BusError> {
        let mut phase = self.inner().phase.subscribe();
        let settled = phase.wait_for(|phase| match phase {
            Phase::Down => false,
            Phase::Up(session) => session.epoch > epoch,
            Phase::Failed(_) | Phase::Closed => true,
        });
        let settled = tokio::select! {
            biased;
            () = self.closing() => return Err(BusError::Closed),
            settled = settled => settled,
        };
        match settled.as_deref() {
            Ok(Phase::Up(session)) => Ok(Arc::clone(session)),
            Ok(Phase::Failed(error)) => Err(error.clone().into()),
            Ok(Phase::Down | Phase::Closed) | Err(_) => Err(BusError::Closed),
        }
    }

    /// Declares on the current session, and on every later one. Waits for an absent broker.
    pub(super) async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        let mut epoch = 0;
        loop {
            let session = self.session_after(epoch).await?;
            let declared = tokio::select! {
                biased;
                declared = session.session.declare(topology) => declared,
                error = session.ended() => Err(error.into()),
            };
            match declared {
                Ok(()) => {
                    self.inner().topology.lock().merge(topology);
                    return Ok(());
                }
                Err(ConnectError::Permanent(error)) => return Err(error.into()),
                Err(ConnectError::Transient(error)) => {
                    session.end(error);
                    epoch = session.epoch;
                }
            }
        }
    }

    /// Everything declared so far.
    pub(super) fn topology(&self) -> Topology {
        self.inner().topology()
    }

    /// Closes for good: the session flushes, then everybody sees `Closed`.
    pub(super) async fn close(&self) {
        self.inner().closing.cancel();
        let mut phase = self.inner().phase.subscribe();
        let closed = phase.wait_for(|phase| matches!(phase, Phase::Closed | Phase::Failed(_)));
        drop(timeout(EXCHANGE_TIMEOUT, closed).await);
    }

    /// Resolves when [`Link::close`] is called.
    pub(super) async fn closing(&self) {
        self.inner().closing.cancelled().await;
    }

    /// Makes [`Link::close`] wait until the guard is dropped.
    pub(super) fn member_guard(&self) -> MemberGuard {
        self.inner().members.send_modify(|members| *members += 1);
        MemberGuard(Arc::clone(&self.0.0))
    }

    /// Whether [`Link::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.inner().closing.is_cancelled()
    }

    fn inner(&self) -> &Inner {
        &self.0.0
    }
}

impl Inner {
    fn topology(&self) -> Topology {
        self.topology.lock().clone()
    }
}

fn closed() -> SessionError {
    SessionError::new(SessionErrorKind::Closed, "the bus")
}

/// Opens sessions one after the other until the link is closed or the broker refuses for good.
struct Supervisor<D> {
    inner: Arc<Inner>,
    dial: D,
    backoff: Backoff,
    epoch: u64,
    refusals: u32,
    outage_reported: bool,
}

impl<D: Dial> Supervisor<D> {
    fn new(inner: Arc<Inner>, dial: D, backoff: Backoff) -> Self {
        Self {
            inner,
            dial,
            backoff,
            epoch: 0,
            refusals: 0,
            outage_reported: false,
        }
    }

    async fn run(mut self) {
        let closing = self.inner.closing.clone();
        loop {
            let opened = tokio::select! {
                biased;
                () = closing.cancelled() => break,
                opened = self.open() => opened,
            };
            let error = match opened {
                Ok(session) => match self.run_session(session).await {
                    Some(error) => error,
                    None => break,
                },
                Err(ConnectError::Transient(error)) => error,
                Err(ConnectError::Permanent(error)) => match self.retry_or_give_up(error) {
                    Ok(error) => error,
                    Err(error) => return self.fail(error),
                },
            };
            let wait = self.report_outage(&error);
            tokio::select! {
                biased;
                () = closing.cancelled() => break,
                () = sleep(wait) => {}
            }
        }
        self.inner.state.send_replace(LinkState::Down {
            reason: closed().to_string(),
            tries: 0,
        });
        self.inner.phase.send_replace(Phase::Closed);
    }

    async fn open(&mut self) -> Result<Arc<LiveSession>, ConnectError> {
        let session = self.dial.dial().await?;
        let topology = self.inner.topology();
        if !topology.topics.is_empty() {
            session.declare(&topology).await?;
        }
        self.epoch += 1;
        Ok(Arc::new(LiveSession {
            epoch: self.epoch,
            session,
            end: watch::Sender::new(None),
        }))
    }

    /// Runs one session to its end; `None` when the link was closed, else why it ended.
    async fn run_session(&mut self, session: Arc<LiveSession>) -> Option<SessionError> {
        let began = Instant::now();
        self.report_recovery(&session);
        self.inner
            .phase
            .send_replace(Phase::Up(Arc::clone(&session)));
        let error = tokio::select! {
            biased;
            () = self.all_left() => None,
            error = session.session.lost() => Some(error),
            error = session.ended() => Some(error),
            error = check_topology(&session, &self.inner) => Some(error),
        };
        if let Some(error) = &error {
            self.inner.phase.send_replace(Phase::Down);
            session.end(error.clone());
            let gone = Arc::clone(&session);
            tokio::spawn(async move { timeout(EXCHANGE_TIMEOUT, gone.session.close()).await });
        } else {
            drop(timeout(EXCHANGE_TIMEOUT, session.session.close()).await);
            session.end(closed());
        }
        // Only a session that held for a while: a broker that lets us in and drops us at once is not to be hurried.
        if began.elapsed() > TOPOLOGY_CHECK_PERIOD {
            self.backoff.reset();
        }
        error
    }

    /// Resolves when the link is to be closed and everybody has left, or had the time to.
    async fn all_left(&self) {
        self.inner.closing.cancelled().await;
        let mut members = self.inner.members.subscribe();
        let all_left = members.wait_for(|members| *members == 0);
        drop(timeout(LEAVE_TIMEOUT, all_left).await);
    }

    /// What to do with a permanent error: a link that once worked goes on trying for a while (`Ok`), as a broker that
    /// is starting refuses logins, too; otherwise it gives up.
    fn retry_or_give_up(&mut self, error: PermanentError) -> Result<SessionError, PermanentError> {
        self.refusals += 1;
        let once_worked = self.epoch > 0;
        if once_worked && self.refusals < REFUSALS_MAX && error.may_pass_at_a_restart() {
            let error = BusError::from(error);
            return Ok(SessionError::failed("the connection attempt", error));
        }
        Err(error)
    }

    fn fail(self, error: PermanentError) {
        let reason = with_causes(&BusError::from(error.clone()));
        if self.epoch > 0 {
            error!(error = %reason, "the broker came back and does not let us in");
        }
        self.inner.phase.send_replace(Phase::Failed(error));
        self.inner.state.send_replace(LinkState::Down {
            reason,
            tries: self.refusals,
        });
    }

    fn report_outage(&mut self, error: &SessionError) -> Duration {
        let reason = with_causes(error);
        let wait = self.backoff.next_wait();
        let wait_ms = saturating_ms(wait);
        if std::mem::replace(&mut self.outage_reported, true) {
            debug!(reason, wait_ms, "broker still unreachable");
        } else {
            warn!(reason, wait_ms, "broker unreachable, retrying");
        }
        self.inner.state.send_replace(LinkState::Down {
            reason,
            tries: self.backoff.tries(),
        });
        wait
    }

    fn report_recovery(&mut self, session: &LiveSession) {
        self.refusals = 0;
        let broker = session.session.broker();
        if std::mem::replace(&mut self.outage_reported, false) {
            info!(
                name = broker.name,
                version = broker.version,
                "broker reachable again"
            );
        }
        self.inner.state.send_replace(LinkState::Up);
    }
}

/// Checks from time to time that the topology still exists, so that a deleted queue is noticed though nothing is sent.
async fn check_topology(session: &LiveSession, inner: &Inner) -> SessionError {
    loop {
        sleep(TOPOLOGY_CHECK_PERIOD).await;
        let topology = inner.topology();
        if let Err(error) = within(
            "the topology check",
            session.session.check_topology(&topology),
        )
        .await
        {
            return error;
        }
    }
}
