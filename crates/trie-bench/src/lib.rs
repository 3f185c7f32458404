//! Benchmarks of `trie`, and its fuzz targets, as one program.
//!
//! # Layout
//!
//! - `commands`: from the command line to a benchmark.
//! - `shapes`: streams as servers send them, made from a count.
//! - `decode`: what a chunk costs, from bytes to counts.
//! - `rows`: a run directory of many rows, made without a server.
//! - `report`: what a report on it takes.
//! - `live`: the whole client against a server with a schedule that notes when it wrote each chunk.
//! - `fuzz`, `dice`: two readings of the same bytes compared, for as long as asked.
//! - `fuzz_import`: mutated traces of every format imported, for as long as asked.
//! - `allocations`: a count of them, for tests.
//! - `measure`: medians, instruction counts, tables: the one place that reads the clock and prints.

#[cfg(test)]
mod allocations;
mod commands;
mod decode;
mod dice;
mod fuzz;
mod fuzz_import;
#[cfg(target_os = "linux")]
mod live;
mod measure;
mod report;
mod rows;
mod shapes;

pub use commands::run;
