//! The pickle machine: runs the opcodes of protocols 0 to 5 over inert nodes.
//!
//! Where Python would import or call something, the machine notes its name and arguments in a node and goes on.
//!
//! Promise: nothing is ever called and no module is looked up; every opcode makes at most one node, and the number of nodes is
//! bounded by the length of the input. Deliberately absent, and refused: persistent ids, the extension registry, out-of-band
//! buffers, and the opcodes INST and OBJ, which nothing has written since Python 2.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::error::StreamError;
use super::graph::{Extra, FALSE, Global, Graph, NONE, Node, NodeId, Object, Span, TRUE};
use super::joblib::ArrayWrapper;
use super::stream::Stream;
use super::{allowlist, escapes, opcode as op};
use crate::error::ModelError;

/// The newest protocol of Python today.
const PROTOCOL_MAX: u8 = 5;
/// Values on the stack at one time; Python flushes a list every thousand items.
const STACK_MAX: usize = 8_000_000;
/// Pickles inside each other: joblib writes an object array as a pickle of its own.
const NESTED_MAX: usize = 4;
/// Different globals in one file; the largest real model has about forty.
const GLOBALS_MAX: usize = 4_096;

/// Runs the whole input; bytes after the last STOP are refused.
pub(super) fn run(input: &[u8]) -> Result<Graph<'_>, ModelError> {
    let mut machine = Machine {
        cursor: Cursor::new(input),
        graph: Graph::new(input),
        // Measured on 5,435 real files: at most 0.19 nodes for each byte.
        nodes_max: 4_096 + input.len() / 2,
        interned: HashMap::new(),
    };
    let root = machine.stream(0)?;
    if !machine.cursor.is_at_end() {
        return Err(machine.cursor.error(StreamError::TrailingBytes));
    }
    machine.graph.root = root;
    Ok(machine.graph)
}

/// Reads the length of an argument.
type Len<'a> = fn(&mut Cursor<'a>) -> Result<u64, ModelError>;

struct Machine<'a> {
    cursor: Cursor<'a>,
    graph: Graph<'a>,
    nodes_max: usize,
    interned: HashMap<(String, String), NodeId>,
}

impl<'a> Machine<'a> {
    /// One pickle from its first opcode to STOP.
    fn stream(&mut self, depth: usize) -> Result<NodeId, ModelError> {
        if depth > NESTED_MAX {
            return Err(Graph::limit("nested pickles", NESTED_MAX));
        }
        let mut stream = Stream::new(depth);
        loop {
            let opcode = self.cursor.u8()?;
            if opcode == op::STOP {
                return stream.pop(&self.cursor);
            }
            self.execute(opcode, &mut stream)?;
            if stream.stack.len() > STACK_MAX {
                return Err(Graph::limit("values on the stack", STACK_MAX));
            }
        }
    }

