//! Decision trees and what is made of them: forests, gradient boosting, histogram boosting, isolation.

use super::super::ModelError;
use super::super::form::{Categories, Form, Output, Start, StartLink, Step, Trees};
use super::super::info::Labels;
use super::super::pickle::numpy::Array;
use super::super::tensors::Data;
use super::dispatch::estimator;
use super::fitted::{Extraction, Fitted, Version, whole};
use super::preprocess::step;

/// Most classes or targets a leaf.
const OUTPUTS_MAX: usize = 100_000;

/// Trees being put together, in the layout of [`Trees`].
#[derive(Default)]
struct Grove {
    sizes: Vec<u32>,
    left: Vec<i32>,
    right: Vec<i32>,
    feature: Vec<i32>,
    threshold: Vec<f64>,
    flags: Vec<u8>,
    values: Vec<f64>,
    outputs: usize,
    row: Vec<i32>,
    left_sets: Vec<u32>,
}

/// One field of a structured node array.
fn field(fitted: &Fitted<'_>, nodes: &Array<'_>, name: &str) -> Result<Vec<i64>, ModelError> {
    let field = nodes.field(name).and_then(|field| field.i64s());
    field.map_err(|problem| fitted.fail(format!("`nodes`: {problem}")))
}

fn real(fitted: &Fitted<'_>, nodes: &Array<'_>, name: &str) -> Result<Vec<f64>, ModelError> {
    let field = nodes.field(name).and_then(|field| field.f64s());
    field.map_err(|problem| fitted.fail(format!("`nodes`: {problem}")))
}

/// Narrowed for storage; what does not fit is caught when the trees are built.
fn narrow(values: impl IntoIterator<Item = i64>) -> impl Iterator<Item = i32> {
    values
        .into_iter()
        .map(|value| i32::try_from(value).unwrap_or(i32::MIN))
}

