//! Shapes of arrays, and where their elements are.

use super::error::ArrayError;
use super::graph::{Graph, Node, NodeId};

/// Axes of one array; scikit-learn stores three at most.
const AXES_MAX: usize = 8;

/// A tuple of axis lengths; numpy also writes a bare number for one axis.
pub(super) fn read_shape(graph: &Graph<'_>, id: NodeId) -> Result<Vec<usize>, ArrayError> {
    let axis = |id: NodeId| match graph.node(id) {
        Node::Int(len) => usize::try_from(*len).ok(),
        _ => None,
    };
    let lengths: Option<Vec<_>> = match graph.items(id) {
        Some(items) if items.len() > AXES_MAX => {
            return Err(ArrayError::TooManyAxes(items.len()));
        }
        Some(items) => items.iter().map(|id| axis(*id)).collect(),
        None => axis(id).map(|len| vec![len]),
    };
    lengths.ok_or_else(|| ArrayError::NotAShape(graph.describe(id)))
}

/// Number of elements, without overflow.
pub(super) fn element_count(shape: &[usize]) -> Result<usize, ArrayError> {
    shape
        .iter()
        .try_fold(1_usize, |count, &len| count.checked_mul(len))
        .ok_or_else(|| ArrayError::ShapeTooLarge(shape.to_vec()))
}

/// Elements from one index to the next, for each axis: the last axis varies fastest, or the first in Fortran order.
pub(super) fn strides(shape: &[usize], is_fortran: bool) -> Result<Vec<usize>, ArrayError> {
    let lengths = |axis: &usize| shape[*axis].max(1);
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    if !is_fortran {
        axes.reverse();
    }
    element_count(&axes.iter().map(lengths).collect::<Vec<_>>())?;
    let mut strides = vec![0; shape.len()];
    let mut next = 1;
    for axis in axes {
        strides[axis] = next;
        next *= shape[axis].max(1);
    }
    Ok(strides)
}
