//! Replicates pooled: means with intervals worked out by hand.

use trie_core::metrics::{
    Bound, Cell, CheckId, Floor, Measured, MetricId, Origin, PoolError, Replicated, Stat, Status,
    Summary, Trust, pool,
};
use trie_core::record::Reason;
use trie_core::report::{csv, text};

use crate::metrics::summary;

/// Replicates of one golden case whose mean TTFT is as given.
fn replicates(ttfts: &[f64]) -> Vec<Replicated> {
    let one = |(number, ttft): (u64, &f64)| {
        let mut summary = summary("plain");
        summary.run.seed = 40 + number;
        summary.per_trace.get_mut(&MetricId::Ttft).unwrap().mean = Cell::exact(*ttft);
        Replicated { dir: number.to_string(), summary }
    };
    (0..).zip(ttfts).map(one).collect()
}

fn ttft(summary: &Summary, stat: Stat) -> &Cell {
    summary.per_trace[&MetricId::Ttft].cell(stat)
}

#[test]
fn a_figure_is_the_mean_with_students_interval() {
    let pooled = pool(&replicates(&[10.0, 12.0, 14.0]), 3).unwrap();
    let cell = ttft(&pooled, Stat::Mean);
    assert!((cell.value().unwrap() - 12.0).abs() < 1e-12);
    // sd 2, over the root of 3, times t of two degrees of freedom, 4.30265.
    let half = 4.302_652_7 * 2.0 / 3_f64.sqrt();
    let ends = cell.interval().unwrap();
    assert!((ends.low - (12.0 - half)).abs() < 1e-5 && (ends.high - (12.0 + half)).abs() < 1e-5);
    // What is equal in all has an interval without width; counts are sums.
    let one = summary("plain");
    assert!(
        (pooled.per_trace[&MetricId::Ttft].n_effective
            - 3.0 * one.per_trace[&MetricId::Ttft].n_effective)
            .abs()
            < 1e-9
    );
    assert_eq!(pooled.populations.admitted, 3 * one.populations.admitted);
    assert_eq!(pooled.accounting.requests.values().sum::<u64>() % 3, 0);
    let said = pooled.replicates.as_ref().unwrap();
    assert_eq!((said.planned, said.used), (3, 3));
    assert_eq!(said.runs.iter().map(|one| one.seed).collect::<Vec<_>>(), [40, 41, 42]);
    let page = text(&pooled, 200);
    assert!(page.contains("12.000  ±4.968"), "{page}");
    assert!(page.contains("mean of 3 replicates ± half of its 95 % interval"), "{page}");
    assert!(page.contains("over 3 replicates (Student's t)"), "{page}");
    assert!(csv(&pooled).contains("per_trace,ttft_s,mean,12,,"), "{}", csv(&pooled));
}

#[test]
fn the_smallest_and_the_largest_are_those_of_all() {
    let mut runs = replicates(&[1.0, 1.0]);
    for (run, value) in runs.iter_mut().zip([3.0, 5.0]) {
        let all = run.summary.per_trace.get_mut(&MetricId::Ttft).unwrap();
        (all.min, all.max) = (Cell::exact(value - 2.0), Cell::exact(value));
    }
    let pooled = pool(&runs, 2).unwrap();
    assert_eq!(ttft(&pooled, Stat::Min), &Cell::exact(1.0));
    assert_eq!(ttft(&pooled, Stat::Max), &Cell::exact(5.0));
}

#[test]
fn the_largest_is_a_bound_where_one_of_them_did_not_see_its_end() {
    let mut runs = replicates(&[1.0, 1.0]);
    let open = |value: f64| {
        Cell::Measured(Measured {
            value,
            bound: Bound::AtLeast,
            floor: Floor::Met,
            origin: Origin::Reported,
            interval: None,
            note: None,
        })
    };
    let seen = [Cell::exact(100.0), open(90.0)];
    for (run, max) in runs.iter_mut().zip(seen) {
        run.summary.per_trace.get_mut(&MetricId::Ttft).unwrap().max = max;
    }
    let pooled = pool(&runs, 2).unwrap();
    assert_eq!(ttft(&pooled, Stat::Max), &open(100.0));
}

