//! Arrays and scalars of numpy, read from the inert graph.
//!
//! Read are C and Fortran order and transposed buffers, both byte orders, structured dtypes with padding and unaligned fields, and
//! object arrays. Deliberately absent, and refused by name: dates, complex numbers, half and extended precision.

use std::borrow::Cow;

pub(crate) use super::dtype::{DType, Kind};
use super::error::ArrayError;
use super::graph::{Graph, Node, NodeId};
use super::joblib::ArrayWrapper;
use super::shape::{element_count, read_shape, strides};

/// An array, or a scalar as an array without axes.
#[derive(Clone, Debug)]
pub(crate) struct Array<'g> {
    graph: &'g Graph<'g>,
    pub(crate) shape: Vec<usize>,
    /// For each axis, the number of elements from one index to the next.
    strides: Vec<usize>,
    pub(crate) dtype: DType,
    data: Data<'g>,
    /// Bytes from one record to the next, and from the start of a record to this field.
    step: usize,
    offset: usize,
}

#[derive(Clone, Debug)]
enum Data<'g> {
    Raw(Cow<'g, [u8]>),
    Objects(&'g [NodeId]),
}

impl<'g> Array<'g> {
    /// Reads an array or a scalar in any way that numpy or joblib writes them; `None` when `id` is something else.
    pub(crate) fn read(graph: &'g Graph<'g>, id: NodeId) -> Option<Result<Self, ArrayError>> {
        let (class, object) = graph.call(id)?;
        let args = graph.items(object.args).unwrap_or_default();
        match (class.module.as_str(), class.name.as_str()) {
            ("numpy.core.multiarray", "_reconstruct") => Some(Self::reconstruct(
                graph,
                graph.items(object.state).unwrap_or_default(),
            )),
            ("numpy.core.multiarray", "scalar") => Some(Self::scalar(graph, args)),
            ("numpy.core.numeric", "_frombuffer") => Some(Self::frombuffer(graph, args)),
            ("joblib.numpy_pickle", "NumpyArrayWrapper") => {
                let array_data = object.extra.as_ref().and_then(|extra| extra.array_data);
                Some(
                    array_data
                        .ok_or(ArrayError::NoJoblibData)
                        .and_then(|data| Self::joblib(graph, object.state, data)),
                )
            }
            _ => None,
        }
    }

    fn reconstruct(graph: &'g Graph<'g>, state: &[NodeId]) -> Result<Self, ArrayError> {
        let &[_, shape, dtype, fortran, data] = state else {
            return Err(ArrayError::NoState);
        };
        let is_fortran = matches!(graph.node(fortran), Node::Bool(true) | Node::Int(1));
        let (shape, dtype) = (read_shape(graph, shape)?, DType::read(graph, dtype)?);
        let strides = strides(&shape, is_fortran)?;
        let data = match graph.node(data) {
            Node::List(items) => Data::Objects(items),
            _ => Data::Raw(raw_bytes(graph, data)?),
        };
        Self::checked(graph, shape, strides, dtype, data)
    }

    fn scalar(graph: &'g Graph<'g>, args: &'g [NodeId]) -> Result<Self, ArrayError> {
        let &[dtype, data] = args else {
            return Err(ArrayError::NoScalarValue);
        };
        let dtype = DType::read(graph, dtype)?;
        let data = if dtype.kind == Kind::Object {
            Data::Objects(&args[1..])
        } else {
            Data::Raw(raw_bytes(graph, data)?)
        };
        Self::checked(graph, vec![], vec![], dtype, data)
    }

    fn frombuffer(graph: &'g Graph<'g>, args: &[NodeId]) -> Result<Self, ArrayError> {
        let (&[data, dtype, shape, order], rest) = args.split_at(4.min(args.len())) else {
            return Err(ArrayError::TooFewArguments);
        };
        let (mut shape, dtype) = (read_shape(graph, shape)?, DType::read(graph, dtype)?);
        let is_fortran = match graph.text(order) {
            Some("F") => true,
            Some("C" | "A" | "K") => false,
            _ => return Err(ArrayError::UnknownOrder(graph.describe(order))),
        };
        let mut strides = strides(&shape, is_fortran)?;
        if let Some(axes) = rest
            .first()
            .filter(|axes| !matches!(graph.node(**axes), Node::None))
        {
            let axes = read_shape(graph, *axes)?;
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..shape.len()) {
                return Err(ArrayError::NotAPermutation);
            }
            strides = axes.iter().map(|&axis| strides[axis]).collect();
            shape = axes.iter().map(|&axis| shape[axis]).collect();
        }
        Self::checked(
            graph,
            shape,
            strides,
            dtype,
            Data::Raw(raw_bytes(graph, data)?),
        )
    }

    fn joblib(graph: &'g Graph<'g>, state: NodeId, array_data: NodeId) -> Result<Self, ArrayError> {
        let Node::Bytes(span) = graph.node(array_data) else {
            // An object array is a whole pickle of its own, with an ordinary array at its root.
            return match graph.call(array_data) {
                Some((class, object)) if class.name == "_reconstruct" => {
                    Self::reconstruct(graph, graph.items(object.state).unwrap_or_default())
                }
                _ => Err(ArrayError::NotANestedArray),
            };
        };
        let wrapper = ArrayWrapper::read(graph, state)?;
        let strides = strides(&wrapper.shape, wrapper.is_fortran)?;
        let data = Data::Raw(Cow::Borrowed(graph.bytes(*span)));
        Self::checked(graph, wrapper.shape, strides, wrapper.dtype, data)
    }

    fn checked(
        graph: &'g Graph<'g>,
        shape: Vec<usize>,
        strides: Vec<usize>,
        dtype: DType,
        data: Data<'g>,
    ) -> Result<Self, ArrayError> {
        let count = element_count(&shape)?;
        let (needed, found) = match &data {
            Data::Raw(bytes) => (
                count.checked_mul(dtype.size).ok_or(ArrayError::TooLarge)?,
                bytes.len(),
            ),
            Data::Objects(items) => (count, items.len()),
        };
        if needed != found || (matches!(data, Data::Raw(_)) && dtype.has_objects()) {
            return Err(ArrayError::WrongLength {
                shape,
                needed,
                found,
            });
        }
        Ok(Self {
            graph,
            shape,
            strides,
            step: dtype.size,
            offset: 0,
            dtype,
            data,
        })
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// One field of every record.
    pub(crate) fn field(&self, name: &str) -> Result<Self, ArrayError> {
        let (_, dtype, offset) = self
            .dtype
            .fields
            .iter()
            .find(|(field, ..)| field == name)
            .ok_or_else(|| ArrayError::NoField(name.to_owned()))?;
        Ok(Self {
            dtype: dtype.clone(),
            offset: self.offset + offset,
            ..self.clone()
        })
    }

    fn wrong_kind(&self, wanted: &'static str) -> ArrayError {
        ArrayError::WrongKind {
            found: self.dtype.kind,
            wanted,
        }
    }

    /// The index of each element in the data, for the elements in C order.
    fn indices(&self) -> impl Iterator<Item = usize> {
        let (shape, strides) = (&self.shape, &self.strides);
        (0..self.len()).map(move |element| {
            let (mut rest, mut index) = (element, 0);
            for (len, stride) in shape.iter().zip(strides).rev() {
                index += rest % len * stride;
                rest /= len;
            }
            index
        })
    }

    fn raw<T>(&self, read: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, ArrayError> {
        let Data::Raw(bytes) = &self.data else {
            return Err(ArrayError::ObjectsForNumbers);
        };
        self.indices()
            .map(|index| {
                let start = index * self.step + self.offset;
                bytes.get(start..start + self.dtype.size).and_then(&read)
            })
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong_kind("other numbers"))
    }

    /// Elements as f64, in C order. Object arrays of plain numbers count too.
    pub(crate) fn f64s(&self) -> Result<Vec<f64>, ArrayError> {
        if let Data::Objects(_) = &self.data {
            let numbers = self.objects()?.into_iter().map(|id| number(self.graph, id));
            return numbers
                .collect::<Option<_>>()
                .ok_or(ArrayError::MixedObjects("numbers"));
        }
        let (kind, big) = (self.dtype.kind, self.dtype.big_endian);
        match (kind, self.dtype.size) {
            (Kind::Float, 8) => self.raw(|b| fixed_width(b, big).map(f64::from_le_bytes)),
            (Kind::Float, _) => {
                self.raw(|b| fixed_width(b, big).map(|b| f64::from(f32::from_le_bytes(b))))
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "as numpy converts int64 to float64"
            )]
            _ => Ok(self.i64s()?.into_iter().map(|value| value as f64).collect()),
        }
    }

    /// Elements of an integer or boolean array, in C order.
    pub(crate) fn i64s(&self) -> Result<Vec<i64>, ArrayError> {
        let big = self.dtype.big_endian;
        match (self.dtype.kind, self.dtype.size) {
            (Kind::Bool, 1) => self.raw(|b| Some(i64::from(b[0] != 0))),
            (Kind::Int, 1) => {
                self.raw(|b| fixed_width(b, big).map(|b| i64::from(i8::from_le_bytes(b))))
            }
            (Kind::Int, 2) => {
                self.raw(|b| fixed_width(b, big).map(|b| i64::from(i16::from_le_bytes(b))))
            }
            (Kind::Int, 4) => {
                self.raw(|b| fixed_width(b, big).map(|b| i64::from(i32::from_le_bytes(b))))
            }
            (Kind::Int, _) => self.raw(|b| fixed_width(b, big).map(i64::from_le_bytes)),
            (Kind::Uint, 1) => self.raw(|b| Some(i64::from(b[0]))),
            (Kind::Uint, 2) => {
                self.raw(|b| fixed_width(b, big).map(|b| i64::from(u16::from_le_bytes(b))))
            }
            (Kind::Uint, 4) => {
                self.raw(|b| fixed_width(b, big).map(|b| i64::from(u32::from_le_bytes(b))))
            }
            (Kind::Uint, _) => self.raw(|b| {
                fixed_width(b, big).and_then(|b| i64::try_from(u64::from_le_bytes(b)).ok())
            }),
            _ => Err(self.wrong_kind("integers")),
        }
    }

    /// Elements of an array of text, in C order.
    pub(crate) fn texts(&self) -> Result<Vec<String>, ArrayError> {
        match self.dtype.kind {
            Kind::Object => {
                let texts = self.objects()?.into_iter().map(|id| text(self.graph, id));
                texts
                    .collect::<Option<_>>()
                    .ok_or(ArrayError::MixedObjects("text"))
            }
            Kind::Text => {
                let big = self.dtype.big_endian;
                self.raw(|bytes| {
                    let chars = bytes
                        .chunks_exact(4)
                        .map(|b| fixed_width(b, big).map(u32::from_le_bytes));
                    let text: Option<String> = chars.map(|code| char::from_u32(code?)).collect();
                    text.map(|text| text.trim_end_matches('\0').to_owned())
                })
            }
            _ => Err(self.wrong_kind("text")),
        }
    }

    /// Elements of an object array, in C order.
    pub(crate) fn objects(&self) -> Result<Vec<NodeId>, ArrayError> {
        let Data::Objects(items) = &self.data else {
            return Err(ArrayError::NumbersForObjects);
        };
        Ok(self.indices().map(|index| items[index]).collect())
    }

    /// Whether elements are text; an object array counts when any of its elements is.
    pub(crate) fn is_text(&self) -> bool {
        match (&self.dtype.kind, &self.data) {
            (Kind::Text, _) => true,
            (Kind::Object, Data::Objects(items)) => {
                items.iter().any(|id| text(self.graph, *id).is_some())
            }
            _ => false,
        }
    }
}

