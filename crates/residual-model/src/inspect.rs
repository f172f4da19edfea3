//! Says what a file is, whether it is a model or not, without predicting with it.

use std::fmt;
use std::path::Path;

use crate::error::ModelError;
use crate::info::ModelInfo;
use crate::model::Model;
use crate::open::{is_safetensors, read, read_file};
use crate::pickle::{self, decompress};

/// What a file is, and whether it can be used as a model. [`Display`](fmt::Display) shows all of it, one fact a line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// What the model is, when the file can be used.
    pub model: Option<ModelInfo>,
    /// Why the file cannot be used, with all causes in one line, when it cannot.
    pub refusal: Option<String>,
    /// The file around the model: its size, format, protocol and compression.
    pub container: String,
    /// Every name that a pickle mentions, once, in order of first mention. Python would import them; here nothing is.
    pub globals: Vec<GlobalName>,
}

/// A class or function that a pickle names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GlobalName {
    /// `module.name`.
    pub name: String,
    /// Whether a model may name it. A file with a name that is not allowed is refused.
    pub is_allowed: bool,
}

impl fmt::Display for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "container: {}", self.container)?;
        match (&self.model, &self.refusal) {
            (Some(model), _) => write!(formatter, "{model}")?,
            (None, Some(refusal)) => writeln!(formatter, "refused: {refusal}")?,
            (None, None) => {}
        }
        for global in &self.globals {
            let remark = if global.is_allowed {
                ""
            } else {
                "  <- not allowed in a model"
            };
            writeln!(formatter, "names {}{remark}", global.name)?;
        }
        Ok(())
    }
}

/// Looks at any file: says what the model is, or what about it is unsafe or unsupported, by name.
///
/// # Errors
/// Only when the file cannot be read; a file that is no model is an [`Inspection`] with a refusal.
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection, ModelError> {
    let path = path.as_ref();
    let bytes = read_file(path).map_err(|error| error.with_file(&path.display().to_string()))?;
    Ok(inspect_bytes(&bytes))
}

/// [`inspect`], of bytes in memory.
///
/// ```
/// use residual_model::inspect_bytes;
///
/// let inspection = inspect_bytes(b"cos\nsystem\n(S'true'\ntR.");
/// assert!(inspection.model.is_none());
/// assert_eq!(inspection.globals[0].name, "os.system");
/// assert!(!inspection.globals[0].is_allowed);
///
/// let pickle = include_bytes!("../tests/fixtures/1.9.1/LinearRegression.p4.pkl");
/// let model = inspect_bytes(pickle).model.expect("it is a model");
/// assert_eq!(model.class, "sklearn.linear_model._base.LinearRegression");
/// ```
#[must_use]
pub fn inspect_bytes(bytes: &[u8]) -> Inspection {
    let (model, refusal) = match read(bytes).and_then(|stored| Model::new(&stored)) {
        Ok(model) => (Some(model.info().clone()), None),
        Err(error) => (None, Some(error.with_causes())),
    };
    let mut inspection = Inspection {
        model,
        refusal,
        container: format!("{} bytes", bytes.len()),
        globals: vec![],
    };
    if is_safetensors(bytes) {
        inspection.container.push_str(", safetensors");
        return inspection;
    }
    // What follows is shown of a refused file, too, as far as it can be read.
    let Ok(decompressed) = decompress::decompress(bytes) else {
        return inspection;
    };
    let Ok(graph) = pickle::read(&decompressed) else {
        return inspection;
    };
    let kind = if graph.is_joblib() {
        "joblib"
    } else {
        "pickle"
    };
    let mut parts = vec![
        inspection.container,
        format!("{kind} protocol {}", graph.protocol()),
        format!("{} objects", graph.len()),
    ];
    if let Some(compression) = decompress::compression(bytes) {
        parts.push(format!("{compression} of {} bytes", decompressed.len()));
    }
    inspection.container = parts.join(", ");
    inspection.globals = graph
        .globals()
        .iter()
        .map(|global| GlobalName {
            name: global.to_string(),
            is_allowed: pickle::is_allowed(global),
        })
        .collect();
    inspection
}
