//! Dummies, which give every row the same answer.

use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;
use crate::form::{self, Form};
use crate::labels::Labels;
use crate::numeric::argmax;

/// `DummyRegressor` and `DummyClassifier`.
pub(super) fn dummy(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    if fitted.class.name == "DummyRegressor" {
        let constant = fitted.vector(extraction, "constant_")?;
        if constant.len() != 1 {
            return Err(fitted.multi_output());
        }
        return Ok(Form::Constant(form::Constant {
            values: extraction.put_vector(fitted, "constant_", constant),
            classes: None,
        }));
    }
    let classes = fitted.labels(extraction, "classes_")?;
    match fitted.text("strategy")?.as_str() {
        "prior" => Ok(Form::Constant(form::Constant {
            values: fitted.put_vector(extraction, "class_prior_")?,
            classes: Some(classes),
        })),
        "most_frequent" => {
            let prior = fitted.vector(extraction, "class_prior_")?;
            let best = argmax(&prior);
            let values = (0..prior.len())
                .map(|index| f64::from(u8::from(index == best)))
                .collect();
            Ok(Form::Constant(form::Constant {
                values: extraction.put_vector(fitted, "class_prior_", values),
                classes: Some(classes),
            }))
        }
        "constant" => {
            let Labels::Numbers(numbers) = &classes else {
                return Err(fitted.unsupported("strategy 'constant' of text is not read"));
            };
            let constant = fitted.f64("constant")?;
            let values = numbers
                .iter()
                .map(|label| f64::from(u8::from(label.to_bits() == constant.to_bits())))
                .collect();
            Ok(Form::Constant(form::Constant {
                values: extraction.put_vector(fitted, "constant", values),
                classes: Some(classes),
            }))
        }
        other => Err(fitted.unsupported(format!("strategy '{other}' gives a random answer"))),
    }
}