/// A number: Python's own or a numpy scalar.
pub(crate) fn number<'g>(graph: &'g Graph<'g>, id: NodeId) -> Option<f64> {
    match graph.node(id) {
        Node::Bool(value) => Some(f64::from(u8::from(*value))),
        #[expect(
            clippy::cast_precision_loss,
            reason = "as Python converts int to float"
        )]
        Node::Int(value) => Some(*value as f64),
        Node::Float(value) => Some(*value),
        Node::Object(_) => match Array::read(graph, id)?.ok()? {
            array if array.dtype.kind != Kind::Object && array.len() == 1 => {
                array.f64s().ok()?.first().copied()
            }
            _ => None,
        },
        _ => None,
    }
}

/// Text: Python's own or a numpy scalar.
pub(crate) fn text<'g>(graph: &'g Graph<'g>, id: NodeId) -> Option<String> {
    if let Some(text) = graph.text(id) {
        return Some(text.to_owned());
    }
    match Array::read(graph, id)?.ok()? {
        array if array.dtype.kind == Kind::Text && array.len() == 1 => array.texts().ok()?.pop(),
        _ => None,
    }
}

/// Little-endian bytes of a fixed width.
fn fixed_width<const N: usize>(bytes: &[u8], big_endian: bool) -> Option<[u8; N]> {
    let mut array: [u8; N] = bytes.try_into().ok()?;
    if big_endian {
        array.reverse();
    }
    Some(array)
}

