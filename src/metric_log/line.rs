//! One line: how a row is written, and how it is parsed without trusting it.

use std::borrow::Cow;

use super::LineError;
use crate::{message::RecordId, task::Task};

/// The first line of every log and of `corrections.csv`.
pub const HEADER: &str = "id,y_true,y_pred,absolute_error";

/// A row of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Joins truth and prediction; unique in the log.
    pub id: RecordId,
    /// The true answer.
    pub y_true: f64,
    /// The model's answer.
    pub y_pred: f64,
    /// `|y_true - y_pred|`; for labels 0 or 1.
    pub absolute_error: f64,
}

impl Row {
    /// The row of a truth and a prediction that are numbers.
    #[must_use]
    pub fn new(id: RecordId, y_true: f64, y_pred: f64) -> Self {
        Self::with_task(id, y_true, y_pred, Task::Regression)
    }

    /// The row of a truth and a prediction.
    #[must_use]
    pub fn with_task(id: RecordId, y_true: f64, y_pred: f64, task: Task) -> Self {
        Self {
            id,
            y_true,
            y_pred,
            absolute_error: task.error(y_true, y_pred),
        }
    }

    /// Appends the row as one line with its line feed.
    pub fn push_line(&self, out: &mut Vec<u8>) {
        push_field(out, &self.id);
        for value in [self.y_true, self.y_pred, self.absolute_error] {
            out.push(b',');
            push_number(out, value);
        }
        out.push(b'\n');
    }
}

/// A row that borrows from its line; parsing allocates only if the id has escaped quotes.
#[derive(Clone, Debug, PartialEq)]
pub struct RowRef<'a> {
    /// The id as text.
    pub id: Cow<'a, str>,
    /// The true answer.
    pub y_true: f64,
    /// The model's answer.
    pub y_pred: f64,
    /// As it is written; see [`RowRef::adds_up_as`].
    pub absolute_error: f64,
}

impl<'a> RowRef<'a> {
    /// Reads a line without its line feed.
    ///
    /// # Errors
    /// When fields are missing, a number is not finite, or the id's quotes are wrong.
    pub fn parse(line: &'a str) -> Result<Self, LineError> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut fields = line.rsplitn(4, ',');
        let absolute_error = number(fields.next(), "absolute_error")?;
        let y_pred = number(fields.next(), "y_pred")?;
        let y_true = number(fields.next(), "y_true")?;
        let id = unquote(fields.next().unwrap_or_default())?;
        Ok(Self {
            id,
            y_true,
            y_pred,
            absolute_error,
        })
    }

    /// Whether a line without its line feed is complete otherwise: the row adds up and its last number is not cut off.
    #[must_use]
    pub fn is_complete(line: &str) -> bool {
        Self::is_complete_as(line, Task::Regression)
    }

    /// The same of a row of labels.
    #[must_use]
    pub fn is_complete_label(line: &str) -> bool {
        Self::is_complete_as(line, Task::Classification)
    }

    fn is_complete_as(line: &str, task: Task) -> bool {
        RowRef::parse(line).is_ok_and(|row| {
            let mut last = vec![b','];
            push_number(&mut last, row.absolute_error);
            row.adds_up_as(task) && line.as_bytes().ends_with(&last)
        })
    }

    /// Whether `absolute_error` is exactly what truth and prediction give. Many rows add up as either task: every right
    /// answer does, and a wrong one of the labels 0 and 1.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "the same subtraction gives the same bits")]
    pub fn adds_up_as(&self, task: Task) -> bool {
        task.error(self.y_true, self.y_pred) == self.absolute_error
    }
}

fn number(text: Option<&str>, field: &'static str) -> Result<f64, LineError> {
    let text = text.ok_or(LineError::Missing { field, fields: 4 })?;
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(LineError::NotFinite {
            field,
            text: text.chars().take(40).collect(),
        }),
    }
}

