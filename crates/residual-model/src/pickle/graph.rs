//! The object graph of a pickle: inert nodes in one vector, tied by index.
//!
//! Promise: a node never owns another node, so a million nested tuples are dropped in a flat loop, a shared object is
//! shared by index, and a cycle is just two numbers. Nothing here knows what a class does.

use std::fmt;

use crate::error::ModelError;

/// Index of a node in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(super) u32);

/// The node every graph starts with.
pub(super) const NONE: NodeId = NodeId(0);
/// `False`; `True` follows.
pub(super) const FALSE: NodeId = NodeId(1);
/// `True`.
pub(super) const TRUE: NodeId = NodeId(2);

/// A range of the input, or of the bytes decoded from it (escapes of protocol 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) decoded: bool,
}

/// One Python value.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer wider than 64 bits, two's complement, little-endian.
    BigInt,
    Float(f64),
    Text(Span),
    Bytes(Span),
    List(Vec<NodeId>),
    Tuple(Box<[NodeId]>),
    Dict(Vec<(NodeId, NodeId)>),
    Set(Vec<NodeId>),
    /// Index into [`Graph::globals`].
    Global(u32),
    Object(Object),
}

/// What REDUCE or NEWOBJ would have called, and what BUILD would have given it. Nothing was called.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) callable: NodeId,
    pub(crate) args: NodeId,
    /// `NONE` until BUILD.
    pub(crate) state: NodeId,
    pub(crate) extra: Option<Box<Extra>>,
}

impl Object {
    /// Before BUILD.
    pub(super) fn new(callable: NodeId, args: NodeId) -> Self {
        Self {
            callable,
            args,
            state: NONE,
            extra: None,
        }
    }
}

/// The rare parts of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// What APPENDS gave a list-like object.
    pub(crate) items: Vec<NodeId>,
    /// What SETITEMS gave a dict-like object.
    pub(crate) pairs: Vec<(NodeId, NodeId)>,
    /// What follows a joblib array wrapper in the stream: its raw bytes, or a whole nested pickle.
    pub(crate) array_data: Option<NodeId>,
}

/// `module.name` as the pickle says it, and under its present-day name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Global {
    pub(crate) module: String,
    pub(crate) name: String,
}

impl Global {
    /// Folds the names Python 2 and older numpy used into today's.
    pub(super) fn new(module: &str, name: &str) -> Self {
        let module = match module {
            "__builtin__" => "builtins".to_owned(),
            "copy_reg" => "copyreg".to_owned(),
            other => match other.strip_prefix("numpy._core") {
                Some(rest) if rest.is_empty() || rest.starts_with('.') => {
                    format!("numpy.core{rest}")
                }
                _ => other.to_owned(),
            },
        };
        Self {
            module,
            name: name.to_owned(),
        }
    }

    pub(crate) fn is(&self, module: &str, name: &str) -> bool {
        self.module == module && self.name == name
    }
}

impl fmt::Display for Global {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.module, self.name)
    }
}

/// Everything one pickle says.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    pub(super) input: &'a [u8],
    pub(super) decoded: Vec<u8>,
    pub(super) nodes: Vec<Node>,
    pub(super) globals: Vec<Global>,
    pub(super) root: NodeId,
    pub(super) protocol: u8,
    pub(super) joblib: bool,
}

