//! What a finished run prints.

use std::{fmt, path::PathBuf};

use crate::stats;

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Rows that this run recorded.
    pub recorded: u64,
    /// From features to the durable row, in microseconds: p50, p99, p99.9 of this run's rows.
    pub latency_us: Option<[u64; 3]>,
    /// When the first row was sent and when the last became durable, in microseconds since the Unix epoch.
    pub span_us: Option<[u64; 2]>,
    /// Over the whole log.
    pub quality: stats::Report,
    /// The same for a classification.
    pub classification: Option<stats::live::Classification>,
    /// Over the rows whose predictions came with probabilities.
    pub log_loss: Option<stats::LogLoss>,
    /// The log.
    pub log: PathBuf,
    /// The picture.
    pub picture: PathBuf,
}

/// A number with six decimals, or `-` where it is unknown.
struct SixDecimals(Option<f64>);

impl fmt::Display for SixDecimals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value:.6}"),
            None => f.write_str("-"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats::Report {
            n,
            mae,
            rmse,
            r2,
            bias,
            ..
        } = self.quality;
        writeln!(f, "rows     {} of this run, {n} in the log", self.recorded)?;
        if let Some(labels) = &self.classification {
            self.write_scores(f, &labels.all_time)?;
        } else {
            writeln!(f, "MAE      {}", SixDecimals(mae))?;
            writeln!(f, "RMSE     {}", SixDecimals(rmse))?;
            writeln!(f, "R2       {}", SixDecimals(r2))?;
            writeln!(f, "bias     {}", SixDecimals(bias))?;
        }
        writeln!(f, "log      {}", self.log.display())?;
        write!(f, "picture  {}", self.picture.display())
    }
}

impl Report {
    fn write_scores(&self, f: &mut fmt::Formatter<'_>, score: &stats::Score) -> fmt::Result {
        let share = format_args!("{} of {} labels are right", score.right, score.n).to_string();
        writeln!(f, "accuracy {} ({share})", SixDecimals(score.accuracy))?;
        let average = score.average.map_or("-", stats::Average::name);
        writeln!(f, "F1       {} ({average})", SixDecimals(score.f1))?;
        match self.log_loss.filter(|loss| loss.n > 0) {
            Some(loss) => writeln!(
                f,
                "log-loss {} (of {} rows)",
                SixDecimals(loss.mean()),
                loss.n
            ),
            None => writeln!(f, "log-loss - (no probabilities received)"),
        }
    }
}
