//! Takes up a replaced model file without a pause: on SIGHUP and, where `predictor.watch` asks for it, when the file
//! changes.
//!
//! The new model is loaded beside the old one and must answer a probe row before it takes over. If it cannot be used,
//! the old model stays and the log says why.

use std::{fs, sync::Arc, time::SystemTime};

use anyhow::{Context, Result, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::inputs;
use crate::{clock::Period, task::TaskSpec};
use residual_model::{Model, Rows};

/// Watches the file at `path` until it is dropped. `every` is the time between two looks at it; zero: only on SIGHUP.
pub(super) async fn follow(path: String, every: Period, current: watch::Sender<Arc<Model>>) {
    let mut hang_up = match signal(SignalKind::hangup()) {
        Ok(hang_up) => hang_up,
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be received, so the model is not reloaded on it");
            return;
        }
    };
    let mut seen = modified(&path);
    let mut next_poll = Instant::now() + every.0;
    loop {
        let was_asked = tokio::select! {
            signal = hang_up.recv() => signal.is_some(),
            () = sleep_until(next_poll), if !every.0.is_zero() => false,
        };
        next_poll = Instant::now() + every.0;
        let now = modified(&path);
        if !was_asked && (now == seen || now.is_none()) {
            continue;
        }
        seen = now;
        swap(&path, &current).await;
    }
}

fn modified(path: &str) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

async fn swap(path: &str, current: &watch::Sender<Arc<Model>>) {
    let (file, old) = (path.to_owned(), Arc::clone(&current.borrow()));
    let loaded = tokio::task::spawn_blocking(move || load(&file, &old)).await;
    match loaded.unwrap_or_else(|error| Err(error.into())) {
        Ok(model) => {
            tracing::info!(path, class = %model.info().class, "model replaced");
            current.send_replace(Arc::new(model));
        }
        Err(error) => tracing::error!(
            path,
            "the old model stays, because the new one cannot be used: {error:#}"
        ),
    }
}

fn load(path: &str, old: &Model) -> Result<Model> {
    let model = inputs::open_model(path)?;
    let (before, after) = (old.info().n_features, model.info().n_features);
    if before != after {
        bail!(
            "it takes {after} features, the running one {before}; restart the predictor if the stream has changed too"
        );
    }
    let (running, new) = (
        TaskSpec::of_model(old.info()),
        TaskSpec::of_model(model.info()),
    );
    if running != new {
        bail!(
            "it is a {new}, the running one a {running}; one log holds one kind of prediction; restart with another logs folder"
        );
    }
    let probe = Rows::new(after, vec![0.0; after])?;
    let answer = model
        .predict(&probe)
        .context("it fails on a probe row of zeros")?;
    match answer.as_slice() {
        [value] if value.is_finite() => Ok(model),
        other => bail!("it answers a probe row of zeros with {other:?}"),
    }
}
