//! `trie-bench`: benchmarks that print tables, and fuzz targets.

use std::process::ExitCode;

fn main() -> ExitCode {
    trie_bench::run(std::env::args().skip(1))
}
