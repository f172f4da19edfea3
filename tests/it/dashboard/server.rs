//! All services but the source on the embedded bus, and the page.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use residual::{
    bus::{
        self, BrokerInfo, Bus, BusError, Capabilities, Consumer, Depth, Link, Message, Publisher,
        Receipt, Topic, Topology,
    },
    chart,
    clock::{Clock, Period},
    dashboard::{self, BusPort, Config, Ingest, Service},
    services::{metric, plot, predictor},
    stats::{LedgerSnapshot, live::View},
};
use residual_model::Model;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::http::Client;

pub(super) struct TestServer {
    pub(super) folder: TempDir,
    pub(super) client: Client,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) draining: CancellationToken,
    /// Cancelled by the page.
    pub(super) taken: CancellationToken,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    pub(super) page: JoinHandle<Result<(), dashboard::DashboardError>>,
}

/// How a server differs from the usual one.
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) log: String,
    pub(super) ledger: Option<LedgerSnapshot>,
    pub(super) bus: Option<Arc<dyn Bus>>,
    pub(super) publisher: fn() -> Box<dyn Publisher>,
    pub(super) link: watch::Receiver<Link>,
    pub(super) model: bool,
}

impl Default for Plan {
    fn default() -> Self {
        let config = Config {
            update_ms: 50,
            ..Config::default()
        };
        let link = watch::channel(Link::Up).1;
        let publisher = || -> Box<dyn Publisher> { Box::new(Swallow) };
        Self {
            config,
            log: String::new(),
            ledger: None,
            bus: None,
            publisher,
            link,
            model: false,
        }
    }
}

impl Plan {
    pub(super) fn with(config: Config) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// A log that is there already.
    pub(super) fn with_log(log: String) -> Self {
        Self {
            log,
            ..Self::default()
        }
    }

    pub(super) fn with_model() -> Self {
        Self {
            model: true,
            ..Self::default()
        }
    }

    pub(super) async fn build(self) -> TestServer {
        let (config, log) = (self.config.clone(), self.log.clone());
        let folder = tempfile::tempdir().unwrap();
        if !log.is_empty() {
            fs::write(folder.path().join("metric_log.csv"), log).unwrap();
        }
        TestServer::in_folder(
            folder,
            config,
            self.ports(),
            CancellationToken::new(),
            Vec::new(),
        )
        .await
    }

    /// Only tries to serve.
    pub(super) async fn serve_on(
        self,
        listener: TcpListener,
    ) -> Result<(), dashboard::DashboardError> {
        let folder = tempfile::tempdir().unwrap();
        let view = watch::channel(Arc::default()).1;
        let config = self.config.clone();
        let state = state(
            folder.path(),
            config,
            self.ports(),
            view,
            CancellationToken::new(),
        );
        let stop = CancellationToken::new();
        stop.cancel();
        dashboard::serve(listener, state, stop).await
    }

    fn ports(self) -> Ports {
        let ingest = Ingest {
            features: (self.publisher)(),
            truths: (self.publisher)(),
            predictions: (self.publisher)(),
            link: self.link,
        };
        let model = self
            .model
            .then(|| watch::channel(Arc::new(residual::bundled::model().unwrap())).1);
        Ports {
            ingest,
            model,
            ledger: self
                .ledger
                .map(|ledger| -> dashboard::Provider<LedgerSnapshot> {
                    Arc::new(move || ledger.clone())
                }),
            bus: self.bus,
        }
    }
}

struct Ports {
    ingest: Ingest,
    model: Option<watch::Receiver<Arc<Model>>>,
    ledger: Option<dashboard::Provider<LedgerSnapshot>>,
    bus: Option<Arc<dyn Bus>>,
}

pub(super) fn topology() -> Topology {
    Topology::with_dead_letters(vec![
        Topic::new("features", &["predictor"]),
        Topic::new("y_true", &["metric"]),
        Topic::new("y_pred", &["metric"]),
    ])
}

