//! What a joblib array wrapper says about the array that follows it in the stream.

use super::dtype::DType;
use super::error::ArrayError;
use super::graph::{Graph, Node, NodeId};
use super::shape::{element_count, read_shape};

/// The attributes of a `NumpyArrayWrapper`.
#[derive(Debug)]
pub(super) struct ArrayWrapper {
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    pub(super) is_fortran: bool,
    /// Whether a length byte and that many padding bytes come before the array.
    pub(super) is_padded: bool,
}

impl ArrayWrapper {
    /// Reads the state of the wrapper.
    pub(super) fn read(graph: &Graph<'_>, state: NodeId) -> Result<Self, ArrayError> {
        let attribute = |name| {
            graph
                .get(state, name)
                .ok_or(ArrayError::NoJoblibAttribute(name))
        };
        // Absent up to joblib 1.1, and None when joblib wrote to something that it could not seek in.
        let alignment = graph.get(state, "numpy_array_alignment_bytes");
        Ok(Self {
            shape: read_shape(graph, attribute("shape")?)?,
            dtype: DType::read(graph, attribute("dtype")?)?,
            is_fortran: graph.text(attribute("order")?) == Some("F"),
            is_padded: alignment.is_some_and(|id| !matches!(graph.node(id), Node::None)),
        })
    }

    /// Number of bytes of the array in the stream; `None` when it follows as a pickle of its own.
    pub(super) fn len(&self) -> Result<Option<u64>, ArrayError> {
        if self.dtype.has_objects() {
            return Ok(None);
        }
        let bytes = element_count(&self.shape)?
            .checked_mul(self.dtype.size)
            .ok_or(ArrayError::TooLarge)?;
        Ok(Some(bytes as u64))
    }
}
