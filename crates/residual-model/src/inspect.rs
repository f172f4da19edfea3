//! Says what a file is without predicting with it.

use std::fmt;
use std::path::Path;

use crate::error::ModelError;
use crate::info::ModelInfo;
use crate::model::Model;
use crate::open::{is_safetensors, read, read_file};
use crate::pickle::{self, decompress};

/// A model file looked at without building anything.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// What was found, when it can be used.
    pub model: Option<ModelInfo>,
    /// Why it cannot be used, when it cannot.
    pub refusal: Option<String>,
    /// What the container is: protocol, compression, sizes.
    pub container: String,
    /// Every `module.name` a pickle mentions, and whether a model may.
    pub globals: Vec<(String, bool)>,
}

impl fmt::Display for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "container: {}", self.container)?;
        match (&self.model, &self.refusal) {
            (Some(model), _) => write!(formatter, "{model}")?,
            (None, Some(refusal)) => writeln!(formatter, "refused: {refusal}")?,
            (None, None) => {}
        }
        for (global, allowed) in &self.globals {
            writeln!(
                formatter,
                "names {global}{}",
                if *allowed {
                    ""
                } else {
                    "  <- not allowed in a model"
                }
            )?;
        }
        Ok(())
    }
}

/// Looks at any file: says what the model is, or what is unsafe or unsupported about it, by name.
///
/// # Errors
/// Only when the file cannot be read.
pub fn inspect(path: &Path) -> Result<Inspection, ModelError> {
    let name = path.display().to_string();
    let bytes = read_file(path).map_err(|error| error.with_file(&name))?;
    Ok(inspect_bytes(&bytes))
}

fn inspect_bytes(bytes: &[u8]) -> Inspection {
    let verdict = read(bytes).and_then(|stored| Model::new(&stored));
    let (model, refusal) = match verdict {
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
    let Ok(decompressed) = decompress::decompress(bytes) else {
        return inspection;
    };
    if let Ok(graph) = pickle::read(&decompressed) {
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
            .map(|global| (global.to_string(), pickle::is_allowed(global)))
            .collect();
    }
    inspection
}