impl TestServer {
    /// All services of a real pipeline but the source: records come over HTTP.
    pub(super) async fn whole() -> Self {
        let clock = Clock::system();
        let bus = bus::connect(&bus::Config::default(), clock, 0)
            .await
            .unwrap();
        bus.declare(&topology()).await.unwrap();
        let stop = CancellationToken::new();
        let (model_sender, model) = watch::channel(Arc::new(residual::bundled::model().unwrap()));
        let folder = tempfile::tempdir().unwrap();
        let (progress_sender, progress) = watch::channel(metric::Progress::default());
        let predictor = predictor::Ports {
            features: bus.consumer("features", "predictor", 64).await.unwrap(),
            predictions: bus.publisher("y_pred").await.unwrap(),
            model: model.clone(),
        };
        let metric = metric::Ports {
            truths: bus.consumer("y_true", "metric", 64).await.unwrap(),
            predictions: bus.consumer("y_pred", "metric", 64).await.unwrap(),
            progress: progress_sender,
        };
        let place = metric::Storage::real(folder.path());
        let until = stop.clone();
        let predicting = tokio::spawn(async move {
            predictor::run(predictor, &predictor::Config::default(), until)
                .await
                .unwrap();
            drop(model_sender);
        });
        let joining = metric::run(
            metric,
            metric::Config::default(),
            place,
            metric::RunContext::default(),
            clock,
            stop.clone(),
        );
        let joining = tokio::spawn(async move { joining.await.unwrap() });
        let ingest = Ingest {
            features: bus.publisher("features").await.unwrap(),
            truths: bus.publisher("y_true").await.unwrap(),
            predictions: bus.publisher("y_pred").await.unwrap(),
            link: bus.link(),
        };
        let ports = Ports {
            ingest,
            model: Some(model),
            ledger: Some(Arc::new(move || progress.borrow().snapshot(clock.now_ms()))),
            bus: Some(bus),
        };
        let config = Config {
            update_ms: 50,
            ..Config::default()
        };
        Self::in_folder(folder, config, ports, stop, vec![predicting, joining]).await
    }

    async fn in_folder(
        folder: TempDir,
        config: Config,
        ports: Ports,
        stop: CancellationToken,
        mut tasks: Vec<JoinHandle<()>>,
    ) -> Self {
        let clock = Clock::system();
        let (sender, view) = watch::channel(Arc::default());
        let plot = plot::Ports {
            log: folder.path().join("metric_log.csv"),
            picture: folder.path().join("error_distribution.png"),
            spec: None,
            view: sender,
            clock,
        };
        let settings = plot::Config {
            poll_ms: 20,
            refresh: Period::from_millis(200),
            ..plot::Config::default()
        };
        let plotting = plot::run(plot, settings, chart::Config::default(), stop.clone());
        tasks.push(tokio::spawn(async move {
            plotting.await.unwrap();
        }));
        let draining = CancellationToken::new();
        let host = if config.public {
            "0.0.0.0"
        } else {
            "127.0.0.1"
        };
        let state = state(folder.path(), config, ports, view.clone(), draining.clone());
        let taken = state.flushed.clone();
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = Client(SocketAddr::from(([127, 0, 0, 1], port)));
        let page = tokio::spawn(dashboard::serve(listener, state, stop.clone()));
        Self {
            folder,
            client,
            view,
            draining,
            taken,
            stop,
            tasks,
            page,
        }
    }

    /// The status of a page.
    pub(super) async fn status(&self, path: &str) -> u16 {
        self.client.get(path).await.status
    }

    /// The status of the answer to a JSON body.
    pub(super) async fn post(&self, path: &str, body: &str) -> u16 {
        self.client.post(path, body).await.status
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("metric_log.csv")
    }

    pub(super) fn append(&self, rows: &str) {
        let mut log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        log.write_all(rows.as_bytes()).unwrap();
    }

