//! Whether the errors in a log are distances of numbers, or right and wrong of labels.

use std::path::Path;

use super::{lines::LinePosition, report::Report};
use crate::{metric_log::RowRef, task::Task};

/// Checks the errors row by row. Where the task is not known, the rows show it: many add up as either task, but those that
/// add up as only one must all be of the same.
#[derive(Debug)]
pub(super) struct Arithmetic {
    task: Option<Task>,
    numbers: UnambiguousRows,
    labels: UnambiguousRows,
}

/// Rows that add up as one task only.
#[derive(Debug, Default)]
struct UnambiguousRows {
    rows: u64,
    first: Option<String>,
}

impl UnambiguousRows {
    fn note(&mut self, path: &Path, at: LinePosition) {
        self.rows += 1;
        self.first
            .get_or_insert_with(|| format!("`{}` line {}", path.display(), at.line));
    }
}

impl Arithmetic {
    pub(super) fn new(task: Option<Task>) -> Self {
        Self {
            task,
            numbers: UnambiguousRows::default(),
            labels: UnambiguousRows::default(),
        }
    }

    pub(super) fn check(
        &mut self,
        report: &mut Report,
        path: &Path,
        at: LinePosition,
        row: &RowRef<'_>,
    ) {
        let as_numbers = row.adds_up_as(Task::Regression);
        let as_labels = row.adds_up_as(Task::Classification);
        let is_right = match self.task {
            None => as_numbers || as_labels,
            Some(Task::Regression) => as_numbers,
            Some(Task::Classification) => as_labels,
        };
        if as_numbers != as_labels {
            let only = if as_numbers {
                &mut self.numbers
            } else {
                &mut self.labels
            };
            only.note(path, at);
        }
        if !is_right {
            report.fault(|| wrong(self.task.unwrap_or_default(), path, at, row));
        }
    }

    /// Reports a log that has both kinds.
    pub(super) fn conclude(&self, report: &mut Report) {
        let (Some(number), Some(label)) = (&self.numbers.first, &self.labels.first) else {
            return;
        };
        let text = || {
            format!(
                "the log is mixed: {} rows are of a regression (the first: {number}) and {} of a classification (the \
                 first: {label}); one log holds one kind of answer",
                self.numbers.rows, self.labels.rows
            )
        };
        if self.task.is_none() {
            report.fault(text);
        } else {
            // Each row of the other kind is a fault already.
            report.notes.push(text());
        }
    }
}

fn wrong(task: Task, path: &Path, at: LinePosition, row: &RowRef<'_>) -> String {
    let right = task.error(row.y_true, row.y_pred);
    let rule = match task {
        Task::Regression => "|y_true - y_pred| is",
        Task::Classification => "of labels it is 0.0 when they are equal, else 1.0, here",
    };
    format!(
        "`{}` line {}: absolute_error is {:?}, {rule} {right:?}",
        path.display(),
        at.line,
        row.absolute_error
    )
}
