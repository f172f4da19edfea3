//! Starts the services against the flow of data, so that every reader is there before its writer.

use std::sync::Arc;

use anyhow::{Context, Result};
use rand::{
    Rng, SeedableRng,
    rngs::{ChaCha8Rng, SysRng},
};
use tokio::sync::watch;

use super::{
    inputs::{self, Inputs},
    paths::{log_file, picture, prepare_folder},
    reload,
    role::Role,
    service_tasks::ServiceTasks,
    state::Pipeline,
    task_spec,
    topology::topology,
};
use crate::{
    bus::{self, Bus, Topology},
    clock::{Clock, saturating_ms},
    config::Config,
    dataset::Source,
    message::{Body, Features, IdSource, Prediction, RunTag, Truth},
    services::{features, metric, plot, predictor},
    stats::live::View,
    task::TaskSpec,
    telemetry::Telemetry,
};
use residual_model::Model;

/// The channels into which services report.
struct Outputs {
    progress: watch::Sender<metric::Progress>,
    view: watch::Sender<Arc<View>>,
}

impl Pipeline {
    pub(super) async fn start(
        config: &Config,
        roles: &[Role],
        telemetry: &Telemetry,
    ) -> Result<Self> {
        let clock = Clock::system();
        if roles
            .iter()
            .any(|role| matches!(role, Role::Metric | Role::Plot))
        {
            prepare_folder(&config.logs)?;
        }
        let mut inputs = inputs::open(config, roles).await?;
        let joins = roles.contains(&Role::Metric);
        inputs.spec = task_spec::for_services(config, inputs.spec, joins)?;
        let listener = inputs::listen(config, roles).await?;
        let topology = topology(config);
        let bus = connect(config, roles, &topology, clock).await?;
        let (progress_sender, progress) = watch::channel(metric::Progress::default());
        let (view_sender, view) = watch::channel(Arc::default());
        let outputs = Outputs {
            progress: progress_sender,
            view: view_sender,
        };
        let service_tasks = ServiceTasks::default();
        let mut pipeline = Self {
            config: config.clone(),
            clock,
            topology,
            bus,
            service_tasks,
            progress,
            view,
            page: None,
            failed: false,
        };
        let model = pipeline.start_services(roles, inputs, outputs).await?;
        if let Some(listener) = listener {
            pipeline
                .serve_page(listener, telemetry, model, joins)
                .await?;
        }
        if roles == Role::ALL && config.features.count > 0 {
            pipeline.show_progress(telemetry);
        }
        Ok(pipeline)
    }

    /// Readers first.
    async fn start_services(
        &mut self,
        roles: &[Role],
        inputs: Inputs,
        outputs: Outputs,
    ) -> Result<Option<watch::Receiver<Arc<Model>>>> {
        let mut entropy =
            ChaCha8Rng::try_from_rng(&mut SysRng).context("no random numbers from the system")?;
        let tag = RunTag(entropy.next_u32());
        if roles.contains(&Role::Plot) {
            self.start_plot(outputs.view, inputs.spec.clone());
        }
        if roles.contains(&Role::Metric) {
            // A metric service on its own counts whatever it records.
            let run = roles.contains(&Role::Features).then_some(tag);
            let context = metric::RunContext {
                spec: inputs.spec.clone().unwrap_or_default(),
                windows: metric::Windows {
                    rows: self.config.plot.window_rows,
                    ms: saturating_ms(self.config.plot.window.0).max(1),
                },
                run,
            };
            self.start_metric(outputs.progress, context).await?;
        }
        let model = match inputs.model {
            Some(model) => Some(self.start_predictor(model).await?),
            None => None,
        };
        if let Some(dataset) = inputs.dataset {
            let rows = dataset.into_source(entropy.next_u64())?;
            self.start_features(rows, IdSource::new(tag, self.clock))
                .await?;
        }
        Ok(model)
    }

    fn start_plot(&mut self, view: watch::Sender<Arc<View>>, spec: Option<TaskSpec>) {
        let log = log_file(&self.config.logs);
        let ports = plot::Ports {
            log,
            picture: picture(&self.config),
            spec,
            view,
            clock: self.clock,
        };
        let (settings, style) = (self.config.plot.clone(), self.config.chart.clone());
        self.service_tasks.start(Role::Plot, |stop| async move {
            Ok(plot::run(ports, settings, style, stop).await?)
        });
    }

    async fn start_metric(
        &mut self,
        progress: watch::Sender<metric::Progress>,
        context: metric::RunContext,
    ) -> Result<()> {
        let bus = self.bus()?;
        let (settings, window) = (self.config.metric.clone(), self.config.bus.consume_window);
        let group = metric::group(settings.partition, settings.partitions);
        let truths = bus.consumer(Truth::TOPIC, &group, window).await?;
        let predictions = bus.consumer(Prediction::TOPIC, &group, window).await?;
        let ports = metric::Ports {
            truths,
            predictions,
            progress,
        };
        let (storage, clock) = (metric::Storage::real(&self.config.logs), self.clock);
        self.service_tasks
            .start(Role::Metric, move |stop| async move {
                metric::run(ports, settings, storage, context, clock, stop).await?;
                Ok(0)
            });
        Ok(())
    }

    async fn start_predictor(&mut self, model: Arc<Model>) -> Result<watch::Receiver<Arc<Model>>> {
        let bus = self.bus()?;
        let settings = self.config.predictor.clone();
        let features = bus
            .consumer(
                Features::TOPIC,
                predictor::GROUP,
                self.config.bus.consume_window,
            )
            .await?;
        let predictions = bus.publisher(Prediction::TOPIC).await?;
        let (replace, model) = watch::channel(model);
        let ports = predictor::Ports {
            features,
            predictions,
            model: model.clone(),
        };
        self.service_tasks
            .start(Role::Predictor, move |stop| async move {
                let following = tokio::spawn(reload::follow(
                    settings.model.clone(),
                    settings.watch,
                    replace,
                ));
                let ended = predictor::run(ports, &settings, stop).await;
                following.abort();
                Ok(ended.map(|()| 0)?)
            });
        Ok(model)
    }

    async fn start_features(&mut self, rows: Source, ids: IdSource) -> Result<()> {
        let bus = self.bus()?;
        let settings = self.config.features.clone();
        let features = bus.publisher(Features::TOPIC).await?;
        let truths = bus.publisher(Truth::TOPIC).await?;
        let ports = features::Ports {
            rows,
            ids,
            features,
            truths,
        };
        self.service_tasks
            .start(Role::Features, move |stop| async move {
                Ok(features::run(ports, &settings, stop).await?)
            });
        Ok(())
    }

    fn bus(&self) -> Result<Arc<dyn Bus>> {
        self.bus.clone().context("this role has no bus")
    }
}

/// Connects to the bus and declares the topics, unless no role needs a bus.
async fn connect(
    config: &Config,
    roles: &[Role],
    topology: &Topology,
    clock: Clock,
) -> Result<Option<Arc<dyn Bus>>> {
    if roles == [Role::Plot] {
        return Ok(None);
    }
    let bus = bus::connect(&config.bus, clock, bus::random_seed()).await?;
    bus.declare(topology).await?;
    Ok(Some(bus))
}
