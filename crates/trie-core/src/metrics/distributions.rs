//! Distributions: per trace and per request.

use std::collections::BTreeMap;

use super::estimate::{
    Observation, Spread, distribution, float, histogram, independent, kaplan_meier, nothing,
    percent, seconds, survival_to_the_end,
};
use super::fold::Tally;
use super::groups::TTFT_GROUPS;
use super::traces::{Spreads, TraceTally, Traces};
use super::{Distribution, MetricId, Needs, Populations};
use crate::record::TraceOutcome;

/// Share of failed traces, in percent, from which the other bound is given too.
const FAILED_PCT_FOR_BOTH_BOUNDS: f64 = 1.0;

/// Counts every trace as exactly one of completed, failed, cut off.
pub(super) fn populations(tally: &Tally) -> Populations {
    let mut all = Populations::default();
    for trace in tally.traces.values() {
        all.admitted += 1;
        all.entered += u64::from(trace.entered());
        match &trace.ended {
            Some((_, TraceOutcome::Completed)) => all.completed += 1,
            Some((_, TraceOutcome::Failed(kind))) => {
                *all.failed.entry(kind.clone()).or_insert(0) += 1;
            }
            Some((_, TraceOutcome::CutOff)) | None => all.cut_off += 1,
        }
    }
    all
}

/// Metrics with one value per trace.
pub(super) fn per_trace(
    tally: &Tally,
    populations: &Populations,
    streamed: bool,
) -> BTreeMap<MetricId, Distribution> {
    let failed = percent(populations.failed_total(), populations.admitted).unwrap_or(0.0);
    let both = failed > FAILED_PCT_FOR_BOTH_BOUNDS;
    let waits = |metric, event: &dyn Fn(&TraceTally) -> Option<u64>| {
        (metric, time_to(tally, metric, event, both))
    };
    let values = |metric, value: &dyn Fn(&TraceTally) -> Option<f64>| {
        (metric, over_traces(tally, metric, value))
    };
    let mut all = BTreeMap::from([
        waits(MetricId::Latency, &finished),
        waits(MetricId::Ttft, &TraceTally::first_token),
        waits(MetricId::Ttfat, &TraceTally::final_token),
        values(MetricId::DecodeTps, &|trace| {
            (trace.decode_requests > 0).then(|| trace.decode_sum / float(trace.decode_requests))
        }),
        values(MetricId::CacheHitRate, &|trace| percent(trace.cached, trace.prompt)),
        values(MetricId::EligibleCacheHitRate, &|trace| {
            percent(trace.eligible_cached, trace.eligible)
        }),
        values(MetricId::LatencyCompleted, &|trace| {
            finished(trace)
                .filter(|_| !trace.entered())
                .map(|end| seconds(end.saturating_sub(trace.intent())))
        }),
        values(MetricId::CriticalPath, &|trace| {
            trace
                .legs
                .critical_path()
                .filter(|_| trace.completed() && !trace.entered())
                .map(seconds)
        }),
        values(MetricId::OutputTokensPerTrace, &|trace| {
            (trace.completed() && !trace.entered()).then(|| float(trace.output))
        }),
    ]);
    drop_unstreamed(&mut all, streamed);
    all
}