impl Grove {
    /// Adds the `tree_` of a fitted decision tree; returns the number of nodes.
    fn add(
        &mut self,
        extraction: &mut Extraction,
        fitted: &Fitted<'_>,
        fractions: bool,
    ) -> Result<usize, ModelError> {
        extraction.visit()?;
        let tree = fitted.attribute("tree_")?;
        let nodes = tree.array("nodes")?;
        extraction.spend(nodes.len() * 32)?;
        let (shape, mut values) = tree.numbers(extraction, "values")?;
        let outputs = match *shape.as_slice() {
            [count, 1, outputs] if count == nodes.len() && outputs <= OUTPUTS_MAX => outputs,
            [_, targets, _] if targets > 1 => {
                return Err(fitted.unsupported(format!(
                    "it predicts {targets} targets at once; fit one model a target"
                )));
            }
            _ => {
                return Err(tree.fail(format!(
                    "`values` have shape {shape:?} for {} nodes",
                    nodes.len()
                )));
            }
        };
        if self.sizes.is_empty() {
            self.outputs = outputs;
        } else if self.outputs != outputs {
            return Err(fitted.fail("its trees do not have the same number of classes"));
        }
        if fractions {
            // Counts until 1.3, fractions since: a probability either way.
            for leaf in values.chunks_exact_mut(outputs.max(1)) {
                let sum: f64 = leaf.iter().sum();
                if sum != 0.0 {
                    for value in leaf {
                        *value /= sum;
                    }
                }
            }
        }
        self.values.extend(values);
        self.left
            .extend(narrow(field(&tree, &nodes, "left_child")?));
        self.right
            .extend(narrow(field(&tree, &nodes, "right_child")?));
        self.feature
            .extend(narrow(field(&tree, &nodes, "feature")?));
        self.threshold.extend(real(&tree, &nodes, "threshold")?);
        if nodes.dtype.has_field("missing_go_to_left") {
            self.flags.extend(
                field(&tree, &nodes, "missing_go_to_left")?
                    .into_iter()
                    .map(|left| u8::from(left != 0)),
            );
        } else {
            self.flags.resize(self.left.len(), 0);
        }
        self.sizes
            .push(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        Ok(nodes.len())
    }

    /// Adds one `TreePredictor` of histogram boosting.
    fn add_histogram(
        &mut self,
        extraction: &mut Extraction,
        fitted: &Fitted<'_>,
    ) -> Result<(), ModelError> {
        extraction.visit()?;
        let nodes = fitted.array("nodes")?;
        extraction.spend(nodes.len() * 48)?;
        let leaf = field(fitted, &nodes, "is_leaf")?;
        let child = |name: &str| -> Result<Vec<i32>, ModelError> {
            let children = narrow(field(fitted, &nodes, name)?);
            Ok(children
                .zip(&leaf)
                .map(|(child, leaf)| if *leaf == 0 { child } else { -1 })
                .collect())
        };
        self.left.extend(child("left")?);
        self.right.extend(child("right")?);
        self.feature
            .extend(narrow(field(fitted, &nodes, "feature_idx")?));
        self.threshold.extend(real(
            fitted,
            &nodes,
            if nodes.dtype.has_field("num_threshold") {
                "num_threshold"
            } else {
                "threshold"
            },
        )?);
        let missing_left = field(fitted, &nodes, "missing_go_to_left")?;
        let categorical = if nodes.dtype.has_field("is_categorical") {
            field(fitted, &nodes, "is_categorical")?
        } else {
            vec![0; nodes.len()]
        };
        self.flags.extend(
            missing_left
                .iter()
                .zip(&categorical)
                .map(|(left, categorical)| u8::from(*left != 0) | u8::from(*categorical != 0) << 1),
        );
        self.values.extend(real(fitted, &nodes, "value")?);
        let base = i64::try_from(self.left_sets.len() / 8).unwrap_or(i64::MAX);
        if categorical.iter().any(|categorical| *categorical != 0) {
            let rows = field(fitted, &nodes, "bitset_idx")?;
            let rows = rows
                .into_iter()
                .zip(&categorical)
                .map(|(row, categorical)| {
                    if *categorical != 0 {
                        base.saturating_add(row)
                    } else {
                        -1
                    }
                });
            self.row.extend(narrow(rows));
            let sets = fitted.array("raw_left_cat_bitsets")?;
            extraction.spend(sets.len() * 4)?;
            let words = sets.i64s().map_err(|problem| fitted.fail(problem))?;
            self.left_sets.extend(
                words
                    .into_iter()
                    .map(|word| u32::try_from(word).unwrap_or(0)),
            );
        } else {
            self.row.resize(self.left.len(), -1);
        }
        self.outputs = 1;
        self.sizes
            .push(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    fn put(
        self,
        extraction: &mut Extraction,
        fitted: &Fitted<'_>,
        single: bool,
        missing: bool,
        categories: Option<Categories>,
    ) -> Trees {
        let count = vec![self.left.len()];
        let shape = vec![self.left.len(), self.outputs];
        Trees {
            sizes: extraction.put(
                fitted,
                "trees.sizes",
                vec![self.sizes.len()],
                Data::U32(self.sizes),
            ),
            left: extraction.put(fitted, "trees.left", count.clone(), Data::I32(self.left)),
            right: extraction.put(fitted, "trees.right", count.clone(), Data::I32(self.right)),
            feature: extraction.put(
                fitted,
                "trees.feature",
                count.clone(),
                Data::I32(self.feature),
            ),
            threshold: extraction.put(
                fitted,
                "trees.threshold",
                count.clone(),
                Data::F64(self.threshold),
            ),
            flags: extraction.put(fitted, "trees.flags", count, Data::U8(self.flags)),
            values: extraction.put(fitted, "trees.values", shape, Data::F64(self.values)),
            single,
            missing,
            categories,
        }
    }
}

/// Whether this version of this class takes NaN for a missing value.
fn takes_missing(fitted: &Fitted<'_>, tree: &Fitted<'_>) -> bool {
    let since = match fitted.class.name.as_str() {
        name if name.starts_with("Decision") => Version(1, 3),
        name if name.starts_with("Random") => Version(1, 4),
        _ => Version(1, 6),
    };
    let splitter = tree.optional_text("splitter");
    let by_splitter = fitted.version >= Version(1, 6) || splitter.as_deref() == Some("best");
    let criterion = tree.optional_text("criterion").unwrap_or_default();
    fitted.version >= since && by_splitter && criterion != "absolute_error"
}

/// A single decision tree.
pub(super) fn tree(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    forest_of(extraction, fitted, std::slice::from_ref(fitted))
}

/// A forest.
pub(super) fn forest(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    let trees = fitted.children("estimators_")?;
    if trees.is_empty() {
        return Err(fitted.fail("`estimators_` is empty"));
    }
    forest_of(extraction, fitted, &trees)
}

fn forest_of(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    trees: &[Fitted<'_>],
) -> Result<Form, ModelError> {
    let is_classifier = fitted.class.name.ends_with("Classifier");
    let classes = if is_classifier {
        Some(fitted.labels(extraction, "classes_")?)
    } else {
        None
    };
    let mut grove = Grove::default();
    for tree in trees {
        grove.add(
            extraction,
            tree,
            is_classifier && fitted.version < Version(1, 4),
        )?;
    }
    let missing = takes_missing(fitted, &trees[0]);
    Ok(Form::Forest {
        trees: grove.put(extraction, fitted, true, missing, None),
        classes,
    })
}

/// `GradientBoostingRegressor` and `GradientBoostingClassifier`.
pub(super) fn gradient_boosting(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let is_classifier = fitted.class.name.ends_with("Classifier");
    let classes = if is_classifier {
        Some(fitted.labels(extraction, "classes_")?)
    } else {
        None
    };
    let (shape, stages) = fitted.list_at(fitted.need("estimators_")?, "estimators_")?;
    let outputs = shape.get(1).copied().unwrap_or(1);
    if stages.is_empty() {
        return Err(fitted.fail("`estimators_` is empty"));
    }
    let mut grove = Grove::default();
    for (index, id) in stages.into_iter().enumerate() {
        let tree = fitted.child(
            id,
            &format!(
                "estimators_[{}][{}]",
                index / outputs.max(1),
                index % outputs.max(1)
            ),
        )?;
        grove.add(extraction, &tree, false)?;
    }
    let exponential = fitted.optional_text("loss").as_deref() == Some("exponential");
    let output = match (is_classifier, outputs) {
        (false, _) => Output::Identity,
        (true, 1) if exponential => Output::DoubleSigmoid,
        (true, 1) => Output::Sigmoid,
        _ => Output::Softmax,
    };
    let start = start(extraction, fitted, output, outputs)?;
    let rate = fitted.put_vector(extraction, "learning_rate")?;
    let trees = grove.put(extraction, fitted, true, false, None);
    Ok(Form::Boosting {
        trees,
        start,
        rate,
        output,
        classes,
    })
}

/// What gradient boosting adds its trees to.
fn start(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    output: Output,
    outputs: usize,
) -> Result<Start, ModelError> {
    if fitted
        .optional_text("init_")
        .or_else(|| fitted.optional_text("init"))
        .as_deref()
        == Some("zero")
    {
        return Ok(Start::Constant(extraction.put_vector(
            fitted,
            "start",
            vec![0.0; outputs],
        )));
    }
    let init = fitted.attribute("init_")?;
    if ![
        "Dummy",
        "DecisionTree",
        "ExtraTree",
        "RandomForest",
        "GradientBoosting",
    ]
    .iter()
    .any(|prefix| init.class.name.starts_with(prefix))
    {
        return Err(init.unsupported(
            "gradient boosting fits its `init` in 32 bit floats, whose rounding is not reproduced; leave `init` out, or stack the models",
        ));
    }
    let form = Box::new(estimator(extraction, &init)?);
    if output == Output::Identity {
        return Ok(Start::Regressor(form));
    }
    let old = fitted.version < Version(1, 4);
    let clip = if fitted.version < Version(1, 8) {
        f64::from(f32::EPSILON)
    } else {
        f64::EPSILON
    };
    let link = match output {
        Output::DoubleSigmoid => StartLink::HalfLogit,
        Output::Softmax if old => StartLink::Log,
        Output::Softmax => StartLink::CenteredLog,
        _ => StartLink::Logit,
    };
    Ok(Start::Classifier {
        form,
        clip: extraction.put_vector(fitted, "clip", vec![clip]),
        link,
    })
}

/// `HistGradientBoostingRegressor` and `HistGradientBoostingClassifier`.
pub(super) fn histogram_boosting(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let is_classifier = fitted.class.name.ends_with("Classifier");
    let classes = if is_classifier {
        Some(fitted.labels(extraction, "classes_")?)
    } else {
        None
    };
    let mut grove = Grove {
        outputs: 1,
        ..Grove::default()
    };
    let mut outputs = 1;
    for (iteration, id) in fitted.list("_predictors")?.into_iter().enumerate() {
        let (_, stage) = fitted.list_at(id, "_predictors")?;
        outputs = stage.len();
        for (output, id) in stage.into_iter().enumerate() {
            grove.add_histogram(
                extraction,
                &fitted.child(id, &format!("_predictors[{iteration}][{output}]"))?,
            )?;
        }
    }
    let start = baseline(extraction, fitted, outputs)?;
    let loss = fitted.optional_text("loss").unwrap_or_default();
    let output = match (is_classifier, outputs) {
        (true, 1) => Output::Sigmoid,
        (true, _) => Output::Softmax,
        (false, _) if loss == "poisson" || loss == "gamma" => Output::Exp,
        _ => Output::Identity,
    };
    let categories = categories(extraction, fitted, &mut grove)?;
    let rate = extraction.put_vector(fitted, "rate", vec![1.0]);
    let trees = grove.put(extraction, fitted, false, true, categories);
    let form = Form::Boosting {
        trees,
        start,
        rate,
        output,
        classes,
    };
    // Since 1.4 categories are renumbered, and their columns put first, before the trees see them.
    let Some(_) = fitted.get("_preprocessor") else {
        return Ok(form);
    };
    let steps: Vec<Step> = vec![step(extraction, &fitted.attribute("_preprocessor")?)?];
    Ok(Form::Pipeline {
        steps,
        last: Box::new(form),
    })
}

fn baseline(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    outputs: usize,
) -> Result<Start, ModelError> {
    let baseline = fitted.vector(extraction, "_baseline_prediction")?;
    if baseline.len() != outputs {
        return Err(fitted.fail(format!(
            "`_baseline_prediction` has {} values for {outputs} outputs",
            baseline.len()
        )));
    }
    Ok(Start::Constant(extraction.put_vector(
        fitted,
        "_baseline_prediction",
        baseline,
    )))
}

/// The sets of categories, when a node tests any.
fn categories(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    grove: &mut Grove,
) -> Result<Option<Categories>, ModelError> {
    let (row, left) = (
        std::mem::take(&mut grove.row),
        std::mem::take(&mut grove.left_sets),
    );
    if left.is_empty() {
        return Ok(None);
    }
    let mapper = fitted.attribute("_bin_mapper")?;
    let categorical = mapper.vector(extraction, "is_categorical_")?;
    let lists = mapper.list("bin_thresholds_")?;
    let mut known = vec![0_u32; categorical.len() * 8];
    for (feature, (id, is_categorical)) in lists.into_iter().zip(&categorical).enumerate() {
        if *is_categorical == 0.0 {
            continue;
        }
        for category in mapper.numbers_at(extraction, id, "bin_thresholds_")?.1 {
            let category = whole(category)
                .filter(|category| *category < 256)
                .ok_or_else(|| mapper.fail("a category is not below 256"))?;
            known[feature * 8 + category / 32] |= 1 << (category % 32);
        }
    }
    let shapes = (
        vec![row.len()],
        vec![left.len() / 8, 8],
        vec![categorical.len(), 8],
    );
    if left.len() % 8 != 0 {
        return Err(fitted.fail("`raw_left_cat_bitsets` are not rows of eight"));
    }
    Ok(Some(Categories {
        row: extraction.put(fitted, "trees.set", shapes.0, Data::I32(row)),
        left: extraction.put(fitted, "trees.left_sets", shapes.1, Data::U32(left)),
        known: extraction.put(fitted, "trees.known_sets", shapes.2, Data::U32(known)),
    }))
}

/// `IsolationForest`: leaves become path lengths, features become columns of the whole.
pub(super) fn isolation(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let trees = fitted.children("estimators_")?;
    let features = fitted.list("estimators_features_")?;
    if trees.is_empty() || features.len() != trees.len() {
        return Err(fitted.fail("`estimators_` and `estimators_features_` do not fit"));
    }
    let mut grove = Grove::default();
    for (index, (tree, features)) in trees.iter().zip(features).enumerate() {
        let before = grove.left.len();
        let size = grove.add(extraction, tree, false)?;
        let columns = fitted
            .numbers_at(extraction, features, "estimators_features_")?
            .1;
        for feature in &mut grove.feature[before..] {
            let column = usize::try_from(*feature)
                .ok()
                .and_then(|feature| columns.get(feature))
                .copied();
            *feature = column
                .and_then(whole)
                .and_then(|column| i32::try_from(column).ok())
                .unwrap_or(-1);
        }
        let lengths = path_lengths(
            extraction,
            fitted,
            tree,
            index,
            &grove.left[before..],
            &grove.right[before..],
        )?;
        if grove.outputs != 1 || lengths.len() != size {
            return Err(tree.fail("its leaves are not of one value"));
        }
        grove.values.truncate(before);
        grove.values.extend(lengths);
    }
    let samples = fitted
        .f64("_max_samples")
        .or_else(|_| fitted.f64("max_samples_"))?;
    #[expect(clippy::cast_precision_loss, reason = "a number of trees")]
    let normaliser = average_path_length(samples) * trees.len() as f64;
    let offset = fitted.put_vector(extraction, "offset_")?;
    let missing = fitted.version >= Version(1, 6);
    let trees = grove.put(extraction, fitted, true, missing, None);
    Ok(Form::Isolation {
        trees,
        normaliser: extraction.put_vector(fitted, "normaliser", vec![normaliser]),
        offset,
    })
}

/// For every node its depth, and the mean depth of what an unfinished leaf would still hold.
fn path_lengths(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    tree: &Fitted<'_>,
    index: usize,
    left: &[i32],
    right: &[i32],
) -> Result<Vec<f64>, ModelError> {
    let mut depths = vec![1.0; left.len()];
    for node in 0..left.len() {
        // A child that does not follow its parent is refused when the trees are built.
        for child in [left[node], right[node]]
            .into_iter()
            .filter_map(|child| usize::try_from(child).ok())
        {
            if child > node && child < depths.len() {
                depths[child] = depths[node] + 1.0;
            }
        }
    }
    let average = if let Some(id) = fitted.get("_average_path_length_per_tree") {
        let (_, lists) = fitted.list_at(id, "_average_path_length_per_tree")?;
        let id = lists
            .get(index)
            .copied()
            .ok_or_else(|| fitted.fail("`_average_path_length_per_tree` is too short"))?;
        fitted
            .numbers_at(extraction, id, "_average_path_length_per_tree")?
            .1
    } else {
        let tree = tree.attribute("tree_")?;
        let nodes = tree.array("nodes")?;
        real(&tree, &nodes, "n_node_samples")?
            .into_iter()
            .map(average_path_length)
            .collect()
    };
    Ok(depths
        .iter()
        .zip(average)
        .map(|(depth, average)| depth + average - 1.0)
        .collect())
}

/// Mean depth of an unsuccessful search in a binary search tree of `count` keys.
fn average_path_length(count: f64) -> f64 {
    /// The Euler-Mascheroni constant.
    const EULER: f64 = 0.577_215_664_901_532_9;
    if count <= 1.0 {
        0.0
    } else if count <= 2.0 {
        1.0
    } else {
        2.0 * ((count - 1.0).ln() + EULER) - 2.0 * (count - 1.0) / count
    }
}

/// `DummyRegressor` and `DummyClassifier`, as trees of one leaf would be.
pub(super) fn dummy(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Form, ModelError> {
    if fitted.class.name == "DummyRegressor" {
        return Ok(Form::Constant {
            values: fitted.put_vector(extraction, "constant_")?,
            classes: None,
        });
    }
    let classes = fitted.labels(extraction, "classes_")?;
    match fitted.text("strategy")?.as_str() {
        "prior" => Ok(Form::Constant {
            values: fitted.put_vector(extraction, "class_prior_")?,
            classes: Some(classes),
        }),
        "most_frequent" => {
            let prior = fitted.vector(extraction, "class_prior_")?;
            let best =
                prior.iter().enumerate().fold(
                    0,
                    |best, (index, value)| if *value > prior[best] { index } else { best },
                );
            let values = (0..prior.len())
                .map(|index| f64::from(u8::from(index == best)))
                .collect();
            Ok(Form::Constant {
                values: extraction.put_vector(fitted, "class_prior_", values),
                classes: Some(classes),
            })
        }
        "constant" => {
            let Labels::Numbers(numbers) = &classes else {
                return Err(fitted.unsupported("strategy 'constant' of text is not read"));
            };
            let constant = fitted.f64("constant")?;
            let values = numbers
                .iter()
                .map(|label| f64::from(u8::from(label.to_bits() == constant.to_bits())))
                .collect();
            Ok(Form::Constant {
                values: extraction.put_vector(fitted, "constant", values),
                classes: Some(classes),
            })
        }
        other => Err(fitted.unsupported(format!("strategy '{other}' gives a random answer"))),
    }
}
