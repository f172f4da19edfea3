//! What a finished run tells its user.

use std::{fmt, path::PathBuf};

use crate::stats;

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Rows that this run recorded.
    pub recorded: u64,
    /// From features to durable row, in microseconds: p50, p99, p99.9 of this run's rows.
    pub latency_us: Option<[u64; 3]>,
    /// When the first row was sent and when the last became durable, in microseconds since the Unix epoch.
    pub span_us: Option<[u64; 2]>,
    /// Over the whole log.
    pub quality: stats::Report,
    /// The same of labels.
    pub classification: Option<stats::live::Classification>,
    /// Over the rows whose predictions brought probabilities.
    pub log_loss: Option<stats::LogLoss>,
    /// The log.
    pub log: PathBuf,
    /// The picture.
    pub picture: PathBuf,
}

/// Shows a figure with six decimals, or that there is none.
struct Figure(Option<f64>);

impl fmt::Display for Figure {
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
            self.labels(f, &labels.all_time)?;
        } else {
            writeln!(f, "MAE      {}", Figure(mae))?;
            writeln!(f, "RMSE     {}", Figure(rmse))?;
            writeln!(f, "R2       {}", Figure(r2))?;
            writeln!(f, "bias     {}", Figure(bias))?;
        }
        writeln!(f, "log      {}", self.log.display())?;
        write!(f, "picture  {}", self.picture.display())
    }
}

impl Report {
    fn labels(&self, f: &mut fmt::Formatter<'_>, score: &stats::Score) -> fmt::Result {
        let share = format_args!("{} of {} labels are right", score.right, score.n).to_string();
        writeln!(f, "accuracy {} ({share})", Figure(score.accuracy))?;
        let average = score.average.map_or("-", stats::Average::name);
        writeln!(f, "F1       {} ({average})", Figure(score.f1))?;
        match self.log_loss.filter(|loss| loss.n > 0) {
            Some(loss) => writeln!(f, "log-loss {} (of {} rows)", Figure(loss.mean()), loss.n),
            None => writeln!(f, "log-loss - (no probabilities came)"),
        }
    }
}
