//! What each command does: settings, logs and runtime around the pipeline, and the small tools beside it.
//!
//! Results go to standard output, everything else to standard error.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};

use crate::{
    bus::BusError,
    cli::{Cli, Command, CommonArgs},
    config::{Config, ConfigError, Overrides},
    metric_log::LogError,
    pipeline::{self, NotStarted, Role},
    services::metric::MetricError,
    shutdown, telemetry,
};

mod bench;
mod check;
mod files;
mod output;
mod redrive;
mod runtime;

use runtime::runtime;

/// Runs the command.
///
/// # Errors
/// Whatever went wrong; [`exit_code`] gives its exit code.
pub fn execute(cli: Cli) -> Result<()> {
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    let mut overrides = Overrides::default();
    match command {
        Command::Run(run) => {
            run.override_in(&mut overrides);
            serve(&run.common, overrides, &Role::ALL)
        }
        Command::Features { common, stream } => {
            stream.override_in(&mut overrides);
            serve(&common, overrides, &[Role::Features])
        }
        Command::Predictor { common, model } => {
            model.override_in(&mut overrides);
            serve(&common, overrides, &[Role::Predictor])
        }
        Command::Metric { common } => serve(&common, overrides, &[Role::Metric]),
        Command::Plot {
            common,
            plot,
            picture,
            once,
            input,
        } => {
            plot.override_in(&mut overrides);
            picture.override_in(&mut overrides);
            if once {
                return files::plot_once(&load(&common, overrides)?, input);
            }
            serve(&common, overrides, &[Role::Plot])
        }
        Command::Convert { input, output } => files::convert(&input, output),
        Command::Inspect { file } => files::inspect(&file),
        Command::Predict { model, input } => files::predict(&model, &input),
        Command::Verify { common } => files::verify(&load(&common, overrides)?),
        Command::Check { common, model } => {
            model.override_in(&mut overrides);
            let config = load(&common, overrides)?;
            runtime()?.block_on(check::run(&config))
        }
        Command::Bench(args) => {
            args.override_in(&mut overrides);
            bench::run(&args, load(&args.common, overrides)?)
        }
        Command::Redrive { topic, common } => {
            let config = load(&common, overrides)?;
            runtime()?.block_on(redrive::run(&config, &topic))
        }
    }
}

fn load(common: &CommonArgs, mut overrides: Overrides) -> Result<Config> {
    common.override_in(&mut overrides);
    Ok(Config::load(common.config.as_deref(), overrides)?)
}

fn serve(common: &CommonArgs, overrides: Overrides, roles: &[Role]) -> Result<()> {
    let config = load(common, overrides)?;
    let telemetry = telemetry::init(&config.telemetry).context(NotStarted)?;
    let runtime = runtime()?;
    let report = runtime.block_on(async {
        let stop = shutdown::on_signal()?;
        pipeline::run(&config, roles, &telemetry, stop).await
    });
    // A thread that is blocked on standard input must not delay the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match report? {
        Some(report) if roles == Role::ALL => output::print(&report),
        _ => Ok(()),
    }
}

/// 2 for what the operator must fix before a start, 1 for everything else.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let not_started = error.downcast_ref::<NotStarted>().is_some();
    ExitCode::from(if not_started || error.chain().any(needs_the_operator) {
        2
    } else {
        1
    })
}

/// Whether trying again cannot help: a wrong setting, a file of another kind, a folder that another process uses.
fn needs_the_operator(cause: &(dyn std::error::Error + 'static)) -> bool {
    let metric = |error: &MetricError| match error {
        MetricError::Bus(_) | MetricError::Died(_) => false,
        other => !other.is_transient(),
    };
    cause.is::<ConfigError>()
        || cause.downcast_ref().is_some_and(BusError::is_configuration)
        || cause.downcast_ref().is_some_and(metric)
        || cause
            .downcast_ref()
            .is_some_and(|error: &LogError| !error.is_transient())
}
