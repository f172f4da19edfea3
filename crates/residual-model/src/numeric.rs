//! Arithmetic of single numbers and slices that both extractors and estimators need.

/// Index of the highest value, or of the first of several; NaN is never the highest unless it comes first.
pub(crate) fn argmax(row: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}

/// The number as an index or a count, when it is whole and not negative.
#[expect(clippy::float_cmp, reason = "a value is whole or it is not")]
pub(crate) fn to_usize(value: f64) -> Option<usize> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked on the line below"
    )]
    let count = value as usize;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a value that loses precision is refused"
    )]
    (count as f64 == value && value < 9.0e15).then_some(count)
}
