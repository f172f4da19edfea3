//! Flat binary trees, walked by a loop.
//!
//! Promise: walking terminates for any row, because every child comes after its parent, and never reads outside the arrays.
//!
//! The walk is laid out for the memory of a CPU. The two children of a node are next to each other, so a step only adds the result
//! of one comparison to an index, without a branch. Several rows go down a tree at once, or one row down several trees, so that
//! one can go on while another waits for memory. Measured, this is more than ten times as fast as gather operations in candle.

use crate::error::ModelError;
use crate::form::{self, BITSET_WORDS, node_flags};
use crate::rows::Rows;
use crate::tensors::Tensors;

/// In [`Node::test`]: a missing value goes right.
const MISSING_RIGHT: u32 = 1 << 31;
/// In [`Node::test`]: the node tests categories.
const CATEGORIES: u32 = 1 << 30;
/// In [`Node::test`]: the column.
const COLUMN: u32 = CATEGORIES - 1;
/// Rows that go down a tree at once, or trees that a row goes down at once.
const LANES: usize = 8;

/// A node of a tree, in sixteen bytes, so that four fit into a cache line.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// A value above it goes right.
    threshold: f64,
    /// Column, and two flags above it.
    test: u32,
    /// Index of the left child; the right one follows it.
    left: u32,
}

impl Node {
    /// No value is above its threshold and its left child is itself, so a row that arrives here stays here.
    fn leaf(place: u32) -> Self {
        Self {
            threshold: f64::INFINITY,
            test: 0,
            left: place,
        }
    }

    fn column(self) -> usize {
        (self.test & COLUMN) as usize
    }

    /// NaN is not above any threshold and would go left, so where no value is missing one comparison is enough.
    fn is_right<const MISSING: bool>(self, value: f64) -> bool {
        (value > self.threshold) | (MISSING && (self.test & MISSING_RIGHT != 0) & value.is_nan())
    }
}

/// Trees over the same columns.
#[derive(Debug)]
pub(super) struct Trees {
    /// The nodes of all trees, one tree after the other, each level by level.
    nodes: Vec<Node>,
    /// Index of the root of each tree.
    roots: Vec<u32>,
    /// `outputs` values for each node, in the order of the nodes.
    values: Vec<f64>,
    outputs: usize,
    f32_inputs: bool,
    allow_nan: bool,
    bitsets: Option<CategoryBitsets>,
}

#[derive(Debug)]
struct CategoryBitsets {
    /// For each node its bitset in `left`, -1 for none.
    bitset_idx: Vec<i32>,
    left: Vec<u32>,
    known: Vec<u32>,
}

/// Rows as the trees compare them: rounded to f32 where the trees were fitted so.
#[derive(Debug)]
pub(super) struct TreeInput {
    pub(super) rows: Rows,
    has_missing: bool,
}

fn invalid(problem: &str) -> ModelError {
    ModelError::store(format!("the trees are damaged: {problem}"))
}

/// The node arrays of a form, checked to be of one length.
struct NodeArrays<'t> {
    left: &'t [i32],
    right: &'t [i32],
    feature: &'t [i32],
    threshold: &'t [f64],
    flags: &'t [u8],
    values: &'t [f64],
    outputs: usize,
    width: usize,
}

impl<'t> NodeArrays<'t> {
    fn new(form: &form::Trees, tensors: &'t Tensors, width: usize) -> Result<Self, ModelError> {
        let values = tensors.matrix(&form.values)?;
        let arrays = Self {
            left: tensors.i32s(&form.left)?,
            right: tensors.i32s(&form.right)?,
            feature: tensors.i32s(&form.feature)?,
            threshold: tensors.f64s(&form.threshold)?,
            flags: tensors.u8s(&form.flags)?,
            values: values.values,
            outputs: values.columns,
            width,
        };
        let lens = [
            arrays.right.len(),
            arrays.feature.len(),
            arrays.threshold.len(),
            arrays.flags.len(),
            values.rows,
        ];
        if lens.iter().any(|len| *len != arrays.left.len()) {
            return Err(invalid("arrays of different lengths"));
        }
        if width == 0 || width > COLUMN as usize {
            return Err(invalid("no columns, or too many"));
        }
        Ok(arrays)
    }

