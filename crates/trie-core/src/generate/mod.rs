//! Workloads made: by tables of what real ones look like, or from the sessions of one that is there.
//!
//! # Layout
//!
//! - `dice`: random numbers of one session, and numbers that are like the ones before them.
//! - `table`, `tables`: distributions by their quantiles, and those of public data.
//! - `session`: one session, and the row it is written as.
//! - `coding`, `preset`: [`Preset`], sessions by the tables.
//! - `like`: sessions of a workload that is there.
//! - `knobs`: [`Knobs`], what is changed of either.
//! - `check`: [`check`], what was made against the tables.
//! - `write`: [`generate`], all of it.
//!
//! Equal options give equal bytes on every platform: numbers are drawn by counter with splitmix64, and
//! logarithms come from the pure-Rust `libm`.

mod check;
mod coding;
mod dice;
mod knobs;
mod like;
mod preset;
mod session;
mod table;
mod tables;
mod write;

pub use check::{Checked, CheckedShare, CheckedTable, check};
pub use knobs::Knobs;
pub use preset::Preset;
pub use write::{GenerateError, GenerateOptions, Generated, Origin, generate};
