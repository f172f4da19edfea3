//! The input is a converted model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| residual_model_fuzz::store(bytes));
