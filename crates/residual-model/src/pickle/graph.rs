//! The object graph of a pickle: inert nodes in one vector, which refer to each other by index.
//!
//! Promise: a node never owns another node. So dropping a million nested tuples takes no recursion, an object that is used twice is
//! there once, and a cycle is no problem. Nothing here knows what a class does.

use std::fmt;

use crate::error::ModelError;

/// Index of a node in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(super) u32);

/// Python's `None`, the first node of every graph.
pub(super) const NONE: NodeId = NodeId(0);
/// Python's `False`.
pub(super) const FALSE: NodeId = NodeId(1);
/// Python's `True`.
pub(super) const TRUE: NodeId = NodeId(2);

/// A range of the input, or of the bytes decoded from it (strings of protocol 0).
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
    /// An integer of more than 64 bits, whose value no model needs.
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

/// What REDUCE or NEWOBJ would have called, with which arguments, and the state that BUILD would have given the result. Nothing was
/// called.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) callable: NodeId,
    pub(crate) args: NodeId,
    /// `NONE` until BUILD.
    pub(crate) state: NodeId,
    pub(crate) extra: Option<Box<Extra>>,
}

impl Object {
    /// An object that has no state yet.
    pub(super) fn new(callable: NodeId, args: NodeId) -> Self {
        Self {
            callable,
            args,
            state: NONE,
            extra: None,
        }
    }
}

/// The parts that few objects have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// What APPENDS gave to an object that is like a list.
    pub(crate) items: Vec<NodeId>,
    /// What SETITEMS gave to an object that is like a dict.
    pub(crate) pairs: Vec<(NodeId, NodeId)>,
    /// What follows a joblib array wrapper in the stream: its raw bytes, or a whole nested pickle.
    pub(crate) array_data: Option<NodeId>,
}

/// A class or function that a pickle names, under its name of today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Global {
    pub(crate) module: String,
    pub(crate) name: String,
}

impl Global {
    /// Translates the names that Python 2 and numpy 2 have for some modules, so that each has one name here.
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

/// All that a pickle contains.
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

    /// The value that the pickle is of.
    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    /// Protocol number of the outermost stream.
    pub(crate) fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Whether joblib wrote it, with arrays as raw bytes in the stream.
    pub(crate) fn is_joblib(&self) -> bool {
        self.joblib
    }

    /// Every global that is named, once, in order of first mention.
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

    /// The text of a node that is a string.
    pub(crate) fn text(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            // The machine has checked that it is UTF-8.
            Node::Text(span) => std::str::from_utf8(self.bytes(*span)).ok(),
            _ => None,
        }
    }

    /// The global of a node that is one.
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

    /// The object at `id`, with the global that would have made it.
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

    /// What a node is, for messages.
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

    /// An error about a bound that was exceeded.
    pub(super) fn limit(what: &'static str, max: usize) -> ModelError {
        ModelError::Limit {
            what,
            max: max as u64,
        }
    }
}
