//! How wrong the model is, in numbers: a summary, a distribution, and both over a window.
//!
//! Promise: memory is bounded whatever the number of rows, adding a row costs a few nanoseconds, and no result is ever
//! NaN: what is undefined (no rows, one row, a constant truth) is `None`. A pair that is not finite is counted separately
//! and changes nothing else. Deliberately absent: IO, a clock (the caller passes times in), threads, drawing.
//!
//! ```text
//! (y_true, y_pred) --> Distribution --snapshot--> Snapshot { Report, Shape { Histogram, Curve, .. } } --> chart
//!                  \-> Window ---------snapshot-/
//! ```

mod classes;
mod distribution;
mod drift;
mod grid;
mod histogram;
mod interval;
mod kde;
mod ledger;
pub mod live;
mod log_loss;
mod moments;
mod quantiles;
mod select;
mod shape;
mod summary;
mod window;

pub use classes::{
    Average, ClassCounts, ClassPair, ClassShape, Classes, Confusion, MATRIX_CLASSES_MAX, Matrix,
    Score, ScoreCounts,
};
pub use distribution::{Distribution, VALUES_MAX};
pub use drift::{Change, Drift};
pub use grid::{CELLS, Grid};
pub use histogram::Histogram;
pub use interval::{Interval, mean_interval};
pub use kde::{Curve, GRID_POINTS};
pub use ledger::{LedgerCounters, LedgerSnapshot};
pub use log_loss::{LogLoss, LogLosses, LossFigure, LossReport, LossSnapshot, loss};
pub use moments::Moments;
pub use quantiles::{Quantiles, RELATIVE_ERROR};
pub use select::quantile;
pub use shape::{ErrorKind, ErrorView, Shape, Snapshot};
pub use summary::{Report, Summary};
pub use window::Window;
