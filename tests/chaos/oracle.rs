//! The oracle: what must be in which file, computed without any of the killed processes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
};

use residual::metric_log::{RealDisk, Series};
use residual_model::Rows;

use super::{
    journal::Journal,
    witness::{Seen, Sight},
};
use crate::{
    log::{LogRow, read_log},
    repository::repository,
};

/// The data with the model's answers, row by row, computed in one go.
pub(crate) struct Offline {
    pub(crate) rows: Vec<(f64, f64)>,
}

impl Offline {
    pub(crate) fn compute() -> Self {
        let mut reader = csv::Reader::from_path(repository("data/diabetes.csv")).unwrap();
        let (mut values, mut truths) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let mut row: Vec<f64> = record
                .unwrap()
                .iter()
                .map(|field| field.parse().unwrap())
                .collect();
            truths.push(row.pop().unwrap());
            values.extend(row);
        }
        let model = residual::bundled::model().unwrap();
        let answers = model.predict(&Rows::new(model.info().n_features, values).unwrap());
        let rows = truths.into_iter().zip(answers.unwrap()).collect();
        Self { rows }
    }
}

/// Everything that is in a logs folder.
pub(crate) struct Logs {
    pub(crate) rows: HashMap<String, LogRow>,
    /// Halves whose partner never came: truths and predictions.
    pub(crate) truths: HashSet<String>,
    pub(crate) predictions: HashSet<String>,
}

impl Logs {
    /// Fails when an id is there twice.
    pub(crate) fn read(folder: &Path) -> Self {
        let series = Series::new(folder, "metric_log");
        let parts = series.parts(&RealDisk).unwrap();
        let parts = parts.into_iter().map(|number| series.part(number));
        let mut rows = HashMap::new();
        for path in parts.chain([series.live()]) {
            for (id, row) in read_log(&path) {
                assert!(
                    rows.insert(id, row).is_none(),
                    "an id stands in two parts of the log"
                );
            }
        }
        let mut logs = Self {
            rows,
            truths: HashSet::new(),
            predictions: HashSet::new(),
        };
        let unmatched = fs::read_to_string(folder.join("unmatched.csv")).unwrap_or_default();
        for line in unmatched.lines().skip(1) {
            let fields: Vec<_> = line.split(',').collect();
            let kind = match fields[1] {
                "truth" => &mut logs.truths,
                "prediction" => &mut logs.predictions,
                other => panic!("{other}"),
            };
            assert_eq!(fields[4], "expired", "{line}");
            assert!(kind.insert(fields[0].to_owned()), "{line} stands twice");
        }
        logs
    }

    pub(crate) fn mae(&self) -> f64 {
        mean(self.rows.values().map(|row| row.absolute_error))
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = f64::from(u32::try_from(values.len()).unwrap());
    values.sum::<f64>() / n
}

/// Each confirmed id stands in the log once, nothing stands there that was not sent, and each row is the right one.
/// Returns the mean absolute error that the model makes on those rows.
pub(crate) fn the_log_is_what_was_sent(logs: &Logs, journal: &Journal, offline: &Offline) -> f64 {
    let missing: Vec<_> = journal
        .confirmed()
        .filter(|id| !logs.rows.contains_key(*id))
        .take(5)
        .collect();
    assert!(
        missing.is_empty(),
        "confirmed, and not in the log: {missing:?}"
    );
    let mut errors = Vec::new();
    for (id, row) in &logs.rows {
        let sent = journal
            .0
            .get(id)
            .unwrap_or_else(|| panic!("{id} was never sent"));
        let (y_true, y_pred) = offline.rows[sent.row];
        let expected = LogRow {
            y_true,
            y_pred,
            absolute_error: (y_true - y_pred).abs(),
        };
        assert_eq!(*row, expected, "{id} is row {}", sent.row);
        errors.push(expected.absolute_error);
    }
    mean(errors.into_iter())
}

/// Prints where ids were last seen that are missing in the log, to find out what lost them.
pub(crate) fn print_what_is_missing(seen: &Seen, logs: &Logs, journal: &Journal) {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for id in journal
        .confirmed()
        .filter(|id| !logs.rows.contains_key(*id))
    {
        let places = [
            ("features", &seen.features),
            ("y_true", &seen.truths),
            ("an unmatched truth", &logs.truths),
            ("an unmatched prediction", &logs.predictions),
        ];
        let places = places.into_iter().filter(|(_, ids)| ids.contains(id));
        let places: Vec<_> = places.map(|(place, _)| place).collect();
        *kinds.entry(places.join(", ")).or_default() += 1;
    }
    for (places, count) in kinds {
        println!("{count} confirmed ids are not in the log, but in: {places}");
    }
}

/// A half without a partner belongs to an id whose sending was cut off in the middle.
pub(crate) fn unmatched_halves_were_unconfirmed(logs: &Logs, journal: &Journal) {
    for id in logs.truths.iter().chain(&logs.predictions) {
        let sent = journal
            .0
            .get(id)
            .unwrap_or_else(|| panic!("{id} was never sent"));
        assert!(
            !sent.is_confirmed,
            "{id} was confirmed, and has only one half"
        );
        assert!(
            !logs.rows.contains_key(id),
            "{id} is unmatched, and in the log"
        );
    }
}

/// The witness saw what was confirmed. Where a message is kept for all groups or for none, the log is exactly what
/// the witness saw both halves of, and unmatched is exactly what it saw one half of.
pub(crate) fn the_witness_agrees(seen: &Seen, logs: &Logs, journal: &Journal, sight: Sight) {
    if !sight.of_messages {
        return;
    }
    for (what, ids) in [("features", &seen.features), ("y_true", &seen.truths)] {
        let unseen: Vec<_> = journal
            .confirmed()
            .filter(|id| !ids.contains(*id))
            .take(5)
            .collect();
        assert!(
            unseen.is_empty(),
            "confirmed, and not kept in {what}: {unseen:?}"
        );
        let unsent: Vec<_> = ids
            .iter()
            .filter(|id| !journal.0.contains_key(*id))
            .take(5)
            .collect();
        assert!(
            unsent.is_empty(),
            "kept in {what}, and never sent: {unsent:?}"
        );
    }
    if !sight.of_all_groups {
        return;
    }
    let recorded: HashSet<String> = logs.rows.keys().cloned().collect();
    let pairs = &seen.features & &seen.truths;
    assert_eq!(
        differing(&recorded, &pairs),
        (0, 0),
        "in the log, and kept whole"
    );
    let truths = &seen.truths - &seen.features;
    assert_eq!(differing(&logs.truths, &truths), (0, 0), "unmatched truths");
    let features = &seen.features - &seen.truths;
    assert_eq!(
        differing(&logs.predictions, &features),
        (0, 0),
        "unmatched predictions"
    );
}

/// How many are only on the left, and only on the right.
fn differing(left: &HashSet<String>, right: &HashSet<String>) -> (usize, usize) {
    (
        left.difference(right).count(),
        right.difference(left).count(),
    )
}
