//! The replicates of a run as one summary: every figure is a mean over them, with an interval.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Number;
use thiserror::Error;

use super::estimate::float;
use super::interval::over_replicates;
use super::room::room_check;
use super::verdict::trust;
use super::{
    Accounting, Bound, Bounds, CacheRoom, Cell, Check, CheckId, Distribution, Floor, GoodShare,
    Goodput, Measured, MetricId, Origin, Populations, Replicate, Replicates, RunFacts,
    SUMMARY_SCHEMA, Summary, Throughput, Verdict,
};
use crate::record::Reason;

/// A replicate and its own summary.
#[derive(Clone, Debug)]
pub struct Replicated {
    /// Its run directory, as it is to be named in the pooled summary.
    pub dir: String,
    /// What it alone comes to.
    pub summary: Summary,
}

/// Why runs are no replicates of each other.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum PoolError {
    /// No run was given.
    #[error("no replicate to report on")]
    NoRuns,
    /// They differ in more than their seed.
    #[error(
        "{dir} is no replicate of {first}: {what} differs ({found} against {expected}); hint: report \
         them one by one"
    )]
    Different {
        /// The first run.
        first: String,
        /// The run that differs.
        dir: String,
        /// In what.
        what: &'static str,
        /// Its value.
        found: String,
        /// The first run's value.
        expected: String,
    },
    /// Two of them are of one seed: they are not independent.
    #[error("{first} and {dir} are both of seed {seed}; hint: report them one by one")]
    SameSeed {
        /// The earlier run.
        first: String,
        /// The later run.
        dir: String,
        /// Their seed.
        seed: u64,
    },
}

/// Pools replicates of which `planned` were asked for.
///
/// Figures are of those that went on to their deadline, or of all where none did. Each is the mean over the
/// replicates with a 95 % interval by Student's t, that of a steady-state throughput no closer than what the
/// runs show inside (see `over_replicates`); `min` and `max` are those of all replicates, counts are
/// sums. A check is as bad as in the worst replicate, also in one that a fault ended.
///
/// # Errors
///
/// When there is no run, or when they differ in more than their seed.
pub fn pool(runs: &[Replicated], planned: u64) -> Result<Summary, PoolError> {
    alike(runs)?;
    let whole = |run: &Replicated| ending(run) == Some(Reason::Deadline);
    let none = !runs.iter().any(whole);
    let is_used = |run: &Replicated| none || whole(run);
    let used: Vec<&Summary> =
        runs.iter().filter(|run| is_used(run)).map(|run| &run.summary).collect();
    let judged: Vec<&Summary> =
        runs.iter().filter(|run| is_used(run) || broke_off(run)).map(|run| &run.summary).collect();
    let each = runs.iter().map(|run| Replicate {
        dir: run.dir.clone(),
        seed: run.summary.run.seed,
        plan_sha256: run.summary.run.plan_sha256.clone(),
        started_at: run.summary.run.started_at.clone(),
        ending: ending(run),
        used: is_used(run),
        trust: run.summary.verdict.trust,
        steady_state: run.summary.steady_state.clone(),
    });
    let replicates = Replicates { planned, used: used.len() as u64, runs: each.collect() };
    let keyed = |all: fn(&Summary) -> &BTreeMap<MetricId, Distribution>| {
        keys(&used, all).map(|id| (id, distribution(&present(&used, all, id)))).collect()
    };
    Ok(Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        verdict: verdict(&judged),
        populations: populations(&used),
        per_trace: keyed(|summary| &summary.per_trace),
        per_request: keyed(|summary| &summary.per_request),
        workload: throughputs(&used),
        goodput: goodput(&used),
        steady_state: None,
        cache_room: room(&used),
        seed: seed(&used),
        accounting: accounting(&used),
        run: facts(&used, &replicates),
        replicates: Some(replicates),
    })
}

/// Refuses runs of other work, and a seed that is there twice.
fn alike(runs: &[Replicated]) -> Result<(), PoolError> {
    let Some(first) = runs.first() else { return Err(PoolError::NoRuns) };
    let facts = |run: &Replicated| {
        let RunFacts { workload, model, concurrency, duration_s, history, .. } = &run.summary.run;
        [
            ("workload sha256", workload.sha256.clone()),
            ("model", model.clone()),
            ("concurrency", concurrency.to_string()),
            ("duration", duration_s.to_string()),
            ("history", history.clone()),
        ]
    };
    let mut seeds = BTreeMap::new();
    for run in runs {
        let apart = facts(run).into_iter().zip(facts(first)).find(|(one, other)| one != other);
        if let Some(((what, found), (_, expected))) = apart {
            let (first, dir) = (first.dir.clone(), run.dir.clone());
            return Err(PoolError::Different { first, dir, what, found, expected });
        }
        let seed = run.summary.run.seed;
        if let Some(first) = seeds.insert(seed, run.dir.clone()) {
            return Err(PoolError::SameSeed { first, dir: run.dir.clone(), seed });
        }
    }
    Ok(())
}

