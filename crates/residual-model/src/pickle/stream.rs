//! Stack, marks and memo of one pickle stream.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::graph::NodeId;
use crate::error::ModelError;

/// What belongs to one stream; a nested stream has its own.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) stack: Vec<NodeId>,
    pub(super) marks: Vec<usize>,
    pub(super) memo: Memo,
    pub(super) depth: usize,
}

/// Dense for the indices picklers write (0, 1, 2, ...), sparse for any other: an index never sizes anything.
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
    pub(super) fn pop(&mut self, cursor: &Cursor<'_>) -> Result<NodeId, ModelError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(cursor.fail("an opcode takes from an empty stack"));
        }
        self.stack
            .pop()
            .ok_or_else(|| cursor.fail("an opcode takes from an empty stack"))
    }

    pub(super) fn top(&self, cursor: &Cursor<'_>) -> Result<NodeId, ModelError> {
        self.stack
            .last()
            .copied()
            .ok_or_else(|| cursor.fail("an opcode reads from an empty stack"))
    }

    /// Everything above the last mark, which goes too.
    pub(super) fn pop_mark(&mut self, cursor: &Cursor<'_>) -> Result<Vec<NodeId>, ModelError> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| cursor.fail("no mark is open"))?;
        if mark > self.stack.len() {
            return Err(cursor.fail("a mark lies above the stack"));
        }
        Ok(self.stack.split_off(mark))
    }
}
