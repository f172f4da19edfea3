//! The ledger against crashes, lost writes and full disks.

mod crash;
pub(crate) mod disk;
mod service;
