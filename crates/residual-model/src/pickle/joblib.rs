//! How many bytes of the stream belong to a joblib array.

use super::graph::{Graph, Node, NodeId};
use super::numpy::{DType, count, read_shape};

/// What follows the wrapper.
#[derive(Debug)]
pub(super) struct Layout {
    /// Raw bytes, or `None` for a nested pickle.
    pub(super) bytes: Option<u64>,
    /// Whether a length byte and that many padding bytes come first.
    pub(super) padded: bool,
}

/// Reads the state of a `NumpyArrayWrapper`.
pub(super) fn layout(graph: &Graph<'_>, state: NodeId) -> Result<Layout, String> {
    let part = |name| {
        graph
            .get(state, name)
            .ok_or_else(|| format!("a joblib array has no {name}"))
    };
    let (shape, dtype) = (
        read_shape(graph, part("shape")?)?,
        DType::read(graph, part("dtype")?)?,
    );
    if dtype.has_objects() {
        return Ok(Layout {
            bytes: None,
            padded: false,
        });
    }
    let bytes = count(&shape)?
        .checked_mul(dtype.size)
        .ok_or("a joblib array is too large")?;
    // Absent up to joblib 1.1, None when the file could not be seeked.
    let alignment = graph.get(state, "numpy_array_alignment_bytes");
    let padded = alignment.is_some_and(|id| !matches!(graph.node(id), Node::None));
    Ok(Layout {
        bytes: Some(bytes as u64),
        padded,
    })
}