    /// The children of node `index` of the tree of `size` nodes at `root`; `None` for a leaf.
    fn children(
        &self,
        root: usize,
        size: usize,
        index: usize,
    ) -> Result<Option<[usize; 2]>, ModelError> {
        let (left, right) = (self.left[root + index], self.right[root + index]);
        if left == -1 {
            return Ok(None);
        }
        // Every child comes after its parent: that makes every walk end.
        let child = |child: i32| {
            usize::try_from(child)
                .ok()
                .filter(|child| *child > index && *child < size)
        };
        match (child(left), child(right)) {
            (Some(left), Some(right)) => Ok(Some([left, right])),
            _ => Err(invalid("a node whose child is not below it")),
        }
    }

    /// The node at `at`, which is no leaf and whose left child will be at `left`.
    fn inner(
        &self,
        at: usize,
        left: u32,
        bitsets: Option<&CategoryBitsets>,
    ) -> Result<Node, ModelError> {
        let mut test = u32::try_from(self.feature[at])
            .ok()
            .filter(|column| (*column as usize) < self.width)
            .ok_or_else(|| invalid("a node that tests a column that is not there"))?;
        if self.flags[at] & node_flags::MISSING_GO_TO_LEFT == 0 {
            test |= MISSING_RIGHT;
        }
        if self.flags[at] & node_flags::IS_CATEGORICAL != 0 {
            if bitsets.is_none_or(|bitsets| bitsets.left_bitset(at).is_none()) {
                return Err(invalid(
                    "a node that tests categories without a set of them",
                ));
            }
            test |= CATEGORIES;
        } else if self.threshold[at].is_nan() {
            return Err(invalid("a threshold that is not a number"));
        }
        Ok(Node {
            threshold: self.threshold[at],
            test,
            left,
        })
    }
}

impl Trees {
    /// Builds and validates trees over `width` columns.
    pub(super) fn new(
        form: &form::Trees,
        tensors: &Tensors,
        width: usize,
    ) -> Result<Self, ModelError> {
        let arrays = NodeArrays::new(form, tensors, width)?;
        let count = arrays.left.len();
        let bitsets = form.categories.as_ref();
        let bitsets = bitsets
            .map(|bitsets| CategoryBitsets::new(bitsets, tensors, count, width))
            .transpose()?;
        let mut trees = Self {
            nodes: Vec::with_capacity(count),
            roots: vec![],
            values: Vec::with_capacity(arrays.values.len()),
            outputs: arrays.outputs,
            f32_inputs: form.f32_inputs,
            allow_nan: form.allow_nan,
            bitsets: bitsets.as_ref().map(CategoryBitsets::without_indices),
        };
        let mut root = 0;
        for &size in tensors.u32s(&form.sizes)? {
            let size = size as usize;
            if size == 0 || size > count - root {
                return Err(invalid("a tree without nodes"));
            }
            trees.add_tree(&arrays, root, size, bitsets.as_ref())?;
            root += size;
        }
        if root != count || root == 0 {
            return Err(invalid("nodes that belong to no tree"));
        }
        Ok(trees)
    }

