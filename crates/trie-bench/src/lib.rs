//! Benchmarks of `trie`, and its fuzz targets, as one program.
//!
//! # Layout
//!
//! - `commands`: from the command line to a benchmark.
//! - `shapes`: streams as servers send them, made from a count.
//! - `decode`: what a chunk costs, from bytes to counts.
//! - `measure`: medians, instruction counts, tables: the one place that reads the clock and prints.

mod commands;
mod decode;
mod measure;
mod shapes;

pub use commands::run;
