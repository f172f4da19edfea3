//! The proof: what the log holds is what an offline computation of the same rows gives, and each id is there once.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use residual_model::Rows;

use crate::{config::Config, metric_log::Reader, pipeline};

/// Rows that are computed in one go.
const BATCH_ROWS: usize = 4_096;

/// Rows as a number that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sum {
    /// How many.
    pub(super) rows: u64,
    /// The wrapping sum over the rows of the first half of SHA-256 of the bits of `y_true` and `y_pred`: another value in
    /// any row, or a row more or less, gives another sum.
    #[serde(serialize_with = "as_hex")]
    pub(super) sha256_sum: u128,
}

fn as_hex<S: serde::Serializer>(sum: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{sum:032x}"))
}

impl Sum {
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
pub(super) struct Found {
    pub(super) sum: Sum,
    pub(super) unique_ids: u64,
}

/// What the log must hold: the same rows drawn again, scored without any bus.
pub(super) async fn offline(config: &Config) -> Result<Sum> {
    let model = pipeline::open_model(&config.predictor.model)?;
    let dataset = pipeline::open_dataset(config, Some(&model)).await?;
    let entropy = config.dataset.seed.unwrap_or_default();
    let mut source = dataset.into_source(entropy)?;
    let mut sum = Sum::default();
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
pub(super) fn of_log(log: &Path) -> Result<Found> {
    let mut sum = Sum::default();
    let mut ids = Vec::new();
    Reader::open(log)
        .read_new(&mut |row| {
            sum.add(row.y_true, row.y_pred);
            // Our own ids are UUIDs; anything else would not be of this run, and two of it count as one.
            ids.push(Uuid::parse_str(&row.id).unwrap_or_default());
        })
        .context("the log of the bench")?;
    ids.sort_unstable();
    ids.dedup();
    Ok(Found {
        sum,
        unique_ids: ids.len() as u64,
    })
}
