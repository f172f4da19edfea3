//! Multilayer perceptrons.

use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;
use crate::form::{self, Activation, Form};
use crate::tensors::Data;

/// `MLPRegressor` and `MLPClassifier`.
pub(super) fn network(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let activation = |name: &str| {
        Ok(match fitted.text(name)?.as_str() {
            "identity" => Activation::Identity,
            "relu" => Activation::Relu,
            "tanh" => Activation::Tanh,
            "logistic" => Activation::Logistic,
            "exp" => Activation::Exp,
            "softmax" => Activation::Softmax,
            other => return Err(fitted.unsupported(format!("activation '{other}' is not known"))),
        })
    };
    let (weights, biases) = (fitted.list("coefs_")?, fitted.list("intercepts_")?);
    if weights.len() != biases.len() || weights.is_empty() {
        return Err(fitted.fail("`coefs_` and `intercepts_` do not fit"));
    }
    let mut layers = vec![];
    for (index, (weight, bias)) in weights.into_iter().zip(biases).enumerate() {
        let (name, bias_name) = (format!("coefs_[{index}]"), format!("intercepts_[{index}]"));
        let (shape, values) = fitted.numbers_at(extraction, weight, &name)?;
        let &[inputs, outputs] = shape.as_slice() else {
            return Err(fitted.fail(format!("`{name}` has shape {shape:?}, not two axes")));
        };
        let bias = fitted.numbers_at(extraction, bias, &bias_name)?.1;
        let weight = extraction.put(
            fitted,
            &name,
            vec![outputs, inputs],
            Data::F64(transpose(&values, inputs, outputs)),
        );
        layers.push((weight, extraction.put_vector(fitted, &bias_name, bias)));
    }
    let classes = if fitted.class.name == "MLPClassifier" {
        Some(fitted.binarizer_labels(extraction, "_label_binarizer")?)
    } else {
        if fitted.usize("n_outputs_")? != 1 {
            return Err(fitted.multi_output());
        }
        None
    };
    Ok(Form::Network(form::Network {
        layers,
        hidden: activation("activation")?,
        output: activation("out_activation_")?,
        classes,
    }))
}

fn transpose(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}
