//! Goodput: how much of what was asked for met its objectives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::merge_counts;
use super::distributions::finished;
use super::estimate::{float, millis, percent, seconds};
use super::fold::{Tally, Times};
use super::objectives::Objectives;
use super::requests::decode;
use super::traces::TraceTally;
use super::{Cell, MetricId};
use crate::record::{Outcome, RequestRow, TraceOutcome};
use crate::units::{Nanos, Tokens};

/// How much met the objectives. What failed did not; of what was cut off, only what had already broken one
/// is known: the rest makes the difference between the two bounds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Goodput {
    /// Limits by metric, in the metric's unit.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, f64>"))]
    pub objectives: BTreeMap<MetricId, f64>,
    /// Traces admitted in the window, but those that were entered in the middle of their life. One is good
    /// that completed, whose requests were good, and that kept every objective of traces.
    pub per_trace: GoodShare,
    /// Requests (attempts) due in the window.
    pub per_request: GoodShare,
    /// Answer tokens of good requests that arrived in the window, per second.
    pub completion_tok_per_s: Bounds,
    /// Traces that were good by the deadline, per hour and slot.
    pub jobs_per_h_user: Bounds,
    /// Good traces per hour and GPU; without `num_gpus` none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs_per_h_gpu: Option<Bounds>,
}

/// What became of traces or requests: n = good + bad + failed + unknown.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GoodShare {
    /// All of them.
    pub n: u64,
    /// Ended well, and met every objective.
    pub good: u64,
    /// Broke one, finished or cut off.
    pub bad: u64,
    /// Failed.
    pub failed: u64,
    /// Cut off before it was known, or a server did not say what it takes to know.
    pub unknown: u64,
    /// How many broke which objective; one can break several.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, u64>"))]
    pub broke: BTreeMap<MetricId, u64>,
    /// Good ones in percent of all.
    pub share_pct: Bounds,
    /// Those that were good by the deadline, per second of the window.
    pub per_s: Bounds,
}

/// A value with all that is unknown counted as bad, and as good.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bounds {
    /// If nothing of it was good.
    pub low: Cell,
    /// If all of it was good.
    pub high: Cell,
}

/// What is known of a request or a trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    Good,
    Bad,
    Failed,
    Unknown,
}

/// Requests and traces, counted.
#[derive(Clone, Debug, Default)]
struct Counted {
    good: u64,
    bad: u64,
    failed: u64,
    unknown: u64,
    /// Of the good ones, those that ended after the window, while the run drained.
    good_late: u64,
    broke: BTreeMap<MetricId, u64>,
}

/// What is kept of the requests.
#[derive(Debug, Default)]
pub(super) struct RequestGoodput {
    counted: Counted,
    good_tokens: Tokens,
    unknown_tokens: Tokens,
}

impl Counted {
    fn add(&mut self, standing: Standing, broke: &[MetricId], in_window: bool) {
        self.good_late += u64::from(standing == Standing::Good && !in_window);
        let count = match standing {
            Standing::Good => &mut self.good,
            Standing::Bad => &mut self.bad,
            Standing::Failed => &mut self.failed,
            Standing::Unknown => &mut self.unknown,
        };
        *count += 1;
        for metric in broke {
            *self.broke.entry(*metric).or_insert(0) += 1;
        }
    }

    fn merge(&mut self, other: Self) {
        let Self { good, bad, failed, unknown, good_late, broke } = other;
        self.good_late += good_late;
        self.good += good;
        self.bad += bad;
        self.failed += failed;
        self.unknown += unknown;
        merge_counts(&mut self.broke, broke);
    }

    fn share(self, window: f64) -> GoodShare {
        let Self { good, bad, failed, unknown, good_late, broke } = self;
        let n = good + bad + failed + unknown;
        let share = |good| match percent(good, n) {
            Some(share) => Cell::exact(share),
            None => Cell::Missing("there is none".to_owned()),
        };
        let share_pct = Bounds { low: share(good), high: share(good + unknown) };
        let per_s = bounds(float(good - good_late), float(unknown), window);
        GoodShare { n, good, bad, failed, unknown, broke, share_pct, per_s }
    }
}

impl RequestGoodput {
    /// Adds what another share counted.
    pub(super) fn merge(&mut self, other: Self) {
        self.counted.merge(other.counted);
        self.good_tokens += other.good_tokens;
        self.unknown_tokens += other.unknown_tokens;
    }

    /// Judges a request, and leaves with its trace what it broke.
    pub(super) fn add(
        &mut self,
        objectives: &Objectives,
        (row, times): (&RequestRow, &Times),
        window: u64,
        trace: &mut TraceTally,
    ) {
        // Who retries waits from when the request was due first.
        let due = if row.attempt > 0 { trace.legs.due(row.step) } else { None };
        let broke = broken(objectives, (row, times), due.unwrap_or(times.intent));
        for metric in &broke {
            if !trace.broke.contains(metric) {
                trace.broke.push(*metric);
            }
        }
        // What is sent while a run drains was not asked for in its window.
        if times.intent > window {
            return;
        }
        let standing = match row.outcome {
            Outcome::Failed => Standing::Failed,
            Outcome::Ok | Outcome::CutOff if !broke.is_empty() => Standing::Bad,
            Outcome::Ok => Standing::Good,
            Outcome::CutOff => Standing::Unknown,
        };
        self.counted.add(standing, &broke, times.last_seen() <= window);
        let inside = |second: f64| {
            let second = Nanos::from_secs_f64(second).unwrap_or(Nanos::MAX).0;
            second < window
        };
        let arrived = row.credit.iter().filter(|credit| inside(credit.0));
        let tokens: Tokens = arrived.map(|credit| credit.1).sum();
        match standing {
            Standing::Good => self.good_tokens += tokens,
            Standing::Unknown => self.unknown_tokens += tokens,
            Standing::Bad | Standing::Failed => {}
        }
    }
}