fn ending(run: &Replicated) -> Option<Reason> {
    run.summary.run.endings.first().copied().flatten()
}

/// Whether a fault ended it, not its deadline or the user.
fn broke_off(run: &Replicated) -> bool {
    match ending(run) {
        Some(Reason::MaxFailures | Reason::Failed) => true,
        Some(Reason::Deadline | Reason::Interrupted) | None => false,
    }
}

/// The mean of cells, as sure as they agree. A bound of one is a bound of the mean, and has no interval.
fn average<'c>(cells: impl Iterator<Item = &'c Cell>) -> Cell {
    average_with(cells, &[])
}

/// The same with an interval that is not closer than `inside`, the errors inside each replicate, allow.
fn average_with<'c>(cells: impl Iterator<Item = &'c Cell>, inside: &[f64]) -> Cell {
    let (mut all, mut known, mut why) = (0_u64, Vec::<&Measured>::new(), None);
    for cell in cells {
        all += 1;
        match cell {
            Cell::Measured(measured) => known.push(measured),
            Cell::Missing(reason) => why = why.or(Some(reason)),
        }
    }
    let values: Vec<f64> = known.iter().map(|one| one.value).collect();
    let count = known.len() as u64;
    if count == 0 {
        let none = || "no replicate has it".to_owned();
        return Cell::Missing(why.cloned().unwrap_or_else(none));
    }
    let mean = values.iter().sum::<f64>() / float(count);
    let bounded = known.iter().any(|one| one.bound == Bound::AtLeast);
    let small = known.iter().any(|one| one.floor == Floor::Below);
    let expected = known.iter().any(|one| one.origin == Origin::Expected);
    let sure = over_replicates(&values, inside).filter(|_| !bounded);
    let ends = sure.map(|(mean, reach)| (mean - reach, mean + reach));
    let mut notes = tallied(known.iter().filter_map(|one| one.note.as_deref()), all);
    if count < all {
        notes.push(format!("known in {count} of {all} replicates"));
    }
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    Cell::exact(mean)
        .bounded(if bounded { Bound::AtLeast } else { Bound::Exact })
        .floored(if small { Floor::Below } else { Floor::Met })
        .with_origin(if expected { Origin::Expected } else { Origin::Reported })
        .within(ends)
        .noted(note.as_deref())
}

/// Texts once each, with how many of `all` have them unless all do.
fn tallied<'t>(texts: impl Iterator<Item = &'t str>, all: u64) -> Vec<String> {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for text in texts {
        match counts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => counts.push((text, 1)),
        }
    }
    let one = |(text, count): (&str, u64)| {
        if count == all { text.to_owned() } else { format!("{text} ({count} of {all} replicates)") }
    };
    counts.into_iter().map(one).collect()
}

/// The cell whose value `further` prefers to every other; the first one of those without a value.
fn extreme<'c>(cells: impl Iterator<Item = &'c Cell>, further: fn(f64, f64) -> bool) -> Cell {
    let best = cells.reduce(|best, cell| match (best.value(), cell.value()) {
        (Some(one), Some(other)) if further(other, one) => cell,
        (None, Some(_)) => cell,
        (Some(_) | None, Some(_) | None) => best,
    });
    best.cloned().unwrap_or_else(|| Cell::Missing("no replicate has it".to_owned()))
}

/// The largest value, which is a lower bound as soon as one of them is: what that one did not see may be
/// larger still.
fn largest<'c>(cells: impl Iterator<Item = &'c Cell> + Clone) -> Cell {
    let is_bound = |cell: &Cell| matches!(cell, Cell::Measured(one) if one.bound == Bound::AtLeast);
    let bounded = cells.clone().any(is_bound);
    let most = extreme(cells, |one, other| one > other);
    if bounded { most.bounded(Bound::AtLeast) } else { most }
}