impl<'a> Graph<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        let nodes = vec![Node::None, Node::Bool(false), Node::Bool(true)];
        Self {
            input,
            decoded: vec![],
            nodes,
            globals: vec![],
            root: NONE,
            protocol: 0,
            joblib: false,
        }
    }

    /// The value STOP returned.
    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    /// Protocol number of the outer stream.
    pub(crate) fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Whether joblib wrote it: arrays stand raw in the stream.
    pub(crate) fn is_joblib(&self) -> bool {
        self.joblib
    }

    /// Every global named, once, in order of first mention.
    pub(crate) fn globals(&self) -> &[Global] {
        &self.globals
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Size of the uncompressed stream in bytes.
    pub(crate) fn input_len(&self) -> usize {
        self.input.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        let range = span.start as usize..span.start as usize + span.len as usize;
        if span.decoded {
            &self.decoded[range]
        } else {
            &self.input[range]
        }
    }

    /// Text of a string node.
    pub(crate) fn text(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            // The machine has checked that it is UTF-8.
            Node::Text(span) => std::str::from_utf8(self.bytes(*span)).ok(),
            _ => None,
        }
    }

    /// The global a node is.
    pub(crate) fn global(&self, id: NodeId) -> Option<&Global> {
        match self.node(id) {
            Node::Global(index) => self.globals.get(*index as usize),
            _ => None,
        }
    }

    /// Items of a list, a tuple or a set, or of a list-like object.
    pub(crate) fn items(&self, id: NodeId) -> Option<&[NodeId]> {
        match self.node(id) {
            Node::List(items) | Node::Set(items) => Some(items),
            Node::Tuple(items) => Some(items),
            Node::Object(Object {
                extra: Some(extra), ..
            }) if !extra.items.is_empty() => Some(&extra.items),
            _ => None,
        }
    }

    /// Pairs of a dict or a dict-like object.
    pub(crate) fn pairs(&self, id: NodeId) -> Option<&[(NodeId, NodeId)]> {
        match self.node(id) {
            Node::Dict(pairs) => Some(pairs),
            Node::Object(Object {
                extra: Some(extra), ..
            }) => Some(&extra.pairs),
            _ => None,
        }
    }

    /// The value under a text key; the last one wins, as in Python.
    pub(crate) fn get(&self, dict: NodeId, key: &str) -> Option<NodeId> {
        self.pairs(dict)?
            .iter()
            .rev()
            .find(|(name, _)| self.text(*name) == Some(key))
            .map(|(_, value)| *value)
    }

    /// The object at `id` and what it would have been made by.
    pub(crate) fn call(&self, id: NodeId) -> Option<(&Global, &Object)> {
        let Node::Object(object) = self.node(id) else {
            return None;
        };
        Some((self.global(object.callable)?, object))
    }

    /// The class of an instance, also when `copyreg._reconstructor` would have made it.
    pub(crate) fn class(&self, id: NodeId) -> Option<&Global> {
        let (global, object) = self.call(id)?;
        if global.is("copyreg", "_reconstructor") || global.is("copyreg", "__newobj__") {
            return self.global(*self.items(object.args)?.first()?);
        }
        Some(global)
    }

    /// The attribute dict of an instance.
    pub(crate) fn attributes(&self, id: NodeId) -> Option<&[(NodeId, NodeId)]> {
        let Node::Object(object) = self.node(id) else {
            return None;
        };
        match self.node(object.state) {
            Node::Dict(pairs) => Some(pairs),
            Node::Tuple(parts) => self.pairs(*parts.first()?),
            _ => None,
        }
    }

    /// One line about a node, for messages.
    pub(crate) fn describe(&self, id: NodeId) -> String {
        match self.node(id) {
            Node::None => "None".to_owned(),
            Node::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
            Node::Int(value) => value.to_string(),
            Node::BigInt => "a very large integer".to_owned(),
            Node::Float(value) => value.to_string(),
            Node::Text(_) => format!(
                "'{}'",
                self.text(id)
                    .unwrap_or_default()
                    .chars()
                    .take(60)
                    .collect::<String>()
            ),
            Node::Bytes(span) => format!("{} bytes", span.len),
            Node::List(items) => format!("a list of {}", items.len()),
            Node::Tuple(items) => format!("a tuple of {}", items.len()),
            Node::Dict(pairs) => format!("a dict of {}", pairs.len()),
            Node::Set(items) => format!("a set of {}", items.len()),
            Node::Global(_) => self
                .global(id)
                .map_or_else(String::new, ToString::to_string),
            Node::Object(_) => match self.class(id) {
                Some(class) => format!("a {class}"),
                None => "an object".to_owned(),
            },
        }
    }

    /// A limit that grows with the file, so that memory stays in proportion to what was really sent.
    pub(super) fn limit(what: &'static str, max: usize) -> ModelError {
        ModelError::Limit {
            what,
            max: max as u64,
        }
    }
}
