//! RabbitMQ by `lapin`.
//!
//! A topic is a durable fanout exchange, a group is a durable quorum queue bound to it. Publishing waits for confirms
//! in a window and is mandatory; a message that no queue takes ends the session, and the next one declares the topology
//! and sends again. Publishing and consuming have a connection each, because a broker that is short of memory or disk
//! stops reading from connections that publish, and acknowledgements must not be stuck behind them.
//!
//! Retries with a delay are kept in this process until they are due and then rejected, which the broker counts.
//! Attempts are the broker's `x-delivery-count`; its own delivery limit is a backstop far above ours, because a crash
//! counts for the prefetched neighbours too.
//!
//! Differences, as the capabilities report them: nothing is dropped for having the same id; whether a release counts
//! depends on the broker's version. When one of several groups of a topic is full, the others may see the messages that
//! wait for it more than once: a nack does not name the queue that had no room, and the message is sent again to all of
//! them under the same id. AMQP does not report what other processes have, so `elsewhere` is always `None`.
//!
//! Deliberately absent: lapin's recovery, which forgets consumers whose channel the broker closed; dead-letter
//! exchanges, because a copy that is confirmed before the ack is the same on every broker.

mod dial;
#[cfg(feature = "tls")]
mod encrypted;
mod error;
mod ids;
mod inlet;
mod outlet;
mod server_properties;
mod session;
mod topology;
mod wire;

use std::sync::{Arc, OnceLock, atomic::AtomicUsize};

use self::dial::RabbitDial;
use super::{
    BrokerInfo, BusError, Capabilities, Config,
    backend::Backend,
    remote::{Remote, Seeds, major_minor},
};

/// The largest body in bytes. Brokers take more; memory is bounded by this times the window.
const BODY_MAX: usize = 1 << 20;

/// Connects to `amqp://user:password@host[:port][/vhost][?heartbeat=SECONDS]`, or `amqps://…` in a build with the `tls`
/// feature, by the files of [`Config::tls`].
///
/// Returns after the first try; `seed` makes the jitter of every wait. An absent broker is not an error:
/// [`Backend::declare`] waits for it.
///
/// # Errors
/// [`BusError::Url`] for a URL that is not understood, [`BusError::Refused`] if the broker refuses us.
pub(super) async fn connect(
    url: &str,
    config: &Config,
    seed: u64,
) -> Result<impl Backend + use<>, BusError> {
    let broker = Arc::new(OnceLock::new());
    let seeds = Arc::new(Seeds::new(seed));
    let dial = RabbitDial::new(url, config, Arc::clone(&broker), Arc::clone(&seeds))?;
    let body_max = Arc::new(AtomicUsize::new(BODY_MAX));
    Remote::start("Rabbitmq", dial, config, body_max, seeds, move || {
        Capabilities {
            durable: true,
            outlives_process: true,
            attempts_survive_restart: true,
            uncounted_release: broker.get().is_some_and(release_is_uncounted),
            deduplicates: false,
            counts_elsewhere: false,
            body_max: BODY_MAX,
        }
    })
    .await
}

/// Up to 4.2 every return of a message counts; since 4.3 only a rejection or a crash does.
fn release_is_uncounted(broker: &BrokerInfo) -> bool {
    major_minor(&broker.version).map(Option::unwrap_or_default) >= [4, 3]
}
