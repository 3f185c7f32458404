//! Every check against every fault: each fires on its own and on no other.

use std::collections::BTreeMap;

use trie_core::metrics::{CheckId, RunRecords, Status, Trust, summarize};
use trie_core::record::{
    ClientRow, Credit, Ending, ErrorRow, Finding, FindingStatus, Histogram, KvCache, Manifest,
    Outcome, Preflight, PreflightCheck, Priming, Reason, RequestRow, SelfCheck, ToldBy, TraceEvent,
    TraceOutcome, TraceRow,
};
use trie_core::units::Nanos;

use crate::metrics::records;

type Run = RunRecords<Vec<RequestRow>, Vec<TraceRow>, Vec<ClientRow>>;

const MS: u64 = 1_000_000;
const TRACES: u64 = 900;

/// A run of which no check has anything to say: traces of two steps, one begun every 300 ms.
fn sound() -> Run {
    let ending = Ending { end_ns: Nanos::from_secs(300), reason: Reason::Deadline, message: None };
    let idle = finding(FindingStatus::Ok);
    let manifest = Manifest {
        start_ns: Nanos::ZERO,
        duration_ns: Nanos::from_secs(300),
        ending: Some(ending),
        preflight: Some(Preflight { findings: vec![idle], ..Preflight::default() }),
        kv_cache: Some(KvCache { tokens: 100_000, block_size: None, told_by: ToldBy::Server }),
        // 10,000 reads a second.
        self_check: Some(SelfCheck {
            threads: 1,
            cpu_ns_per_read: 100_000,
            ..SelfCheck::default()
        }),
        ..records("plain").manifest
    };
    let client = (0..300).map(|second| ClientRow {
        second,
        cpu_ns: Some(Nanos(100 * MS)),
        core_wait_ns: Some(Nanos(10 * MS)),
        reads: 100,
        clock_offset_ns: Some(0),
        ..ClientRow::default()
    });
    let mut run =
        RunRecords { manifest, requests: vec![], traces: vec![], client: client.collect() };
    for trace in 0..TRACES {
        let begin = trace * 300 * MS;
        run.requests.extend([request(trace, 0, begin), request(trace, 1, begin + 500 * MS)]);
        run.traces.push(row(trace, begin, TraceEvent::Admitted));
        let ended = TraceEvent::Ended(TraceOutcome::Completed);
        run.traces.push(row(trace, begin + 800 * MS, ended));
    }
    run
}

fn finding(status: FindingStatus) -> Finding {
    Finding { check: PreflightCheck::Idle, status, found: String::new(), advice: None }
}

/// 100 histories of as many tokens, of which some were missed.
fn primed(missed: u64) -> Priming {
    Priming {
        requests: 100,
        tokens: 10_000,
        missed_requests: missed,
        missed_tokens: 100 * missed,
        took_ns: Nanos::from_secs(1),
    }
}

fn row(trace: u64, at: u64, event: TraceEvent) -> TraceRow {
    TraceRow {
        trace,
        row: trace,
        cycle: 0,
        trace_id: format!("t{trace}"),
        slot: 0,
        at_ns: Nanos(at),
        steps: 2,
        final_step: 1,
        planned_completion_tokens: 22,
        planned_prompt_tokens: 200,
        held_ns: None,
        entered_step: None,
        event,
    }
}

fn request(trace: u64, step: u32, at: u64) -> RequestRow {
    let later = |ms: u64| Some(Nanos(at + ms * MS));
    let mut itl = Histogram::default();
    itl.add(20 * MS, 10);
    RequestRow {
        trace,
        row: trace,
        step,
        intent_ns: Nanos(at),
        start_ns: Some(Nanos(at)),
        connected_ns: Some(Nanos(at)),
        sent_ns: Some(Nanos(at)),
        first_token_ns: later(100 + trace % 7),
        last_token_ns: later(300 + trace % 7),
        end_ns: later(300 + trace % 7),
        planned_prompt_tokens: 100,
        planned_new_tokens: 50,
        planned_completion_tokens: 11,
        prompt_tokens: Some(100),
        completion_tokens: Some(11),
        cached_tokens: Some(50),
        expected_cached_tokens: Some(50),
        first_chunk_tokens: Some(1),
        itl,
        credit: vec![Credit(Nanos(at).as_secs_f64().floor(), 11)],
        outcome: Outcome::Ok,
        ..RequestRow::default()
    }
}