#[test]
fn doubts_of_one_replicate_are_doubts_of_the_mean() {
    let mut runs = replicates(&[1.0, 2.0, 3.0]);
    let mean = |run: &mut Replicated, cell: Cell| {
        run.summary.per_trace.get_mut(&MetricId::Ttft).unwrap().mean = cell;
    };
    let plain = Measured {
        value: 4.0,
        bound: Bound::AtLeast,
        floor: Floor::Below,
        origin: Origin::Reported,
        interval: None,
        note: Some("a remark".to_owned()),
    };
    mean(&mut runs[1], Cell::Measured(plain));
    let Cell::Measured(found) = ttft(&pool(&runs, 3).unwrap(), Stat::Mean).clone() else {
        panic!("every replicate has a value");
    };
    assert!((found.value - 8.0 / 3.0).abs() < 1e-12);
    assert_eq!((found.bound, found.floor, found.interval), (Bound::AtLeast, Floor::Below, None));
    assert_eq!(found.note.as_deref(), Some("a remark (1 of 3 replicates)"));

    mean(&mut runs[1], Cell::Missing("nothing came".to_owned()));
    let Cell::Measured(found) = ttft(&pool(&runs, 3).unwrap(), Stat::Mean).clone() else {
        panic!("two replicates have a value");
    };
    assert!((found.value - 2.0).abs() < 1e-12 && found.interval.is_some());
    assert_eq!(found.note.as_deref(), Some("known in 2 of 3 replicates"));
}

#[test]
fn a_check_is_as_bad_as_in_the_worst_replicate() {
    let mut runs = replicates(&[1.0, 1.0, 1.0]);
    let check = |run: &mut Replicated, status, value| {
        let all = &mut run.summary.verdict.checks;
        let check = all.iter_mut().find(|check| check.id == CheckId::TokenDrift).unwrap();
        (check.status, check.value, check.advice) = (status, Cell::exact(value), "do".to_owned());
    };
    check(&mut runs[0], Status::Warn, 1.0);
    check(&mut runs[2], Status::Warn, 1.5);
    let found = |runs: &[Replicated]| {
        let verdict = pool(runs, 3).unwrap().verdict;
        let check = verdict.checks.iter().find(|check| check.id == CheckId::TokenDrift).unwrap();
        (check.clone(), verdict.trust)
    };
    let (one, _) = found(&runs);
    assert_eq!((one.status, one.value.value()), (Status::Warn, Some(1.5)));
    assert_eq!(one.advice, "do (in 2 of 3 replicates)");
    check(&mut runs[1], Status::Fail, 9.0);
    let (one, trust) = found(&runs);
    assert_eq!((one.status, trust), (Status::Fail, Trust::No));
    assert_eq!(one.advice, "do (in 1 of 3 replicates)");
}

#[test]
fn what_did_not_go_on_to_its_deadline_is_left_out() {
    let mut runs = replicates(&[1.0, 3.0, 100.0]);
    runs[2].summary.run.endings = vec![Some(Reason::Interrupted)];
    let pooled = pool(&runs, 5).unwrap();
    assert!((ttft(&pooled, Stat::Mean).value().unwrap() - 2.0).abs() < 1e-12);
    let said = pooled.replicates.as_ref().unwrap();
    assert_eq!((said.planned, said.used), (5, 2));
    assert!(!said.runs[2].used);
    let notes = pooled.run.notes.join("\n");
    assert!(notes.contains("left out, since they ended before their deadline: replicates 2"));
    assert!(notes.contains("3 of 5 replicates were begun"), "{notes}");
    // One alone has no spread, and where none was whole there is still what they saw.
    let alone = pool(&runs[2..], 5).unwrap();
    let cell = ttft(&alone, Stat::Mean);
    assert_eq!((cell.value(), cell.interval()), (Some(100.0), None));
}

#[test]
fn what_is_no_replicate_is_refused() {
    let mut runs = replicates(&[1.0, 1.0]);
    assert_eq!(pool(&[], 0), Err(PoolError::NoRuns));
    runs[1].summary.run.seed = 40;
    let error = pool(&runs, 2).unwrap_err().to_string();
    assert!(error.contains("0 and 1 are both of seed 40"), "{error}");
    runs[1].summary.run.concurrency += 1;
    let error = pool(&runs, 2).unwrap_err().to_string();
    assert!(error.contains("1 is no replicate of 0: concurrency differs"), "{error}");
}
