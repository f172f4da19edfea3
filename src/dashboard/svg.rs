//! Charts as SVG for the page: small, themed by the page's style sheet, readable on a phone.
//!
//! Promise: pure functions of numbers; whatever the numbers are, coordinates are finite and the size is bounded.

mod chart;
mod classes;
mod histogram;
mod scale;
mod scatter;
mod timeline;

pub(super) use classes::classes;
pub(super) use histogram::histogram;
pub(super) use scatter::scatter;
pub(super) use timeline::{Axis, timeline};
