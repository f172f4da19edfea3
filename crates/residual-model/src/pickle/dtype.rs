//! numpy's element types, read from the inert graph.

use super::graph::{Graph, Node, NodeId};

/// An element type of numpy that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DTypeError {
    #[error("{0} is not a dtype")]
    NotADType(String),
    #[error("a dtype has no code")]
    NoCode,
    #[error("dtype '{0}' is not known")]
    Unknown(String),
    #[error("dtype '{0}' is not supported")]
    Unsupported(String),
    #[error("a text dtype is too wide")]
    TooWide,
    #[error("a record dtype has no field names")]
    NoFieldNames,
    #[error("a field name is not text")]
    FieldNameNotText,
    #[error("field {name} {problem}")]
    Field { name: String, problem: &'static str },
}

/// Structured dtypes inside each other, at most.
const NESTED_MAX: usize = 3;

/// Element type of an array.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DType {
    pub(crate) kind: Kind,
    /// Bytes of an element.
    pub(crate) size: usize,
    pub(crate) big_endian: bool,
    pub(super) fields: Vec<(String, DType, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Uint,
    Float,
    /// UTF-32 text of a fixed width.
    Text,
    /// Bytes of a fixed width.
    Bytes,
    /// References to Python objects.
    Object,
    /// Records, see `fields`.
    Record,
}

impl DType {
    /// Reads a `numpy.dtype` object.
    pub(crate) fn read(graph: &Graph<'_>, id: NodeId) -> Result<Self, DTypeError> {
        Self::read_nested(graph, id, 0)
    }

    fn read_nested(graph: &Graph<'_>, id: NodeId, depth: usize) -> Result<Self, DTypeError> {
        let (class, object) = graph
            .call(id)
            .ok_or_else(|| DTypeError::NotADType(graph.describe(id)))?;
        if !class.is("numpy", "dtype") || depth > NESTED_MAX {
            return Err(DTypeError::NotADType(class.to_string()));
        }
        let code = graph
            .items(object.args)
            .and_then(|args| graph.text(*args.first()?))
            .ok_or(DTypeError::NoCode)?;
        let state = graph.items(object.state).unwrap_or_default();
        let big_endian = state.get(1).and_then(|order| graph.text(*order)) == Some(">");
        let (kind, size) = Self::code(code)?;
        let mut dtype = Self {
            kind,
            size,
            big_endian,
            fields: vec![],
        };
        if kind == Kind::Record {
            let (names, fields) = (state.get(3), state.get(4));
            let names = names
                .and_then(|names| graph.items(*names))
                .ok_or(DTypeError::NoFieldNames)?;
            for name in names {
                let name = graph.text(*name).ok_or(DTypeError::FieldNameNotText)?;
                let wrong = |problem| DTypeError::Field {
                    name: name.to_owned(),
                    problem,
                };
                let field = fields
                    .and_then(|fields| graph.get(*fields, name))
                    .and_then(|field| graph.items(field));
                let Some(&[field, offset, ..]) = field else {
                    return Err(wrong("has no dtype and offset"));
                };
                let Node::Int(offset) = graph.node(offset) else {
                    return Err(wrong("has no offset"));
                };
                let offset =
                    usize::try_from(*offset).map_err(|_| wrong("has a negative offset"))?;
                let field = Self::read_nested(graph, field, depth + 1)?;
                if offset.checked_add(field.size).is_none_or(|end| end > size) {
                    return Err(wrong("reaches past its record"));
                }
                dtype.fields.push((name.to_owned(), field, offset));
            }
        }
        Ok(dtype)
    }

    fn code(code: &str) -> Result<(Kind, usize), DTypeError> {
        let digits = code.get(1..).unwrap_or_default();
        let size: usize = if digits.is_empty() {
            0
        } else {
            digits
                .parse()
                .map_err(|_| DTypeError::Unknown(code.to_owned()))?
        };
        let (kind, size) = match (code.as_bytes().first(), size) {
            (Some(b'b'), 1) => (Kind::Bool, 1),
            (Some(b'i'), 1 | 2 | 4 | 8) => (Kind::Int, size),
            (Some(b'u'), 1 | 2 | 4 | 8) => (Kind::Uint, size),
            (Some(b'f'), 4 | 8) => (Kind::Float, size),
            (Some(b'U'), _) => (Kind::Text, size.checked_mul(4).ok_or(DTypeError::TooWide)?),
            (Some(b'S'), _) => (Kind::Bytes, size),
            (Some(b'O'), _) => (Kind::Object, 8),
            (Some(b'V'), _) => (Kind::Record, size),
            _ => return Err(DTypeError::Unsupported(code.to_owned())),
        };
        Ok((kind, size))
    }

    /// Whether an element is, or holds, a reference to a Python object.
    pub(super) fn has_objects(&self) -> bool {
        self.kind == Kind::Object || self.fields.iter().any(|(_, field, _)| field.has_objects())
    }

    /// Whether records have a field of this name.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, ..)| field == name)
    }
}
