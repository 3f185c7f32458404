//! TRUST: checks of a run, and the verdict they add up to.

use std::collections::BTreeMap;

use super::estimate::{FLOORS, float, percent};
use super::fold::Tally;
use super::instruments::instruments;
use super::room::room_check;
use super::state::{metastability, steady_check};
use super::{
    Accounting, CacheRoom, Cell, Check, CheckId, Distribution, Floor, MetricId, Populations, Stat,
    Status, Trust, Verdict,
};
use crate::record::Outcome;

type Distributions = BTreeMap<MetricId, Distribution>;

/// Makes every check that records can answer. Those that failed come first.
pub(super) fn verdict(
    tally: &Tally,
    populations: &Populations,
    distributions: [&Distributions; 2],
    (accounting, room): (&Accounting, Option<&CacheRoom>),
) -> Verdict {
    let [per_trace, per_request] = distributions;
    let mut checks = vec![
        population(populations),
        records(tally),
        failed_traces(populations),
        client_lag(accounting, per_request),
        send_lateness(accounting),
        connections(tally),
        token_drift(tally),
        output_length(tally),
        chunk_counts(tally),
        cache_field(tally),
        warm_cache(tally),
        steady_check(tally),
        metastability(tally),
        room_check(room),
        censoring(tally, populations, per_trace),
        sample_size(distributions),
        retries(accounting),
    ];
    checks.extend(instruments(tally));
    checks.sort_by_key(|check| check.status);
    Verdict { trust: trust(&checks), checks }
}

pub(super) fn trust(checks: &[Check]) -> Trust {
    let doubt = |check: &Check| matches!(check.status, Status::Fail | Status::Warn);
    if checks.iter().any(Check::makes_wrong) {
        Trust::No
    } else if checks.iter().any(doubt) {
        Trust::Caveats
    } else {
        Trust::Yes
    }
}

/// Whether failing this check means that numbers are wrong.
pub(super) const fn makes_wrong(id: CheckId) -> bool {
    match id {
        CheckId::ClientLag
        | CheckId::SendLateness
        | CheckId::ClientCapacity
        | CheckId::Coalescing
        | CheckId::Connections
        | CheckId::TokenDrift
        | CheckId::OutputLength
        | CheckId::FailedTraces
        | CheckId::Population
        | CheckId::Records => true,
        CheckId::ChunkCounts
        | CheckId::CacheField
        | CheckId::WarmCache
        | CheckId::SteadyState
        | CheckId::Metastability
        | CheckId::CacheRoom
        | CheckId::Censoring
        | CheckId::SampleSize
        | CheckId::Retries
        | CheckId::RuntimeStall
        | CheckId::ClientCpu
        | CheckId::CoreWait
        | CheckId::Clock
        | CheckId::IdleAtStart
        | CheckId::Priming => false,
    }
}

/// What is said of a check: its thresholds, and what to do beyond them.
pub(super) struct Words {
    pub(super) threshold: &'static str,
    pub(super) advice: &'static str,
}

pub(super) fn check(id: CheckId, status: Status, value: Cell, words: &Words) -> Check {
    let advice = match status {
        Status::Fail | Status::Warn => words.advice.to_owned(),
        Status::Pass | Status::Unknown => String::new(),
    };
    Check { id, status, value, threshold: words.threshold.to_owned(), advice }
}

/// A check that warns and fails above a figure.
pub(super) fn above(
    id: CheckId,
    value: Option<f64>,
    [warn, fail]: [f64; 2],
    words: &Words,
) -> Check {
    let Some(value) = value else {
        let why = Cell::Missing("the records do not say".into());
        return check(id, Status::Unknown, why, words);
    };
    let status = if value > fail {
        Status::Fail
    } else if value > warn {
        Status::Warn
    } else {
        Status::Pass
    };
    check(id, status, Cell::exact(value), words)
}

fn population(populations: &Populations) -> Check {
    let measured = populations.completed + populations.cut_off;
    let status = if measured == 0 { Status::Fail } else { Status::Pass };
    let words = Words {
        threshold: "traces that completed or were cut off: fails at 0",
        advice: "nothing was measured; see the kinds of failure",
    };
    check(CheckId::Population, status, Cell::exact(float(measured)), &words)
}

