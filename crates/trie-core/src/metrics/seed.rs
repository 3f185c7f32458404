//! The original harness's own estimators, under its own keys, for the `seed` block.
//!
//! They are kept as they are, with their faults: percentiles over completed traces only, planned
//! tokens credited when a response ends, missing cached tokens counted as 0, an uncapped eligible
//! rate, and a stream without visible text failing its trace.

use std::collections::BTreeMap;

use serde_json::Number;

use super::dense::{Slot, slots};
use super::estimate::{float, histogram, independent, seconds};
use super::fold::{Tally, Times};
use super::path::MOST_RESERVED;
use super::requests::RequestTally;
use super::traces::TraceTally;
use super::{Distribution, MetricId, Stat};
use crate::record::{Outcome, RequestRow};
use crate::units::{Nanos, Tokens};

/// Planned tokens of a response, credited when it had been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeedPoint {
    at: u64,
    prompt: Tokens,
    new: Tokens,
    completion: Tokens,
}

/// What the original would have kept of a trace.
#[derive(Debug, Default)]
pub(super) struct SeedTrace {
    first_start: Option<u64>,
    first_visible: Option<u64>,
    final_visible: Option<u64>,
    tps_sum: f64,
    responses: u32,
    outputs: f64,
    prompt: Tokens,
    cached: Tokens,
    eligible: Tokens,
    next_eligible: Tokens,
    /// A response it could not have read.
    broken: bool,
    /// Kept only until the trace is known to be good.
    pending_itl: Vec<Slot>,
    pending_outputs: Vec<f64>,
}

impl RequestTally {
    /// Folds a request into what the original would have kept.
    pub(super) fn add_seed(
        &mut self,
        row: &RequestRow,
        times: &Times,
        trace: &mut TraceTally,
        streamed: bool,
    ) {
        if row.step == 0 {
            let start = times.start.unwrap_or(times.intent);
            let first = trace.seed.first_start.unwrap_or(start).min(start);
            trace.seed.first_start = Some(first);
        }
        if row.outcome != Outcome::Ok {
            return;
        }
        if !readable(row, streamed) {
            trace.seed.broken = true;
            return;
        }
        self.seed_points.push(point(row, times));
        let (is_final, steps, completed) =
            (trace.is_final(row.step), trace.steps(), trace.completed());
        trace.seed.add_usage(row);
        if trace.seed.pending_outputs.capacity() == 0 {
            let requests = steps.clamp(1, MOST_RESERVED) as usize;
            trace.seed.pending_outputs.reserve_exact(requests);
            trace.seed.pending_itl.reserve_exact(requests * self.itl_slots.len());
        }
        match &row.visible_itl {
            None => trace.seed.pending_itl.extend(&self.itl_slots),
            Some(visible) => trace.seed.pending_itl.extend(slots(visible)),
        }
        trace.seed.add_response(row, times, is_final);
        if trace.entered() || (completed && trace.seed.responses < steps) {
            return;
        }
        let itl = std::mem::take(&mut trace.seed.pending_itl);
        let mut outputs = std::mem::take(&mut trace.seed.pending_outputs);
        if completed && !trace.seed.broken {
            self.seed_itl.add_slots(&itl);
            self.seed_outputs.append(&mut outputs);
        }
    }
}

impl SeedTrace {
    fn add_usage(&mut self, row: &RequestRow) {
        let (Some(prompt), Some(completion)) = (row.prompt_tokens, row.completion_tokens) else {
            return;
        };
        self.prompt += prompt;
        self.cached += row.cached_tokens.unwrap_or(0);
        self.eligible += self.next_eligible;
        self.next_eligible = prompt + completion;
    }

    fn add_response(&mut self, row: &RequestRow, times: &Times, is_final: bool) {
        let tokens = row.completion_tokens.unwrap_or(row.planned_completion_tokens);
        self.responses += 1;
        self.outputs += float(tokens);
        self.pending_outputs.push(float(tokens));
        let Some(visible) = times.first_visible else { return };
        if row.step == 0 {
            self.first_visible = Some(visible);
        }
        if is_final {
            self.final_visible = Some(visible);
        }
        let decode = times.end.unwrap_or(visible).saturating_sub(visible);
        if tokens > 1 && decode > 0 {
            self.tps_sum += float(tokens - 1) / seconds(decode);
        }
    }
}

/// The `seed` block.
pub(super) fn seed(tally: &mut Tally, streamed: bool) -> BTreeMap<String, Number> {
    let mut block = BTreeMap::new();
    let requests = &mut tally.requests;
    let (points, outputs) =
        (std::mem::take(&mut requests.seed_points), std::mem::take(&mut requests.seed_outputs));
    let wall = seconds(tally.spans.iter().map(|span| span.end).max().unwrap_or(0));
    let good: Vec<&TraceTally> = tally.traces.values().filter(|trace| counts(trace)).collect();
    let failed = tally.traces.values().filter(|trace| trace.failed() || broken(trace)).count();
    let completed = good.len() as u64;
    let rate = if wall > 0.0 { float(completed) / wall } else { 0.0 };
    put(&mut block, "wall_time_s".into(), wall);
    put(&mut block, MetricId::Traces.row().log_key.into(), rate);
    block.insert("completed_requests".into(), completed.into());
    block.insert("failed_requests".into(), failed.into());
    rates(&mut block, points, wall);
    for (metric, all) in distributions((tally, &good), outputs, streamed) {
        for stat in Stat::ALL {
            if let (Some(value), true) = (all.cell(stat).value(), all.n > 0) {
                put(&mut block, format!("{}_{}", metric.row().log_key, stat.name()), value);
            }
        }
    }
    block
}

