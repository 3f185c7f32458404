//! Comparisons of synthetic runs whose differences are known.

use trie_core::compare::{
    CompareError, Comparison, Finding, Gate, GateStatus, Matched, Measure, NamedRun, Quantity,
    compare,
};
use trie_core::metrics::RunRecords;
use trie_core::record::{
    ClientRow, Credit, Ending, Manifest, OptionValue, Outcome, Reason, RequestRow, TraceEvent,
    TraceOutcome, TraceRow,
};
use trie_core::report::{comparison_csv, comparison_json, comparison_markdown, comparison_text};
use trie_core::units::Nanos;

use crate::metrics::records;

type Run = NamedRun<Vec<RequestRow>, Vec<TraceRow>, Vec<ClientRow>>;

const MS: u64 = 1_000_000;

/// A run of so many traces of three steps. Step `s` of trace `t` has its first token after
/// 100 + 10 (t mod 7) + s ms and its last 200 ms later, all times `factor` times as long; so many of
/// the last traces are cut off in their last step.
fn run(name: &str, seed: u64, traces: u64, factor: f64, cut_off: u64) -> Run {
    let ending = Ending { end_ns: Nanos::from_secs(60), reason: Reason::Deadline, message: None };
    let manifest = Manifest {
        seed,
        start_ns: Nanos::ZERO,
        ending: Some(ending),
        preflight: None,
        ..records("plain").manifest
    };
    let mut run = RunRecords { manifest, requests: vec![], traces: vec![], client: vec![] };
    for trace in 0..traces {
        let begin = trace * 400 * MS;
        let mut at = begin;
        let open = trace + cut_off >= traces;
        for step in 0..3 {
            let row = request(trace, step, at, factor, open && step == 2);
            at = row.end_ns.unwrap().0 + 50 * MS;
            run.requests.push(row);
        }
        let outcome = if open { TraceOutcome::CutOff } else { TraceOutcome::Completed };
        let row = |at_ns: u64, event: TraceEvent| TraceRow {
            trace,
            row: trace,
            cycle: 0,
            trace_id: format!("t{trace}"),
            slot: 0,
            at_ns: Nanos(at_ns),
            steps: 3,
            final_step: 2,
            planned_completion_tokens: 33,
            planned_prompt_tokens: 300,
            held_ns: None,
            entered_step: None,
            event,
        };
        run.traces.push(row(begin, TraceEvent::Admitted));
        run.traces.push(row(at - 50 * MS, TraceEvent::Ended(outcome)));
    }
    NamedRun { name: name.to_owned(), records: run }
}

fn request(trace: u64, step: u32, at: u64, factor: f64, open: bool) -> RequestRow {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "whole milliseconds, a few hundred"
    )]
    let later = |ms: u64| Some(Nanos(at + (ms as f64 * factor) as u64 * MS));
    let first = 100 + 10 * (trace % 7) + u64::from(step);
    RequestRow {
        trace,
        row: trace,
        step,
        intent_ns: Nanos(at),
        start_ns: Some(Nanos(at)),
        sent_ns: Some(Nanos(at)),
        first_token_ns: later(first),
        last_token_ns: later(first + 200),
        end_ns: later(first + 200),
        planned_prompt_tokens: 100,
        planned_completion_tokens: 11,
        prompt_tokens: Some(100),
        completion_tokens: (!open).then_some(11),
        cached_tokens: (!open).then_some(50),
        first_chunk_tokens: Some(1),
        credit: vec![Credit(Nanos(at).as_secs_f64().floor(), 11)],
        outcome: if open { Outcome::CutOff } else { Outcome::Ok },
        ..RequestRow::default()
    }
}

