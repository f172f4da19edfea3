//! A fitted object of scikit-learn inside a pickle: typed access to its attributes, with errors that name class and place.
//!
//! Promise: what is read is bounded, in depth, in number and in bytes, whatever the pickle contains.

use std::cell::Cell;
use std::rc::Rc;

use super::error::AttributeError;
use super::supported;
use crate::error::ModelError;
use crate::labels::Labels;
use crate::numeric::to_usize;
use crate::pickle::numpy::{self, Array};
use crate::pickle::{ArrayError, Global, Graph, Node, NodeId};
use crate::tensors::{Data, Key, Tensors};

/// Version of scikit-learn, major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32);

impl Version {
    /// Reads `1.5.2`, `0.24.dev0` and the like.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        Some(Self(
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
        ))
    }
}

/// Estimators inside each other, at most.
const DEPTH_MAX: usize = 24;
/// Estimators in one file, at most. An object that is used several times counts each time.
const ESTIMATORS_MAX: usize = 50_000;

/// Attributes of all estimators, at most, beyond four for each object of the pickle.
const ATTRIBUTES_MAX: usize = 4_000_000;

/// The tensors that an extraction has written, and how much more it may write.
#[derive(Debug)]
pub(super) struct Extraction {
    pub(super) tensors: Tensors,
    estimators: usize,
    bytes_left: usize,
    bytes_max: usize,
}

impl Extraction {
    /// The bound on tensors is in proportion to the pickle: a number may become eight times as wide, and be written a few times.
    pub(super) fn new(input_len: usize) -> Self {
        let bytes_max = (16 << 20) + 16 * input_len;
        Self {
            tensors: Tensors::default(),
            estimators: 0,
            bytes_left: bytes_max,
            bytes_max,
        }
    }

    /// Counts one estimator.
    pub(super) fn count_estimator(&mut self) -> Result<(), ModelError> {
        self.estimators += 1;
        if self.estimators > ESTIMATORS_MAX {
            return Err(ModelError::Limit {
                what: "estimators",
                max: ESTIMATORS_MAX as u64,
            });
        }
        Ok(())
    }

    /// Counts bytes about to be copied out of the pickle.
    pub(super) fn count_bytes(&mut self, bytes: usize) -> Result<(), ModelError> {
        self.bytes_left = self
            .bytes_left
            .checked_sub(bytes)
            .ok_or(ModelError::Limit {
                what: "bytes of numbers",
                max: self.bytes_max as u64,
            })?;
        Ok(())
    }

    /// Writes a tensor that is named after the attribute it comes from.
    pub(super) fn put(
        &mut self,
        fitted: &Fitted<'_>,
        name: &str,
        shape: Vec<usize>,
        data: Data,
    ) -> Key {
        self.tensors.insert(fitted.path_to(name), shape, data)
    }

    pub(super) fn put_vector(&mut self, fitted: &Fitted<'_>, name: &str, values: Vec<f64>) -> Key {
        self.tensors.insert_vector(fitted.path_to(name), values)
    }
}

/// A fitted object.
#[derive(Clone, Debug)]
pub(super) struct Fitted<'g> {
    pub(super) graph: &'g Graph<'g>,
    pub(super) id: NodeId,
    pub(super) class: &'g Global,
    pub(super) path: String,
    pub(super) version: Version,
    depth: usize,
    /// Attributes read so far, shared by all objects of the pickle.
    attributes_read: Rc<Cell<usize>>,
}

impl<'g> Fitted<'g> {
    /// The outermost object of a pickle.
    pub(super) fn root(graph: &'g Graph<'g>) -> Result<Self, ModelError> {
        let id = graph.root();
        let class = graph.class(id).ok_or_else(|| ModelError::NotAModel {
            found: format!(
                "the pickle holds {}, not a fitted model",
                graph.describe(id)
            ),
        })?;
        let version = Version(0, 0);
        let mut root = Self {
            graph,
            id,
            class,
            path: String::new(),
            version,
            depth: 0,
            attributes_read: Rc::default(),
        };
        root.require_library()?;
        let text = root.optional_text("_sklearn_version").ok_or_else(|| {
            root.unsupported("it has no `_sklearn_version`, so it is not an estimator or was written before scikit-learn 0.18")
        })?;
        root.version = Version::parse(&text)
            .ok_or_else(|| root.fail(format!("version '{text}' cannot be read")))?;
        if root.version < Version(0, 23) {
            return Err(root.unsupported(format!(
                "scikit-learn {text} is too old; 0.24 to today are read. Fit it again"
            )));
        }
        Ok(root)
    }

