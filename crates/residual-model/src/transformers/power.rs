//! `PowerTransformer` and `FunctionTransformer`: nonlinear functions of one value.

use super::transformer::Transformer;
use crate::error::ModelError;
use crate::form::{self, Function};
use crate::rows::Rows;
use crate::tensors::Tensors;

/// An exponent nearer to 0 (or 2) than this takes the logarithm instead.
const NEAR: f64 = f64::EPSILON;

/// `PowerTransformer` without its scaler: Yeo-Johnson or Box-Cox.
#[derive(Debug)]
pub(super) struct Power {
    lambdas: Vec<f64>,
    box_cox: bool,
}

impl Power {
    pub(super) fn new(
        form: &form::Power,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            lambdas: tensors.vector(&form.lambdas, width)?.to_vec(),
            box_cox: form.box_cox,
        })
    }
}

fn yeo_johnson(x: f64, lambda: f64) -> f64 {
    if x >= 0.0 {
        if lambda.abs() < NEAR {
            x.ln_1p()
        } else {
            ((x + 1.0).powf(lambda) - 1.0) / lambda
        }
    } else if (lambda - 2.0).abs() > NEAR {
        -((1.0 - x).powf(2.0 - lambda) - 1.0) / (2.0 - lambda)
    } else {
        -(-x).ln_1p()
    }
}

fn yeo_johnson_inverse(x: f64, lambda: f64) -> f64 {
    if x >= 0.0 {
        if lambda.abs() < NEAR {
            x.exp() - 1.0
        } else {
            (x * lambda + 1.0).powf(1.0 / lambda) - 1.0
        }
    } else if (lambda - 2.0).abs() > NEAR {
        1.0 - (-(2.0 - lambda) * x + 1.0).powf(1.0 / (2.0 - lambda))
    } else {
        1.0 - (-x).exp()
    }
}

fn box_cox(x: f64, lambda: f64) -> f64 {
    if lambda.abs() < 1e-19 {
        x.ln()
    } else {
        (lambda * x.ln()).exp_m1() / lambda
    }
}

fn box_cox_inverse(x: f64, lambda: f64) -> f64 {
    if lambda == 0.0 {
        x.exp()
    } else {
        ((lambda * x).ln_1p() / lambda).exp()
    }
}

/// NaN stays as it is.
fn each(rows: &Rows, lambdas: &[f64], change: fn(f64, f64) -> f64) -> Rows {
    let mut output = rows.clone();
    output.map_by_column(lambdas, |value, lambda| {
        if value.is_nan() {
            value
        } else {
            change(value, *lambda)
        }
    });
    output
}

impl Transformer for Power {
    fn outputs(&self) -> usize {
        self.lambdas.len()
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        rows.require_not_infinite()?;
        if self.box_cox {
            rows.require(
                "is not positive, as the Box-Cox transformation wants",
                |value| value > 0.0 || value.is_nan(),
            )?;
        }
        Ok(each(
            rows,
            &self.lambdas,
            if self.box_cox { box_cox } else { yeo_johnson },
        ))
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn invert(&self, rows: &Rows) -> Result<Rows, ModelError> {
        Ok(each(
            rows,
            &self.lambdas,
            if self.box_cox {
                box_cox_inverse
            } else {
                yeo_johnson_inverse
            },
        ))
    }
}

/// `FunctionTransformer`: a function of numpy on every value.
#[derive(Debug)]
pub(super) struct Elementwise {
    function: Option<Function>,
    inverse: Option<Function>,
    width: usize,
}

impl Elementwise {
    pub(super) fn new(form: &form::Elementwise, width: usize) -> Self {
        Self {
            function: form.function,
            inverse: form.inverse,
            width,
        }
    }
}

fn compute(function: Function, x: f64) -> f64 {
    match function {
        Function::Absolute => x.abs(),
        Function::Cbrt => x.cbrt(),
        Function::Cos => x.cos(),
        Function::Exp => x.exp(),
        Function::Exp2 => x.exp2(),
        Function::Expm1 => x.exp_m1(),
        Function::Log => x.ln(),
        Function::Log10 => x.log10(),
        Function::Log1p => x.ln_1p(),
        Function::Log2 => x.log2(),
        Function::Negative => -x,
        Function::Reciprocal => 1.0 / x,
        Function::Sin => x.sin(),
        Function::Sqrt => x.sqrt(),
        Function::Square => x * x,
        Function::Tanh => x.tanh(),
    }
}

fn map(rows: &Rows, function: Option<Function>) -> Rows {
    let mut output = rows.clone();
    if let Some(function) = function {
        for value in output.as_mut_slice() {
            *value = compute(function, *value);
        }
    }
    output
}

impl Transformer for Elementwise {
    fn outputs(&self) -> usize {
        self.width
    }

    fn apply(&self, rows: &Rows) -> Result<Rows, ModelError> {
        Ok(map(rows, self.function))
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn invert(&self, rows: &Rows) -> Result<Rows, ModelError> {
        Ok(map(rows, self.inverse))
    }
}
