//! A model that is ready to predict: checks the width of the rows, then asks its estimator.

use std::sync::Arc;

use crate::error::ModelError;
use crate::estimators::{self, Estimator};
use crate::info::ModelInfo;
use crate::labels::Labels;
use crate::rows::Rows;
use crate::store::StoredModel;

/// A fitted model, ready to predict. Cloning it is cheap: clones share everything.
///
/// ```
/// use residual_model::{Rows, open_bytes};
///
/// let pickle = include_bytes!("../tests/fixtures/1.9.1/LogisticRegression_text.p4.pkl");
/// let model = open_bytes("LogisticRegression_text.p4.pkl", pickle)?;
/// let classes = model.classes().expect("it is a classifier");
/// let rows = Rows::from_rows(&[[0.0; 5], [1.0; 5]])?;
///
/// // A label of text is predicted as its index among the classes.
/// let labels = model.predict(&rows)?;
/// let name = classes.index(labels[0]).map(|index| classes.name(index));
/// assert_eq!(name.as_deref(), Some("high"));
///
/// // One row of probabilities for each row, in the order of the classes.
/// let proba = model.predict_proba(&rows).expect("it has probabilities")?;
/// assert_eq!((proba.n_rows(), proba.n_features()), (2, classes.len()));
/// assert!((proba.row(0).iter().sum::<f64>() - 1.0).abs() < 1e-12);
/// # Ok::<(), residual_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    info: Arc<ModelInfo>,
    estimator: Arc<dyn Estimator>,
}

impl Model {
    /// Builds the estimator of a model that was read from a pickle or a converted file, and checks that all of it fits.
    pub(crate) fn new(stored: &StoredModel) -> Result<Self, ModelError> {
        let metadata = &stored.metadata;
        let estimator = estimators::build(&metadata.form, &stored.tensors, metadata.n_features)?;
        let names = metadata.feature_names.as_ref();
        if names.is_some_and(|names| names.len() != metadata.n_features) {
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

    /// What it is: its class, its features, its classes.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// One prediction a row, for a batch of any size, as scikit-learn's `predict`: the target's value in its own unit, the class
    /// label (for labels of text the index in [`Self::classes`]), or 1 for an inlier and -1 for an outlier. [`Task`] says which.
    ///
    /// A row has [`n_features`](ModelInfo::n_features) values in the order in which the model was fitted, see
    /// [`Self::order_columns`]. A large batch is spread over the cores; a row gets the same bits alone and in every batch.
    ///
    /// # Errors
    /// [`ModelError::Width`] for rows of another width, and [`ModelError::Value`] for the first value that scikit-learn would refuse,
    /// such as NaN for most models. [`Self::predict_each`] predicts the other rows of such a batch.
    ///
    /// [`Task`]: crate::Task
    pub fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        if rows.n_rows() == 0 {
            return Ok(vec![]);
        }
        rows.require_width(self.info.n_features)?;
        self.estimator.predict(rows)
    }

    /// The labels of a classifier; `None` for any other model.
    #[must_use]
    pub fn classes(&self) -> Option<&Labels> {
        self.estimator.classes()
    }

    /// A probability for each class of each row, as scikit-learn's `predict_proba`: as many rows as `rows` has, one column a class in
    /// the order of [`Self::classes`]. `None` when the model has no probabilities.
    ///
    /// # Errors
    /// As [`Self::predict`].
    #[must_use]
    pub fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        if let Err(error) = rows.require_width(self.info.n_features) {
            return Some(Err(error));
        }
        self.estimator.predict_proba(rows)
    }

    /// Where in `header` each of the model's features is, in the model's order: by name when it was fitted with names, otherwise the
    /// first columns. Other columns, such as the target, are left out.
    ///
    /// ```
    /// let pickle = include_bytes!("../tests/fixtures/1.9.1/LinearRegression_named.joblib.joblib");
    /// let model = residual_model::open_bytes("LinearRegression_named.joblib", pickle)?;
    /// let header = ["y", "e", "d", "c", "b", "a"].map(str::to_owned);
    /// assert_eq!(model.order_columns(&header)?, [5, 4, 3, 2, 1]);
    /// # Ok::<(), residual_model::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// [`ModelError::Columns`] with both lists when a name is missing, [`ModelError::Width`] when a model without names has more
    /// features than `header` has columns.
    pub fn order_columns(&self, header: &[String]) -> Result<Vec<usize>, ModelError> {
        let n_features = self.info.n_features;
        let Some(names) = &self.info.feature_names else {
            if header.len() < n_features {
                return Err(ModelError::Width {
                    wanted: n_features,
                    found: header.len(),
                });
            }
            return Ok((0..n_features).collect());
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
