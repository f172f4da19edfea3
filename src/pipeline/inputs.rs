//! What a start needs from outside: model, rows and the page's address, opened and checked before anything runs.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;

use super::{role::Role, task_spec};
use crate::{config::Config, dashboard, dataset::Dataset, services::predictor, task::TaskSpec};
use residual_model::Model;

/// Model and rows, as far as the roles need them.
pub(super) struct Inputs {
    /// What predictions are, where the model or the settings say so.
    pub(super) spec: Option<TaskSpec>,
    pub(super) model: Option<Arc<Model>>,
    pub(super) dataset: Option<Dataset>,
}

/// Opens model and rows; where one process has both, they must fit each other.
pub(super) async fn open(config: &Config, roles: &[Role]) -> Result<Inputs> {
    let mut inputs = Inputs {
        spec: None,
        model: None,
        dataset: None,
    };
    if roles.contains(&Role::Predictor) {
        inputs.model = Some(Arc::new(open_model(&config.predictor.model)?));
    }
    inputs.spec = task_spec::resolve(config, inputs.model.as_deref())?;
    if roles.contains(&Role::Features) {
        inputs.dataset = Some(open_dataset(config, inputs.model.as_deref()).await?);
    }
    Ok(inputs)
}

/// Opens the configured model. Without a file at the default path, it is the model inside the binary.
///
/// # Errors
/// When the file cannot be read or is not a model that we support.
pub fn open_model(path: &str) -> Result<Model> {
    if path == predictor::DEFAULT_MODEL && !Path::new(path).exists() {
        return Ok(crate::bundled::model()?);
    }
    Ok(residual_model::open(Path::new(path))?)
}

/// Opens the configured rows, their columns in the order of the model.
///
/// # Errors
/// When they cannot be read, or do not fit the model.
pub async fn open_dataset(config: &Config, model: Option<&Model>) -> Result<Dataset> {
    let mut dataset = Dataset::open(&config.dataset).await?;
    if let Some(spec) = task_spec::resolve(config, model)? {
        dataset.with_task(&spec);
    }
    let Some(model) = model else {
        return Ok(dataset);
    };
    if !dataset.has_chosen_columns() && model.info().feature_names.is_some() {
        dataset.choose_features(model.order_columns(dataset.header())?);
    }
    let names = dataset.feature_names();
    let expected = model.info().n_features;
    if names.len() != expected {
        bail!(
            "`{}` has {} feature columns ({}), but the model takes {expected}; choose them with `dataset.columns`, \
             and the true answer with `--target`",
            config.dataset.source,
            names.len(),
            names.join(", "),
        );
    }
    dataset.needs(model.refuses_missing());
    Ok(dataset)
}

/// Binds the page's address, if there shall be a page.
pub(super) async fn listen(config: &Config, roles: &[Role]) -> Result<Option<TcpListener>> {
    let Some(address) = config.dashboard.address(roles == Role::ALL) else {
        return Ok(None);
    };
    let listener = TcpListener::bind(&address).await.with_context(|| {
        format!("`dashboard.listen` {address} cannot be used; choose another with `--listen ADDRESS` or none with `--listen off`")
    });
    let listener = listener?;
    dashboard::required_token(&config.dashboard, listener.local_addr()?)?;
    Ok(Some(listener))
}
