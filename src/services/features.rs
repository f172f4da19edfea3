//! Streams labelled rows: the features and, under the same id, the true answer.
//!
//! Promise: a row counts as sent when the bus has confirmed both halves. Pacing keeps the configured rate, however short
//! the interval; a stream that fell behind, because the bus was away, continues at that rate and does not catch up in a
//! burst.
//! Deliberately absent: any knowledge of models.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    bus::{BusError, Message, Publisher, Receipt, Receipts, Unconfirmed},
    clock::Period,
    dataset::{DatasetError, Sample, Source},
    message::{self, Encoding, Features, IdSource, Record, Truth},
};

/// Settings of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Delay after each row; `0s` streams as fast as the bus takes it.
    pub interval: Period,
    /// Rows to send; without end if 0.
    pub count: u64,
    /// Most rows in one frame.
    pub frame_records: usize,
    /// Most bytes in one frame, approximately; a single row may be larger.
    pub frame_bytes: usize,
    /// How long a row may wait for others to share its frame while earlier frames are unconfirmed, in milliseconds; when
    /// none is, it is sent at once.
    pub linger_ms: u64,
    /// How frames are encoded: `postcard`, or `json` for foreign clients.
    pub encoding: Encoding,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Period::from_millis(1_000),
            count: 0,
            frame_records: 256,
            frame_bytes: 64 << 10,
            linger_ms: 1,
            encoding: Encoding::Postcard,
        }
    }
}

/// Frames that may be unconfirmed: enough to hide a round trip to the broker, few enough to stop quickly.
const IN_FLIGHT_MAX: usize = 32;

/// Frames of at most this many rows are logged row by row; larger ones only on the level `debug`.
const LOG_EACH_MAX: usize = 16;

/// Where the service gets rows and sends their halves.
pub struct Ports {
    /// The rows.
    pub rows: Source,
    /// Creates the ids.
    pub ids: IdSource,
    /// To the topic `features`.
    pub features: Box<dyn Publisher>,
    /// To the topic `y_true`.
    pub truths: Box<dyn Publisher>,
}

/// Why the stream ended early.
#[derive(Debug, thiserror::Error)]
pub enum FeaturesError {
    /// A bad row; everything before it was sent.
    #[error("source failed after {sent} rows were sent")]
    Source {
        /// Rows that were sent and confirmed.
        sent: u64,
        /// The cause.
        #[source]
        source: DatasetError,
    },
    /// The bus refused.
    #[error("rows could not be published")]
    Bus(#[from] BusError),
    /// The bus closed before it confirmed.
    #[error("rows were not confirmed")]
    Unconfirmed(#[from] Unconfirmed),
}

/// Sends rows until `count` are sent, the source ends, or `stop` is cancelled; returns how many were confirmed.
///
/// # Errors
/// At a bad row or a bus that refuses; what was sent before is confirmed first.
pub async fn run(
    ports: Ports,
    config: &Config,
    stop: CancellationToken,
) -> Result<u64, FeaturesError> {
    let mut stream = Stream::new(ports, config);
    let ended = stream.pump(&stop).await;
    let sent = stream.finish().await?;
    match ended {
        Err(FeaturesError::Source { source, .. }) => Err(FeaturesError::Source { sent, source }),
        Err(other) => Err(other),
        Ok(()) => {
            tracing::info!(rows = sent, "features done");
            Ok(sent)
        }
    }
}

/// The source at the configured pace: says which rows to send, how many, and when.
struct PacedRows<'a> {
    rows: Source,
    pace: Pace,
    config: &'a Config,
    taken: u64,
    /// Most rows in a frame; one, until the first row has shown how large rows are.
    frame_rows: usize,
}

/// Bytes that a row takes on the bus in addition to its values: the id.
const ROW_BYTES: usize = 20;

impl PacedRows<'_> {
    /// The rows of the next frame; empty at the end. `is_idle` says that nothing is unconfirmed. Cancel safe.
    async fn next_batch(&mut self, is_idle: bool) -> Result<Vec<Sample>, DatasetError> {
        let left = match self.config.count {
            0 => u64::MAX,
            count => count - self.taken,
        };
        if left == 0 {
            return Ok(Vec::new());
        }
        let linger = if is_idle { 0 } else { self.config.linger_ms };
        let linger = Duration::from_millis(linger);
        let due = self.pace.due(self.frame_rows, linger).await;
        let max = usize::try_from(left).map_or(due, |left| due.min(left));
        let batch = self.rows.next_batch(max).await?;
        self.pace.took(batch.len());
        self.taken += batch.len() as u64;
        if let Some(row) = batch.first() {
            let row_bytes = ROW_BYTES + size_of_val(row.features.as_slice());
            let rows = self.config.frame_bytes / row_bytes;
            self.frame_rows = rows.clamp(1, self.config.frame_records.max(1));
        }
        Ok(batch)
    }
}

struct Stream<'a> {
    rows: PacedRows<'a>,
    ids: IdSource,
    features: Box<dyn Publisher>,
    truths: Box<dyn Publisher>,
    /// Rows of each frame that is not confirmed yet.
    in_flight: Receipts<usize>,
    confirmed: u64,
}

impl<'a> Stream<'a> {
    fn new(ports: Ports, config: &'a Config) -> Self {
        let Ports {
            rows,
            ids,
            features,
            truths,
        } = ports;
        let rows = PacedRows {
            rows,
            pace: Pace::new(config.interval.0),
            config,
            taken: 0,
            frame_rows: 1,
        };
        Self {
            rows,
            ids,
            features,
            truths,
            in_flight: Receipts::default(),
            confirmed: 0,
        }
    }

