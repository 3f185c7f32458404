//! Paired comparisons of scenario S, few of them; `--example paired` makes hundreds.

use trie_core::compare::{Finding, Measure, Quantity, compare};

use crate::scenario::Side;

/// What is found of mean trace latency, for each of 12 seeds that no rule was chosen by, where the
/// same requests run on an engine with a jitter of its own whose steps take `factor` times as long.
fn findings(factor: f64) -> Vec<Finding> {
    let found = |seed| {
        let side = |jitter, factor| vec![Side { seed, jitter, factor }.run().unwrap()];
        let comparison = compare(side(seed, 1.0), side(seed + 1_000_000, factor), &[]).unwrap();
        let latency = comparison.change(Quantity::Latency, Measure::Mean).unwrap();
        latency.change_pct.finding()
    };
    (201..=212).map(found).collect()
}

#[test]
fn an_engine_that_is_5_percent_faster_is_found_by_its_trace_latency() {
    assert_eq!(findings(0.95), [Finding::Lower; 12]);
}

/// An interval of 95 % misses what is not there in one of twenty comparisons, and this one in up to
/// one of twelve (`docs/benchmarks/paired.md`): four of twelve would come about once in a hundred.
#[test]
fn the_same_engine_is_seldom_found_to_differ() {
    let found = findings(1.0).into_iter().filter(|finding| *finding != Finding::Unsure).count();
    assert!(found <= 3, "{found} of 12");
}
