//! The metric service: joins truths with predictions by id, each id once, and records the rows.
//!
//! Duty: every half that arrives ends in exactly one state (matched, duplicate, conflicting, expired, late, evicted,
//! malformed), and every matched id stands in the log exactly once, even after `kill -9` between any two
//! instructions. Promise: a delivery is acknowledged only after its effect is durable; memory is bounded by
//! [`Config::pending_max`] and [`Config::seen_max`]. [`ledger`] explains how.
//! Deliberately absent: what the errors look like (plot and the page read the log), and which broker is used.

mod config;
mod context;
mod delay;
mod error;
mod files;
mod fingerprint;
mod join;
pub mod ledger;
mod loss_tracker;
mod pacing;
mod partition;
mod pending;
mod progress;
mod progress_feed;
mod recovery;
mod run_rows;
mod seen_ids;
mod service;
mod store;
mod timing;
mod unsettled;
mod unstored;
mod verify;

pub use config::{Config, LabelPolicy, SettingError};
pub use context::{RunContext, Windows};
pub use error::{MetricError, StoreContentError};
pub use partition::{group, groups};
pub use pending::Kind;
pub use progress::{Progress, Reason};
pub use service::{BlockingWork, Ports, Storage, TIMES, run};
pub use verify::{Report, verify, verify_as};
