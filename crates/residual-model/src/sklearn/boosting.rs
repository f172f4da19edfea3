//! Gradient boosting and histogram gradient boosting.

use super::dispatch::{read_estimator, read_step};
use super::fitted::{Extraction, Fitted, Version};
use super::tree_arrays::TreeArrays;
use crate::error::ModelError;
use crate::form::{self, BITSET_WORDS, CategoryBitsets, Form, Init, InitLink, Output, Step};
use crate::numeric::to_usize;
use crate::tensors::Data;

/// `GradientBoostingRegressor` and `GradientBoostingClassifier`.
pub(super) fn gradient_boosting(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Form, ModelError> {
    let classes = fitted.classes(extraction)?;
    let (shape, stages) = fitted.list_at(fitted.require("estimators_")?, "estimators_")?;
    let outputs = shape.get(1).copied().unwrap_or(1);
    if stages.is_empty() {
        return Err(fitted.fail("`estimators_` is empty"));
    }
    let mut tree_arrays = TreeArrays::default();
    for (index, id) in stages.into_iter().enumerate() {
        let tree = fitted.child(
            id,
            &format!(
                "estimators_[{}][{}]",
                index / outputs.max(1),
                index % outputs.max(1)
            ),
        )?;
        tree_arrays.add(extraction, &tree, false)?;
    }
    let exponential = fitted.optional_text("loss").as_deref() == Some("exponential");
    let output = match (classes.is_some(), outputs) {
        (false, _) => Output::Identity,
        (true, 1) if exponential => Output::DoubleSigmoid,
        (true, 1) => Output::Sigmoid,
        _ => Output::Softmax,
    };
    let init = init(extraction, fitted, output, outputs)?;
    let learning_rate = fitted.put_vector(extraction, "learning_rate")?;
    let trees = tree_arrays.put(extraction, fitted, true, false, None);
    Ok(Form::Boosting(form::Boosting {
        trees,
        init,
        learning_rate,
        output,
        classes,
    }))
}

/// What gradient boosting adds its trees to.
fn init(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    output: Output,
    outputs: usize,
) -> Result<Init, ModelError> {
    if fitted
        .optional_text("init_")
        .or_else(|| fitted.optional_text("init"))
        .as_deref()
        == Some("zero")
    {
        return Ok(Init::Constant(extraction.put_vector(
            fitted,
            "start",
            vec![0.0; outputs],
        )));
    }
    let regressor = fitted.attribute("init_")?;
    if ![
        "Dummy",
        "DecisionTree",
        "ExtraTree",
        "RandomForest",
        "GradientBoosting",
    ]
    .iter()
    .any(|prefix| regressor.class.name.starts_with(prefix))
    {
        return Err(regressor.unsupported(
            "gradient boosting fits its `init` in 32 bit floats, whose rounding is not reproduced; leave `init` out, or stack the models",
        ));
    }
    let form = Box::new(read_estimator(extraction, &regressor)?);
    if output == Output::Identity {
        return Ok(Init::Regressor(form));
    }
    let old = fitted.version < Version(1, 4);
    let clip = if fitted.version < Version(1, 8) {
        f64::from(f32::EPSILON)
    } else {
        f64::EPSILON
    };
    let link = match output {
        Output::DoubleSigmoid => InitLink::HalfLogit,
        Output::Softmax if old => InitLink::Log,
        Output::Softmax => InitLink::CenteredLog,
        _ => InitLink::Logit,
    };
    Ok(Init::Classifier {
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
    let classes = fitted.classes(extraction)?;
    let mut tree_arrays = TreeArrays {
        outputs: 1,
        ..TreeArrays::default()
    };
    let mut outputs = 1;
    for (iteration, id) in fitted.list("_predictors")?.into_iter().enumerate() {
        let (_, stage) = fitted.list_at(id, "_predictors")?;
        outputs = stage.len();
        for (output, id) in stage.into_iter().enumerate() {
            tree_arrays.add_histogram(
                extraction,
                &fitted.child(id, &format!("_predictors[{iteration}][{output}]"))?,
            )?;
        }
    }
    let init = baseline(extraction, fitted, outputs)?;
    let loss = fitted.optional_text("loss").unwrap_or_default();
    let output = match (classes.is_some(), outputs) {
        (true, 1) => Output::Sigmoid,
        (true, _) => Output::Softmax,
        (false, _) if loss == "poisson" || loss == "gamma" => Output::Exp,
        _ => Output::Identity,
    };
    let categories = categories(extraction, fitted, &mut tree_arrays)?;
    let learning_rate = extraction.put_vector(fitted, "rate", vec![1.0]);
    let trees = tree_arrays.put(extraction, fitted, false, true, categories);
    let form = Form::Boosting(form::Boosting {
        trees,
        init,
        learning_rate,
        output,
        classes,
    });
    // Since 1.4 a preprocessor renumbers categories and puts their columns first.
    let Some(_) = fitted.get("_preprocessor") else {
        return Ok(form);
    };
    let steps: Vec<Step> = vec![read_step(extraction, &fitted.attribute("_preprocessor")?)?];
    Ok(Form::Pipeline(form::Pipeline {
        steps,
        final_estimator: Box::new(form),
    }))
}

fn baseline(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    outputs: usize,
) -> Result<Init, ModelError> {
    let baseline = fitted.vector(extraction, "_baseline_prediction")?;
    if baseline.len() != outputs {
        return Err(fitted.fail(format!(
            "`_baseline_prediction` has {} values for {outputs} outputs",
            baseline.len()
        )));
    }
    Ok(Init::Constant(extraction.put_vector(
        fitted,
        "_baseline_prediction",
        baseline,
    )))
}

/// The bitsets of categories, when a node tests any.
fn categories(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
    tree_arrays: &mut TreeArrays,
) -> Result<Option<CategoryBitsets>, ModelError> {
    let (bitset_idx, left) = (
        std::mem::take(&mut tree_arrays.bitset_idx),
        std::mem::take(&mut tree_arrays.left_bitsets),
    );
    if left.is_empty() {
        return Ok(None);
    }
    let mapper = fitted.attribute("_bin_mapper")?;
    let categorical = mapper.vector(extraction, "is_categorical_")?;
    let lists = mapper.list("bin_thresholds_")?;
    let mut known = vec![0_u32; categorical.len() * BITSET_WORDS];
    for (feature, (id, is_categorical)) in lists.into_iter().zip(&categorical).enumerate() {
        if *is_categorical == 0.0 {
            continue;
        }
        for category in mapper.numbers_at(extraction, id, "bin_thresholds_")?.1 {
            let category = to_usize(category)
                .filter(|category| *category < 256)
                .ok_or_else(|| mapper.fail("a category is not below 256"))?;
            known[feature * BITSET_WORDS + category / 32] |= 1 << (category % 32);
        }
    }
    let shapes = (
        vec![bitset_idx.len()],
        vec![left.len() / BITSET_WORDS, BITSET_WORDS],
        vec![categorical.len(), BITSET_WORDS],
    );
    if !left.len().is_multiple_of(BITSET_WORDS) {
        return Err(fitted.fail("`raw_left_cat_bitsets` are not rows of eight"));
    }
    Ok(Some(CategoryBitsets {
        bitset_idx: extraction.put(fitted, "trees.set", shapes.0, Data::I32(bitset_idx)),
        left: extraction.put(fitted, "trees.left_sets", shapes.1, Data::U32(left)),
        known: extraction.put(fitted, "trees.known_sets", shapes.2, Data::U32(known)),
    }))
}
