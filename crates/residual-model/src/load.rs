//! Opens, converts and inspects model files, by content and not by extension.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::info::ModelInfo;
use super::labels::Labels;
use super::pickle::{self, unpack};
use super::store::Stored;
use super::{Estimator, ModelError, Rows, estimators, sklearn};

/// Largest model file: places in a pickle are kept in 32 bits.
const FILE_MAX: u64 = u32::MAX as u64;

/// A model ready to predict. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Model {
    info: Arc<ModelInfo>,
    estimator: Arc<dyn Estimator>,
}

impl Model {
    fn new(stored: &Stored) -> Result<Self, ModelError> {
        let estimator =
            estimators::build(&stored.facts.form, &stored.tensors, stored.facts.n_features)?;
        if stored
            .facts
            .feature_names
            .as_ref()
            .is_some_and(|names| names.len() != stored.facts.n_features)
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

/// Opens a model file: a pickle, a joblib dump or a converted file.
///
/// # Errors
/// Names the file, and what in it cannot be used.
pub fn open(path: &Path) -> Result<Model, ModelError> {
    let name = path.display().to_string();
    let bytes = read_file(path).map_err(|error| error.in_file(&name))?;
    open_bytes(&name, &bytes)
}

/// The whole file, if it is not larger than the machine can address.
fn read_file(path: &Path) -> Result<Vec<u8>, ModelError> {
    let mut bytes = vec![];
    fs::File::open(path)?
        .take(FILE_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(ModelError::Limit {
            what: "bytes",
            max: FILE_MAX,
        });
    }
    Ok(bytes)
}

/// Opens a model from memory; `name` is for messages.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(name: &str, bytes: &[u8]) -> Result<Model, ModelError> {
    read(bytes)
        .and_then(|stored| Model::new(&stored))
        .map_err(|error| error.in_file(name))
}

/// Converts a pickle or joblib dump into the bytes of a safetensors file. The same input gives the same output.
///
/// # Errors
/// As [`open`]; `name` is for messages.
pub fn convert(bytes: &[u8], name: &str) -> Result<Vec<u8>, ModelError> {
    let convert = || {
        let stored = read(bytes)?;
        Model::new(&stored)?;
        stored.to_bytes()
    };
    convert().map_err(|error| error.in_file(name))
}

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
    let bytes = read_file(path).map_err(|error| error.in_file(&name))?;
    Ok(inspect_bytes(&bytes))
}

fn inspect_bytes(bytes: &[u8]) -> Inspection {
    let verdict = read(bytes).and_then(|stored| Model::new(&stored));
    let (model, refusal) = match verdict {
        Ok(model) => (Some(model.info().clone()), None),
        Err(error) => (None, Some(error.story())),
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
    let Ok(unpacked) = unpack::unpack(bytes) else {
        return inspection;
    };
    if let Ok(graph) = pickle::read(&unpacked) {
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
        if let Some(compression) = unpack::compression(bytes) {
            parts.push(format!("{compression} of {} bytes", unpacked.len()));
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

/// Any of the file kinds, as far as the intermediate form.
fn read(bytes: &[u8]) -> Result<Stored, ModelError> {
    if is_safetensors(bytes) {
        return Stored::from_bytes(bytes);
    }
    if let Some(found) = foreign(bytes) {
        return Err(ModelError::NotAModel { found });
    }
    let unpacked = unpack::unpack(bytes)?;
    let graph = pickle::read(&unpacked)?;
    sklearn::extract(&graph, sha256(bytes))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}

/// A header length, then a JSON object.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((len, rest)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    rest.first() == Some(&b'{') && u64::from_le_bytes(*len) <= rest.len() as u64
}

/// What the bytes are, when they are something well known that is not a model.
fn foreign(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head))
        .trim_start()
        .to_ascii_lowercase();
    let found = match head {
        [] => "the file is empty",
        _ if text.starts_with("version https://git-lfs") => {
            "this is a Git LFS pointer, not the file it points to: run `git lfs pull`"
        }
        _ if text.starts_with("<!doctype")
            || text.starts_with("<html")
            || text.starts_with("<?xml") =>
        {
            "this is a web page: the download saved a page instead of the file"
        }
        [b'P', b'K', 3, 4, ..] => "this is a zip archive (PyTorch, Keras and skops write those)",
        [0x89, b'H', b'D', b'F', ..] => "this is an HDF5 file (Keras writes those)",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "this is a bare numpy array",
        [b'Z', b'F', ..] => "this was written by joblib before 0.9.3; dump it again",
        [0x08, ..] if text.contains("onnx") || text.contains("skl2onnx") => "this is an ONNX file",
        [b'{' | b'[', ..]
            if text.trim_end().ends_with(['}', ']'])
                && serde_json::from_slice::<serde_json::Value>(bytes).is_ok() =>
        {
            "this is JSON"
        }
        _ => return None,
    };
    Some(found.to_owned())
}