/// Takes the quotes off a CSV field.
///
/// # Errors
/// When it is empty or its quotes do not close.
pub fn unquote(field: &str) -> Result<Cow<'_, str>, LineError> {
    if field.is_empty() {
        return Err(LineError::EmptyId);
    }
    let Some(rest) = field.strip_prefix('"') else {
        return Ok(Cow::Borrowed(field));
    };
    let inner = rest.strip_suffix('"').ok_or(LineError::OpenQuotes)?;
    Ok(Cow::Owned(inner.replace("\"\"", "\"")))
}

/// Appends an id, quoted where CSV needs it.
pub fn push_field(out: &mut Vec<u8>, id: &RecordId) {
    id.with_text(|text| {
        if text.contains([',', '"']) || text.starts_with(' ') || text.ends_with(' ') {
            out.push(b'"');
            out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    });
}

/// Appends the shortest decimal that reads back as the same number; whole numbers keep a `.0`.
pub fn push_number(out: &mut Vec<u8>, value: f64) {
    let before = out.len();
    // Writing to memory cannot fail, and values were checked to be finite before.
    if serde_json::to_writer(&mut *out, &value).is_err() {
        out.truncate(before);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(id: &str, y_true: f64, y_pred: f64) -> String {
        let mut out = Vec::new();
        Row::new(RecordId::from_text(id).unwrap(), y_true, y_pred).push_line(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_shortest_and_whole_ones_keep_their_point() {
        assert_eq!(
            line("1731241829.788735", 81.0, 0.1 + 0.2),
            "1731241829.788735,81.0,0.30000000000000004,80.7\n"
        );
    }

    #[test]
    fn an_id_with_a_comma_or_a_quote_is_quoted_and_comes_back() {
        for id in ["a,b", "say \"x\"", ",", "\"", " lead", "plain"] {
            let text = line(id, 1.0, 2.0);
            assert_eq!(RowRef::parse(text.trim_end_matches('\n')).unwrap().id, id);
        }
    }

    #[test]
    fn a_line_of_the_original_is_read() {
        let row = RowRef::parse("1731241829.788735,217.0,155.5,61.5\r").unwrap();
        assert_eq!((row.id.as_ref(), row.y_pred), ("1731241829.788735", 155.5));
        assert!(row.adds_up_as(Task::Regression));
    }

    #[test]
    fn a_row_of_labels_adds_up_by_right_and_wrong() {
        let id = RecordId::from_text("a").unwrap();
        let mut out = Vec::new();
        Row::with_task(id, 2.0, 0.0, Task::Classification).push_line(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "a,2.0,0.0,1.0\n");
        let row = RowRef::parse(text.trim_end()).unwrap();
        assert!(row.adds_up_as(Task::Classification) && !row.adds_up_as(Task::Regression));
        // The last line of a regression, cut off inside its error, must not count as a complete row of labels.
        let torn = "a,3.05,2.0,1.0";
        assert!(RowRef::is_complete_label(torn) && !RowRef::is_complete(torn));
    }

    #[test]
    fn a_bad_field_is_named() {
        let reason = |line| RowRef::parse(line).unwrap_err().to_string();
        assert!(reason("1,2").contains("`y_true` is missing"));
        assert!(reason("a,1.0,x,2.0").contains("`y_pred` is `x`"));
        assert!(reason("a,1.0,2.0,NaN").contains("absolute_error"));
        assert!(reason(",1.0,2.0,1.0").contains("`id` is empty"));
        assert!(reason("\"a,1.0,2.0,1.0").contains("quotes"));
    }

    proptest! {
        #[test]
        fn any_row_reads_back_bit_for_bit(
            id in "[^\\p{Cc}]{1,40}", y_true in proptest::num::f64::NORMAL,
            y_pred in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL,
        ) {
            prop_assume!(id.len() <= 128);
            let text = line(&id, y_true, y_pred);
            let row = RowRef::parse(text.strip_suffix('\n').unwrap()).unwrap();
            prop_assert_eq!(row.id.as_ref(), id.as_str());
            prop_assert_eq!(row.y_true.to_bits(), y_true.to_bits());
            prop_assert_eq!(row.y_pred.to_bits(), y_pred.to_bits());
            prop_assert!(row.adds_up_as(Task::Regression));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            drop(RowRef::parse(&text));
        }
    }
}
