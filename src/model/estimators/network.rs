//! Multilayer perceptrons.

use super::super::form::Activation;
use super::super::info::Labels;
use super::super::{Estimator, ModelError, Rows};
use super::dense::Dense;
use super::proba::{argmax, sigmoid, softmax};

/// Layers, one after the other.
#[derive(Debug)]
pub(super) struct Network {
    layers: Vec<Dense>,
    hidden: Activation,
    output: Activation,
    classes: Option<Labels>,
}

impl Network {
    pub(super) fn new(
        layers: Vec<Dense>,
        hidden: Activation,
        output: Activation,
        classes: Option<Labels>,
    ) -> Result<Self, ModelError> {
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
        rows.require_finite()?;
        let mut values = rows.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            values = layer.apply(&values)?;
            let last = index + 1 == self.layers.len();
            activate(&mut values, if last { self.output } else { self.hidden });
        }
        Ok(values)
    }
}

fn activate(rows: &mut Rows, activation: Activation) {
    let function: fn(f64) -> f64 = match activation {
        Activation::Identity => return,
        Activation::Relu => |x| x.max(0.0),
        Activation::Tanh => f64::tanh,
        Activation::Logistic => sigmoid,
        Activation::Exp => f64::exp,
        Activation::Softmax => {
            return (0..rows.n_rows()).for_each(|row| softmax(rows.row_mut(row)));
        }
    };
    rows.as_mut_slice()
        .iter_mut()
        .for_each(|value| *value = function(*value));
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
        Some(self.forward(rows).and_then(|output| {
            match output.n_features() {
                1 => Rows::new(
                    2,
                    output
                        .as_slice()
                        .iter()
                        .flat_map(|p| [1.0 - p, *p])
                        .collect(),
                ),
                _ => Ok(output),
            }
        }))
    }
}