    /// Waits until the plot service has looked at the log: what comes now is no history.
    pub(super) async fn looked(&mut self) {
        drop(self.view.wait_for(|view| view.now_ms > 0).await.unwrap());
    }

    /// Waits until the page knows so many rows.
    pub(super) async fn rows(&mut self, rows: u64) {
        let seen = self.view.wait_for(|view| view.rows >= rows);
        drop(
            tokio::time::timeout(Duration::from_secs(20), seen)
                .await
                .expect("rows in time")
                .unwrap(),
        );
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        self.page.await.unwrap().unwrap();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

fn state(
    folder: &Path,
    config: Config,
    ports: Ports,
    view: watch::Receiver<Arc<View>>,
    draining: CancellationToken,
) -> dashboard::Ports {
    let service = Service {
        name: "plot".to_owned(),
        state: "running".to_owned(),
        detail: "<b>not markup</b>".to_owned(),
    };
    let bus = ports.bus.map(|bus| BusPort {
        bus,
        topology: topology(),
        url: "embedded:".to_owned(),
    });
    dashboard::Ports {
        config,
        clock: Clock::system(),
        view,
        picture: folder.join("error_distribution.png"),
        style: chart::Config::default(),
        metrics: Arc::new(|| "residual_log_rows 1\n".to_owned()),
        ledger: ports.ledger,
        services: watch::channel(vec![service]).1,
        bus,
        ingest: Some(ports.ingest),
        model: ports.model,
        draining,
        flushed: CancellationToken::new(),
    }
}

/// Confirms everything at once.
struct Swallow;

#[async_trait]
impl Publisher for Swallow {
    async fn publish(&mut self, _: Vec<Message>) -> Result<Receipt, BusError> {
        Ok(Receipt::new(async { Ok(()) }))
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        Ok(())
    }
}

/// Has no room and never gets any.
pub(super) struct Full;

#[async_trait]
impl Publisher for Full {
    async fn publish(&mut self, _: Vec<Message>) -> Result<Receipt, BusError> {
        std::future::pending().await
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        Ok(())
    }
}

/// How many publishers of [`Held`] may close.
pub(super) static LET_GO: Semaphore = Semaphore::const_new(0);

/// Confirms nothing, and closes when it is allowed to.
pub(super) struct Held;

#[async_trait]
impl Publisher for Held {
    async fn publish(&mut self, _: Vec<Message>) -> Result<Receipt, BusError> {
        std::future::pending().await
    }

    async fn close(self: Box<Self>) -> Result<(), BusError> {
        LET_GO
            .acquire()
            .await
            .map_err(|_| BusError::Closed)?
            .forget();
        Ok(())
    }
}

/// A bus of which only the link matters.
#[derive(Debug)]
pub(super) struct OnlyLink(pub(super) watch::Receiver<Link>);

#[async_trait]
impl Bus for OnlyLink {
    fn capabilities(&self) -> Capabilities {
        unreachable!("the page does not ask")
    }

    async fn describe(&self) -> Result<BrokerInfo, BusError> {
        Err(BusError::Closed)
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.0.clone()
    }

    async fn declare(&self, _: &Topology) -> Result<(), BusError> {
        Err(BusError::Closed)
    }

    async fn publisher(&self, _: &str) -> Result<Box<dyn Publisher>, BusError> {
        Err(BusError::Closed)
    }

    async fn consumer(&self, _: &str, _: &str, _: usize) -> Result<Box<dyn Consumer>, BusError> {
        Err(BusError::Closed)
    }

    async fn depth(&self, _: &str, _: &str) -> Result<Depth, BusError> {
        Ok(Depth {
            ready: 7,
            in_flight: 3,
            // Two of the seven are held by other processes.
            elsewhere: Some(2),
            dead: 1,
        })
    }

    async fn redrive(&self, _: &str, _: &str) -> Result<u64, BusError> {
        Err(BusError::Closed)
    }

    async fn close(&self) -> Result<(), BusError> {
        Ok(())
    }
}