fn records(tally: &Tally) -> Check {
    let words = Words {
        threshold: "rows that are missing, there twice, or contradict each other: fails at any",
        advice: "the record files were changed, or a disk was full: what is computed from them is \
                 not what was measured",
    };
    above(CheckId::Records, Some(float(tally.contradictions())), [0.0, 0.0], &words)
}

fn failed_traces(populations: &Populations) -> Check {
    let words = Words {
        threshold: "traces failed, %: warns above 1, fails above 5",
        advice: "see the kinds of failure; latencies leave failed traces out from their failure on",
    };
    let share = percent(populations.failed_total(), populations.admitted);
    above(CheckId::FailedTraces, share.or(Some(0.0)), [1.0, 5.0], &words)
}

fn client_lag(accounting: &Accounting, per_request: &Distributions) -> Check {
    let words = Words {
        threshold: "read minus kernel stamp, p99, ms: warns above 1 or 5 % of the median ITL, \
                    fails above 5 or 20 % of it",
        advice: "the client was too busy: use a machine with more cores, or less concurrency",
    };
    let itl = per_request.get(&MetricId::Itl).and_then(|itl| itl.p50.value());
    let limits =
        [(1.0_f64, 0.05), (5.0, 0.20)].map(|(ms, share)| itl.map_or(ms, |itl| ms.min(itl * share)));
    above(CheckId::ClientLag, accounting.client_lag_p99_ms.value(), limits, &words)
}

fn send_lateness(accounting: &Accounting) -> Check {
    let words = Words {
        threshold: "sent minus intent, p99, ms: warns above 1, fails above 10",
        advice: "requests went out late and the wait is inside TTFT: look at connections and at \
                 the load of the client; ramp= spreads the first ones",
    };
    above(CheckId::SendLateness, accounting.send_lateness_p99_ms.value(), [1.0, 10.0], &words)
}

fn connections(tally: &Tally) -> Check {
    let counts = &tally.requests.counts;
    let words = Words {
        threshold: "requests that waited for a new connection, %: warns at any, fails above 1",
        advice: "the time to connect is inside TTFT: let the server keep connections open longer",
    };
    let share = percent(counts.connects_after_intent, counts.outcomes.values().sum());
    above(CheckId::Connections, share, [0.0, 1.0], &words)
}

fn token_drift(tally: &Tally) -> Check {
    let counts = &tally.requests.counts;
    let words = Words {
        threshold: "planned against reported tokens, %: warns above 0.5, fails above 2",
        advice: "the server counts other tokens than the plan: check tokenizer_model",
    };
    let drifts = [counts.prompt_drift, counts.completion_drift];
    let shares = drifts.iter().filter_map(|drift| percent(drift.absolute, drift.planned));
    above(CheckId::TokenDrift, shares.reduce(f64::max), [0.5, 2.0], &words)
}

fn output_length(tally: &Tally) -> Check {
    let counts = &tally.requests.counts;
    let words = Words {
        threshold: "answers of other than the planned length, %: warns above 0.5, fails above 2",
        advice: "the server stops early or late: does it know ignore_eos?",
    };
    let exact = percent(counts.completion_exact, counts.completion_known);
    above(CheckId::OutputLength, exact.map(|exact| 100.0 - exact), [0.5, 2.0], &words)
}

fn chunk_counts(tally: &Tally) -> Check {
    let counts = &tally.requests.counts;
    let words = Words {
        threshold: "answer tokens that the chunks and the final usage count differently, %: warns \
                    above 1",
        advice: if counts.excess > counts.uncounted {
            "the server sends more chunks than its usage counts tokens: is a chunk sent twice?"
        } else {
            "chunks hold several tokens that the server does not count: ITL is the gap between \
             chunks; history=ids, or a server that reports running usage, counts them"
        },
    };
    let arrived = tally.requests.credit.values().sum();
    let apart = percent(counts.uncounted + counts.excess, arrived);
    above(CheckId::ChunkCounts, apart, [1.0, f64::INFINITY], &words)
}

