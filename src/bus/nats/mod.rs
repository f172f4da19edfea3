//! NATS JetStream by `async-nats`.
//!
//! A topic is a stream (limits retention, file storage, discard new, bounded bytes), a group is a durable pull consumer
//! on it, declared before anybody publishes. What every group has acknowledged is deleted by us: interest retention,
//! which would do so by itself, lost confirmed messages when the server was restarted (`sweeper`).
//! Publishing waits for the stream's own answer and sends the same `Nats-Msg-Id` again if none comes. Pulls are
//! counted by us, so that what is requested and what is unsettled never exceed the window together.
//!
//! Differences, as the capabilities report them: every redelivery counts as an attempt, a release too; after a restart
//! of the server what is stored is delivered again, counted from one, as a killed server forgets what was
//! unacknowledged. A copy of a message id within two minutes is dropped by the broker. JetStream counts what was
//! delivered and not acknowledged, but not how much of it waits to be delivered again: all of it is `elsewhere` if this
//! process does not have it.
//!
//! Deliberately absent: the client's own recovery and its pull stream; work-queue retention, which after a `kill -9`
//! keeps acknowledged messages for ever; `max_deliver`, which at its end drops silently.

mod dial;
mod error;
mod inlet;
mod names;
mod session;
mod sweeper;
mod topology;
mod wire;

use std::sync::{Arc, atomic::AtomicUsize};

use self::dial::NatsDial;
use super::{
    BusError, Capabilities, Config,
    backend::Backend,
    remote::{Remote, Seeds},
};

/// The largest body in bytes; the server's own limit is 1 MiB by default, headers included.
const BODY_MAX: usize = 512 << 10;

/// Connects to `nats://[user:password@|token@]host[:port][,…][?creds=FILE|nkey=FILE]`, or `tls://…` by the files of
/// [`Config::tls`].
///
/// Returns after the first try; `seed` makes the jitter of every wait. An absent broker is not an error:
/// [`Backend::declare`] waits for it.
///
/// # Errors
/// [`BusError::Url`] for a URL that is not understood, [`BusError::Refused`] if the server refuses us.
pub(super) async fn connect(
    url: &str,
    config: &Config,
    seed: u64,
) -> Result<impl Backend + use<>, BusError> {
    let body_max = Arc::new(AtomicUsize::new(BODY_MAX));
    let dial = NatsDial::new(url, config, Arc::clone(&body_max)).await?;
    let seeds = Arc::new(Seeds::new(seed));
    Remote::start("Nats", dial, config, body_max, seeds, || Capabilities {
        durable: true,
        outlives_process: true,
        attempts_survive_restart: false,
        uncounted_release: false,
        deduplicates: true,
        counts_elsewhere: true,
        body_max: BODY_MAX,
    })
    .await
}
