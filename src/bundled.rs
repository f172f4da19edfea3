//! What is built into the binary, so that `residual` can be tried without any file: scikit-learn's diabetes data and a
//! linear regression that was fitted on it.

use residual_model::{Model, ModelError};

/// The rows, as a CSV file with the header `age, sex, …, target`.
pub static ROWS: &str = include_str!("../data/diabetes.csv");

/// `residual convert` of `model/myfile.pkl`.
static MODEL: &[u8] = include_bytes!("../model/myfile.safetensors");

/// The model.
///
/// # Errors
/// Never, unless the binary was built from a damaged tree.
pub fn model() -> Result<Model, ModelError> {
    residual_model::open_bytes("the bundled model", MODEL)
}