    /// Adds the tree of `size` nodes at `root`, level by level.
    fn add_tree(
        &mut self,
        arrays: &NodeArrays<'_>,
        root: usize,
        size: usize,
        bitsets: Option<&CategoryBitsets>,
    ) -> Result<(), ModelError> {
        let start = self.nodes.len();
        let place =
            |place: usize| u32::try_from(start + place).map_err(|_| invalid("too many nodes"));
        self.roots.push(place(0)?);
        let mut order = vec![0];
        let mut next = 0;
        while let Some(&index) = order.get(next) {
            let at = root + index;
            let node = if let Some(children) = arrays.children(root, size, index)? {
                let left = place(order.len())?;
                order.extend(children);
                arrays.inner(at, left, bitsets)?
            } else {
                Node::leaf(place(next)?)
            };
            if order.len() > size {
                return Err(invalid("a node below two others"));
            }
            self.nodes.push(node);
            let values = at * self.outputs..(at + 1) * self.outputs;
            self.values.extend_from_slice(&arrays.values[values]);
            if let (Some(own), Some(bitsets)) = (&mut self.bitsets, bitsets) {
                own.bitset_idx.push(bitsets.bitset_idx[at]);
            }
            next += 1;
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.roots.len()
    }

    /// Values in a leaf.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// About how many nodes a row passes.
    pub(super) fn row_work(&self) -> usize {
        let depth = (self.nodes.len() / self.len()).max(1).ilog2() as usize + 1;
        self.len() * depth
    }

    /// Checks the rows and rounds them to f32 where the trees were fitted so.
    pub(super) fn input(&self, rows: &Rows) -> Result<TreeInput, ModelError> {
        if !self.allow_nan {
            rows.require_finite()?;
        }
        let mut rows = rows.clone();
        if self.f32_inputs {
            for value in rows.as_mut_slice() {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "scikit-learn compares f32, and so the branches are the same"
                )]
                let single = *value as f32;
                *value = f64::from(single);
            }
            rows.require("is too large for a 32 bit float", |value| {
                !value.is_infinite()
            })?;
        }
        let has_missing = self.allow_nan && rows.as_slice().iter().any(|value| value.is_nan());
        Ok(TreeInput { rows, has_missing })
    }

    /// Calls `visit` with tree, row and the values of the leaf, for every tree and every row of `input`. A row visits the trees in their
    /// order, so that sums have the same bits however the rows are grouped.
    pub(super) fn visit(&self, input: &TreeInput, mut visit: impl FnMut(usize, usize, &[f64])) {
        let mut leaf = |tree: usize, row: usize, at: u32| {
            let first = at as usize * self.outputs;
            visit(tree, row, &self.values[first..first + self.outputs]);
        };
        let rows = &input.rows;
        let in_lanes = match &self.bitsets {
            Some(_) => 0,
            None => rows.n_rows() / LANES * LANES,
        };
        // Trees in the outer loop: a tree stays in the cache while all rows go down it.
        for (tree, root) in self.roots.iter().enumerate() {
            for first in (0..in_lanes).step_by(LANES) {
                let lanes = std::array::from_fn(|lane| rows.row(first + lane));
                for (row, at) in (first..).zip(self.descend(input, [*root; LANES], lanes)) {
                    leaf(tree, row, at);
                }
            }
        }
        for row in in_lanes..rows.n_rows() {
            self.visit_alone(input, row, |tree, at| leaf(tree, row, at));
        }
    }

    /// Takes one row down all trees, several at once.
    fn visit_alone(&self, input: &TreeInput, row: usize, mut leaf: impl FnMut(usize, u32)) {
        let values = input.rows.row(row);
        let (groups, rest) = match &self.bitsets {
            Some(_) => (&[][..], &self.roots[..]),
            None => self.roots.as_chunks::<LANES>(),
        };
        let places = groups
            .iter()
            .flat_map(|roots| self.descend(input, *roots, [values; LANES]));
        let rest = rest.iter().map(|root| self.walk(*root, values));
        for (tree, at) in places.chain(rest).enumerate() {
            leaf(tree, at);
        }
    }

    fn descend(
        &self,
        input: &TreeInput,
        roots: [u32; LANES],
        rows: [&[f64]; LANES],
    ) -> [u32; LANES] {
        if input.has_missing {
            descend::<true>(&self.nodes, roots, rows)
        } else {
            descend::<false>(&self.nodes, roots, rows)
        }
    }

    /// Takes one row down the tree at `root`; the only walk that knows categories.
    fn walk(&self, root: u32, row: &[f64]) -> u32 {
        let mut at = root;
        loop {
            let node = self.nodes[at as usize];
            let value = row[node.column()];
            let right = if node.test & CATEGORIES == 0 {
                node.is_right::<true>(value)
            } else {
                !self.goes_left(at as usize, node, value)
            };
            let next = node.left + u32::from(right);
            if next == at {
                return at;
            }
            at = next;
        }
    }

    fn goes_left(&self, at: usize, node: Node, value: f64) -> bool {
        let missing_left = node.test & MISSING_RIGHT == 0;
        let Some(bitsets) = &self.bitsets else {
            return missing_left;
        };
        if value.is_nan() || value < 0.0 {
            return missing_left;
        }
        // scikit-learn keeps the lowest eight bits, too.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "as above"
        )]
        let category = usize::from(value as i64 as u8);
        if bitsets
            .left_bitset(at)
            .is_some_and(|row| is_in(row, category))
        {
            return true;
        }
        let known = node.column() * BITSET_WORDS;
        !is_in(&bitsets.known[known..known + BITSET_WORDS], category) && missing_left
    }
}

