//! The server over pipes in memory, its clock paused, its clients written by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cache;
mod concurrent;
mod curve;
mod engine;
mod faults;
mod forecast;
mod openai;
mod paired;
mod quirks;
#[expect(dead_code, reason = "the examples use the rest")]
#[path = "../../examples/scenario/mod.rs"]
mod scenario;
mod shapes;
mod steps;
mod trust;
mod truth;
mod wire;
