//! Stack, marks and memo of one pickle stream.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::error::StreamError;
use super::graph::{Graph, NONE, NodeId};
use crate::error::ModelError;

/// Open marks at one time; real pickles nest a few dozen deep.
const MARKS_MAX: usize = 10_000;

/// What belongs to one stream; a nested stream has its own.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) stack: Vec<NodeId>,
    /// Length of the stack at each open MARK.
    marks: Vec<usize>,
    pub(super) memo: Memo,
    /// Number of streams around this one.
    pub(super) depth: usize,
}

/// Objects by memo index: a vector for the indices 0, 1, 2, ... that picklers write, a map for any other. So memory depends on the
/// number of entries and never on an index.
#[derive(Default)]
pub(super) struct Memo {
    dense: Vec<NodeId>,
    sparse: HashMap<u64, NodeId>,
}

impl Memo {
    pub(super) fn put(&mut self, index: u64, id: NodeId) {
        if index == self.dense.len() as u64 {
            self.dense.push(id);
        } else if let Some(slot) = usize::try_from(index)
            .ok()
            .and_then(|index| self.dense.get_mut(index))
        {
            *slot = id;
        } else {
            self.sparse.insert(index, id);
        }
    }

    pub(super) fn get(&self, index: u64) -> Option<NodeId> {
        let dense = usize::try_from(index)
            .ok()
            .and_then(|index| self.dense.get(index));
        dense.or_else(|| self.sparse.get(&index)).copied()
    }

    pub(super) fn len(&self) -> u64 {
        (self.dense.len() + self.sparse.len()) as u64
    }
}

impl Stream {
    pub(super) fn new(depth: usize) -> Self {
        Self {
            depth,
            ..Self::default()
        }
    }

    pub(super) fn mark(&mut self) -> Result<(), ModelError> {
        if self.marks.len() >= MARKS_MAX {
            return Err(Graph::limit("open marks", MARKS_MAX));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    pub(super) fn pop(&mut self, cursor: &Cursor<'_>) -> Result<NodeId, ModelError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let popped = if self.stack.len() > floor {
            self.stack.pop()
        } else {
            None
        };
        popped.ok_or_else(|| cursor.error(StreamError::PopFromEmptyStack))
    }

    /// The `N` values on top, in the order in which they were pushed.
    pub(super) fn pop_array<const N: usize>(
        &mut self,
        cursor: &Cursor<'_>,
    ) -> Result<[NodeId; N], ModelError> {
        let mut values = [NONE; N];
        for value in values.iter_mut().rev() {
            *value = self.pop(cursor)?;
        }
        Ok(values)
    }

    /// What POP takes away: the top value, or a mark when no value stands above it.
    pub(super) fn pop_value_or_mark(&mut self, cursor: &Cursor<'_>) -> Result<(), ModelError> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
        } else {
            self.pop(cursor)?;
        }
        Ok(())
    }

    pub(super) fn top(&self, cursor: &Cursor<'_>) -> Result<NodeId, ModelError> {
        self.stack
            .last()
            .copied()
            .ok_or_else(|| cursor.error(StreamError::EmptyStack))
    }

    /// Takes away everything above the last mark, and the mark.
    pub(super) fn pop_mark(&mut self, cursor: &Cursor<'_>) -> Result<Vec<NodeId>, ModelError> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| cursor.error(StreamError::NoMark))?;
        if mark > self.stack.len() {
            return Err(cursor.error(StreamError::MarkAboveStack));
        }
        Ok(self.stack.split_off(mark))
    }
}
