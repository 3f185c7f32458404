//! What the statistics of a report are worth, on few runs of scenario S; `--example proofs` makes hundreds
//! (`docs/benchmarks/trust.md`). Seeds and engine are fixed, so that each figure is the same every time; the
//! bounds are as wide as so few runs need and still such that the estimators these replaced miss them.

use trie_core::metrics::{CheckId, MetricId, Stat, Status, Summary, over_replicates};

use crate::scenario::{
    Run, Start,
    figures::{Share, mean, off},
};

/// Seeds that no rule was chosen by.
fn runs(concurrency: u32, start: Start, count: u64) -> Vec<Summary> {
    let run = |seed| Run { concurrency, seconds: 300, seed, start }.summary().unwrap();
    (2_001..2_001 + count).map(run).collect()
}

/// Two hours.
fn truth(concurrency: u32) -> Summary {
    let run = Run { concurrency, seconds: 7_200, seed: 102_001, start: Start::Cold };
    run.summary().unwrap()
}

fn throughput(run: &Summary) -> f64 {
    run.workload[&MetricId::Completion].steady_state.as_ref().unwrap().value().unwrap()
}

fn doubted(run: &Summary, id: CheckId) -> bool {
    let check = run.verdict.checks.iter().find(|check| check.id == id).unwrap();
    matches!(check.status, Status::Warn | Status::Fail)
}

#[test]
fn traces_that_were_cut_off_count_and_completed_ones_alone_are_too_fast() {
    let (runs, truth) = (runs(8, Start::Cold, 40), truth(8));
    let of = |run: &Summary, metric, stat| run.per_trace[&metric].cell(stat).value().unwrap();
    let off_by = |metric, stat| {
        let all: Vec<f64> = runs.iter().map(|run| of(run, metric, stat)).collect();
        off(&all, &[of(&truth, MetricId::Latency, stat)])
    };
    let (p50, p90) = (off_by(MetricId::Latency, Stat::P50), off_by(MetricId::Latency, Stat::P90));
    // Standard errors of 40 runs and of the truth together: 3 % (p50) and 4 % (p90).
    assert!(p50.abs() < 6.0 && p90.abs() < 8.0, "{p50} {p90}");
    let completed = off_by(MetricId::LatencyCompleted, Stat::P90);
    assert!(completed < -10.0 && completed < p90 - 5.0, "{completed}");
    let flagged = Share::new(&runs, |run| doubted(run, CheckId::Censoring));
    assert!(flagged.percent() >= 90.0, "{flagged}");
}

#[test]
fn a_cold_start_is_seen_and_equilibrium_is_let_pass() {
    let unsteady = |concurrency, start, count| {
        Share::new(&runs(concurrency, start, count), |run| doubted(run, CheckId::SteadyState))
    };
    let cold = unsteady(48, Start::Cold, 6);
    assert_eq!(cold.count, cold.of);
    let cliff = unsteady(24, Start::Cold, 10);
    assert!(cliff.count >= 9, "{cliff}");
    // One in thirty is due; five of 30 would come once in 500 times.
    let calm = unsteady(8, Start::Equilibrium, 30);
    assert!(calm.count <= 4, "{calm}");
}

#[test]
fn an_equilibrium_start_is_close_to_the_truth_where_a_cold_one_is_far_off() {
    let truth = throughput(&truth(48));
    let of = |start| {
        let all: Vec<f64> = runs(48, start, 8).iter().map(throughput).collect();
        off(&all, &[truth])
    };
    let (cold, equilibrium) = (of(Start::Cold), of(Start::Equilibrium));
    assert!(cold > 25.0 && equilibrium.abs() < 20.0, "{cold} {equilibrium}");
}

#[test]
fn intervals_of_five_replicates_hold_the_truth() {
    let all = runs(8, Start::Equilibrium, 100);
    let truth = throughput(&truth(8));
    let sets: Vec<&[Summary]> = all.chunks_exact(5).collect();
    let reaches = |set: &&&[Summary]| {
        let values: Vec<f64> = set.iter().map(throughput).collect();
        let error =
            |run: &Summary| run.steady_state.as_ref().unwrap().errors[&MetricId::Completion];
        let inside: Vec<f64> = set.iter().map(error).collect();
        let (middle, reach) = over_replicates(&values, &inside).unwrap();
        assert!(reach < 0.2 * mean(&values), "{reach}");
        (middle - truth).abs() <= reach
    };
    let held = Share::new(&sets, |set| reaches(&set));
    // At 94 %, four of 20 would be missed once in 30 times.
    assert!(held.count >= 16, "{held}");
}