/// Metrics with one value per request or token. Takes these values.
pub(super) fn per_request(tally: &mut Tally, streamed: bool) -> BTreeMap<MetricId, Distribution> {
    let Tally { requests, traces, .. } = tally;
    let values = |metric: MetricId, values: &mut Vec<f64>, spread: &dyn Fn(&Spreads) -> Spread| {
        let all = if values.is_empty() {
            nothing(metric.row().unit, absence(metric))
        } else {
            distribution(metric.row().unit, std::mem::take(values), &clusters(traces, spread))
        };
        (metric, all)
    };
    let mut all = BTreeMap::from([
        values(MetricId::TtftLaterTurns, &mut requests.ttft_later, &|spreads| spreads.ttft_later),
        values(MetricId::JoinWait, &mut requests.join_wait, &|spreads| spreads.join_wait),
        values(MetricId::Tpot, &mut requests.tpot, &|spreads| spreads.tpot),
        values(MetricId::Stall, &mut requests.stall, &|spreads| spreads.stall),
        values(MetricId::OutputTokensPerTurn, &mut requests.output, &|spreads| spreads.output),
        values(MetricId::ReuseLoss, &mut requests.reuse_loss, &|spreads| spreads.reuse_loss),
    ]);
    for (at, group) in TTFT_GROUPS.iter().enumerate() {
        let spread = |spreads: &Spreads| spreads.ttft_groups[at];
        all.extend([values(group.metric, &mut requests.ttft_groups[at], &spread)]);
    }
    let unit = MetricId::Itl.row().unit;
    let values = requests.itl.histogram();
    let itl = if values.is_empty() {
        nothing(unit, absence(MetricId::Itl))
    } else {
        histogram(unit, &values, &clusters(traces, &|spreads| spreads.itl.spread()))
    };
    all.insert(MetricId::Itl, itl);
    all.insert(MetricId::LaneLatency, lane_latency(tally));
    drop_unstreamed(&mut all, streamed);
    all
}

/// One value per lane of the completed traces that have several.
fn lane_latency(tally: &Tally) -> Distribution {
    let unit = MetricId::LaneLatency.row().unit;
    let (mut values, mut clusters) = (Vec::new(), Vec::new());
    let whole = |trace: &&TraceTally| trace.completed() && !trace.entered();
    for trace in tally.traces.values().filter(whole) {
        let lanes: Vec<f64> = trace.legs.lanes().into_iter().map(seconds).collect();
        let mut spread = Spread::default();
        for lane in &lanes {
            spread.add(*lane, 1.0);
        }
        clusters.push(spread);
        values.extend(lanes);
    }
    if values.is_empty() {
        return nothing(unit, absence(MetricId::LaneLatency));
    }
    distribution(unit, values, &clusters)
}

fn clusters(traces: &Traces, spread: &dyn Fn(&Spreads) -> Spread) -> Vec<Spread> {
    traces.values().map(|trace| spread(&trace.spreads)).collect()
}

/// End of a completed trace's last step.
pub(super) fn finished(trace: &TraceTally) -> Option<u64> {
    let (at, _) = trace.ended.as_ref().filter(|_| trace.completed())?;
    Some(if trace.last_end > 0 { trace.last_end } else { *at })
}

/// `(time, share still alive after it)` of the traces that started at their first request; the last time
/// stands with what is left.
pub(super) fn lifetimes(tally: &Tally) -> Vec<(u64, f64)> {
    let whole = tally.traces.iter().filter(|(_, trace)| !trace.entered());
    let lives: Vec<Observation> = whole
        .map(|((run, _), trace)| {
            let (at, seen) =
                finished(trace).map_or((tally.end_of(run, trace), false), |at| (at, true));
            Observation { nanos: at.saturating_sub(trace.intent()), seen }
        })
        .collect();
    survival_to_the_end(lives)
}

/// Metrics of traces that completed and were replayed from their first step.
const OF_WHOLE_TRACES: [MetricId; 3] =
    [MetricId::LatencyCompleted, MetricId::CriticalPath, MetricId::OutputTokensPerTrace];

fn over_traces(
    tally: &Tally,
    metric: MetricId,
    value: &dyn Fn(&TraceTally) -> Option<f64>,
) -> Distribution {
    let values: Vec<f64> = tally.traces.values().filter_map(value).collect();
    if values.is_empty() {
        let mut done = tally.traces.values().filter(|trace| trace.completed()).peekable();
        let entered = done.peek().is_some() && done.all(TraceTally::entered);
        let why = if entered && OF_WHOLE_TRACES.contains(&metric) {
            "every trace that completed was entered in the middle of its life"
        } else {
            absence(metric)
        };
        return nothing(metric.row().unit, why);
    }
    independent(metric.row().unit, values)
}