/// The objectives that a request broke, whatever is still to come of it.
fn broken(objectives: &Objectives, (row, times): (&RequestRow, &Times), due: u64) -> Vec<MetricId> {
    let mut broke = Vec::new();
    let mut look = |metric, value: Option<f64>| {
        if value.is_some_and(|value| objectives.breaks(metric, value)) {
            broke.push(metric);
        }
    };
    // One that still waits has waited that long at least.
    let cut_off = row.outcome == Outcome::CutOff;
    let token = times.first_token.or(times.end.filter(|_| cut_off));
    let wait = token.map(|token| seconds(token.saturating_sub(due)));
    look(MetricId::Ttft, wait);
    look(MetricId::TtftLaterTurns, wait.filter(|_| row.step > 0));
    look(MetricId::Tpot, tpot(row, times));
    let open = times.end.zip(times.last_token).filter(|_| cut_off);
    let open = open.map_or(0, |(end, last)| end.saturating_sub(last));
    let stall = row.stall_ns.map_or(0, |stall| stall.0).max(open);
    look(MetricId::Stall, Some(millis(stall)));
    broke
}

/// Time per token after the first chunk, ms; of an answer that was cut off what it would be if all that is
/// left came at once.
fn tpot(row: &RequestRow, times: &Times) -> Option<f64> {
    let (tokens, nanos) = match row.outcome {
        Outcome::Failed => return None,
        Outcome::Ok => decode(row, times)?,
        Outcome::CutOff => {
            let first = row.first_chunk_tokens?;
            let tokens = row.planned_completion_tokens.checked_sub(first)?;
            (tokens, times.end?.checked_sub(times.first_token?)?)
        }
    };
    (tokens > 0).then(|| millis(nanos) / float(tokens))
}

/// The goodput of all runs; `None` where there are no objectives.
pub(super) fn goodput(tally: &Tally, concurrency: u64, num_gpus: Option<u32>) -> Option<Goodput> {
    if tally.objectives.is_empty() {
        return None;
    }
    let window = seconds(tally.window());
    let mut traces = Counted::default();
    for ((run, _), trace) in tally.traces.iter().filter(|(_, trace)| !trace.entered()) {
        let mut broke = trace.broke.clone();
        let mut sure = true;
        broke.extend(of_trace(tally, (run, trace), &mut sure));
        let standing = match &trace.ended {
            Some((_, TraceOutcome::Failed(_))) => Standing::Failed,
            _ if !broke.is_empty() => Standing::Bad,
            Some((_, TraceOutcome::Completed)) if sure => Standing::Good,
            Some((_, TraceOutcome::Completed | TraceOutcome::CutOff)) | None => Standing::Unknown,
        };
        let end = trace.ended.as_ref().map_or(0, |(at, _)| *at);
        traces.add(standing, &broke, end <= tally.window());
    }
    let (good, unknown) = (float(traces.good - traces.good_late), float(traces.unknown));
    let jobs = |over: f64| bounds(good * 3600.0, unknown * 3600.0, window * over);
    let RequestGoodput { counted, good_tokens, unknown_tokens } = &tally.requests.goodput;
    Some(Goodput {
        objectives: tally.objectives.limits().clone(),
        per_trace: traces.share(window),
        per_request: counted.clone().share(window),
        completion_tok_per_s: bounds(float(*good_tokens), float(*unknown_tokens), window),
        jobs_per_h_user: jobs(float(concurrency)),
        jobs_per_h_gpu: num_gpus.map(|gpus| jobs(f64::from(gpus))),
    })
}

/// The objectives of traces that a trace broke. `sure` turns false where one cannot be judged.
fn of_trace(tally: &Tally, (run, trace): (usize, &TraceTally), sure: &mut bool) -> Vec<MetricId> {
    let objectives = &tally.objectives;
    let waited = |at: u64| seconds(at.saturating_sub(trace.intent()));
    let now = tally.end_of(run, trace);
    let done = trace.completed();
    let whole = |value: Option<f64>| value.filter(|_| done);
    // Without a finished answer in two chunks there is no speed to be too low, and a trace of one request
    // takes nothing over.
    let speed = match trace.decode_requests {
        0 => f64::INFINITY,
        requests => trace.decode_sum / float(requests),
    };
    let alone = (trace.steps() == 1).then_some(100.0);
    let reused = percent(trace.eligible_cached, trace.eligible).or(alone);
    let values = [
        (MetricId::Latency, Some(waited(finished(trace).unwrap_or(now)))),
        (MetricId::Ttfat, Some(waited(trace.final_token().unwrap_or(now)))),
        (MetricId::DecodeTps, whole(Some(speed))),
        (MetricId::CacheHitRate, whole(percent(trace.cached, trace.prompt))),
        (MetricId::EligibleCacheHitRate, whole(reused)),
        (MetricId::CriticalPath, whole(trace.legs.critical_path().map(seconds))),
    ];
    let mut broke = Vec::new();
    for (metric, value) in values {
        match value {
            Some(value) if objectives.breaks(metric, value) => broke.push(metric),
            Some(_) => {}
            None => *sure &= !objectives.limits().contains_key(&metric),
        }
    }
    broke
}

/// What is known and what may come to it, over a time.
fn bounds(known: f64, unknown: f64, over: f64) -> Bounds {
    let per = |amount: f64| {
        if over > 0.0 {
            Cell::exact(amount / over)
        } else {
            Cell::Missing("the window has no length".to_owned())
        }
    };
    Bounds { low: per(known), high: per(known + unknown) }
}
