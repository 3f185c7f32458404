//! Metrics of the whole run: what was served in its windows.

use std::collections::BTreeMap;

use super::counts::Counts;
use super::estimate::{float, seconds, wide};
use super::fold::Tally;
use super::interval::{PARTS, within_run};
use super::requests::{Cached, Served};
use super::state::{is_steady_throughout, warm_up};
use super::steady::Seen;
use super::student::mean_and_error;
use super::traces::TraceTally;
use super::{Cell, MetricId, Origin, Throughput};
use crate::units::Nanos;

/// Length of the window's last part that has a column of its own.
const RECENT: Nanos = Nanos::from_secs(30);

/// All workload metrics. `concurrency` is that of all runs together.
pub(super) fn workload(
    tally: &Tally,
    concurrency: u64,
    num_gpus: Option<u32>,
) -> BTreeMap<MetricId, Throughput> {
    let (from_pct, doubt) = warm_up(tally.steadiness);
    let steady = (tally.window() / 100 * from_pct, doubt);
    let errors =
        if is_steady_throughout(tally.steadiness) { steady_errors(tally) } else { BTreeMap::new() };
    let window = Windows { end: tally.window(), steady, errors, num_gpus };
    let share = share_of_expected(&tally.requests.counts);
    let stood_in = |one: &Served| match one.cached {
        Cached::Reported(_) => false,
        Cached::Expected { finished, tokens: _ } => finished || cached_tokens(one, share) > 0.0,
    };
    let expected = tally.requests.served.iter().any(stood_in);
    let origin = if expected { Origin::Expected } else { Origin::Reported };
    let rates = Rate::ALL
        .map(|rate| window.rates(rate.metric(), |from, to| rate.amount(tally, share, from, to)));
    let mut all = BTreeMap::from(rates);
    for metric in [MetricId::CachedPrompt, MetricId::UncachedPrompt] {
        all.entry(metric).and_modify(|rates| *rates = rates.clone().with_origin(origin));
    }
    all.extend(single(tally, window.end, concurrency, num_gpus));
    all
}

/// What has a column for each window.
#[derive(Clone, Copy, Debug)]
enum Rate {
    TotalPrompt,
    CachedPrompt,
    UncachedPrompt,
    Completion,
    Traces,
}

impl Rate {
    const ALL: [Self; 5] = [
        Self::TotalPrompt,
        Self::CachedPrompt,
        Self::UncachedPrompt,
        Self::Completion,
        Self::Traces,
    ];

    fn metric(self) -> MetricId {
        match self {
            Self::TotalPrompt => MetricId::TotalPrompt,
            Self::CachedPrompt => MetricId::CachedPrompt,
            Self::UncachedPrompt => MetricId::UncachedPrompt,
            Self::Completion => MetricId::Completion,
            Self::Traces => MetricId::Traces,
        }
    }

    /// How much of it came between two instants. `share`: of the expected cached tokens, see there.
    fn amount(self, tally: &Tally, share: f64, from: u64, to: u64) -> f64 {
        let prompt = |tokens: &dyn Fn(&Served) -> f64| {
            let served = tally.requests.served.iter();
            served.filter(|one| from <= one.at && one.at <= to).map(tokens).sum()
        };
        let cached = |one: &Served| cached_tokens(one, share);
        match self {
            Self::TotalPrompt => prompt(&|one| float(one.total)),
            Self::CachedPrompt => prompt(&cached),
            Self::UncachedPrompt => prompt(&|one| float(one.total) - cached(one)),
            Self::Completion => credited(tally, from, to),
            Self::Traces => completed(tally, from, to),
        }
    }

    /// How much of it a request of a slot stands for.
    fn of_request(self, seen: &Seen) -> f64 {
        let cached = seen.cached.unwrap_or(0);
        match self {
            Self::TotalPrompt => float(seen.prompt),
            Self::CachedPrompt => float(cached),
            Self::UncachedPrompt => float(seen.prompt.saturating_sub(cached)),
            Self::Completion => float(seen.answer),
            Self::Traces => f64::from(u8::from(seen.step == 0)),
        }
    }
}