fn put(block: &mut BTreeMap<String, Number>, key: String, value: f64) {
    if let Some(number) = Number::from_f64(value) {
        block.insert(key, number);
    }
}

/// Whether the original would have read this response to its end.
fn readable(row: &RequestRow, streamed: bool) -> bool {
    if streamed {
        row.first_visible_ns.is_some()
    } else {
        row.prompt_tokens.is_some() && row.completion_tokens.is_some()
    }
}

fn point(row: &RequestRow, times: &Times) -> SeedPoint {
    SeedPoint {
        at: times.end.unwrap_or(times.intent),
        prompt: row.planned_prompt_tokens,
        new: row.planned_new_tokens,
        completion: row.planned_completion_tokens,
    }
}

fn counts(trace: &TraceTally) -> bool {
    trace.completed() && !trace.seed.broken && !trace.entered()
}

fn broken(trace: &TraceTally) -> bool {
    trace.completed() && trace.seed.broken
}

/// A part of a point's tokens.
type Part = fn(&SeedPoint) -> Tokens;

/// Rates between points. Overall divides the total at the last point by the wall time; the
/// windows take the slope from their first point to the last one.
fn rates(block: &mut BTreeMap<String, Number>, mut points: Vec<SeedPoint>, wall: f64) {
    // Of those that end at the same instant the order is nobody's: that of their tokens is any run's.
    // Each share's stand nearly in order, which this sort makes use of.
    points.sort_by_key(|point| (point.at, point.prompt, point.new, point.completion));
    let Some(last) = points.last().map(|point| point.at) else { return };
    if wall <= 0.0 || points.iter().all(|point| point.completion == 0) {
        return;
    }
    let row: [(MetricId, Part); 4] = [
        (MetricId::TotalPrompt, |point| point.prompt),
        (MetricId::CachedPrompt, |point| point.prompt.saturating_sub(point.new)),
        (MetricId::UncachedPrompt, |point| point.new),
        (MetricId::Completion, |point| point.completion),
    ];
    let recent = seconds(last) - seconds(30 * Nanos::SECOND.0);
    for (metric, tokens) in row {
        let key = metric.row().log_key;
        let total: Tokens = points.iter().map(tokens).sum();
        put(block, key.into(), float(total) / wall);
        put(block, format!("last_30s_window_{key}"), slope(&points, recent, tokens));
        let steady = 0.2 * seconds(last);
        put(block, format!("steady_state_{key}"), slope(&points, steady, tokens));
    }
}

/// Tokens of the points after the first one at or after `from`, per second between it and the
/// last one; 0 where that is the last one.
fn slope(points: &[SeedPoint], from: f64, tokens: Part) -> f64 {
    let start = points.partition_point(|point| seconds(point.at) < from);
    let (Some(first), Some(last)) = (points.get(start), points.last()) else { return 0.0 };
    if start + 1 == points.len() || first.at == last.at {
        return 0.0;
    }
    let total: Tokens = points[start + 1..].iter().map(tokens).sum();
    float(total) / (seconds(last.at) - seconds(first.at))
}

/// Values of the completed traces.
fn distributions(
    (tally, good): (&Tally, &[&TraceTally]),
    outputs: Vec<f64>,
    streamed: bool,
) -> Vec<(MetricId, Distribution)> {
    let over = |metric: MetricId, value: &dyn Fn(&TraceTally) -> Option<f64>| {
        let values = good.iter().filter_map(|trace| value(trace)).collect();
        (metric, independent(metric.row().unit, values))
    };
    let since = |from: Option<u64>, to: Option<u64>| Some(seconds(to?.saturating_sub(from?)));
    let tps = |trace: &TraceTally| trace.seed.tps_sum / f64::from(trace.seed.responses.max(1));
    let said = |trace: &TraceTally| !streamed || trace.seed.prompt > 0;
    let hit = |cached: Tokens, of: Tokens| if of > 0 { float(cached) / float(of) } else { 0.0 };
    let mut all = vec![
        over(MetricId::Latency, &|trace| since(Some(trace.intent()), Some(trace.last_end))),
        over(MetricId::OutputTokensPerTrace, &|trace| Some(trace.seed.outputs)),
        over(MetricId::CacheHitRate, &|trace| {
            said(trace).then(|| hit(trace.seed.cached, trace.seed.prompt) * 100.0)
        }),
        over(MetricId::EligibleCacheHitRate, &|trace| {
            said(trace).then(|| hit(trace.seed.cached, trace.seed.eligible) * 100.0)
        }),
    ];
    all.push((MetricId::OutputTokensPerTurn, independent("tok", outputs)));
    if streamed {
        all.extend([
            over(MetricId::Ttft, &|trace| since(trace.seed.first_start, trace.seed.first_visible)),
            over(MetricId::Ttfat, &|trace| since(Some(trace.intent()), trace.seed.final_visible)),
            over(MetricId::DecodeTps, &|trace| Some(tps(trace))),
            over(MetricId::Tpot, &|trace| (tps(trace) > 0.0).then(|| 1000.0 / tps(trace))),
            (MetricId::Itl, histogram("ms", &tally.requests.seed_itl.histogram(), &[])),
        ]);
    }
    all
}
