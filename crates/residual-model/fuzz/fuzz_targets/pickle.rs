//! The input is a pickle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| residual_model_fuzz::pickle(bytes));
