//! Goodput, counted by hand.

use trie_core::metrics::{Goodput, MetricId, RunRecords, SummaryError, summarize};
use trie_core::record::{
    ClientRow, Credit, Ending, ErrorRow, OptionValue, Outcome, Reason, RequestRow, TraceEvent,
    TraceOutcome, TraceRow,
};
use trie_core::report::{csv, text};
use trie_core::units::Nanos;

use crate::metrics::records;

type Run = RunRecords<Vec<RequestRow>, Vec<TraceRow>, Vec<ClientRow>>;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// An empty run of 100 s, two slots, with these objectives.
fn run(objectives: &[(&str, &str)]) -> Run {
    let mut manifest = records("plain").manifest;
    manifest.start_ns = Nanos::ZERO;
    manifest.duration_ns = Nanos::from_secs(100);
    manifest.concurrency = 2;
    manifest.num_gpus = Some(4);
    let (reason, message) = (Reason::Deadline, None);
    manifest.ending = Some(Ending { end_ns: Nanos::from_secs(100), reason, message });
    for (name, limit) in objectives {
        let option = OptionValue { value: (*limit).to_owned(), origin: "command line".to_owned() };
        manifest.options.insert(format!("slo.{name}"), option);
    }
    RunRecords { manifest, requests: vec![], traces: vec![], client: vec![] }
}

/// A request of 11 tokens whose first came after `ttft` ms and the others every `itl` ms.
fn request(trace: u64, step: u32, at: u64, [ttft, itl]: [u64; 2]) -> RequestRow {
    let (intent, first) = (at * SECOND, at * SECOND + ttft * MS);
    let last = first + 10 * itl * MS;
    RequestRow {
        trace,
        step,
        intent_ns: Nanos(intent),
        start_ns: Some(Nanos(intent)),
        sent_ns: Some(Nanos(intent)),
        first_token_ns: Some(Nanos(first)),
        last_token_ns: Some(Nanos(last)),
        end_ns: Some(Nanos(last)),
        planned_prompt_tokens: 100,
        planned_completion_tokens: 11,
        prompt_tokens: Some(100),
        completion_tokens: Some(11),
        first_chunk_tokens: Some(1),
        stall_ns: Some(Nanos(itl * MS)),
        credit: vec![Credit(Nanos(intent).as_secs_f64(), 11)],
        outcome: Outcome::Ok,
        ..RequestRow::default()
    }
}

/// The same, still waiting for its first token at the deadline.
fn waiting(trace: u64, step: u32, at: u64) -> RequestRow {
    RequestRow {
        first_token_ns: None,
        last_token_ns: None,
        end_ns: Some(Nanos::from_secs(100)),
        completion_tokens: None,
        first_chunk_tokens: None,
        stall_ns: None,
        credit: vec![],
        outcome: Outcome::CutOff,
        ..request(trace, step, at, [0, 0])
    }
}

fn trace(run: &mut Run, number: u64, at: u64, end: u64, outcome: TraceOutcome) {
    let row = |at_ns, event| TraceRow {
        trace: number,
        row: number,
        cycle: 0,
        trace_id: format!("t{number}"),
        slot: 0,
        at_ns,
        steps: 2,
        final_step: 1,
        planned_completion_tokens: 22,
        planned_prompt_tokens: 200,
        held_ns: None,
        entered_step: None,
        event,
    };
    run.traces.push(row(Nanos::from_secs(at), TraceEvent::Admitted));
    run.traces.push(row(Nanos::from_secs(end), TraceEvent::Ended(outcome)));
}

fn goodput(run: Run) -> Goodput {
    summarize(vec![run]).unwrap().goodput.unwrap()
}

/// Six traces: good; slow decode; late first token; failed; cut off in time; cut off too late.
fn six() -> Run {
    let mut all = run(&[("ttft_s", "2"), ("tpot_ms", "50")]);
    let ends =
        |run: &mut Run, number, outcome| trace(run, number, 10 * number, 10 * number + 8, outcome);
    ends(&mut all, 0, TraceOutcome::Completed);
    ends(&mut all, 1, TraceOutcome::Completed);
    ends(&mut all, 2, TraceOutcome::Completed);
    ends(&mut all, 3, TraceOutcome::Failed("timeout".to_owned()));
    trace(&mut all, 4, 95, 100, TraceOutcome::CutOff);
    trace(&mut all, 5, 95, 100, TraceOutcome::CutOff);
    all.requests.extend([
        request(0, 0, 0, [500, 20]),
        request(0, 1, 4, [2_000, 50]),
        request(1, 0, 10, [500, 20]),
        request(1, 1, 14, [500, 51]),
        request(2, 0, 20, [2_001, 20]),
        request(2, 1, 24, [500, 20]),
    ]);
    let error = ErrorRow { kind: "timeout".to_owned(), status: None, message: String::new() };
    let failed = RequestRow { outcome: Outcome::Failed, error: Some(error), ..waiting(3, 0, 30) };
    all.requests.push(failed);
    all.requests.extend([request(4, 0, 95, [500, 20]), waiting(4, 1, 99)]);
    all.requests.push(waiting(5, 0, 95));
    all
}

