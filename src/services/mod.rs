//! The services. None imports another; they meet only on the bus and in the log.

pub mod metric;
