//! The `residual` binary.

fn main() {}