    async fn pump(&mut self, stop: &CancellationToken) -> Result<(), FeaturesError> {
        loop {
            let room = self.in_flight.len() < IN_FLIGHT_MAX;
            let is_idle = self.in_flight.is_empty();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                (rows, confirmed) = self.in_flight.oldest() => self.confirm(rows, confirmed)?,
                batch = self.rows.next_batch(is_idle), if room => match batch {
                    Ok(batch) if batch.is_empty() => return Ok(()),
                    Ok(batch) => self.send(batch).await?,
                    Err(source) => return Err(FeaturesError::Source { sent: self.confirmed, source }),
                },
            }
        }
    }

    async fn send(&mut self, batch: Vec<Sample>) -> Result<(), FeaturesError> {
        let rows = batch.len();
        let encoding = self.rows.config.encoding;
        let (features, truths) = self.split(batch);
        let truths = self
            .truths
            .publish(vec![frame_message(&truths, encoding)])
            .await?;
        let features = self
            .features
            .publish(vec![frame_message(&features, encoding)])
            .await?;
        let both = Receipt::new(async move { truths.await.and(features.await) });
        self.in_flight.push(both, rows);
        metrics::counter!("residual_rows_sent_total").increment(rows as u64);
        Ok(())
    }

    /// Gives each row an id and splits it into features and truth.
    fn split(&mut self, batch: Vec<Sample>) -> (Vec<Record<Features>>, Vec<Record<Truth>>) {
        let log_each = batch.len() <= LOG_EACH_MAX;
        let mut features = Vec::with_capacity(batch.len());
        let mut truths = Vec::with_capacity(batch.len());
        for sample in batch {
            let id = self.ids.mint();
            if log_each {
                tracing::info!(%id, y_true = sample.target, "sent");
            } else {
                tracing::debug!(%id, y_true = sample.target, "sent");
            }
            truths.push(Record {
                id: id.clone(),
                body: Truth(sample.target),
            });
            features.push(Record {
                id,
                body: Features(sample.features),
            });
        }
        (features, truths)
    }

    fn confirm(
        &mut self,
        rows: usize,
        confirmed: Result<(), Unconfirmed>,
    ) -> Result<(), FeaturesError> {
        confirmed?;
        self.confirmed += rows as u64;
        tracing::debug!(rows = self.confirmed, "confirmed");
        Ok(())
    }

    async fn finish(mut self) -> Result<u64, FeaturesError> {
        while !self.in_flight.is_empty() {
            let (rows, confirmed) = self.in_flight.oldest().await;
            self.confirm(rows, confirmed)?;
        }
        self.features.close().await?;
        self.truths.close().await?;
        Ok(self.confirmed)
    }
}

fn frame_message<B: message::Body>(records: &[Record<B>], encoding: Encoding) -> Message {
    // The first record's id is unique to this frame, so the frame's own id follows from it.
    let name = records
        .first()
        .map(|record| record.id.to_string())
        .unwrap_or_default();
    let frame = message::encode(records, encoding);
    let id = Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{}/{name}", B::TOPIC).as_bytes(),
    );
    Message::new(id, frame.content_type, frame.body)
}

/// Decides how many rows are due.
struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            next: Instant::now(),
        }
    }

    /// Waits until at least one row is due, then up to `linger` for more rows, but no longer than until `max` are due.
    /// Returns how many are, at most `max`.
    async fn due(&mut self, max: usize, linger: Duration) -> usize {
        if self.interval.is_zero() {
            return max;
        }
        let others = u32::try_from(max.saturating_sub(1)).unwrap_or(u32::MAX);
        sleep_until(self.next + linger.min(self.interval.saturating_mul(others))).await;
        let behind = self.next.elapsed().as_nanos() / self.interval.as_nanos();
        let due = usize::try_from(behind)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        if due > max {
            // Too far behind to catch up without a burst, so the schedule begins again here.
            self.next = Instant::now();
        }
        due.min(max)
    }

    fn took(&mut self, rows: usize) {
        self.next += self
            .interval
            .saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_paced_stream_is_due_one_row_an_interval() {
        let mut pace = Pace::new(Duration::from_millis(100));
        for _ in 0..5 {
            assert_eq!(pace.due(256, Duration::ZERO).await, 1);
            pace.took(1);
        }
        let started = Instant::now();
        assert_eq!(pace.due(256, Duration::ZERO).await, 1);
        assert_eq!(started.elapsed(), Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_lingers_for_others_but_not_longer_than_a_frame_takes_to_fill() {
        let mut pace = Pace::new(Duration::from_micros(100));
        let linger = Duration::from_millis(2);
        let started = Instant::now();
        assert_eq!(pace.due(256, linger).await, 21);
        assert_eq!(started.elapsed(), linger);
        pace.took(21);
        assert_eq!(pace.due(4, linger).await, 4);
        assert!(started.elapsed() < 2 * linger);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_fell_far_behind_does_not_burst() {
        let mut pace = Pace::new(Duration::from_millis(1));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pace.due(256, Duration::ZERO).await, 256);
        pace.took(256);
        let started = Instant::now();
        assert_eq!(pace.due(256, Duration::ZERO).await, 1);
        assert_eq!(started.elapsed(), Duration::from_millis(256));
    }
}