/// Kaplan-Meier over all traces; with `both` also as if failed traces never finished.
fn time_to(
    tally: &Tally,
    metric: MetricId,
    event: &dyn Fn(&TraceTally) -> Option<u64>,
    both: bool,
) -> Distribution {
    let unit = metric.row().unit;
    let mut waits: Vec<(Observation, bool)> = Vec::with_capacity(tally.traces.len());
    for ((run, _), trace) in tally.traces.iter().filter(|(_, trace)| !trace.entered()) {
        let end = tally.end_of(run, trace);
        let (at, seen) = event(trace).map_or((end, false), |at| (at, true));
        let nanos = at.saturating_sub(trace.intent());
        waits.push((Observation { nanos, seen }, trace.failed()));
    }
    let Some(longest) = waits.iter().map(|(wait, _)| wait.nanos).max() else {
        let entered = !tally.traces.is_empty();
        let why = "every trace was entered in the middle of its life";
        return nothing(unit, if entered { why } else { absence(metric) });
    };
    // A bound of the time until a server refused says nothing about the server's speed.
    if waits.iter().all(|(wait, failed)| *failed && !wait.seen) {
        return nothing(unit, "every trace failed before");
    }
    let mut all = kaplan_meier(unit, waits.iter().map(|(wait, _)| *wait).collect());
    if both {
        let never = |(wait, failed): &(Observation, bool)| match (wait.seen, failed) {
            (false, true) => Observation { nanos: longest, seen: false },
            (true, _) | (false, false) => *wait,
        };
        let other = kaplan_meier(unit, waits.iter().map(never).collect());
        all.failed_never_finish = Some(Box::new(other));
    }
    all
}

/// Why a metric without a single value has none.
fn absence(metric: MetricId) -> &'static str {
    match metric {
        MetricId::Latency | MetricId::Ttft | MetricId::Ttfat => "no trace was admitted",
        MetricId::DecodeTps | MetricId::Tpot => "no finished request had tokens in two chunks",
        MetricId::CacheHitRate => "no finished request said how many tokens came from the cache",
        MetricId::EligibleCacheHitRate | MetricId::ReuseLoss => {
            "no finished request that takes over context said how many tokens came from the cache"
        }
        MetricId::LatencyCompleted | MetricId::OutputTokensPerTrace => "no trace completed",
        MetricId::TtftLaterTurns => "no request after the first of its trace got a token",
        MetricId::CriticalPath => "no trace completed whose rows say what each step waited for",
        MetricId::LaneLatency => "no trace with several lanes completed",
        MetricId::JoinWait => "no step joined several branches",
        MetricId::TtftTurn2
        | MetricId::TtftTurn6
        | MetricId::TtftTurn21
        | MetricId::TtftPromptShort
        | MetricId::TtftPrompt4k
        | MetricId::TtftPrompt16k
        | MetricId::TtftPrompt64k
        | MetricId::TtftRootLane
        | MetricId::TtftOtherLanes => "no such request got a token",
        MetricId::Itl | MetricId::Stall => "no request had tokens in two chunks",
        MetricId::OutputTokensPerTurn => "no request finished",
        MetricId::TotalPrompt
        | MetricId::CachedPrompt
        | MetricId::UncachedPrompt
        | MetricId::Completion
        | MetricId::Traces
        | MetricId::LittleTraces
        | MetricId::AchievedConcurrency
        | MetricId::InFlightPrompt
        | MetricId::ThinkTime
        | MetricId::JobsPerUser
        | MetricId::JobsPerGpu => "the window has no length",
    }
}

/// Without streaming nothing is known of tokens before the end: the columns say so.
fn drop_unstreamed(all: &mut BTreeMap<MetricId, Distribution>, streamed: bool) {
    if streamed {
        return;
    }
    for (metric, distribution) in all {
        let row = metric.row();
        if row.needs == Needs::Stream {
            *distribution = nothing(row.unit, "answers were not streamed (stream=False)");
        }
    }
}