/// Takes each row down from its node, until none of them moves: a leaf is its own child.
fn descend<const MISSING: bool>(
    nodes: &[Node],
    mut places: [u32; LANES],
    rows: [&[f64]; LANES],
) -> [u32; LANES] {
    loop {
        let mut moved = 0;
        for (at, row) in places.iter_mut().zip(rows) {
            let node = nodes[*at as usize];
            let next = node.left + u32::from(node.is_right::<MISSING>(row[node.column()]));
            moved |= next ^ *at;
            *at = next;
        }
        if moved == 0 {
            return places;
        }
    }
}

fn is_in(set: &[u32], category: usize) -> bool {
    set[category / 32] >> (category % 32) & 1 == 1
}

impl CategoryBitsets {
    fn new(
        form: &form::CategoryBitsets,
        tensors: &Tensors,
        nodes: usize,
        width: usize,
    ) -> Result<Self, ModelError> {
        let bitsets = Self {
            bitset_idx: tensors.i32s(&form.bitset_idx)?.to_vec(),
            left: tensors.u32s(&form.left)?.to_vec(),
            known: tensors.u32s(&form.known)?.to_vec(),
        };
        if bitsets.bitset_idx.len() != nodes
            || !bitsets.left.len().is_multiple_of(BITSET_WORDS)
            || Some(bitsets.known.len()) != width.checked_mul(BITSET_WORDS)
        {
            return Err(invalid("sets of categories of the wrong size"));
        }
        Ok(bitsets)
    }

    /// The same bitsets, for nodes that are still to be added.
    fn without_indices(&self) -> Self {
        Self {
            bitset_idx: Vec::with_capacity(self.bitset_idx.len()),
            left: self.left.clone(),
            known: self.known.clone(),
        }
    }

