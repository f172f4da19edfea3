//! The pickle machine: runs the opcodes of protocols 0 to 5 over inert nodes.
//!
//! Promise: no callable is ever called, no module is looked up, every opcode makes at most one node, and the nodes are
//! bounded by the input's own length. Deliberately absent, and refused: persistent ids, the extension registry,
//! out-of-band buffers, and the INST/OBJ opcodes nothing has written since Python 2.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::graph::{Extra, FALSE, Global, Graph, NONE, Node, NodeId, Object, Span, TRUE};
use super::stream::Stream;
use super::{allowlist, escapes, joblib};
use crate::error::ModelError;

/// Open marks at one time; real pickles nest a few dozen deep.
const MARKS_MAX: usize = 10_000;
/// Values on the stack at one time; Python flushes a list every thousand items.
const STACK_MAX: usize = 8_000_000;
/// Pickles inside a joblib file inside a pickle.
const NESTED_MAX: usize = 4;
/// Distinct `module.name` pairs; the widest real model has about forty.
const GLOBALS_MAX: usize = 4_096;

/// Runs the whole stream; what follows STOP is refused, except that joblib's own files may not.
pub(super) fn run(input: &[u8]) -> Result<Graph<'_>, ModelError> {
    let mut machine = Machine {
        cursor: Cursor::new(input),
        graph: Graph::new(input),
        // Measured on 5,435 real files: at most 0.19 nodes a byte.
        nodes_max: 4_096 + input.len() / 2,
        interned: HashMap::new(),
    };
    let root = machine.stream(0)?;
    if !machine.cursor.is_at_end() {
        return Err(machine
            .cursor
            .fail("bytes follow the end of the pickle: several dumps in one file are not read"));
    }
    machine.graph.root = root;
    Ok(machine.graph)
}

struct Machine<'a> {
    cursor: Cursor<'a>,
    graph: Graph<'a>,
    nodes_max: usize,
    interned: HashMap<(String, String), NodeId>,
}