/// Standard errors of the steady-state column, per second: of the mean of its [`PARTS`], and of the sum of
/// its slots, root of the sum of squares. The first sees what all slots do together, the second how they
/// differ.
pub(super) fn steady_errors(tally: &Tally) -> BTreeMap<MetricId, f64> {
    let (from_pct, _) = warm_up(tally.steadiness);
    let (from, end) = (tally.window() / 100 * from_pct, tally.window());
    let share = share_of_expected(&tally.requests.counts);
    let each_slot = tally.requests.slots.values();
    let error = |rate: Rate| {
        let at = |part: u64| from + (end - from) / PARTS * part;
        let part = |part| {
            let (from, to) = (at(part), at(part + 1));
            rate.amount(tally, share, from, to) / seconds(to - from)
        };
        let (_, batches) = mean_and_error(&(0..PARTS).map(part).collect::<Vec<f64>>())?;
        let inside = |seen: &&Seen| seen.at >= from;
        let of_slot = |slot: &Vec<Seen>| {
            let amount: f64 = slot.iter().filter(inside).map(|seen| rate.of_request(seen)).sum();
            amount / seconds(end - from)
        };
        let each: Vec<f64> = each_slot.clone().map(of_slot).collect();
        let (_, of_one) = mean_and_error(&each)?;
        let slots = of_one * float(each.len() as u64);
        let error = libm::sqrt(batches * batches + slots * slots);
        error.is_finite().then_some((rate.metric(), error))
    };
    Rate::ALL.into_iter().filter_map(error).collect()
}

/// Reported over expected cached tokens of the answers that said: what an expectation is worth on
/// this server, at most 1; 1 where no answer said.
fn share_of_expected(counts: &Counts) -> f64 {
    let Counts { cached_reported, cached_expected, .. } = *counts;
    if cached_expected == 0 {
        return 1.0;
    }
    (float(cached_reported) / float(cached_expected)).min(1.0)
}

/// Cached tokens of a prompt. What an answer cut off at the deadline could not say is expected as
/// far as the others kept to it.
fn cached_tokens(one: &Served, share: f64) -> f64 {
    let cached = match one.cached {
        Cached::Reported(tokens) => float(tokens),
        Cached::Expected { tokens, finished: _ } => float(tokens) * share,
    };
    cached.min(float(one.total))
}

/// Windows that all end at the deadline.
struct Windows {
    end: u64,
    /// Where the steady state begins, and what is doubtful about it.
    steady: (u64, Option<&'static str>),
    /// Standard errors of the steady state, where it lasted from the start to the end.
    errors: BTreeMap<MetricId, f64>,
    num_gpus: Option<u32>,
}

impl Windows {
    /// Tokens per second over each window; `tokens` sums those that arrived between two instants.
    fn rates(&self, metric: MetricId, tokens: impl Fn(u64, u64) -> f64) -> (MetricId, Throughput) {
        let rate = |from: u64| per(tokens(from, self.end), seconds(self.end - from));
        let (from, doubt) = self.steady;
        let error = self.errors.get(&metric);
        let reach = error.and_then(|error| within_run(*error, Nanos(self.end), true));
        let around = |value: f64, parts: f64| {
            let ends = reach.map(|reach| ((value - reach) / parts, (value + reach) / parts));
            Cell::exact(value / parts).within(ends).noted(doubt)
        };
        let steady = rate(from);
        let steady = steady.value().map_or(steady, |value| around(value, 1.0));
        let per_gpu = match (self.num_gpus, steady.value()) {
            (Some(gpus), Some(value)) => around(value, f64::from(gpus)),
            (Some(_), None) => steady.clone(),
            (None, _) => Cell::Missing(NO_GPUS.into()),
        };
        let rates = Throughput {
            unit: metric.row().unit.into(),
            overall: rate(0),
            last_30s: Some(rate(self.end.saturating_sub(RECENT.0)).noted(self.short())),
            steady_state: Some(steady),
            steady_state_per_gpu: Some(per_gpu),
        };
        (metric, rates)
    }

