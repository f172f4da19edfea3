//! Feature selection: which columns remain.

use super::fitted::{Extraction, Fitted};
use crate::error::ModelError;
use crate::numeric::to_usize;

/// The columns that a fitted selector keeps; any other class is refused.
pub(super) fn columns(
    extraction: &mut Extraction,
    fitted: &Fitted<'_>,
) -> Result<Vec<usize>, ModelError> {
    let mask = match fitted.class.name.as_str() {
        "SelectKBest" => best(fitted, &fitted.vector(extraction, "scores_")?)?,
        "SelectPercentile" => percentile(
            &fitted.vector(extraction, "scores_")?,
            fitted.f64("percentile")?,
        ),
        "SelectFpr" => below(
            &fitted.vector(extraction, "pvalues_")?,
            fitted.f64("alpha")?,
        ),
        "SelectFwe" => {
            let pvalues = fitted.vector(extraction, "pvalues_")?;
            #[expect(clippy::cast_precision_loss, reason = "a number of columns")]
            let alpha = fitted.f64("alpha")? / pvalues.len() as f64;
            below(&pvalues, alpha)
        }
        "VarianceThreshold" => {
            let threshold = fitted.f64("threshold")?;
            fitted
                .vector(extraction, "variances_")?
                .iter()
                .map(|variance| *variance > threshold)
                .collect()
        }
        "RFE" | "RFECV" | "SequentialFeatureSelector" => fitted
            .vector(extraction, "support_")?
            .iter()
            .map(|kept| *kept != 0.0)
            .collect(),
        "SelectFromModel" => from_model(extraction, fitted)?,
        _ => return Err(fitted.unsupported("no arithmetic for it as a step of a pipeline")),
    };
    Ok(mask
        .iter()
        .enumerate()
        .filter(|(_, kept)| **kept)
        .map(|(column, _)| column)
        .collect())
}

fn below(pvalues: &[f64], alpha: f64) -> Vec<bool> {
    pvalues.iter().map(|pvalue| *pvalue < alpha).collect()
}

/// NaN counts as the lowest score.
fn clean(scores: &[f64]) -> Vec<f64> {
    scores
        .iter()
        .map(|score| if score.is_nan() { f64::MIN } else { *score })
        .collect()
}

fn best(fitted: &Fitted<'_>, scores: &[f64]) -> Result<Vec<bool>, ModelError> {
    if fitted.optional_text("k").as_deref() == Some("all") {
        return Ok(vec![true; scores.len()]);
    }
    let scores = clean(scores);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut mask = vec![false; scores.len()];
    for column in order.into_iter().rev().take(fitted.usize("k")?) {
        mask[column] = true;
    }
    Ok(mask)
}

fn percentile(scores: &[f64], percent: f64) -> Vec<bool> {
    if percent >= 100.0 || percent <= 0.0 || scores.is_empty() {
        return vec![percent >= 100.0; scores.len()];
    }
    let scores = clean(scores);
    let mut sorted = scores.clone();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a number of columns")]
    let (last, count) = ((sorted.len() - 1) as f64, scores.len() as f64);
    let place = last * (100.0 - percent) / 100.0;
    let low = to_usize(place.floor()).unwrap_or(0);
    let high = sorted[(low + 1).min(sorted.len() - 1)];
    let threshold = sorted[low] + (high - sorted[low]) * (place - place.floor());
    let mut mask: Vec<bool> = scores.iter().map(|score| *score > threshold).collect();
    // Of the scores that are equal to the threshold, the first are kept until there are enough.
    let wanted = to_usize((count * percent / 100.0).floor()).unwrap_or(0);
    let mut room = wanted.saturating_sub(mask.iter().filter(|kept| **kept).count());
    for (kept, score) in mask.iter_mut().zip(&scores) {
        if room > 0 && score.to_bits() == threshold.to_bits() {
            *kept = true;
            room -= 1;
        }
    }
    mask
}

/// `SelectFromModel` of a linear model: coefficients at least as large as the threshold. The importances of trees are not stored in a
/// pickle, so selection by them is refused.
fn from_model(extraction: &mut Extraction, fitted: &Fitted<'_>) -> Result<Vec<bool>, ModelError> {
    let name = if fitted.get("estimator_").is_some() {
        "estimator_"
    } else {
        "estimator"
    };
    let inner = fitted.attribute(name)?;
    if inner.get("coef_").is_none()
        || fitted
            .optional_text("importance_getter")
            .is_some_and(|getter| getter != "auto")
    {
        return Err(fitted.unsupported("only selection by the coefficients of a linear model is read; use `SelectKBest` or `RFE`"));
    }
    let (rows, columns, coef) = inner.matrix(extraction, "coef_")?;
    if rows > 1 && fitted.f64("norm_order").unwrap_or(1.0).to_bits() != 1.0_f64.to_bits() {
        return Err(fitted.unsupported("only `norm_order=1` is read"));
    }
    let scores: Vec<f64> = (0..columns)
        .map(|column| {
            coef.iter()
                .skip(column)
                .step_by(columns)
                .map(|value| value.abs())
                .sum()
        })
        .collect();
    let threshold = threshold(fitted, &inner, &scores)?;
    let mut mask: Vec<bool> = scores.iter().map(|score| *score >= threshold).collect();
    if fitted.get("max_features").is_some() {
        let most = fitted
            .usize("max_features_")
            .or_else(|_| fitted.usize("max_features"))?;
        let mut order: Vec<usize> = (0..columns).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        order
            .into_iter()
            .skip(most)
            .for_each(|column| mask[column] = false);
    }
    Ok(mask)
}

fn threshold(fitted: &Fitted<'_>, inner: &Fitted<'_>, scores: &[f64]) -> Result<f64, ModelError> {
    if fitted.get("threshold").is_some() && fitted.optional_text("threshold").is_none() {
        return fitted.f64("threshold");
    }
    let sparse = inner.class.name.contains("Lasso")
        || inner.optional_text("penalty").as_deref() == Some("l1");
    let text = match fitted.optional_text("threshold") {
        Some(text) => text,
        None if sparse => return Ok(1e-5),
        None => "mean".to_owned(),
    };
    let (factor, reference) = match text.split_once('*') {
        Some((factor, reference)) => (
            factor
                .trim()
                .parse()
                .map_err(|_| fitted.fail(format!("threshold '{text}' is not known")))?,
            reference.trim(),
        ),
        None => (1.0, text.as_str()),
    };
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    #[expect(clippy::cast_precision_loss, reason = "a number of columns")]
    let reference = match reference {
        "mean" => scores.iter().sum::<f64>() / scores.len() as f64,
        "median" if sorted.len() % 2 == 1 => sorted[middle],
        "median" if !sorted.is_empty() => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => return Err(fitted.fail(format!("threshold '{text}' is not known"))),
    };
    Ok(factor * reference)
}
