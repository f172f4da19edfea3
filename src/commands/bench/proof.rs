//! The proof: the log holds what an offline computation of the same rows gives, and each id once.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use residual_model::Rows;

use crate::{config::Config, metric_log::Reader, pipeline};

/// Rows that are computed at a time.
const BATCH_ROWS: usize = 4_096;

/// A checksum of rows that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct RowsDigest {
    /// How many rows.
    pub(super) rows: u64,
    /// For each row, the first half of SHA-256 over the bits of `y_true` and `y_pred`, summed up with wrapping. A
    /// different value in any row, or one row more or less, gives a different sum.
    #[serde(serialize_with = "as_hex")]
    pub(super) sha256_sum: u128,
}

fn as_hex<S: serde::Serializer>(sum: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{sum:032x}"))
}

impl RowsDigest {
    fn add(&mut self, y_true: f64, y_pred: f64) {
        let digest = Sha256::new()
            .chain_update(y_true.to_le_bytes())
            .chain_update(y_pred.to_le_bytes())
            .finalize();
        let half = digest.iter().take(16);
        let half = half.fold(0, |number, byte| number << 8 | u128::from(*byte));
        self.sha256_sum = self.sha256_sum.wrapping_add(half);
        self.rows += 1;
    }
}

/// What a log holds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct LogContents {
    pub(super) sum: RowsDigest,
    pub(super) unique_ids: u64,
}

/// What the log must hold: the same rows read again and scored without a bus.
pub(super) async fn offline(config: &Config) -> Result<RowsDigest> {
    let model = pipeline::open_model(&config.predictor.model)?;
    let dataset = pipeline::open_dataset(config, Some(&model)).await?;
    let entropy = config.dataset.seed.unwrap_or_default();
    let mut source = dataset.into_source(entropy)?;
    let mut sum = RowsDigest::default();
    while sum.rows < config.features.count {
        let left = usize::try_from(config.features.count - sum.rows).unwrap_or(usize::MAX);
        let batch = source.next_batch(left.min(BATCH_ROWS)).await?;
        let values = batch.iter().flat_map(|sample| &sample.features).copied();
        let rows = Rows::new(model.info().n_features, values.collect())?;
        for (sample, y_pred) in batch.iter().zip(model.predict(&rows)?) {
            sum.add(sample.target, y_pred);
        }
    }
    Ok(sum)
}

/// Reads a log to its end.
pub(super) fn of_log(log: &Path) -> Result<LogContents> {
    let mut sum = RowsDigest::default();
    let mut ids = Vec::new();
    Reader::open(log)
        .read_new(&mut |row| {
            sum.add(row.y_true, row.y_pred);
            // Our own ids are UUIDs. Anything else is not of this run; all such ids count as one, so the proof fails.
            ids.push(Uuid::parse_str(&row.id).unwrap_or_default());
        })
        .context("the log of the bench")?;
    ids.sort_unstable();
    ids.dedup();
    Ok(LogContents {
        sum,
        unique_ids: ids.len() as u64,
    })
}