fn keys(
    used: &[&Summary],
    all: fn(&Summary) -> &BTreeMap<MetricId, Distribution>,
) -> std::collections::btree_set::IntoIter<MetricId> {
    let keys: BTreeSet<MetricId> = used.iter().flat_map(|one| all(one).keys().copied()).collect();
    keys.into_iter()
}

fn present<'s>(
    used: &[&'s Summary],
    all: fn(&Summary) -> &BTreeMap<MetricId, Distribution>,
    id: MetricId,
) -> Vec<&'s Distribution> {
    used.iter().filter_map(|one| all(one).get(&id)).collect()
}

fn distribution(all: &[&Distribution]) -> Distribution {
    let mean = |cell: fn(&Distribution) -> &Cell| average(all.iter().map(|one| cell(one)));
    let other: Vec<&Distribution> =
        all.iter().filter_map(|one| one.failed_never_finish.as_deref()).collect();
    Distribution {
        unit: all.first().map(|one| one.unit.clone()).unwrap_or_default(),
        n: all.iter().map(|one| one.n).sum(),
        n_effective: all.iter().map(|one| one.n_effective).sum(),
        mean: mean(|one| &one.mean),
        min: extreme(all.iter().map(|one| &one.min), |one, other| one < other),
        p50: mean(|one| &one.p50),
        p90: mean(|one| &one.p90),
        p95: mean(|one| &one.p95),
        p99: mean(|one| &one.p99),
        max: largest(all.iter().map(|one| &one.max)),
        failed_never_finish: (!other.is_empty()).then(|| Box::new(distribution(&other))),
    }
}

fn throughputs(used: &[&Summary]) -> BTreeMap<MetricId, Throughput> {
    let keys: BTreeSet<MetricId> =
        used.iter().flat_map(|one| one.workload.keys().copied()).collect();
    let pooled = keys.into_iter().map(|id| {
        let of: Vec<&Throughput> = used.iter().filter_map(|one| one.workload.get(&id)).collect();
        let inside = |gpus: f64| -> Vec<f64> {
            // Thirds that follow a trend say nothing of chance.
            let states = used.iter().filter_map(|one| one.steady_state.as_ref());
            let states = states.filter(|state| state.from_s.is_some());
            states.filter_map(|state| state.errors.get(&id)).map(|error| error / gpus).collect()
        };
        let window = |cell: fn(&Throughput) -> &Option<Cell>, inside: &[f64]| {
            let cells: Vec<&Cell> = of.iter().filter_map(|one| cell(one).as_ref()).collect();
            (!cells.is_empty()).then(|| average_with(cells.into_iter(), inside))
        };
        let gpus = used.first().and_then(|one| one.run.num_gpus).map_or(1.0, f64::from);
        let rates = Throughput {
            unit: id.row().unit.to_owned(),
            overall: average(of.iter().map(|one| &one.overall)),
            last_30s: window(|one| &one.last_30s, &[]),
            steady_state: window(|one| &one.steady_state, &inside(1.0)),
            steady_state_per_gpu: window(|one| &one.steady_state_per_gpu, &inside(gpus)),
        };
        (id, rates)
    });
    pooled.collect()
}

/// Counts are sums, bounds are means; `None` where a replicate has none.
fn goodput(used: &[&Summary]) -> Option<Goodput> {
    let all: Vec<&Goodput> = used.iter().map(|one| one.goodput.as_ref()).collect::<Option<_>>()?;
    let gpus: Option<Vec<&Bounds>> = all.iter().map(|one| one.jobs_per_h_gpu.as_ref()).collect();
    let of = |bounds: fn(&Goodput) -> &Bounds| mean_bounds(&each(&all, bounds));
    Some(Goodput {
        objectives: all.first()?.objectives.clone(),
        per_trace: good_share(&each(&all, |one| &one.per_trace)),
        per_request: good_share(&each(&all, |one| &one.per_request)),
        completion_tok_per_s: of(|one| &one.completion_tok_per_s),
        jobs_per_h_user: of(|one| &one.jobs_per_h_user),
        jobs_per_h_gpu: gpus.map(|all| mean_bounds(&all)),
    })
}

fn each<'g, Whole, Part>(all: &[&'g Whole], part: fn(&Whole) -> &Part) -> Vec<&'g Part> {
    all.iter().map(|one| part(one)).collect()
}