    /// What to say of a last part that is the whole.
    fn short(&self) -> Option<&'static str> {
        (self.end < RECENT.0).then_some(SHORT)
    }
}

const SHORT: &str = "the window is shorter than 30 s: this column is all of it";
const NO_GPUS: &str = "num_gpus was not given";

impl Throughput {
    fn with_origin(self, origin: Origin) -> Self {
        let mark = |cell: Option<Cell>| cell.map(|cell| cell.with_origin(origin));
        Self {
            unit: self.unit,
            overall: self.overall.with_origin(origin),
            last_30s: mark(self.last_30s),
            steady_state: mark(self.steady_state),
            steady_state_per_gpu: mark(self.steady_state_per_gpu),
        }
    }
}

/// `amount` per second, where there is time to divide by.
fn per(amount: f64, length: f64) -> Cell {
    if length > 0.0 {
        Cell::exact(amount / length)
    } else {
        Cell::Missing("the window has no length".into())
    }
}

/// Answer tokens between two instants. A second that straddles `from` counts by its share; the
/// one that holds the deadline ends there.
pub(super) fn credited(tally: &Tally, from: u64, to: u64) -> f64 {
    let mut total = 0.0;
    for (&begin, &tokens) in tally.requests.credit.range(..to) {
        let end = (begin + Nanos::SECOND.0).min(to);
        let inside = end.saturating_sub(begin.max(from));
        total += float(tokens) * (float(inside) / float(end - begin));
    }
    total
}

fn completed(tally: &Tally, from: u64, to: u64) -> f64 {
    let inside = |trace: &&TraceTally| {
        let at = trace.ended.as_ref().map(|(at, _)| *at);
        trace.completed() && at.is_some_and(|at| from <= at && at <= to)
    };
    float(tally.traces.values().filter(inside).count() as u64)
}

/// Metrics of the whole window only.
fn single(
    tally: &Tally,
    end: u64,
    concurrency: u64,
    num_gpus: Option<u32>,
) -> Vec<(MetricId, Throughput)> {
    let length = seconds(end);
    let done = completed(tally, 0, end);
    let work: f64 = tally.traces.values().map(share_served).sum();
    let alive: f64 = tally.traces.iter().map(|(key, trace)| alive(tally, key.0, trace, end)).sum();
    let jobs = |over: f64| per(done * 3600.0, length * over);
    let per_gpu = num_gpus.map_or(Cell::Missing(NO_GPUS.into()), |gpus| jobs(f64::from(gpus)));
    [
        (MetricId::LittleTraces, per(work, length)),
        (MetricId::AchievedConcurrency, per(alive, length)),
        (MetricId::InFlightPrompt, per(wide(tally.requests.prompt_time) / 1e9, length)),
        (MetricId::ThinkTime, think_time(tally, alive)),
        (MetricId::JobsPerUser, jobs(float(concurrency))),
        (MetricId::JobsPerGpu, per_gpu),
    ]
    .map(|(metric, overall)| (metric, only_overall(metric, overall)))
    .to_vec()
}

fn only_overall(metric: MetricId, overall: Cell) -> Throughput {
    let unit = metric.row().unit.into();
    Throughput { unit, overall, last_30s: None, steady_state: None, steady_state_per_gpu: None }
}

fn share_served(trace: &TraceTally) -> f64 {
    if trace.planned_tokens == 0 {
        return 0.0;
    }
    float(trace.served) / float(trace.planned_tokens)
}

/// Seconds a trace was alive in the window.
fn alive(tally: &Tally, run: usize, trace: &TraceTally, end: u64) -> f64 {
    seconds(tally.end_of(run, trace).min(end).saturating_sub(trace.intent()))
}

fn think_time(tally: &Tally, alive: f64) -> Cell {
    if tally.requests.lanes {
        return Cell::Missing("requests of several lanes overlap".into());
    }
    let busy = wide(tally.requests.busy) / 1e9;
    match per(100.0 * (alive - busy).max(0.0), alive) {
        Cell::Missing(_) => Cell::Missing("no trace was alive in the window".into()),
        cell @ Cell::Measured(_) => cell,
    }
}