    fn left_bitset(&self, node: usize) -> Option<&[u32]> {
        let start = usize::try_from(self.bitset_idx[node])
            .ok()?
            .checked_mul(BITSET_WORDS)?;
        self.left.get(start..start.checked_add(BITSET_WORDS)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tensors::Data;

    /// One tree over two columns, with the same threshold everywhere.
    fn tree(
        left: Vec<i32>,
        right: Vec<i32>,
        feature: Vec<i32>,
        flags: Vec<u8>,
    ) -> Result<Trees, ModelError> {
        built(&ReferenceTree {
            threshold: vec![0.5; left.len()],
            left,
            right,
            feature,
            flags,
        })
    }

    /// So many that some trees are walked together and some alone.
    const COPIES: usize = LANES + 1;

    /// A tree over two columns, several times; the value of a leaf is its index in its tree.
    fn built(reference: &ReferenceTree) -> Result<Trees, ModelError> {
        let mut tensors = Tensors::default();
        let size = u32::try_from(reference.left.len()).unwrap();
        let values: Vec<f64> = (0..size).map(f64::from).collect();
        let count = COPIES * reference.left.len();
        let mut put = |name: &str, shape: Vec<usize>, data: Data| {
            tensors.insert(name.to_owned(), shape, data)
        };
        let form = form::Trees {
            sizes: put("sizes", vec![COPIES], Data::U32(vec![size; COPIES])),
            left: put(
                "left",
                vec![count],
                Data::I32(reference.left.repeat(COPIES)),
            ),
            right: put(
                "right",
                vec![count],
                Data::I32(reference.right.repeat(COPIES)),
            ),
            feature: put(
                "feature",
                vec![count],
                Data::I32(reference.feature.repeat(COPIES)),
            ),
            threshold: put(
                "threshold",
                vec![count],
                Data::F64(reference.threshold.repeat(COPIES)),
            ),
            flags: put(
                "flags",
                vec![count],
                Data::U8(reference.flags.repeat(COPIES)),
            ),
            values: put("values", vec![count, 1], Data::F64(values.repeat(COPIES))),
            f32_inputs: true,
            allow_nan: true,
            categories: None,
        };
        Trees::new(&form, &tensors, 2)
    }

    fn leaf(trees: &Trees, row: [f64; 2]) -> f64 {
        let rows = trees.input(&Rows::from_rows(&[row]).unwrap()).unwrap();
        let mut value = f64::NAN;
        trees.visit(&rows, |_, _, leaf| value = leaf[0]);
        value
    }

    #[test]
    fn a_value_at_the_threshold_after_rounding_to_f32_goes_left_and_nan_where_its_flag_says() {
        let trees = tree(
            vec![1, -1, 3, -1, -1],
            vec![2, -1, 4, -1, -1],
            vec![0, 0, 1, 0, 0],
            vec![0, 0, 1, 0, 0],
        )
        .unwrap();
        assert!(leaf(&trees, [0.5, 0.0]).to_bits() == 1.0_f64.to_bits());
        // Above 0.5 in f64, 0.5 in f32.
        assert!(leaf(&trees, [0.500_000_001, 0.0]).to_bits() == 1.0_f64.to_bits());
        assert!(leaf(&trees, [0.6, 0.6]).to_bits() == 4.0_f64.to_bits());
        assert!(leaf(&trees, [0.6, f64::NAN]).to_bits() == 3.0_f64.to_bits());
        assert!(leaf(&trees, [f64::NAN, 0.6]).to_bits() == 4.0_f64.to_bits());
    }

    #[test]
    fn cycles_stray_children_and_unknown_columns_are_refused() {
        for (left, right, feature, words) in [
            (vec![0, -1, -1], vec![2, -1, -1], 0, "not below it"),
            (vec![1, 0, -1], vec![2, 2, -1], 0, "not below it"),
            (vec![1, -1, -1], vec![3, -1, -1], 0, "not below it"),
            (vec![1, -1, -1], vec![-1, -1, -1], 0, "not below it"),
            (vec![-7, -1, -1], vec![2, -1, -1], 0, "not below it"),
            (vec![1, 2, -1], vec![1, 2, -1], 0, "below two others"),
            (
                vec![1, -1, -1],
                vec![2, -1, -1],
                2,
                "a column that is not there",
            ),
            (
                vec![1, -1, -1],
                vec![2, -1, -1],
                -2,
                "a column that is not there",
            ),
        ] {
            let error = tree(left, right, vec![feature; 3], vec![0; 3]).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        let error = tree(
            vec![1, -1, -1],
            vec![2, -1, -1],
            vec![0; 3],
            vec![node_flags::IS_CATEGORICAL; 3],
        )
        .unwrap_err();
        assert!(error.to_string().contains("without a set"), "{error}");
    }

    /// A tree as scikit-learn fits it, with a walk that is obviously right.
    #[derive(Debug, Default)]
    struct ReferenceTree {
        left: Vec<i32>,
        right: Vec<i32>,
        feature: Vec<i32>,
        flags: Vec<u8>,
        threshold: Vec<f64>,
    }

    impl ReferenceTree {
        /// Splits a leaf for each of `splits`: which, by which column, where NaN goes, at which threshold.
        fn new(splits: &[(prop::sample::Index, i32, u8, i8)]) -> Self {
            let mut reference = Self::default();
            reference.leaf();
            for (which, feature, flags, threshold) in splits {
                let leaves: Vec<usize> = (0..reference.left.len())
                    .filter(|node| reference.left[*node] < 0)
                    .collect();
                let node = *which.get(&leaves);
                (reference.feature[node], reference.flags[node]) = (*feature, *flags);
                reference.threshold[node] = f64::from(*threshold);
                reference.left[node] = reference.leaf();
                reference.right[node] = reference.leaf();
            }
            reference
        }

        fn leaf(&mut self) -> i32 {
            for column in [&mut self.left, &mut self.right, &mut self.feature] {
                column.push(-1);
            }
            self.flags.push(0);
            self.threshold.push(-2.0);
            i32::try_from(self.left.len()).unwrap() - 1
        }

        fn leaf_of(&self, row: [f64; 2]) -> f64 {
            let mut node = 0;
            while let Ok(left) = usize::try_from(self.left[node]) {
                let value = row[usize::try_from(self.feature[node]).unwrap()];
                let is_left = if value.is_nan() {
                    self.flags[node] & node_flags::MISSING_GO_TO_LEFT != 0
                } else {
                    value <= self.threshold[node]
                };
                node = if is_left {
                    left
                } else {
                    usize::try_from(self.right[node]).unwrap()
                };
            }
            f64::from(u32::try_from(node).unwrap())
        }
    }

    /// Small whole numbers, so that values are often equal to a threshold; now and then NaN.
    fn cell() -> impl Strategy<Value = f64> {
        prop_oneof![9 => (-4_i8..4).prop_map(f64::from), 1 => Just(f64::NAN)]
    }

    proptest! {
        #[test]
        fn rows_and_trees_abreast_or_alone_end_in_the_leaf_of_the_plain_walk(
            splits in prop::collection::vec((any::<prop::sample::Index>(), 0_i32..2, 0_u8..2, -4_i8..4), 0..40),
            cells in prop::collection::vec(prop::array::uniform2(cell()), 1..40),
        ) {
            let reference = ReferenceTree::new(&splits);
            let plain: Vec<f64> = cells.iter().map(|row| reference.leaf_of(*row)).collect();
            let trees = built(&reference).unwrap();
            let input = trees.input(&Rows::from_rows(&cells).unwrap()).unwrap();
            let mut found = vec![vec![]; cells.len()];
            trees.visit(&input, |tree, row, leaf| found[row].push((tree, leaf[0])));
            for (found, plain) in found.into_iter().zip(plain) {
                let wanted: Vec<_> = (0..COPIES).map(|tree| (tree, plain)).collect();
                prop_assert_eq!(found, wanted);
            }
        }

        #[test]
        fn whatever_is_built_ends_in_a_leaf(
            nodes in prop::collection::vec((-1_i32..12, -1_i32..12, -1_i32..3, 0_u8..4), 1..12),
            row in prop::array::uniform2(-1.0_f64..2.0),
        ) {
            let column = |pick: fn(&(i32, i32, i32, u8)) -> i32| nodes.iter().map(pick).collect::<Vec<_>>();
            let flags = nodes.iter().map(|node| node.3).collect();
            if let Ok(trees) = tree(column(|node| node.0), column(|node| node.1), column(|node| node.2), flags) {
                prop_assert!(leaf(&trees, row) < 12.0);
            }
        }
    }
}