/// The bytes of a `bytes` object or a `bytearray`, or those that protocol 2 writes as encoded text.
fn raw_bytes<'g>(graph: &'g Graph<'g>, id: NodeId) -> Result<Cow<'g, [u8]>, ArrayError> {
    if let Node::Bytes(span) | Node::Text(span) = graph.node(id) {
        return Ok(Cow::Borrowed(graph.bytes(*span)));
    }
    let (class, object) = graph
        .call(id)
        .ok_or_else(|| ArrayError::NotBytes(graph.describe(id)))?;
    let first = graph
        .items(object.args)
        .and_then(<[NodeId]>::first)
        .copied();
    match (class.module.as_str(), class.name.as_str(), first) {
        ("builtins", "bytes" | "bytearray", None) => Ok(Cow::Borrowed(&[])),
        ("builtins", "bytearray", Some(first)) if matches!(graph.node(first), Node::Bytes(_)) => {
            raw_bytes(graph, first)
        }
        ("_codecs", "encode", Some(first)) | ("builtins", "bytearray", Some(first)) => {
            let text = graph.text(first).ok_or(ArrayError::EncodedBytesNotText)?;
            let bytes = text.chars().map(|code| u8::try_from(u32::from(code)).ok());
            bytes
                .collect::<Option<Vec<u8>>>()
                .map(Cow::Owned)
                .ok_or(ArrayError::EncodedBytesNotLatin1)
        }
        _ => Err(ArrayError::NotBytes(class.to_string())),
    }
}