    /// The object at `id`, named `path` from here.
    pub(super) fn child(&self, id: NodeId, path: &str) -> Result<Self, ModelError> {
        let path = self.path_to(path);
        let Some(class) = self.graph.class(id) else {
            return Err(self.fail(format!(
                "{path} is {}, not an estimator",
                self.graph.describe(id)
            )));
        };
        if self.depth >= DEPTH_MAX {
            return Err(ModelError::Limit {
                what: "estimators inside each other",
                max: DEPTH_MAX as u64,
            });
        }
        let max = ATTRIBUTES_MAX + 4 * self.graph.len();
        let attributes = self.graph.attributes(id).map_or(0, <[_]>::len);
        self.attributes_read
            .set(self.attributes_read.get() + 16 + attributes);
        if self.attributes_read.get() > max {
            return Err(ModelError::Limit {
                what: "attributes",
                max: max as u64,
            });
        }
        let mut child = Self {
            graph: self.graph,
            id,
            class,
            path,
            version: self.version,
            depth: self.depth + 1,
            attributes_read: Rc::clone(&self.attributes_read),
        };
        child.require_library()?;
        if let Some(version) = child
            .optional_text("_sklearn_version")
            .and_then(|text| Version::parse(&text))
        {
            child.version = version;
        }
        Ok(child)
    }

    /// The estimator in an attribute.
    pub(super) fn attribute(&self, name: &str) -> Result<Self, ModelError> {
        self.child(self.require(name)?, name)
    }

    fn require_library(&self) -> Result<(), ModelError> {
        if self.class.module == "sklearn" || self.class.module.starts_with("sklearn.") {
            return Ok(());
        }
        Err(self.unsupported("it does not come from scikit-learn"))
    }

    /// The path to an attribute of this object from the outermost one.
    pub(super) fn path_to(&self, name: &str) -> String {
        match (self.path.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (_, true) => self.path.clone(),
            _ => format!("{}.{name}", self.path),
        }
    }

    fn shown_path(&self) -> String {
        if self.path.is_empty() {
            "the top".to_owned()
        } else {
            self.path.clone()
        }
    }

    /// An error about an attribute of this object.
    pub(super) fn fail(&self, error: impl Into<AttributeError>) -> ModelError {
        ModelError::Attribute {
            class: self.class.to_string(),
            path: self.shown_path(),
            source: Box::new(error.into()),
        }
    }

    /// An error about an array in the attribute `name`.
    pub(super) fn array_error(&self, name: &str, source: ArrayError) -> ModelError {
        self.fail(AttributeError::Array {
            name: name.to_owned(),
            source,
        })
    }

    /// An error about the whole object.
    pub(super) fn unsupported(&self, reason: impl Into<String>) -> ModelError {
        ModelError::Unsupported {
            class: self.class.to_string(),
            path: self.shown_path(),
            reason: reason.into(),
            supported: supported::list(),
        }
    }

    /// An error about a model that predicts more than one value for each row.
    pub(super) fn multi_output(&self) -> ModelError {
        self.unsupported("it predicts several targets at once; fit one model a target")
    }

    /// The attribute, `None` also for Python's `None`.
    pub(super) fn get(&self, name: &str) -> Option<NodeId> {
        let attributes = self.graph.attributes(self.id)?;
        let found = attributes
            .iter()
            .rev()
            .find(|(key, _)| self.graph.text(*key) == Some(name));
        found
            .map(|(_, value)| *value)
            .filter(|value| !matches!(self.graph.node(*value), Node::None))
    }

    pub(super) fn require(&self, name: &str) -> Result<NodeId, ModelError> {
        self.get(name).ok_or_else(|| {
            let name = name.to_owned();
            // In scikit-learn, only fitting sets attributes that end with an underscore.
            self.fail(if name.ends_with('_') {
                AttributeError::NotFitted(name)
            } else {
                AttributeError::Missing(name)
            })
        })
    }

    fn wrong_type(&self, name: &str, id: NodeId, wanted: &'static str) -> ModelError {
        self.fail(AttributeError::WrongType {
            name: name.to_owned(),
            found: self.graph.describe(id),
            wanted,
        })
    }

    pub(super) fn f64(&self, name: &str) -> Result<f64, ModelError> {
        let id = self.require(name)?;
        numpy::number(self.graph, id).ok_or_else(|| self.wrong_type(name, id, "a number"))
    }

