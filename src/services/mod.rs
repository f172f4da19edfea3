//! The four services. Each is one function that takes its ports, its settings and a token to stop it. None imports another.
//!
//! | service | consumes | publishes | writes |
//! |---|---|---|---|
//! | `features` | | `features`, `y_true` | |
//! | `predictor` | `features` as group `predictor` | `y_pred` | |
//! | `metric` | `y_true`, `y_pred` as group `metric` | | `metric_log.csv`, `unmatched.csv` |
//! | `plot` | | | `error_distribution.png` |

pub mod features;
pub mod metric;
pub mod plot;
pub mod predictor;
