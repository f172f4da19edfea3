//! The log as its readers find it.

use std::{collections::BTreeMap, path::Path};

/// One row of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogRow {
    pub(crate) y_true: f64,
    pub(crate) y_pred: f64,
    pub(crate) absolute_error: f64,
}

/// The log by id; fails when an id stands in it twice, or a row's arithmetic is wrong.
#[track_caller]
pub(crate) fn read_log(path: &Path) -> BTreeMap<String, LogRow> {
    let mut rows = BTreeMap::new();
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(
        reader.headers().unwrap(),
        vec!["id", "y_true", "y_pred", "absolute_error"]
    );
    for record in reader.deserialize() {
        let (id, y_true, y_pred, absolute_error): (String, f64, f64, f64) = record.unwrap();
        assert_eq!(absolute_error, (y_true - y_pred).abs(), "{id}");
        let before = rows.insert(
            id.clone(),
            LogRow {
                y_true,
                y_pred,
                absolute_error,
            },
        );
        assert!(before.is_none(), "{id} stands twice in the log");
    }
    rows
}
