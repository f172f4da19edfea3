//! One test binary for everything that crosses a module: a test is a sentence with an oracle.

mod conformance;
mod ledger;
mod parity;
mod picture;
mod simulation;