fn cache_field(tally: &Tally) -> Check {
    let counts = &tally.requests.counts;
    let apart = percent(counts.cached_apart, counts.cached_expected).unwrap_or(0.0);
    let finished = counts.outcomes.get(&Outcome::Ok).copied().unwrap_or(0);
    if finished > 0 && counts.cached_known == finished && apart > 2.0 {
        let words = Words {
            threshold: "reported cached tokens off what can be cached, %: warns above 2",
            advice: "reported cached tokens are not what a cache that forgets nothing can hold: the server \
                     evicts, reuses in blocks, or has another tokenizer",
        };
        return above(CheckId::CacheField, Some(apart), [2.0, f64::INFINITY], &words);
    }
    let words = Words {
        threshold: "finished requests with cached_tokens, %: warns below 100, fails at 0",
        advice: "start vLLM with --enable-prompt-tokens-details, SGLang with --enable-cache-report",
    };
    let Some(coverage) = percent(counts.cached_known, finished) else {
        let why = Cell::Missing("no request finished".into());
        return check(CheckId::CacheField, Status::Unknown, why, &words);
    };
    let status = if counts.cached_known == 0 {
        Status::Fail
    } else if counts.cached_known < finished {
        Status::Warn
    } else {
        Status::Pass
    };
    check(CheckId::CacheField, status, Cell::exact(coverage), &words)
}

fn warm_cache(tally: &Tally) -> Check {
    let counts = &tally.requests.counts;
    let words = Words {
        threshold: "requests with more cached than this run had sent, %: warns above 0.5",
        advice: "the server's cache held this run's content before it started: restart the server or \
                 reset its prefix cache; was a salt used again, or is something else sending this run?",
    };
    let share = percent(counts.too_warm, counts.warmth_known);
    above(CheckId::WarmCache, share, [0.5, f64::INFINITY], &words)
}

fn censoring(tally: &Tally, populations: &Populations, per_trace: &Distributions) -> Check {
    let words = |threshold| Words {
        threshold,
        advice: if tally.spans.iter().any(|span| span.broke_off()) {
            "the run ended before its time; why is said above"
        } else {
            "the run is short for these traces: duration= of at least five median latencies"
        },
    };
    let share = percent(populations.cut_off, populations.admitted);
    let of_traces = words("traces cut off, %: warns above 10, fails above 30");
    let result = above(CheckId::Censoring, share, [10.0, 30.0], &of_traces);
    let median = per_trace.get(&MetricId::Latency).and_then(|latency| latency.p50.value());
    let part = median.map(|median| 100.0 * median / super::estimate::seconds(tally.window()));
    match part.filter(|part| result.status == Status::Pass && *part > 20.0) {
        Some(part) => {
            let of_window = words("median trace latency, % of the window: warns above 20");
            above(CheckId::Censoring, Some(part), [20.0, f64::INFINITY], &of_window)
        }
        None => result,
    }
}

/// Warns where a printed quantile stands on too few samples; the value counts them.
fn sample_size(distributions: [&Distributions; 2]) -> Check {
    let words = Words {
        threshold: "quantiles below their floor of effective samples (p50 11, p90 64, p95 130, \
                    p99 662): warns at any",
        advice: "quantiles marked ? are uncertain: run longer",
    };
    let all = distributions.into_iter().flatten().filter(|(metric, _)| !metric.is_breakdown());
    let cells = all.flat_map(|(_, distribution)| quantiles(distribution));
    let below = cells.filter(|cell| is_below(cell)).count() as u64;
    let limits = [0.0, f64::INFINITY];
    above(CheckId::SampleSize, Some(float(below)), limits, &words)
}

fn quantiles(all: &Distribution) -> impl Iterator<Item = &Cell> {
    FLOORS.iter().map(|&(stat, _, _): &(Stat, f64, f64)| all.cell(stat))
}

fn is_below(cell: &Cell) -> bool {
    match cell {
        Cell::Measured(measured) => measured.floor == Floor::Below,
        Cell::Missing(_) => false,
    }
}

fn retries(accounting: &Accounting) -> Check {
    let words = Words {
        threshold: "attempts after the first: warns at any",
        advice: "retried requests hide failures inside latencies: max_retries=0 shows them",
    };
    let limits = [0.0, f64::INFINITY];
    above(CheckId::Retries, Some(float(accounting.retries)), limits, &words)
}