    /// Any opcode but STOP.
    #[expect(
        clippy::too_many_lines,
        reason = "the whole instruction set in one table, one arm an opcode"
    )]
    fn execute(&mut self, opcode: u8, stream: &mut Stream) -> Result<(), ModelError> {
        match opcode {
            // One constant or number.
            op::NONE => stream.stack.push(NONE),
            op::NEWTRUE => stream.stack.push(TRUE),
            op::NEWFALSE => stream.stack.push(FALSE),
            op::BININT => {
                let value = i32::from_le_bytes(self.cursor.array()?);
                self.push(stream, Node::Int(value.into()))?;
            }
            op::BININT1 => {
                let value = self.cursor.u8()?;
                self.push(stream, Node::Int(value.into()))?;
            }
            op::BININT2 => {
                let value = u16::from_le_bytes(self.cursor.array()?);
                self.push(stream, Node::Int(value.into()))?;
            }
            op::BINFLOAT => {
                let value = f64::from_be_bytes(self.cursor.array()?);
                self.push(stream, Node::Float(value))?;
            }
            op::LONG1 => self.push_long(stream, Cursor::len1)?,
            op::LONG4 => self.push_long(stream, Cursor::len4)?,
            op::INT | op::LONG => self.push_int_line(stream)?,
            op::FLOAT => self.push_float_line(stream)?,

            // Text and bytes.
            op::SHORT_BINUNICODE => self.push_text(stream, Cursor::len1)?,
            op::BINUNICODE => self.push_text(stream, Cursor::len4)?,
            op::BINUNICODE8 => self.push_text(stream, Cursor::len8)?,
            op::SHORT_BINBYTES => self.push_bytes(stream, Cursor::len1)?,
            op::BINBYTES => self.push_bytes(stream, Cursor::len4)?,
            op::BINBYTES8 | op::BYTEARRAY8 => self.push_bytes(stream, Cursor::len8)?,
            op::SHORT_BINSTRING => self.push_python2_string(stream, Cursor::len1)?,
            op::BINSTRING => self.push_python2_string(stream, Cursor::len4)?,
            op::STRING => self.push_quoted_line(stream)?,
            op::UNICODE => self.push_unicode_line(stream)?,

            // Lists, tuples, dicts and sets.
            op::EMPTY_LIST => self.push(stream, Node::List(vec![]))?,
            op::EMPTY_DICT => self.push(stream, Node::Dict(vec![]))?,
            op::EMPTY_SET => self.push(stream, Node::Set(vec![]))?,
            op::EMPTY_TUPLE => self.push(stream, Node::Tuple(Box::default()))?,
            op::LIST => {
                let items = stream.pop_mark(&self.cursor)?;
                self.push(stream, Node::List(items))?;
            }
            op::TUPLE => {
                let items = stream.pop_mark(&self.cursor)?;
                self.push(stream, Node::Tuple(items.into()))?;
            }
            op::DICT => {
                let items = stream.pop_mark(&self.cursor)?;
                self.push(stream, Node::Dict(self.pairs(&items)?))?;
            }
            op::FROZENSET => {
                let items = stream.pop_mark(&self.cursor)?;
                self.push(stream, Node::Set(items))?;
            }
            op::TUPLE1 => self.push_short_tuple::<1>(stream)?,
            op::TUPLE2 => self.push_short_tuple::<2>(stream)?,
            op::TUPLE3 => self.push_short_tuple::<3>(stream)?,
            op::APPEND => {
                let item = stream.pop(&self.cursor)?;
                self.append(stream, vec![item])?;
            }
            op::APPENDS | op::ADDITEMS => {
                let items = stream.pop_mark(&self.cursor)?;
                self.append(stream, items)?;
            }
            op::SETITEM => {
                let [key, value] = stream.pop_array(&self.cursor)?;
                self.set_items(stream, vec![(key, value)])?;
            }
            op::SETITEMS => {
                let items = stream.pop_mark(&self.cursor)?;
                self.set_items(stream, self.pairs(&items)?)?;
            }

            // The stack and the memo.
            op::MARK => stream.mark()?,
            op::POP => stream.pop_value_or_mark(&self.cursor)?,
            op::POP_MARK => drop(stream.pop_mark(&self.cursor)?),
            op::DUP => stream.stack.push(stream.top(&self.cursor)?),
            op::GET => {
                let index = self.memo_index()?;
                self.get(stream, index)?;
            }
            op::BINGET => {
                let index = self.cursor.len1()?;
                self.get(stream, index)?;
            }
            op::LONG_BINGET => {
                let index = self.cursor.len4()?;
                self.get(stream, index)?;
            }
            op::PUT => {
                let index = self.memo_index()?;
                stream.memo.put(index, stream.top(&self.cursor)?);
            }
            op::BINPUT => {
                let index = self.cursor.len1()?;
                stream.memo.put(index, stream.top(&self.cursor)?);
            }
            op::LONG_BINPUT => {
                let index = self.cursor.len4()?;
                stream.memo.put(index, stream.top(&self.cursor)?);
            }
            op::MEMOIZE => {
                let index = stream.memo.len();
                stream.memo.put(index, stream.top(&self.cursor)?);
            }

            // What in Python would look up or call something.
            op::GLOBAL => {
                let (module, name) = (self.cursor.text_line()?, self.cursor.text_line()?);
                self.global(stream, module, name)?;
            }
            op::STACK_GLOBAL => self.stack_global(stream)?,
            op::REDUCE | op::NEWOBJ => {
                let [callable, args] = stream.pop_array(&self.cursor)?;
                self.push(stream, Node::Object(Object::new(callable, args)))?;
            }
            op::NEWOBJ_EX => {
                let [callable, args, _kwargs] = stream.pop_array(&self.cursor)?;
                self.push(stream, Node::Object(Object::new(callable, args)))?;
            }
            op::BUILD => self.build(stream)?,

            // Notes to the reader. A frame only helps one that buffers; a buffer made read-only is the same bytes.
            op::PROTO => self.protocol(stream)?,
            op::FRAME => drop(self.cursor.len8()?),
            op::READONLY_BUFFER => {}

            // Refused.
            op::PERSID | op::BINPERSID => return Err(self.cursor.error(StreamError::PersistentId)),
            op::EXT1 | op::EXT2 | op::EXT4 => {
                return Err(self.cursor.error(StreamError::ExtensionRegistry));
            }
            op::NEXT_BUFFER => return Err(self.cursor.error(StreamError::OutOfBandBuffer)),
            op::INST | op::OBJ => return Err(self.cursor.error(StreamError::Python2Instance)),
            _ => return Err(self.cursor.error(StreamError::UnknownOpcode(opcode))),
        }
        Ok(())
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

    fn push(&mut self, stream: &mut Stream, node: Node) -> Result<(), ModelError> {
        let id = self.add(node)?;
        stream.stack.push(id);
        Ok(())
    }

    /// An integer of any width.
    fn push_long(&mut self, stream: &mut Stream, len: Len<'a>) -> Result<(), ModelError> {
        let len = len(&mut self.cursor)?;
        let node = long(self.cursor.take(len)?);
        self.push(stream, node)
    }

    fn push_text(&mut self, stream: &mut Stream, len: Len<'a>) -> Result<(), ModelError> {
        let len = len(&mut self.cursor)?;
        let span = self.cursor.span(len)?;
        if std::str::from_utf8(self.graph.bytes(span)).is_err() {
            return Err(self.cursor.error(StreamError::StringNotUtf8));
        }
        self.push(stream, Node::Text(span))
    }

    fn push_bytes(&mut self, stream: &mut Stream, len: Len<'a>) -> Result<(), ModelError> {
        let len = len(&mut self.cursor)?;
        let span = self.cursor.span(len)?;
        self.push(stream, Node::Bytes(span))
    }

    fn push_python2_string(&mut self, stream: &mut Stream, len: Len<'a>) -> Result<(), ModelError> {
        let len = len(&mut self.cursor)?;
        let span = self.cursor.span(len)?;
        let node = self.text_or_bytes(span);
        self.push(stream, node)
    }

    /// A string of Python 2: text when it can be, else bytes.
    fn text_or_bytes(&self, span: Span) -> Node {
        if self.graph.bytes(span).is_ascii() {
            Node::Text(span)
        } else {
            Node::Bytes(span)
        }
    }

    /// Keeps bytes that are not in the input as such; all of them together are never longer than the input.
    fn decoded(&mut self, bytes: &[u8]) -> Result<Span, ModelError> {
        let start = u32::try_from(self.graph.decoded.len());
        self.graph.decoded.extend_from_slice(bytes);
        match (start, u32::try_from(bytes.len())) {
            (Ok(start), Ok(len)) => Ok(Span {
                start,
                len,
                decoded: true,
            }),
            _ => Err(self.cursor.error(StreamError::TooLarge)),
        }
    }

    /// An integer in decimal digits; `00` and `01` are how protocol 0 writes False and True.
    fn push_int_line(&mut self, stream: &mut Stream) -> Result<(), ModelError> {
        let digits = self.cursor.text_line()?.trim_end_matches('L');
        let id = match digits {
            "00" => FALSE,
            "01" => TRUE,
            _ => {
                let node = match digits.parse() {
                    Ok(value) => Node::Int(value),
                    Err(_) if is_decimal(digits) => Node::BigInt,
                    Err(_) => {
                        let error = StreamError::NotAnInteger(digits.to_owned());
                        return Err(self.cursor.error(error));
                    }
                };
                self.add(node)?
            }
        };
        stream.stack.push(id);
        Ok(())
    }

    fn push_float_line(&mut self, stream: &mut Stream) -> Result<(), ModelError> {
        let digits = self.cursor.text_line()?;
        let value = digits.parse().map_err(|_| {
            self.cursor
                .error(StreamError::NotANumber(digits.to_owned()))
        })?;
        self.push(stream, Node::Float(value))
    }

    fn push_quoted_line(&mut self, stream: &mut Stream) -> Result<(), ModelError> {
        let bytes = escapes::quoted(self.cursor.line()?)
            .ok_or_else(|| self.cursor.error(StreamError::UnclosedString))?;
        let span = self.decoded(&bytes)?;
        let node = self.text_or_bytes(span);
        self.push(stream, node)
    }

    fn push_unicode_line(&mut self, stream: &mut Stream) -> Result<(), ModelError> {
        let text = escapes::raw_unicode_escape(self.cursor.line()?)
            .ok_or_else(|| self.cursor.error(StreamError::BrokenEscape))?;
        let span = self.decoded(text.as_bytes())?;
        self.push(stream, Node::Text(span))
    }

    fn push_short_tuple<const N: usize>(&mut self, stream: &mut Stream) -> Result<(), ModelError> {
        let items: [NodeId; N] = stream.pop_array(&self.cursor)?;
        self.push(stream, Node::Tuple(items.into()))
    }

    fn pairs(&self, items: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>, ModelError> {
        if items.len() % 2 == 1 {
            return Err(self.cursor.error(StreamError::KeyWithoutValue));
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
                return Err(self.cursor.error(StreamError::AppendToNonList));
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
                return Err(self.cursor.error(StreamError::SetOnNonDict));
            }
        }
        Ok(())
    }

    /// A memo index in decimal digits.
    fn memo_index(&mut self) -> Result<u64, ModelError> {
        let digits = self.cursor.text_line()?;
        let index = digits.parse();
        index.map_err(|_| {
            self.cursor
                .error(StreamError::NotAMemoIndex(digits.to_owned()))
        })
    }

    fn get(&self, stream: &mut Stream, index: u64) -> Result<(), ModelError> {
        let id = stream
            .memo
            .get(index)
            .ok_or_else(|| self.cursor.error(StreamError::UnknownMemo(index)))?;
        stream.stack.push(id);
        Ok(())
    }

    fn protocol(&mut self, stream: &Stream) -> Result<(), ModelError> {
        let protocol = self.cursor.u8()?;
        if protocol > PROTOCOL_MAX {
            return Err(self.cursor.error(StreamError::UnknownProtocol(protocol)));
        }
        if stream.depth == 0 {
            self.graph.protocol = protocol;
        }
        Ok(())
    }

    /// A global whose module and name are on the stack.
    fn stack_global(&mut self, stream: &mut Stream) -> Result<(), ModelError> {
        let [module, name] = stream.pop_array(&self.cursor)?;
        match (self.graph.text(module), self.graph.text(name)) {
            (Some(module), Some(name)) => {
                let (module, name) = (module.to_owned(), name.to_owned());
                self.global(stream, &module, &name)
            }
            _ => Err(self.cursor.error(StreamError::UnnamedGlobal)),
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
            return Err(self.cursor.error(StreamError::StateOfNonObject));
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

    /// Reads the array that follows a joblib wrapper in the stream.
    fn array_data(&mut self, id: NodeId, state: NodeId, depth: usize) -> Result<(), ModelError> {
        self.graph.joblib = true;
        let wrapper = ArrayWrapper::read(&self.graph, state);
        let wrapper = wrapper.map_err(|error| self.cursor.error(error))?;
        let array_data = match wrapper.len().map_err(|error| self.cursor.error(error))? {
            None => self.stream(depth + 1)?,
            Some(len) => {
                if wrapper.is_padded {
                    let padding = self.cursor.len1()?;
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

/// Digits, and perhaps a sign before them.
fn is_decimal(text: &str) -> bool {
    let digits = text.trim_start_matches('-');
    !text.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
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
