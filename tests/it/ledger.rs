//! The ledger against crashes, lost writes and full disks.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, and a drill can be dumped"
)]

mod crash;
pub(crate) mod disk;
mod kill;
mod scale;
mod service;
