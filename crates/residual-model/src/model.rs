//! A model that is ready to predict.

use std::sync::Arc;

use crate::error::ModelError;
use crate::estimators::{self, Estimator};
use crate::info::ModelInfo;
use crate::labels::Labels;
use crate::rows::Rows;
use crate::store::StoredModel;

/// A model ready to predict. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Model {
    info: Arc<ModelInfo>,
    estimator: Arc<dyn Estimator>,
}

impl Model {
    pub(crate) fn new(stored: &StoredModel) -> Result<Self, ModelError> {
        let estimator = estimators::build(
            &stored.metadata.form,
            &stored.tensors,
            stored.metadata.n_features,
        )?;
        if stored
            .metadata
            .feature_names
            .as_ref()
            .is_some_and(|names| names.len() != stored.metadata.n_features)
        {
            return Err(ModelError::store(
                "there are not as many feature names as features",
            ));
        }
        let info = stored.info(estimator.task(), estimator.classes().cloned());
        Ok(Self {
            info: Arc::new(info),
            estimator: estimator.into(),
        })
    }

    /// What it is.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// One prediction a row, for a batch of any size: the target's value, or the class label (for text labels its index in
    /// [`Self::classes`]).
    ///
    /// # Errors
    /// [`ModelError::Width`] for rows of another width, [`ModelError::Value`] for a value scikit-learn would refuse too.
    pub fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        if rows.n_rows() == 0 {
            return Ok(vec![]);
        }
        rows.require_width(self.info.n_features)?;
        self.estimator.predict(rows)
    }

    /// A classifier's labels.
    #[must_use]
    pub fn classes(&self) -> Option<&Labels> {
        self.estimator.classes()
    }

    /// A probability for each class of each row; `None` when the model has none.
    #[must_use]
    pub fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        if let Err(error) = rows.require_width(self.info.n_features) {
            return Some(Err(error));
        }
        self.estimator.predict_proba(rows)
    }

    /// Where in `header` each of the model's features stands, in the model's order: by name when it was fitted with names,
    /// else the first columns. Other columns, such as the target, are left out.
    ///
    /// # Errors
    /// [`ModelError::Columns`] with both lists when a name is missing or there are too few columns.
    pub fn order_columns(&self, header: &[String]) -> Result<Vec<usize>, ModelError> {
        let info = &self.info;
        let Some(names) = &info.feature_names else {
            if header.len() < info.n_features {
                return Err(ModelError::Width {
                    wanted: info.n_features,
                    found: header.len(),
                });
            }
            return Ok((0..info.n_features).collect());
        };
        let place = |name: &String| header.iter().position(|column| column == name);
        names
            .iter()
            .map(place)
            .collect::<Option<_>>()
            .ok_or_else(|| ModelError::Columns {
                wanted: names.clone(),
                found: header.to_vec(),
                missing: names
                    .iter()
                    .filter(|name| place(name).is_none())
                    .cloned()
                    .collect(),
            })
    }
}