    pub(super) fn usize(&self, name: &str) -> Result<usize, ModelError> {
        let id = self.require(name)?;
        to_usize(self.f64(name)?).ok_or_else(|| self.wrong_type(name, id, "a count"))
    }

    /// A flag; absent means `default`.
    pub(super) fn bool_or(&self, name: &str, default: bool) -> bool {
        self.get(name)
            .and_then(|id| numpy::number(self.graph, id))
            .map_or(default, |value| value != 0.0)
    }

    pub(super) fn optional_text(&self, name: &str) -> Option<String> {
        numpy::text(self.graph, self.get(name)?)
    }

    pub(super) fn text(&self, name: &str) -> Result<String, ModelError> {
        let id = self.require(name)?;
        numpy::text(self.graph, id).ok_or_else(|| self.wrong_type(name, id, "text"))
    }

    /// The array at `id`; `name` is for messages.
    pub(super) fn array_at(&self, id: NodeId, name: &str) -> Result<Array<'g>, ModelError> {
        match Array::read(self.graph, id) {
            Some(array) => array.map_err(|error| self.array_error(name, error)),
            None if self.graph.class(id).is_some_and(|class| class.module.starts_with("scipy.sparse")) => {
                Err(self.unsupported(format!("attribute `{name}` is a sparse matrix; call `densify()`, or fit on a dense array")))
            }
            None => Err(self.wrong_type(name, id, "an array")),
        }
    }

    pub(super) fn array(&self, name: &str) -> Result<Array<'g>, ModelError> {
        self.array_at(self.require(name)?, name)
    }

    /// Shape and elements of a number, an array of numbers or a list of numbers.
    pub(super) fn numbers_at(
        &self,
        extraction: &mut Extraction,
        id: NodeId,
        name: &str,
    ) -> Result<(Vec<usize>, Vec<f64>), ModelError> {
        if let Some(items) = self.graph.items(id) {
            extraction.count_bytes(items.len() * 8)?;
            let values: Option<Vec<_>> = items
                .iter()
                .map(|id| numpy::number(self.graph, *id))
                .collect();
            let values = values.ok_or_else(|| self.wrong_type(name, id, "a list of numbers"))?;
            return Ok((vec![values.len()], values));
        }
        if let (None, Some(value)) = (Array::read(self.graph, id), numpy::number(self.graph, id)) {
            return Ok((vec![], vec![value]));
        }
        let array = self.array_at(id, name)?;
        extraction.count_bytes(array.len() * 8)?;
        let values = array
            .f64s()
            .map_err(|error| self.array_error(name, error))?;
        Ok((array.shape, values))
    }

    pub(super) fn numbers(
        &self,
        extraction: &mut Extraction,
        name: &str,
    ) -> Result<(Vec<usize>, Vec<f64>), ModelError> {
        self.numbers_at(extraction, self.require(name)?, name)
    }

    /// Numbers in one axis, or a single one.
    pub(super) fn vector(
        &self,
        extraction: &mut Extraction,
        name: &str,
    ) -> Result<Vec<f64>, ModelError> {
        let (shape, values) = self.numbers(extraction, name)?;
        if shape.iter().filter(|&&len| len != 1).count() <= 1 {
            return Ok(values);
        }
        Err(self.fail(AttributeError::WrongShape {
            name: name.to_owned(),
            shape,
            wanted: "one axis",
        }))
    }

    /// Numbers in two axes; one axis counts as one row.
    pub(super) fn matrix(
        &self,
        extraction: &mut Extraction,
        name: &str,
    ) -> Result<(usize, usize, Vec<f64>), ModelError> {
        let (shape, values) = self.numbers(extraction, name)?;
        match *shape.as_slice() {
            [columns] => Ok((1, columns, values)),
            [rows, columns] => Ok((rows, columns, values)),
            _ => Err(self.fail(AttributeError::WrongShape {
                name: name.to_owned(),
                shape,
                wanted: "two axes",
            })),
        }
    }

    /// A vector copied into a tensor.
    pub(super) fn put_vector(
        &self,
        extraction: &mut Extraction,
        name: &str,
    ) -> Result<Key, ModelError> {
        let values = self.vector(extraction, name)?;
        Ok(extraction.put_vector(self, name, values))
    }

    /// A vector copied into a tensor, if it is there.
    pub(super) fn put_optional(
        &self,
        extraction: &mut Extraction,
        name: &str,
    ) -> Result<Option<Key>, ModelError> {
        self.get(name)
            .map(|_| self.put_vector(extraction, name))
            .transpose()
    }

    /// A matrix copied into a tensor.
    pub(super) fn put_matrix(
        &self,
        extraction: &mut Extraction,
        name: &str,
    ) -> Result<Key, ModelError> {
        let (rows, columns, values) = self.matrix(extraction, name)?;
        Ok(extraction.put(self, name, vec![rows, columns], Data::F64(values)))
    }

    /// Items of a list, a tuple or an object array, with its shape.
    pub(super) fn list_at(
        &self,
        id: NodeId,
        name: &str,
    ) -> Result<(Vec<usize>, Vec<NodeId>), ModelError> {
        if let Some(items) = self.graph.items(id) {
            return Ok((vec![items.len()], items.to_vec()));
        }
        let array = self.array_at(id, name)?;
        let items = array
            .objects()
            .map_err(|error| self.array_error(name, error))?;
        Ok((array.shape, items))
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<NodeId>, ModelError> {
        Ok(self.list_at(self.require(name)?, name)?.1)
    }

    /// The estimators in a list.
    pub(super) fn children(&self, name: &str) -> Result<Vec<Self>, ModelError> {
        let ids = self.list(name)?;
        ids.into_iter()
            .enumerate()
            .map(|(index, id)| self.child(id, &format!("{name}[{index}]")))
            .collect()
    }

    /// The steps of a pipeline or the parts of a union with their names: `None` for `'passthrough'` and Python's `None`. Dropped
    /// ones are left out.
    pub(super) fn named_children(
        &self,
        name: &str,
    ) -> Result<Vec<(String, Option<Self>)>, ModelError> {
        let mut children = vec![];
        for (index, pair) in self.list(name)?.into_iter().enumerate() {
            let Some(&[label, child, ..]) = self.graph.items(pair) else {
                return Err(self.fail(format!("{name}[{index}] is not a named step")));
            };
            let label = self.graph.text(label).unwrap_or_default().to_owned();
            let child = match (self.graph.node(child), self.graph.text(child)) {
                (Node::None, _) | (_, Some("passthrough")) => None,
                (_, Some("drop")) => continue,
                _ => Some(self.child(child, &format!("{name}[{index}]"))?),
            };
            children.push((label, child));
        }
        Ok(children)
    }

    /// Texts of an array or a list.
    pub(super) fn texts_at(
        &self,
        extraction: &mut Extraction,
        id: NodeId,
        name: &str,
    ) -> Result<Vec<String>, ModelError> {
        let texts = if let Some(items) = self.graph.items(id) {
            let texts = items.iter().map(|id| numpy::text(self.graph, *id));
            texts
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| self.wrong_type(name, id, "a list of text"))?
        } else {
            self.array_at(id, name)?
                .texts()
                .map_err(|error| self.array_error(name, error))?
        };
        extraction.count_bytes(texts.iter().map(|text| 24 + text.len()).sum())?;
        Ok(texts)
    }

    /// The labels of a classifier; `None` for a regressor.
    pub(super) fn classes(
        &self,
        extraction: &mut Extraction,
    ) -> Result<Option<Labels>, ModelError> {
        let is_classifier = self.class.name.ends_with("Classifier");
        is_classifier
            .then(|| self.labels(extraction, "classes_"))
            .transpose()
    }

    /// The labels that a label binarizer in the attribute `name` was fitted on.
    pub(super) fn binarizer_labels(
        &self,
        extraction: &mut Extraction,
        name: &str,
    ) -> Result<Labels, ModelError> {
        let binarizer = self.attribute(name)?;
        let kind = binarizer.optional_text("y_type_").unwrap_or_default();
        if kind.starts_with("multilabel") {
            return Err(self.unsupported("it gives several labels a row"));
        }
        binarizer.labels(extraction, "classes_")
    }

    /// Class labels.
    pub(super) fn labels(
        &self,
        extraction: &mut Extraction,
        name: &str,
    ) -> Result<Labels, ModelError> {
        let id = self.require(name)?;
        if self.graph.items(id).is_some() {
            return Err(self.unsupported(format!(
                "`{name}` is a list: models of several targets are not read"
            )));
        }
        let array = self.array_at(id, name)?;
        if array.is_text() {
            return Ok(Labels::Text(self.texts_at(extraction, id, name)?));
        }
        let values = self.numbers_at(extraction, id, name)?.1;
        if array.shape.len() != 1
            || values
                .iter()
                .any(|value| !value.is_finite() || value.abs() > 9.0e15)
        {
            return Err(self.fail(format!("`{name}` are not plain labels")));
        }
        Ok(Labels::Numbers(values))
    }
}