fn good_share(all: &[&GoodShare]) -> GoodShare {
    let sum = |count: fn(&GoodShare) -> u64| all.iter().map(|one| count(one)).sum();
    let mut broke = BTreeMap::new();
    for one in all {
        add_counts(&mut broke, &one.broke);
    }
    GoodShare {
        n: sum(|one| one.n),
        good: sum(|one| one.good),
        bad: sum(|one| one.bad),
        failed: sum(|one| one.failed),
        unknown: sum(|one| one.unknown),
        broke,
        share_pct: mean_bounds(&each(all, |one| &one.share_pct)),
        per_s: mean_bounds(&each(all, |one| &one.per_s)),
    }
}

fn mean_bounds(all: &[&Bounds]) -> Bounds {
    Bounds {
        low: average(all.iter().map(|one| &one.low)),
        high: average(all.iter().map(|one| &one.high)),
    }
}

fn populations(used: &[&Summary]) -> Populations {
    let mut all = Populations::default();
    for Populations { admitted, completed, failed, cut_off, entered } in
        used.iter().map(|one| &one.populations)
    {
        all.admitted += admitted;
        all.completed += completed;
        all.cut_off += cut_off;
        all.entered += entered;
        add_counts(&mut all.failed, failed);
    }
    all
}

fn add_counts<K: Clone + Ord>(all: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (key, count) in more {
        *all.entry(key.clone()).or_insert(0) += count;
    }
}

/// Means over the replicates, and the most of all.
fn room(used: &[&Summary]) -> Option<CacheRoom> {
    let all: Vec<&CacheRoom> = used.iter().filter_map(|one| one.cache_room.as_ref()).collect();
    let mean = |of: fn(&CacheRoom) -> f64| {
        all.iter().map(|one| of(one)).sum::<f64>() / float(all.len() as u64)
    };
    let most = |of: fn(&CacheRoom) -> f64| all.iter().map(|one| of(one)).fold(0.0, f64::max);
    Some(CacheRoom {
        kv_cache: all.first()?.kv_cache,
        held_tokens: mean(|one| one.held_tokens),
        held_tokens_max: most(|one| one.held_tokens_max),
        expected_tokens: mean(|one| one.expected_tokens),
        in_flight_tokens: mean(|one| one.in_flight_tokens),
        in_flight_tokens_max: most(|one| one.in_flight_tokens_max),
    })
}

/// Each check as it is in the worst replicate; but how much of its cache a server had to keep is known the
/// better the more replicates there are, and is judged by their mean.
fn verdict(judged: &[&Summary]) -> Verdict {
    let all = || judged.iter().flat_map(|one| &one.verdict.checks);
    let mut worst: Vec<Check> = Vec::new();
    for check in all() {
        match worst.iter_mut().find(|known| known.id == check.id) {
            None => worst.push(check.clone()),
            Some(known) if is_worse(check, known) => *known = check.clone(),
            Some(_) => {}
        }
    }
    for check in worst.iter_mut().filter(|check| !check.advice.is_empty() && judged.len() > 1) {
        let same = |one: &&Check| one.id == check.id && one.status == check.status;
        let (count, of) = (all().filter(same).count(), judged.len());
        check.advice = format!("{} (in {count} of {of} replicates)", check.advice);
    }
    if let Some(check) = worst.iter_mut().find(|check| check.id == CheckId::CacheRoom) {
        *check = room_check(room(judged).as_ref());
    }
    worst.sort_by_key(|check| check.status);
    Verdict { trust: trust(&worst), checks: worst }
}

/// Whether a check found worse, or the same and farther off.
fn is_worse(one: &Check, other: &Check) -> bool {
    if one.status != other.status {
        return one.status < other.status;
    }
    let smaller = matches!(one.id, CheckId::CacheField | CheckId::Population);
    match (one.value.value(), other.value.value()) {
        (Some(one), Some(other)) if smaller => one < other,
        (Some(one), Some(other)) => one > other,
        (Some(_) | None, Some(_) | None) => false,
    }
}

/// The original's values, averaged: those that every replicate has.
fn seed(used: &[&Summary]) -> BTreeMap<String, Number> {
    let Some(first) = used.first() else { return BTreeMap::new() };
    let mean = |key: &String| {
        let values = used.iter().map(|one| one.seed.get(key).and_then(Number::as_f64));
        let values: Vec<f64> = values.collect::<Option<_>>()?;
        let mean = values.iter().sum::<f64>() / float(values.len() as u64);
        Some((key.clone(), Number::from_f64(mean)?))
    };
    first.seed.keys().filter_map(mean).collect()
}

