//! Multilayer perceptrons.

use super::estimator::Estimator;
use super::proba::{sigmoid, softmax, two_columns};
use crate::dense::Dense;
use crate::error::ModelError;
use crate::form::{self, Activation};
use crate::labels::Labels;
use crate::numeric::argmax;
use crate::parallel::map_blocks;
use crate::rows::Rows;
use crate::tensors::Tensors;

/// `MLPRegressor` and `MLPClassifier`.
#[derive(Debug)]
pub(super) struct Network {
    layers: Vec<Dense>,
    hidden: Activation,
    output: Activation,
    classes: Option<Labels>,
}

impl Network {
    pub(super) fn new(form: &form::Network, tensors: &Tensors) -> Result<Self, ModelError> {
        let layers = form
            .layers
            .iter()
            .map(|(weight, bias)| Dense::new(tensors, weight, bias))
            .collect::<Result<Vec<_>, _>>()?;
        let (hidden, output) = (form.hidden, form.output);
        let classes = form.classes.clone();
        let chained = layers
            .windows(2)
            .all(|pair| pair[0].outputs() == pair[1].inputs());
        let wanted = match (classes.as_ref().map(Labels::len), output) {
            (None, Activation::Identity | Activation::Exp) | (Some(2), Activation::Logistic) => 1,
            (Some(count), Activation::Softmax) if count >= 2 => count,
            _ => 0,
        };
        if !chained
            || wanted == 0
            || layers.last().map(Dense::outputs) != Some(wanted)
            || hidden == Activation::Softmax
        {
            return Err(ModelError::store(
                "the layers of the network do not fit each other or its classes",
            ));
        }
        Ok(Self {
            layers,
            hidden,
            output,
            classes,
        })
    }

    fn forward(&self, rows: &Rows) -> Result<Rows, ModelError> {
        let weights = self.layers.iter().map(Dense::len).sum();
        map_blocks(rows, weights, |rows| self.forward_block(rows))
    }

    fn forward_block(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_finite()?;
        let (last, hidden) = match self.layers.split_last() {
            Some((last, [first, rest @ ..])) => {
                let mut values = layer(first, rows, self.hidden)?;
                for next in rest {
                    values = layer(next, &values, self.hidden)?;
                }
                (last, Some(values))
            }
            Some((last, [])) => (last, None),
            None => return Err(ModelError::store("the network has no layers")),
        };
        layer(last, hidden.as_ref().unwrap_or(rows), self.output)
    }
}

/// One layer. Each activation is passed as a function of its own, so that the compiler can inline it into the loop.
fn layer(dense: &Dense, rows: &Rows, activation: Activation) -> Result<Rows, ModelError> {
    match activation {
        Activation::Identity => dense.apply(rows),
        Activation::Relu => dense.apply_with(rows, |x| x.max(0.0)),
        Activation::Tanh => dense.apply_with(rows, f64::tanh),
        Activation::Logistic => dense.apply_with(rows, sigmoid),
        Activation::Exp => dense.apply_with(rows, f64::exp),
        Activation::Softmax => {
            let mut values = dense.apply(rows)?;
            values.iter_mut().for_each(softmax);
            Ok(values)
        }
    }
}

impl Estimator for Network {
    fn n_features(&self) -> usize {
        self.layers[0].inputs()
    }

    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let output = self.forward(rows)?;
        Ok(match &self.classes {
            None => output.into_values(),
            Some(classes) => output
                .iter()
                .map(|row| {
                    classes.value(if let &[p] = row {
                        usize::from(p > 0.5)
                    } else {
                        argmax(row)
                    })
                })
                .collect(),
        })
    }

    fn classes(&self) -> Option<&Labels> {
        self.classes.as_ref()
    }

    fn predict_proba(&self, rows: &Rows) -> Option<Result<Rows, ModelError>> {
        self.classes.as_ref()?;
        Some(
            self.forward(rows)
                .and_then(|output| match output.n_features() {
                    1 => two_columns(output.as_slice()),
                    _ => Ok(output),
                }),
        )
    }
}
