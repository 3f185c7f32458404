//! Behaviour of trie-core, seen from outside.
#![expect(
    clippy::unwrap_used,
    reason = "clippy sees only test functions as tests, not what they share"
)]

mod blocks;
mod checks;
mod compare;
mod convert;
mod entry;
mod generate;
mod goodput;
mod graphs;
mod inspect;
mod metrics;
mod plan;
mod pool;
mod report;
mod room;
mod steps;
mod workload;
mod workload_errors;
