//! The input is a file of joblib, compressed or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| residual_model_fuzz::joblib(bytes));
