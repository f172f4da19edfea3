//! The input is a metric log, read while it grows.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| residual_fuzz::metric_log(bytes));