fn of(a: Vec<Run>, b: Vec<Run>, gates: &[&str]) -> Comparison {
    let gates: Vec<Gate> = gates.iter().map(|gate| gate.parse().unwrap()).collect();
    compare(a, b, &gates).unwrap()
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn pairs_of_which_a_run_broke_off_are_left_out_where_there_are_whole_ones() {
    let side = |factor| (1..=3).map(|seed| run("s", seed, 60, factor, 3)).collect::<Vec<_>>();
    let interrupted = |mut runs: Vec<Run>, which: usize| {
        let (end_ns, reason) = (Nanos::from_secs(20), Reason::Interrupted);
        runs[which].name = "short".to_owned();
        runs[which].records.manifest.ending = Some(Ending { end_ns, reason, message: None });
        runs
    };
    let whole = of(side(1.0), side(1.1), &[]);
    assert_eq!((whole.pairs, whole.broke_off.len()), (3, 0));
    let found = of(side(1.0), interrupted(side(1.1), 2), &[]);
    assert_eq!((found.pairs, found.a.seeds.as_slice()), (2, &[1, 2][..]));
    assert_eq!(found.horizon_s, whole.horizon_s);
    let [out] = &found.broke_off[..] else { panic!("{:?}", found.broke_off) };
    assert_eq!((out.run.as_str(), out.after_s, out.compared), ("short", Some(20.0), false));
    let text = comparison_text(&found, 120);
    assert!(
        text.contains("short was interrupted after 20 s (of 60 s): its pair is left out"),
        "{text}"
    );
    let alone =
        of(interrupted(side(1.0), 0).split_off(2), interrupted(side(1.1), 2).split_off(2), &[]);
    assert_eq!((alone.pairs, alone.broke_off.len()), (1, 1));
    assert!(alone.broke_off[0].compared);
}

#[test]
fn what_is_slower_by_a_tenth_is_found_to_be() {
    let found = of(vec![run("a", 1, 70, 1.0, 0)], vec![run("b", 1, 70, 1.1, 0)], &[]);
    assert_eq!(found.instances, Matched { both: 70, only_a: 0, only_b: 0 });
    assert_eq!(found.steps, Matched { both: 210, only_a: 0, only_b: 0 });
    let change = |metric, stat| found.change(metric, stat).unwrap();
    // 100 + 10 * 3 + 1 ms on average.
    let ttft = change(Quantity::Ttft, Measure::Mean);
    near(ttft.a.value().unwrap(), 0.131);
    assert_eq!((ttft.n, ttft.change_pct.finding()), (210, Finding::Higher));
    let (low, high) = ttft.change_pct.interval().unwrap();
    assert!(low > 9.0 && high < 10.5, "{low} {high}");
    let tpot = change(Quantity::Tpot, Measure::P50);
    near(tpot.a.value().unwrap(), 20.0);
    near(tpot.change_pct.value.value().unwrap(), 10.0);
    let cache = change(Quantity::CacheHitRate, Measure::Mean);
    near(cache.a.value().unwrap(), 50.0);
    assert_eq!(cache.change_pct.finding(), Finding::Unsure);
    // One pair of runs says nothing of how much runs vary.
    let rate = change(Quantity::Completion, Measure::SteadyState);
    assert_eq!((rate.n, rate.change_pct.finding()), (1, Finding::Unknown));
}

#[test]
fn a_run_compared_with_itself_has_no_difference_and_the_same_bytes_every_time() {
    let one = || of(vec![run("a", 1, 30, 1.0, 2)], vec![run("a", 1, 30, 1.0, 2)], &[]);
    let found = one();
    for change in &found.changes {
        near(change.difference.value.value().unwrap(), 0.0);
        assert!(matches!(change.change_pct.finding(), Finding::Unsure | Finding::Unknown));
    }
    assert_eq!(comparison_json(&found), comparison_json(&one()));
}

#[test]
fn only_steps_that_both_sides_finished_are_pairs() {
    let found = of(vec![run("a", 1, 30, 1.0, 0)], vec![run("b", 1, 28, 1.0, 3)], &[]);
    assert_eq!(found.instances, Matched { both: 28, only_a: 2, only_b: 0 });
    assert_eq!(found.steps, Matched { both: 81, only_a: 9, only_b: 0 });
    assert_eq!(found.a.populations.completed, 30);
    assert_eq!((found.b.populations.completed, found.b.populations.cut_off), (25, 3));
    assert_eq!(found.change(Quantity::Ttft, Measure::Mean).unwrap().n, 81);
    assert_eq!(found.change(Quantity::Latency, Measure::Mean).unwrap().n, 28);
}

#[test]
fn runs_of_a_side_are_paired_by_their_seeds() {
    let side = |name: &str, seeds: [u64; 3], factor: f64| -> Vec<Run> {
        let traces = |seed: u64| 20 + seed;
        seeds.map(|seed| run(name, seed, traces(seed), factor, 0)).into()
    };
    let found = of(side("a", [3, 1, 2], 1.0), side("b", [1, 2, 3], 1.0), &[]);
    assert_eq!((found.pairs, &found.a.seeds), (3, &vec![1, 2, 3]));
    assert_eq!(found.instances, Matched { both: 66, only_a: 0, only_b: 0 });
    let rate = found.change(Quantity::Completion, Measure::Overall).unwrap();
    assert_eq!((rate.n, rate.difference.interval()), (3, Some((0.0, 0.0))));
}

#[test]
fn runs_that_did_not_replay_the_same_are_refused_by_what_differs() {
    let check = |change: &dyn Fn(&mut Manifest), expected: &str| {
        let mut other = run("b", 1, 12, 1.0, 0);
        change(&mut other.records.manifest);
        let error = compare(vec![run("a", 1, 12, 1.0, 0)], vec![other], &[]).unwrap_err();
        assert!(matches!(error, CompareError::Different { .. }));
        let message = error.to_string();
        assert!(message.starts_with("a and b did not replay the same requests"), "{message}");
        assert!(message.contains(expected), "{message}");
    };
    check(
        &|manifest| manifest.workload.sha256 = "11".into(),
        ": workload sha256 (00 against 11)\n",
    );
    check(&|manifest| manifest.seed = 9, ": seed (1 against 9)\n");
    check(&|manifest| manifest.content_version = 2, ": content version (1 against 2)\n");
    check(&|manifest| manifest.history = "ids".into(), ": history (text against ids)\n");
    check(&|manifest| manifest.workload.requests = 8, ": requests of one pass (7 against 8)\n");
    let salted = |manifest: &mut Manifest| manifest.salt = "ffffffffffffffff".into();
    let mut other = run("b", 1, 12, 1.0, 0);
    salted(&mut other.records.manifest);
    assert!(compare(vec![run("a", 1, 12, 1.0, 0)], vec![other], &[]).is_ok());
}

#[test]
fn runs_without_a_partner_are_refused() {
    let runs = |seeds: &[u64]| -> Vec<Run> {
        seeds.iter().map(|seed| run("r", *seed, 12, 1.0, 0)).collect()
    };
    let check = |a: &[u64], b: &[u64], expected: &str| {
        let message = compare(runs(a), runs(b), &[]).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(&[1, 2], &[1, 3], "A has [1, 2], B has [1, 3]");
    check(&[1, 2], &[1], "A has [1, 2], B has [1]");
    check(&[], &[1], "side A has no run");
}

#[test]
fn gates_fire_pass_or_are_not_sure() {
    let side = |factor: f64| vec![run("r", 1, 140, factor, 0)];
    let check = |gate: &str, factor: f64, expected: GateStatus| {
        let found = of(side(1.0), side(factor), &[gate]);
        assert_eq!(found.gates[0].status, expected, "{gate}: {:?}", found.gates);
    };
    check("ttft_s > +5%", 1.1, GateStatus::Fired);
    check("ttft_s > +5%", 1.0, GateStatus::Passed);
    check("ttft_s > +9.9235%", 1.1, GateStatus::Inconclusive);
    check("tpot_ms.p50 < -5", 0.5, GateStatus::Fired);
    // A quantile that 140 independent traces cannot tell, and a rate of one run.
    check("ttft_s.p99 > +5%", 1.1, GateStatus::Inconclusive);
    check("completion_tok_per_s < -5%", 1.0, GateStatus::Inconclusive);
}

#[test]
fn comparisons_look_as_reviewed() {
    let gates = ["ttft_s > +5%", "tpot_ms < -5%", "completion_tok_per_s < -5%"];
    let found = of(vec![run("a", 1, 70, 1.0, 3)], vec![run("b", 1, 72, 1.1, 4)], &gates);
    insta::assert_snapshot!("compare.text", comparison_text(&found, 120));
    insta::assert_snapshot!("compare.markdown", comparison_markdown(&found));
    let csv = comparison_csv(&found);
    assert!(csv.starts_with("metric,stat,unit,n,a,b,difference,low,high,change_pct,"), "{csv}");
    assert!(csv.lines().all(|line| line.split(',').count() == 13), "{csv}");
    let read: Comparison = serde_json::from_str(&comparison_json(&found)).unwrap();
    assert_eq!((read.changes.len(), &read.a), (found.changes.len(), &found.a));
    assert_eq!((read.steps, read.gates[0].status), (found.steps, GateStatus::Fired));
}

/// The same with an objective.
fn bound_to(limit: &str, mut run: Run) -> Run {
    let option = OptionValue { value: limit.to_owned(), origin: "command line".to_owned() };
    run.records.manifest.options.insert("slo.ttft_s".to_owned(), option);
    run
}

#[test]
fn a_gate_can_stand_on_goodput() {
    let side = |name: &str, factor: f64, limit: &str| -> Vec<Run> {
        (1..3).map(|seed| bound_to(limit, run(name, seed, 70, factor, 0))).collect()
    };
    let gates = ["good_requests_pct < -10%", "good_jobs_per_h_user < -99%"];
    let found = of(side("a", 1.0, "0.135"), side("b", 1.2, "0.135"), &gates);
    let change = found.change(Quantity::GoodRequests, Measure::Overall).unwrap();
    // Of first tokens after 100 + 10 (t mod 7) + s ms four in seven are in time, and after a fifth more two.
    near(change.a.value().unwrap(), 100.0 * 4.0 / 7.0);
    near(change.b.value().unwrap(), 100.0 * 2.0 / 7.0);
    let status = |at: usize| found.gates[at].status;
    assert_eq!((status(0), status(1)), (GateStatus::Fired, GateStatus::Passed));
    assert!(comparison_text(&found, 160).contains("Good requests (%), overall"));
    let why = |found: &Comparison| found.gates[0].why.clone().unwrap();
    let other = of(side("a", 1.0, "0.135"), side("b", 1.2, "0.2"), &gates);
    assert!(why(&other).contains("not the same ones"), "{}", why(&other));
    let none = of(vec![run("a", 1, 70, 1.0, 0)], vec![run("b", 1, 70, 1.0, 0)], &gates);
    assert!(why(&none).contains("have no objectives"), "{}", why(&none));
}