/// Counts are sums, shares and quantiles means.
fn accounting(used: &[&Summary]) -> Accounting {
    let all = || used.iter().map(|one| &one.accounting);
    let sum = |count: fn(&Accounting) -> u64| all().map(count).sum();
    let signed = |count: fn(&Accounting) -> i64| all().map(count).fold(0, i64::saturating_add);
    let mean = |cell: fn(&Accounting) -> &Cell| average(all().map(cell));
    let mut requests = BTreeMap::new();
    let mut request_failures = BTreeMap::new();
    let mut token_sources = BTreeMap::new();
    let mut stamp_sources = BTreeMap::new();
    for one in all() {
        add_counts(&mut requests, &one.requests);
        add_counts(&mut request_failures, &one.request_failures);
        add_counts(&mut token_sources, &one.token_sources);
        add_counts(&mut stamp_sources, &one.stamp_sources);
    }
    Accounting {
        requests,
        request_failures,
        retries: sum(|one| one.retries),
        stale_resends: sum(|one| one.stale_resends),
        prompt_exact: mean(|one| &one.prompt_exact),
        completion_exact: mean(|one| &one.completion_exact),
        prompt_drift_tokens: signed(|one| one.prompt_drift_tokens),
        completion_drift_tokens: signed(|one| one.completion_drift_tokens),
        usage_missing: sum(|one| one.usage_missing),
        prompt_from_plan: sum(|one| one.prompt_from_plan),
        cache_coverage: mean(|one| &one.cache_coverage),
        cached_reported_tokens: sum(|one| one.cached_reported_tokens),
        cached_expected_tokens: sum(|one| one.cached_expected_tokens),
        cached_stand_in_tokens: sum(|one| one.cached_stand_in_tokens),
        ttft_later_left_out: sum(|one| one.ttft_later_left_out),
        decode_left_out: sum(|one| one.decode_left_out),
        token_sources,
        stamp_sources,
        late_chunks: sum(|one| one.late_chunks),
        uncounted_tokens: sum(|one| one.uncounted_tokens),
        excess_tokens: sum(|one| one.excess_tokens),
        held_traces: sum(|one| one.held_traces),
        held_s: all().map(|one| one.held_s).sum(),
        connects_after_intent: sum(|one| one.connects_after_intent),
        window_waits: all().filter_map(|one| one.window_waits).reduce(|one, other| one + other),
        window_wait_s: all().filter_map(|one| one.window_wait_s).reduce(|one, other| one + other),
        send_lateness_p50_ms: mean(|one| &one.send_lateness_p50_ms),
        send_lateness_p99_ms: mean(|one| &one.send_lateness_p99_ms),
        client_lag_p50_ms: mean(|one| &one.client_lag_p50_ms),
        client_lag_p99_ms: mean(|one| &one.client_lag_p99_ms),
        client_lag_max_ms: extreme(all().map(|one| &one.client_lag_max_ms), |one, other| {
            one > other
        }),
        merged_reads: mean(|one| &one.merged_reads),
        clock_steps: sum(|one| one.clock_steps),
        queue_full: sum(|one| one.queue_full),
    }
}

/// What was run: that of the first, with what is true of all.
fn facts(used: &[&Summary], replicates: &Replicates) -> RunFacts {
    let first = &used.first().expect("a run is used, if only because none went on to its end").run;
    let windows = used.iter().map(|one| one.run.window_s);
    let texts = used.iter().flat_map(|one| one.run.notes.iter().map(String::as_str));
    let mut notes = tallied(texts, replicates.used);
    let left: Vec<&str> =
        replicates.runs.iter().filter(|one| !one.used).map(|one| one.dir.as_str()).collect();
    if !left.is_empty() {
        notes.push(format!(
            "left out, since they ended before their deadline: replicates {}",
            left.join(", ")
        ));
    }
    if (replicates.runs.len() as u64) < replicates.planned {
        let begun = replicates.runs.len();
        notes.push(format!("{begun} of {} replicates were begun", replicates.planned));
    }
    if replicates.used < 2 {
        notes.push("one replicate has no spread: its figures have no interval".to_owned());
    }
    RunFacts {
        runs: replicates.used,
        window_s: windows.fold(f64::INFINITY, f64::min),
        wall_time_s: used.iter().map(|one| one.run.wall_time_s).sum(),
        endings: replicates.runs.iter().map(|one| one.ending).collect(),
        notes,
        ..first.clone()
    }
}
