//! What the dashboard is given by whoever starts it.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{config::Config, snapshot::Service};
use crate::{
    bus::{Bus, Link, Publisher, Topology},
    chart,
    clock::Clock,
    stats::{LedgerSnapshot, live::View},
};
use residual_model::Model;

/// Computes a value when it is asked for; it must return at once.
pub type Provider<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Where the dashboard gets what it shows, and where it sends what is posted.
pub struct Ports {
    /// Settings.
    pub config: Config,
    /// The wall clock.
    pub clock: Clock,
    /// What the plot service has computed from the log.
    pub view: watch::Receiver<Arc<View>>,
    /// The file of the picture.
    pub picture: PathBuf,
    /// How the picture looks where the page draws it anew.
    pub style: chart::Config,
    /// All metrics of the process in Prometheus' text format.
    pub metrics: Provider<String>,
    /// The ledger, if the metric service runs in this process.
    pub ledger: Option<Provider<LedgerSnapshot>>,
    /// The services of this process with their states.
    pub services: watch::Receiver<Vec<Service>>,
    /// The bus, for its link and its depths.
    pub bus: Option<BusPort>,
    /// Where posted records go; `None` refuses them.
    pub ingest: Option<Ingest>,
    /// What `/predict` answers with; `None` refuses it.
    pub model: Option<watch::Receiver<Arc<Model>>>,
    /// Once cancelled, no records are taken any more, while the page is still served.
    pub draining: CancellationToken,
    /// Cancelled by [`serve`](super::serve()) after `draining`, once every record taken before is on the bus.
    pub flushed: CancellationToken,
}

/// The bus that the page watches.
pub struct BusPort {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// The groups to watch.
    pub topology: Topology,
    /// Its URL without the password.
    pub url: String,
}

/// Publishers for posted records.
pub struct Ingest {
    /// To `features`.
    pub features: Box<dyn Publisher>,
    /// To `y_true`.
    pub truths: Box<dyn Publisher>,
    /// To `y_pred`.
    pub predictions: Box<dyn Publisher>,
    /// Posts are refused at once while the broker is away.
    pub link: watch::Receiver<Link>,
}
