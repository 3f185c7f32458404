//! How much of the server's KV cache the contexts fill, worked out by hand.

use trie_core::metrics::{CacheRoom, CheckId, Replicated, RunRecords, Status, pool, summarize};
use trie_core::record::{
    ClientRow, Ending, KvCache, Manifest, Outcome, Reason, RequestRow, ToldBy, TraceEvent,
    TraceOutcome, TraceRow, WorkloadFacts,
};
use trie_core::units::Nanos;

use crate::metrics::records;

type Run = RunRecords<Vec<RequestRow>, Vec<TraceRow>, Vec<ClientRow>>;

/// Trace, step and lane; intent and end in seconds; prompt, answer, and what is taken over.
type Request = ([u32; 3], [u64; 2], [u64; 3]);

const REQUESTS: [Request; 6] = [
    ([0, 0, 0], [0, 1], [100, 10, 0]),
    ([0, 1, 0], [4, 6], [200, 10, 110]),
    // Cut off at 10 s.
    ([1, 0, 0], [5, 10], [300, 20, 0]),
    ([2, 0, 0], [2, 3], [50, 10, 0]),
    // Another lane, which goes on from what the root has.
    ([2, 1, 1], [3, 5], [80, 10, 60]),
    ([2, 2, 0], [6, 7], [100, 10, 60]),
];

/// Number of the trace, begin and end, whether it was cut off.
const TRACES: [(u64, u64, u64, bool); 3] = [(0, 0, 6, false), (1, 5, 10, true), (2, 2, 7, false)];

/// Its workload's requests have 260 tokens on average.
fn run(kv_cache: Option<KvCache>) -> Run {
    let at = |s: u64| Nanos::from_secs(s);
    let ending = Ending { end_ns: at(10), reason: Reason::Deadline, message: None };
    let manifest = Manifest {
        start_ns: Nanos::ZERO,
        duration_ns: at(10),
        ending: Some(ending),
        kv_cache,
        ..records("plain").manifest
    };
    let (requests, prompt_tokens, completion_tokens) = (10, 2_500, 100);
    let workload = manifest.workload.clone();
    let workload = WorkloadFacts { requests, prompt_tokens, completion_tokens, ..workload };
    let manifest = Manifest { workload, ..manifest };
    let request = |request: Request| {
        let ([trace, step, lane], [intent, end], [prompt, answer, taken]) = request;
        RequestRow {
            trace: trace.into(),
            step,
            lane,
            intent_ns: at(intent),
            end_ns: Some(at(end)),
            planned_prompt_tokens: prompt,
            planned_completion_tokens: answer,
            prompt_tokens: (trace != 1).then_some(prompt),
            completion_tokens: (trace != 1).then_some(answer),
            eligible_tokens: taken,
            outcome: if trace == 1 { Outcome::CutOff } else { Outcome::Ok },
            ..RequestRow::default()
        }
    };
    let mut traces = Vec::new();
    for (trace, begin, end, cut_off) in TRACES {
        let outcome = if cut_off { TraceOutcome::CutOff } else { TraceOutcome::Completed };
        for (s, event) in [(begin, TraceEvent::Admitted), (end, TraceEvent::Ended(outcome))] {
            let plain = records("plain").traces.remove(0);
            traces.push(TraceRow { trace, at_ns: at(s), steps: 3, final_step: 2, event, ..plain });
        }
    }
    let requests = REQUESTS.into_iter().map(request).collect();
    RunRecords { manifest, requests, traces, client: Vec::new() }
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
}

#[test]
fn contexts_are_held_from_one_request_to_the_next() {
    let kv_cache = Some(KvCache { tokens: 1_000, block_size: None, told_by: ToldBy::Option });
    let summary = summarize(vec![run(kv_cache)]).unwrap();
    let CacheRoom {
        kv_cache: said,
        held_tokens,
        held_tokens_max,
        expected_tokens,
        in_flight_tokens,
        in_flight_tokens_max,
    } = summary.cache_room.unwrap();
    assert_eq!(said, kv_cache);
    // From 2 s on, 8 s: 110 x 2 + 210 x 2, 320 x 5, 60 x 4 + (90 - 60) x 2 + 110 x 1.
    near(held_tokens, (640.0 + 1_600.0 + 410.0) / 8.0);
    // From 5 s to 6 s.
    near(held_tokens_max, 210.0 + 320.0 + 60.0);
    // Requests from 2 s on have 210, 320, 60, 90 and 110 tokens, 158 on average.
    near(expected_tokens, 331.25 * 260.0 / 158.0);
    near(in_flight_tokens, (420.0 + 1_600.0 + 230.0) / 8.0);
    near(in_flight_tokens_max, 210.0 + 320.0);
    let check = summary.verdict.checks.iter().find(|one| one.id == CheckId::CacheRoom).unwrap();
    assert_eq!(check.status, Status::Warn);
    near(check.value.value().unwrap(), 33.125 * 260.0 / 158.0);
}

#[test]
fn a_cache_of_unknown_size_is_not_judged() {
    let summary = summarize(vec![run(None)]).unwrap();
    assert!(summary.cache_room.unwrap().held_tokens > 300.0);
    let check = summary.verdict.checks.iter().find(|one| one.id == CheckId::CacheRoom).unwrap();
    assert_eq!(check.status, Status::Unknown);
    let why = serde_json::to_value(&check.value).unwrap()["why"].clone();
    assert!(why.as_str().unwrap().contains("cache_tokens="), "{why}");
}

#[test]
fn replicates_are_judged_by_the_mean_of_what_they_fill() {
    // 545.1 tokens are expected.
    let of = |(number, tokens): (u64, u64)| {
        let kv_cache = Some(KvCache { tokens, block_size: None, told_by: ToldBy::Server });
        let mut summary = summarize(vec![run(kv_cache)]).unwrap();
        summary.run.seed = number;
        Replicated { dir: number.to_string(), summary }
    };
    let status = |sizes: &[u64]| {
        let runs: Vec<Replicated> = (0..).zip(sizes.iter().copied()).map(of).collect();
        let pooled = pool(&runs, sizes.len() as u64).unwrap();
        near(pooled.cache_room.unwrap().held_tokens, 331.25);
        pooled.verdict.checks.iter().find(|one| one.id == CheckId::CacheRoom).unwrap().status
    };
    assert_eq!(status(&[2_000, 2_000]), Status::Pass);
    assert_eq!(status(&[1_000, 1_000]), Status::Warn);
}
