//! Opens and converts model files; what a file is, its content says and not its extension.

use std::fs;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::model::Model;
use crate::pickle::{self, decompress};
use crate::sklearn;
use crate::store::StoredModel;

/// Largest model file: the pickle machine keeps places in it in 32 bits.
const FILE_BYTES_MAX: u64 = u32::MAX as u64;

/// Opens a model file: a pickle, a joblib dump (compressed or not) or a file that [`convert`] wrote. Which of them it is, its
/// content says and not its name.
///
/// # Errors
/// [`ModelError::File`] with the path, and in its `source()` why the file cannot be read or used.
pub fn open(path: impl AsRef<Path>) -> Result<Model, ModelError> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let bytes = read_file(path).map_err(|error| error.with_file(&name))?;
    open_bytes(&name, &bytes)
}

/// The whole file, unless it is larger than [`FILE_BYTES_MAX`].
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, ModelError> {
    let mut bytes = vec![];
    fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ModelError::Limit {
            what: "bytes",
            max: FILE_BYTES_MAX,
        });
    }
    Ok(bytes)
}

/// Opens the bytes of a model file; `name` is only for messages.
///
/// ```
/// use residual_model::{ModelError, open_bytes};
///
/// let pickle = include_bytes!("../tests/fixtures/1.9.1/LinearRegression.p4.pkl");
/// assert_eq!(open_bytes("LinearRegression.p4.pkl", pickle)?.info().n_features, 5);
///
/// let error = open_bytes("evil.pkl", b"cos\nsystem\n(S'true'\ntR.").unwrap_err();
/// assert!(error.with_causes().starts_with("cannot use evil.pkl as a model: it names `os.system`"));
/// # Ok::<(), ModelError>(())
/// ```
///
/// # Errors
/// As [`open`], with `name` for the path.
pub fn open_bytes(name: &str, bytes: &[u8]) -> Result<Model, ModelError> {
    read(bytes)
        .and_then(|stored| Model::new(&stored))
        .map_err(|error| error.with_file(name))
}

/// Converts a model file into the bytes of a safetensors file, which contains no pickle. Both predict the same bits, and
/// the same input always gives the same output. `name` is only for messages.
///
/// ```
/// use residual_model::{Rows, convert, open_bytes};
///
/// let pickle = include_bytes!("../tests/fixtures/1.9.1/LinearRegression.p4.pkl");
/// let converted = convert("LinearRegression.p4.pkl", pickle)?;
///
/// let rows = Rows::from_rows(&[[1.0, 2.0, 3.0, 4.0, 5.0]])?;
/// let before = open_bytes("the pickle", pickle)?.predict(&rows)?;
/// let after = open_bytes("the converted file", &converted)?.predict(&rows)?;
/// assert_eq!(before, after);
/// # Ok::<(), residual_model::ModelError>(())
/// ```
///
/// # Errors
/// As [`open_bytes`].
pub fn convert(name: &str, bytes: &[u8]) -> Result<Vec<u8>, ModelError> {
    let convert = || {
        let stored = read(bytes)?;
        // Only what can be opened is written.
        Model::new(&stored)?;
        stored.to_bytes()
    };
    convert().map_err(|error| error.with_file(name))
}

/// Any kind of model file, as far as the intermediate form.
pub(crate) fn read(bytes: &[u8]) -> Result<StoredModel, ModelError> {
    if is_safetensors(bytes) {
        return StoredModel::from_bytes(bytes);
    }
    if let Some(found) = foreign_format(bytes) {
        return Err(ModelError::NotAModel { found });
    }
    let decompressed = decompress::decompress(bytes)?;
    let graph = pickle::read(&decompressed)?;
    sklearn::extract(&graph, sha256(bytes))
}

/// In hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    let nibbles = Sha256::digest(bytes)
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}

/// A header length, then a JSON object.
pub(crate) fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((len, rest)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    rest.first() == Some(&b'{') && u64::from_le_bytes(*len) <= rest.len() as u64
}

/// What the bytes are, when they are something well known that is not a model.
fn foreign_format(bytes: &[u8]) -> Option<String> {
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
