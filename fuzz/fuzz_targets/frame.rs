//! The input is a frame of any topic, in either encoding.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| residual_fuzz::frame(bytes));