/// What is wrong with a run, and all that then has something to say.
struct Fault {
    name: &'static str,
    of: fn(&mut Run),
    fires: &'static [(CheckId, Status)],
    trust: Trust,
}

/// Every so-many-th request.
fn some(run: &mut Run, every: usize, change: impl Fn(&mut RequestRow)) {
    run.requests.iter_mut().step_by(every).for_each(change);
}

/// Ends the last traces otherwise, in their last step.
fn last(run: &mut Run, traces: u64, outcome: &TraceOutcome) {
    let is_last = |trace: u64| trace + traces >= TRACES;
    let failed = matches!(outcome, TraceOutcome::Failed(_));
    for row in run.traces.iter_mut().filter(|row| is_last(row.trace)) {
        if row.event != TraceEvent::Admitted {
            row.event = TraceEvent::Ended(outcome.clone());
        }
    }
    for row in run.requests.iter_mut().filter(|row| is_last(row.trace) && row.step == 1) {
        row.outcome = if failed { Outcome::Failed } else { Outcome::CutOff };
        let (kind, message) = ("status".to_owned(), String::new());
        row.error = failed.then_some(ErrorRow { kind, status: Some(500), message });
    }
}

const FAULTS: &[Fault] = &[
    Fault { name: "none", of: |_| {}, fires: &[], trust: Trust::Yes },
    Fault {
        name: "every trace failed",
        of: |run| last(run, TRACES, &TraceOutcome::Failed("status".into())),
        fires: &[(CheckId::Population, Status::Fail), (CheckId::FailedTraces, Status::Fail)],
        trust: Trust::No,
    },
    Fault {
        name: "a row is there twice",
        of: |run| run.requests.push(run.requests[0].clone()),
        fires: &[(CheckId::Records, Status::Fail)],
        trust: Trust::No,
    },
    Fault {
        name: "2 % of the traces failed",
        of: |run| last(run, 18, &TraceOutcome::Failed("status".into())),
        fires: &[(CheckId::FailedTraces, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "chunks were read 10 ms after they came",
        of: |run| run.client[0].lag.add(10 * MS, 1000),
        fires: &[(CheckId::ClientLag, Status::Fail)],
        trust: Trust::No,
    },
    Fault {
        name: "requests went out 5 ms late",
        of: |run| some(run, 1, |row| row.sent_ns = Some(Nanos(row.intent_ns.0 + 5 * MS))),
        fires: &[(CheckId::SendLateness, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "one request in 20 waited for its connection",
        of: |run| {
            some(run, 20, |row| {
                row.connect_ns = Some(Nanos(MS / 10));
                row.connected_ns = Some(Nanos(row.intent_ns.0 + MS / 10));
            });
        },
        fires: &[(CheckId::Connections, Status::Fail)],
        trust: Trust::No,
    },
    Fault {
        name: "prompts are counted 3 % longer",
        of: |run| some(run, 1, |row| row.prompt_tokens = Some(103)),
        fires: &[(CheckId::TokenDrift, Status::Fail)],
        trust: Trust::No,
    },
    Fault {
        name: "one answer in 100 is longer",
        of: |run| some(run, 100, |row| row.completion_tokens = Some(12)),
        fires: &[(CheckId::OutputLength, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "a token of each answer was not seen to arrive",
        of: |run| some(run, 1, |row| row.uncounted_tokens = 1),
        fires: &[(CheckId::ChunkCounts, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "no word of cached tokens",
        of: |run| some(run, 1, |row| row.cached_tokens = None),
        fires: &[(CheckId::CacheField, Status::Fail)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "one request in 100 found more cached than was sent",
        of: |run| some(run, 100, |row| row.cached_tokens = Some(90)),
        fires: &[(CheckId::WarmCache, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "one trace in 8 was cut off",
        of: |run| last(run, TRACES / 8, &TraceOutcome::CutOff),
        fires: &[(CheckId::Censoring, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "a short run",
        of: |run| {
            run.requests.retain(|row| row.trace < 100);
            run.traces.retain(|row| row.trace < 100);
        },
        fires: &[(CheckId::SampleSize, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "a second attempt",
        of: |run| run.requests[0].attempt = 1,
        fires: &[(CheckId::Retries, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "requests that found nothing of their history",
        of: |run| {
            run.requests.iter_mut().skip(1).step_by(2).for_each(|row| row.eligible_tokens = 50);
            // Each of these is the second one of its trace as well.
            run.requests.iter_mut().skip(1).step_by(20).for_each(|row| {
                row.cached_tokens = Some(0);
                row.expected_cached_tokens = Some(0);
            });
        },
        fires: &[(CheckId::Metastability, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "a cache that the contexts fill by more than half",
        of: |run| {
            // 2.7 traces at a time, of 111 tokens each.
            run.manifest.kv_cache =
                Some(KvCache { tokens: 500, block_size: None, told_by: ToldBy::Server });
        },
        fires: &[(CheckId::CacheRoom, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "contexts that grow all the while",
        of: |run| {
            run.traces.iter_mut().for_each(|row| row.slot = (row.trace % 8) as u32);
            for row in &mut run.requests {
                let all = 100 + row.trace;
                row.planned_prompt_tokens = all;
                row.prompt_tokens = Some(all);
                row.planned_new_tokens = all / 2;
                row.cached_tokens = Some(all / 2);
                row.expected_cached_tokens = Some(all / 2);
            }
        },
        fires: &[(CheckId::SteadyState, Status::Fail)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "a thread near its limit",
        of: |run| run.client.iter_mut().for_each(|row| row.cpu_ns = Some(Nanos(950 * MS))),
        fires: &[(CheckId::ClientCpu, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "more to read than the client can take",
        of: |run| run.client[7].reads = 8_100,
        fires: &[(CheckId::ClientCapacity, Status::Fail)],
        trust: Trust::No,
    },
    Fault {
        name: "a proxy that holds chunks back",
        of: |run| run.client.iter_mut().for_each(|row| row.merged_reads = 60),
        fires: &[(CheckId::Coalescing, Status::Fail)],
        trust: Trust::No,
    },
    Fault {
        name: "a process that takes the client's core",
        of: |run| run.client.iter_mut().for_each(|row| row.core_wait_ns = Some(Nanos(400 * MS))),
        fires: &[(CheckId::CoreWait, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "a thread that stood still",
        of: |run| run.client[20].timer_lag.add(20 * MS, 1),
        fires: &[(CheckId::RuntimeStall, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "the clock was set",
        of: |run| {
            run.client[150..].iter_mut().for_each(|row| row.clock_steps = 1);
        },
        fires: &[(CheckId::Clock, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "the server had other work",
        of: |run| {
            let findings = vec![finding(FindingStatus::Warn)];
            run.manifest.preflight = Some(Preflight { findings, ..Preflight::default() });
        },
        fires: &[(CheckId::IdleAtStart, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "a hundredth of the histories was not primed",
        of: |run| run.manifest.priming = Some(primed(1)),
        fires: &[(CheckId::Priming, Status::Warn)],
        trust: Trust::Caveats,
    },
    Fault {
        name: "a tenth of the histories was not primed",
        of: |run| run.manifest.priming = Some(primed(10)),
        fires: &[(CheckId::Priming, Status::Fail)],
        trust: Trust::Caveats,
    },
];

/// What had something to say, by the word of the check.
fn fired(run: Run) -> (BTreeMap<String, Status>, Trust, Vec<String>) {
    let verdict = summarize(vec![run]).unwrap().verdict;
    let all = verdict.checks.iter().map(|check| check.id.to_string()).collect();
    let said = |status| matches!(status, Status::Fail | Status::Warn);
    let checks = verdict.checks.into_iter().filter(|check| said(check.status));
    let silent = |text: &String| text.is_empty();
    let fired = checks.map(|check| {
        assert!(check.value.value().is_some(), "{} has no number", check.id);
        assert!(![&check.threshold, &check.advice].into_iter().any(silent), "{}", check.id);
        (check.id.to_string(), check.status)
    });
    (fired.collect(), verdict.trust, all)
}

#[test]
fn each_check_fires_on_its_own_fault_and_on_no_other() {
    let mut tried = std::collections::BTreeSet::new();
    for fault in FAULTS {
        let mut run = sound();
        (fault.of)(&mut run);
        let (fired, trust, _) = fired(run);
        let expected = fault.fires.iter().map(|(id, status)| (id.to_string(), *status)).collect();
        assert_eq!(fired, expected, "{}", fault.name);
        assert_eq!(trust, fault.trust, "{}", fault.name);
        tried.extend(fired.into_keys());
    }
    // Nothing is checked that no fault tries.
    let (_, _, all) = fired(sound());
    assert_eq!(all.into_iter().collect::<std::collections::BTreeSet<_>>(), tried);
}