impl Machine<'_> {
    /// One pickle from its first opcode to STOP.
    fn stream(&mut self, depth: usize) -> Result<NodeId, ModelError> {
        if depth > NESTED_MAX {
            return Err(Graph::limit("nested pickles", NESTED_MAX));
        }
        let mut stream = Stream {
            depth,
            ..Stream::default()
        };
        loop {
            let opcode = self.cursor.u8()?;
            if opcode == b'.' {
                return stream.pop(&self.cursor);
            }
            if !(self.scalar(opcode, &mut stream)? || self.container(opcode, &mut stream)?) {
                self.object(opcode, &mut stream)?;
            }
            if stream.stack.len() > STACK_MAX {
                return Err(Graph::limit("values on the stack", STACK_MAX));
            }
        }
    }

    fn add(&mut self, node: Node) -> Result<NodeId, ModelError> {
        if self.graph.nodes.len() >= self.nodes_max {
            return Err(Graph::limit("objects", self.nodes_max));
        }
        let id = u32::try_from(self.graph.nodes.len())
            .map_err(|_| Graph::limit("objects", self.nodes_max))?;
        self.graph.nodes.push(node);
        Ok(NodeId(id))
    }

    fn push(&mut self, stream: &mut Stream, node: Node) -> Result<bool, ModelError> {
        let id = self.add(node)?;
        stream.stack.push(id);
        Ok(true)
    }

    fn push_text(&mut self, stream: &mut Stream, len: u64) -> Result<bool, ModelError> {
        let span = self.cursor.span(len)?;
        if std::str::from_utf8(self.graph.bytes(span)).is_err() {
            return Err(self.cursor.fail("a string is not UTF-8"));
        }
        self.push(stream, Node::Text(span))
    }

    fn push_bytes(&mut self, stream: &mut Stream, len: u64) -> Result<bool, ModelError> {
        let span = self.cursor.span(len)?;
        self.push(stream, Node::Bytes(span))
    }

    /// Bytes that do not stand in the input as such; never more of them than the input is long.
    fn decoded(&mut self, bytes: &[u8]) -> Result<Span, ModelError> {
        let start = u32::try_from(self.graph.decoded.len());
        self.graph.decoded.extend_from_slice(bytes);
        match (start, u32::try_from(bytes.len())) {
            (Ok(start), Ok(len)) => Ok(Span {
                start,
                len,
                decoded: true,
            }),
            _ => Err(self.cursor.fail("the file is larger than 4 GiB")),
        }
    }

    /// Opcodes that push one immutable value.
    fn scalar(&mut self, opcode: u8, stream: &mut Stream) -> Result<bool, ModelError> {
        let node = match opcode {
            b'N' => return Ok(push_id(stream, NONE)),
            0x88 => return Ok(push_id(stream, TRUE)),
            0x89 => return Ok(push_id(stream, FALSE)),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.cursor.array()?))),
            b'K' => Node::Int(i64::from(self.cursor.u8()?)),
            b'M' => Node::Int(i64::from(self.cursor.u16()?)),
            b'G' => Node::Float(f64::from_be_bytes(self.cursor.array()?)),
            0x8a => {
                let len = u64::from(self.cursor.u8()?);
                long(self.cursor.take(len)?)
            }
            0x8b => {
                let len = u64::from(self.cursor.u32()?);
                long(self.cursor.take(len)?)
            }
            b'I' | b'L' | b'F' | b'S' | b'V' => return self.text_scalar(opcode, stream),
            _ => return self.string(opcode, stream),
        };
        self.push(stream, node)
    }

    /// Opcodes that push text or bytes with a binary length.
    fn string(&mut self, opcode: u8, stream: &mut Stream) -> Result<bool, ModelError> {
        let len = match opcode {
            0x8c | b'C' | b'U' => u64::from(self.cursor.u8()?),
            b'X' | b'B' | b'T' => u64::from(self.cursor.u32()?),
            0x8d | 0x8e | 0x96 => self.cursor.u64()?,
            _ => return Ok(false),
        };
        match opcode {
            0x8c | b'X' | 0x8d => self.push_text(stream, len),
            // Python 2 strings: text when they can be, else bytes.
            b'U' | b'T' => {
                let span = self.cursor.span(len)?;
                let is_text = self.graph.bytes(span).is_ascii();
                self.push(
                    stream,
                    if is_text {
                        Node::Text(span)
                    } else {
                        Node::Bytes(span)
                    },
                )
            }
            _ => self.push_bytes(stream, len),
        }
    }

    /// Opcodes of protocol 0 whose argument is a line of text.
    fn text_scalar(&mut self, opcode: u8, stream: &mut Stream) -> Result<bool, ModelError> {
        let node = match opcode {
            b'I' | b'L' => match self.cursor.text_line()?.trim_end_matches('L') {
                "00" => return Ok(push_id(stream, FALSE)),
                "01" => return Ok(push_id(stream, TRUE)),
                digits => match digits.parse() {
                    Ok(value) => Node::Int(value),
                    Err(_)
                        if digits
                            .trim_start_matches('-')
                            .bytes()
                            .all(|b| b.is_ascii_digit())
                            && !digits.is_empty() =>
                    {
                        Node::BigInt
                    }
                    Err(_) => {
                        return Err(self.cursor.fail(format!("'{digits}' is not an integer")));
                    }
                },
            },
            b'F' => {
                let digits = self.cursor.text_line()?;
                Node::Float(
                    digits
                        .parse()
                        .map_err(|_| self.cursor.fail(format!("'{digits}' is not a number")))?,
                )
            }
            b'S' => {
                let bytes = escapes::quoted(self.cursor.line()?)
                    .ok_or_else(|| self.cursor.fail("a string has no closing quote"))?;
                let span = self.decoded(&bytes)?;
                if bytes.is_ascii() {
                    Node::Text(span)
                } else {
                    Node::Bytes(span)
                }
            }
            _ => {
                let words = escapes::raw_unicode_escape(self.cursor.line()?)
                    .ok_or_else(|| self.cursor.fail("a string has a broken escape"))?;
                Node::Text(self.decoded(words.as_bytes())?)
            }
        };
        self.push(stream, node)
    }

    /// Opcodes that make or fill lists, tuples, dicts and sets, and the ones that only move the stack.
    fn container(&mut self, opcode: u8, stream: &mut Stream) -> Result<bool, ModelError> {
        match opcode {
            b']' => return self.push(stream, Node::List(vec![])),
            b'}' => return self.push(stream, Node::Dict(vec![])),
            0x8f => return self.push(stream, Node::Set(vec![])),
            b')' => return self.push(stream, Node::Tuple(Box::default())),
            b'l' | b't' | b'd' | 0x91 => {
                let items = stream.pop_mark(&self.cursor)?;
                let node = match opcode {
                    b'l' => Node::List(items),
                    b't' => Node::Tuple(items.into()),
                    b'd' => Node::Dict(self.pairs(&items)?),
                    _ => Node::Set(items),
                };
                return self.push(stream, node);
            }
            0x85..=0x87 => {
                let mut items = Vec::with_capacity(3);
                for _ in 0x85..=opcode {
                    items.push(stream.pop(&self.cursor)?);
                }
                items.reverse();
                return self.push(stream, Node::Tuple(items.into()));
            }
            b'a' => {
                let item = stream.pop(&self.cursor)?;
                self.append(stream, vec![item])?;
            }
            b'e' | 0x90 => {
                let items = stream.pop_mark(&self.cursor)?;
                self.append(stream, items)?;
            }
            b's' => {
                let value = stream.pop(&self.cursor)?;
                let key = stream.pop(&self.cursor)?;
                self.set_items(stream, vec![(key, value)])?;
            }
            b'u' => {
                let items = stream.pop_mark(&self.cursor)?;
                let pairs = self.pairs(&items)?;
                self.set_items(stream, pairs)?;
            }
            _ => return self.stack(opcode, stream),
        }
        Ok(true)
    }

    fn pairs(&self, items: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>, ModelError> {
        if items.len() % 2 == 1 {
            return Err(self.cursor.fail("a dict has a key without a value"));
        }
        Ok(items
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect())
    }

    fn append(&mut self, stream: &Stream, more: Vec<NodeId>) -> Result<(), ModelError> {
        let id = stream.top(&self.cursor)?;
        match &mut self.graph.nodes[id.0 as usize] {
            Node::List(items) | Node::Set(items) => items.extend(more),
            Node::Object(object) => object.extra.get_or_insert_default().items.extend(more),
            _ => {
                return Err(self
                    .cursor
                    .fail("items are appended to something that is not a list"));
            }
        }
        Ok(())
    }

    fn set_items(
        &mut self,
        stream: &Stream,
        more: Vec<(NodeId, NodeId)>,
    ) -> Result<(), ModelError> {
        let id = stream.top(&self.cursor)?;
        match &mut self.graph.nodes[id.0 as usize] {
            Node::Dict(pairs) => pairs.extend(more),
            Node::Object(object) => object.extra.get_or_insert_default().pairs.extend(more),
            _ => {
                return Err(self
                    .cursor
                    .fail("keys are set on something that is not a dict"));
            }
        }
        Ok(())
    }

    /// Mark, memo and protocol opcodes.
    fn stack(&mut self, opcode: u8, stream: &mut Stream) -> Result<bool, ModelError> {
        match opcode {
            b'(' => {
                if stream.marks.len() >= MARKS_MAX {
                    return Err(Graph::limit("open marks", MARKS_MAX));
                }
                stream.marks.push(stream.stack.len());
            }
            b'0' => {
                // POP takes a mark away when nothing stands above it.
                if stream.marks.last() == Some(&stream.stack.len()) {
                    stream.marks.pop();
                } else {
                    stream.pop(&self.cursor)?;
                }
            }
            b'1' => drop(stream.pop_mark(&self.cursor)?),
            b'2' => {
                let top = stream.top(&self.cursor)?;
                stream.stack.push(top);
            }
            0x80 => {
                let protocol = self.cursor.u8()?;
                if protocol > 5 {
                    return Err(self.cursor.fail(format!(
                        "protocol {protocol} is not known; dump with protocol 5 or lower"
                    )));
                }
                if stream.depth == 0 {
                    self.graph.protocol = protocol;
                }
            }
            // A stream only helps a buffered reader; a writeable buffer made read-only is the same bytes.
            0x95 => drop(self.cursor.u64()?),
            0x98 => {}
            _ => return self.memo(opcode, stream),
        }
        Ok(true)
    }

    fn memo(&mut self, opcode: u8, stream: &mut Stream) -> Result<bool, ModelError> {
        let index = match opcode {
            b'q' | b'h' => u64::from(self.cursor.u8()?),
            b'r' | b'j' => u64::from(self.cursor.u32()?),
            b'p' | b'g' => {
                let digits = self.cursor.text_line()?;
                digits
                    .parse()
                    .map_err(|_| self.cursor.fail(format!("'{digits}' is not a memo index")))?
            }
            0x94 => stream.memo.len(),
            _ => return Ok(false),
        };
        if matches!(opcode, b'h' | b'j' | b'g') {
            let id = stream.memo.get(index).ok_or_else(|| {
                self.cursor
                    .fail(format!("memo entry {index} was never written"))
            })?;
            stream.stack.push(id);
        } else {
            stream.memo.put(index, stream.top(&self.cursor)?);
        }
        Ok(true)
    }

    /// Opcodes that in Python would look up or call something.
    fn object(&mut self, opcode: u8, stream: &mut Stream) -> Result<(), ModelError> {
        match opcode {
            b'c' => {
                let (module, name) = (self.cursor.text_line()?, self.cursor.text_line()?);
                self.global(stream, module, name)
            }
            0x93 => {
                let (name, module) = (stream.pop(&self.cursor)?, stream.pop(&self.cursor)?);
                match (self.graph.text(module), self.graph.text(name)) {
                    (Some(module), Some(name)) => {
                        let (module, name) = (module.to_owned(), name.to_owned());
                        self.global(stream, &module, &name)
                    }
                    _ => Err(self.cursor.fail("a global is not named by two strings")),
                }
            }
            b'R' | 0x81 => {
                let (args, callable) = (stream.pop(&self.cursor)?, stream.pop(&self.cursor)?);
                self.push(stream, Node::Object(Object::new(callable, args)))
                    .map(drop)
            }
            0x92 => {
                let (_kwargs, args, callable) = (
                    stream.pop(&self.cursor)?,
                    stream.pop(&self.cursor)?,
                    stream.pop(&self.cursor)?,
                );
                self.push(stream, Node::Object(Object::new(callable, args)))
                    .map(drop)
            }
            b'b' => self.build(stream),
            b'P' | b'Q' => Err(self.cursor.fail(
                "it has persistent ids, as PyTorch writes them: only scikit-learn models are read",
            )),
            0x82..=0x84 => Err(self.cursor.fail(
                "it uses the extension registry, which hides the names of what it would call",
            )),
            0x97 => Err(self
                .cursor
                .fail("its buffers were written elsewhere (buffer_callback); dump without it")),
            b'i' | b'o' => Err(self
                .cursor
                .fail("it uses an opcode of Python 2 instances; dump with protocol 2 or higher")),
            _ => Err(self
                .cursor
                .fail(format!("0x{opcode:02x} is not a pickle opcode"))),
        }
    }

    fn global(&mut self, stream: &mut Stream, module: &str, name: &str) -> Result<(), ModelError> {
        let key = (module.to_owned(), name.to_owned());
        if let Some(&id) = self.interned.get(&key) {
            stream.stack.push(id);
            return Ok(());
        }
        let index = self.graph.globals.len();
        if index >= GLOBALS_MAX {
            return Err(Graph::limit("different classes", GLOBALS_MAX));
        }
        self.graph.globals.push(Global::new(module, name));
        let id = self.add(Node::Global(u32::try_from(index).unwrap_or(u32::MAX)))?;
        self.interned.insert(key, id);
        stream.stack.push(id);
        Ok(())
    }

    fn build(&mut self, stream: &mut Stream) -> Result<(), ModelError> {
        let state = stream.pop(&self.cursor)?;
        let id = stream.top(&self.cursor)?;
        let Node::Object(object) = &mut self.graph.nodes[id.0 as usize] else {
            return Err(self
                .cursor
                .fail("state is given to something that is not an object"));
        };
        object.state = state;
        let is_wrapper = self
            .graph
            .class(id)
            .is_some_and(allowlist::is_joblib_wrapper);
        if is_wrapper {
            self.array_data(id, state, stream.depth)
        } else {
            Ok(())
        }
    }

    /// The array that follows a joblib wrapper in the stream.
    fn array_data(&mut self, id: NodeId, state: NodeId, depth: usize) -> Result<(), ModelError> {
        self.graph.joblib = true;
        let layout =
            joblib::layout(&self.graph, state).map_err(|problem| self.cursor.fail(problem))?;
        let array_data = match layout.bytes {
            None => self.stream(depth + 1)?,
            Some(len) => {
                if layout.padded {
                    let padding = u64::from(self.cursor.u8()?);
                    self.cursor.take(padding)?;
                }
                let span = self.cursor.span(len)?;
                self.add(Node::Bytes(span))?
            }
        };
        if let Node::Object(object) = &mut self.graph.nodes[id.0 as usize] {
            object.extra = Some(Box::new(Extra {
                array_data: Some(array_data),
                ..Extra::default()
            }));
        }
        Ok(())
    }
}

fn push_id(stream: &mut Stream, id: NodeId) -> bool {
    stream.stack.push(id);
    true
}

/// A little-endian two's complement integer.
fn long(bytes: &[u8]) -> Node {
    if bytes.len() > 8 {
        return Node::BigInt;
    }
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    wide[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(wide))
}
