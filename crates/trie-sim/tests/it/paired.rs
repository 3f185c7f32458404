//! Paired comparisons of scenario S, few of them; `--example paired` makes hundreds.

use trie_core::compare::{Comparison, Finding, Measure, Quantity, compare};

use crate::scenario::{Side, run};

/// Two runs of the same requests, each with a jitter of its own; B's steps take `factor` times as long.
fn pair(seed: u64, factor: f64) -> Comparison {
    let side = |jitter: u64, factor: f64| vec![run(Side { seed, jitter, factor, seconds: 300 })];
    compare(side(seed, 1.0), side(seed + 1_000_000, factor), &[]).unwrap()
}

fn findings(factor: f64) -> Vec<Finding> {
    let found = |seed| {
        let comparison = pair(seed, factor);
        let latency = comparison.change(Quantity::Latency, Measure::Mean).unwrap();
        latency.change_pct.finding()
    };
    (1..=6).map(found).collect()
}

#[test]
fn an_engine_that_is_5_percent_faster_is_found_by_its_trace_latency() {
    assert_eq!(findings(0.95), [Finding::Lower; 6]);
}

#[test]
fn the_same_engine_is_not_found_to_differ() {
    assert_eq!(findings(1.0), [Finding::Unsure; 6]);
}