#[test]
fn what_met_its_objectives_is_counted_with_both_bounds() {
    let good = goodput(six());
    let of = &good.per_trace;
    assert_eq!([of.n, of.good, of.bad, of.failed, of.unknown], [6, 1, 3, 1, 1]);
    assert_eq!(of.broke.get(&MetricId::Ttft), Some(&2));
    assert_eq!(of.broke.get(&MetricId::Tpot), Some(&1));
    let near = |cell: &trie_core::metrics::Cell, expected: f64| {
        assert!((cell.value().unwrap() - expected).abs() < 1e-9, "{cell:?} {expected}");
    };
    near(&of.share_pct.low, 100.0 / 6.0);
    near(&of.share_pct.high, 200.0 / 6.0);
    near(&of.per_s.low, 0.01);
    near(&of.per_s.high, 0.02);
    // Of ten requests five are good; one broke TPOT, two TTFT, one failed, one waits and is in time.
    let of = &good.per_request;
    assert_eq!([of.n, of.good, of.bad, of.failed, of.unknown], [10, 5, 3, 1, 1]);
    near(&good.completion_tok_per_s.low, 55.0 / 100.0);
    near(&good.jobs_per_h_user.low, 3600.0 / 200.0);
    near(&good.jobs_per_h_user.high, 2.0 * 3600.0 / 200.0);
    near(&good.jobs_per_h_gpu.unwrap().low, 3600.0 / 400.0);
}

#[test]
fn objectives_of_traces_judge_traces() {
    let mut all = six();
    all.manifest.options.remove("slo.ttft_s");
    all.manifest.options.remove("slo.tpot_ms");
    let set = |run: &mut Run, name: &str, limit: &str| {
        let option = OptionValue { value: limit.to_owned(), origin: String::new() };
        run.manifest.options.insert(format!("slo.{name}"), option);
    };
    // Latest ends: 6.5, 5.01, 4.7 s after the intents; the fourth failed; the others are 5 s old.
    set(&mut all, "latency_s", "6");
    let good = goodput(all);
    let of = &good.per_trace;
    assert_eq!([of.good, of.bad, of.failed, of.unknown], [2, 1, 1, 2]);
    assert_eq!(good.per_request.bad, 0);
    let mut all = six();
    set(&mut all, "latency_s", "4");
    let of = goodput(all).per_trace;
    assert_eq!([of.good, of.bad, of.failed, of.unknown], [0, 5, 1, 0]);
    // A server that does not say what was cached leaves it open.
    let mut all = six();
    set(&mut all, "cache_hit_rate_pct", "50");
    let of = goodput(all).per_trace;
    assert_eq!([of.good, of.bad, of.failed, of.unknown], [0, 3, 1, 2]);
}

#[test]
fn without_objectives_there_is_no_goodput() {
    let mut all = six();
    for limit in ["ttft_s", "tpot_ms"] {
        all.manifest.options.get_mut(&format!("slo.{limit}")).unwrap().value = "None".to_owned();
    }
    assert_eq!(summarize(vec![all]).unwrap().goodput, None);
}

#[test]
fn what_is_no_objective_of_the_run_is_refused() {
    let check = |mut run: Run, stream, expected: &str| {
        run.manifest.stream = stream;
        let error = summarize(vec![run]).unwrap_err();
        assert!(matches!(error, SummaryError::Objective(_)));
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(run(&[("itl_ms", "5")]), true, "`slo.itl_ms` is no objective; there are slo.latency_s");
    check(run(&[("tpot_ms", "0")]), true, "slo.tpot_ms: found `0`, wanted a number above 0");
    check(run(&[("tpot_ms", "5")]), false, "answers were not streamed");
}

#[test]
fn goodput_is_shown_as_a_range() {
    let summary = summarize(vec![six()]).unwrap();
    let page = text(&summary, 200);
    for expected in [
        "Goodput: ttft_s <= 2, tpot_ms <= 50",
        "jobs/h/user=18.00 to 36.00  jobs/h/GPU=9.00 to 18.00",
        "16.7 to 33.3",
        "broke an objective: traces: ttft_s 2, tpot_ms 1; requests: ttft_s 2, tpot_ms 1",
        "goodput is a range where it is not known",
    ] {
        assert!(page.contains(expected), "no {expected} in {page}");
    }
    assert!(csv(&summary).contains("goodput,trace_share_pct,good,16.66"), "{}", csv(&summary));
}

#[test]
fn what_came_while_a_run_drained_is_good_and_in_no_rate() {
    let mut run = run(&[("latency_s", "200")]);
    run.manifest.ending.as_mut().unwrap().end_ns = Nanos::from_secs(140);
    for (number, last) in [(0, 30), (1, 119)] {
        run.requests
            .extend([request(number, 0, 20, [500, 50]), request(number, 1, last, [500, 50])]);
        trace(&mut run, number, 20, last + 1, TraceOutcome::Completed);
    }
    let good = summarize(vec![run]).unwrap().goodput.unwrap();
    assert_eq!((good.per_trace.n, good.per_trace.good), (2, 2));
    // One job in 100 s on two slots.
    assert!((good.jobs_per_h_user.low.value().unwrap() - 18.0).abs() < 1e-9);
    assert!((good.per_trace.per_s.high.value().unwrap() - 0.01).abs() < 1e-9);
}
