//! Forecasts: rows of virtual runs, worked by hand or held against what a hash of them was.

use std::{fmt::Write, io::Cursor, num::NonZeroUsize};

use sha2::{Digest, Sha256};
use trie_core::{
    plan::{CacheScope, History, Order, Plan, PlanOptions, Scale},
    record::{ClientRow, Entry, Outcome, Reason, RequestRow, TraceEvent, TraceOutcome, TraceRow},
    session::RetryOptions,
    units::Nanos,
    workload::{Encoding, ReadOptions, Source, Workload},
};
use trie_sim::{
    config::Config,
    engine::{EngineConfig, Policy, Preset, Speculation, draw},
    forecast::{Files, ForecastError, ForecastOptions, Forecasted, Primed, Router, forecast},
    truth::{TruthEnd, TruthRow},
};

/// A run, its files as they would lie on disk.
pub(crate) struct Run {
    pub(crate) done: Forecasted,
    requests: Vec<u8>,
    traces: Vec<u8>,
    client: Vec<u8>,
    truth: Vec<u8>,
}

impl Run {
    fn of(
        text: &str,
        concurrency: u32,
        seconds: u64,
        options: &ForecastOptions,
        asked_to_stop: &dyn Fn() -> bool,
    ) -> Self {
        let (plan, mut workload) = planned(text, concurrency, seconds);
        Self::replay(&plan, &mut workload, options, asked_to_stop)
    }

    /// One slot for each entry, for a second.
    fn entering(text: &str, entries: &[Entry], options: &ForecastOptions) -> Self {
        let concurrency = u32::try_from(entries.len()).unwrap();
        let (plan, mut workload) = planned(text, concurrency, 1);
        Self::replay(&plan.entering(entries.to_vec()), &mut workload, options, &|| false)
    }

    fn replay(
        plan: &Plan,
        workload: &mut Workload,
        options: &ForecastOptions,
        asked_to_stop: &dyn Fn() -> bool,
    ) -> Self {
        let (mut requests, mut traces, mut client, mut truth) = (vec![], vec![], vec![], vec![]);
        let files = Files {
            requests: &mut requests,
            traces: &mut traces,
            client: &mut client,
            truth: Some(&mut truth),
        };
        let done = forecast(plan, workload, options, files, asked_to_stop).unwrap();
        Self { done, requests, traces, client, truth }
    }

    pub(crate) fn requests(&self) -> Vec<RequestRow> {
        rows(&self.requests)
    }

    fn traces(&self) -> Vec<TraceRow> {
        rows(&self.traces)
    }

    fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.requests);
        hash.update(&self.traces);
        hash.update(&self.client);
        format!("{:x}", hash.finalize())
    }
}

pub(crate) fn planned(text: &str, concurrency: u32, seconds: u64) -> (Plan, Workload) {
    let source = Source::Seekable(Box::new(Cursor::new(text.to_owned())));
    let read = ReadOptions::default();
    let mut workload = Workload::open(source, "test", Encoding::Plain, &read).unwrap();
    let plan = PlanOptions {
        concurrency,
        duration: Nanos::from_secs(seconds),
        seed: 7,
        stream: true,
        history: History::Auto,
        cache_scope: CacheScope::Run,
        ramp: Nanos::ZERO,
        order: Order::File,
        scale: Scale::default(),
    };
    let plan = Plan::new(plan, 99, &mut workload).unwrap();
    (plan, workload)
}

/// What the engines and the sessions decided, in a form that a new column of the rows does not change.
fn decided(run: &Run) -> String {
    let mut hash = Sha256::new();
    for row in run.requests() {
        let RequestRow { trace, step, intent_ns, first_token_ns, end_ns, .. } = row;
        let times = (trace, step, intent_ns, first_token_ns, end_ns);
        hash.update(format!("{times:?} {:?} {:?}\n", row.cached_tokens, row.chunk_ns));
    }
    for row in run.traces() {
        hash.update(format!("{} {} {:?} {:?}\n", row.trace, row.slot, row.at_ns, row.event));
    }
    format!("{:x}", hash.finalize())
}

fn rows<T: serde::de::DeserializeOwned>(text: &[u8]) -> Vec<T> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

pub(crate) fn options(engine: EngineConfig) -> ForecastOptions {
    ForecastOptions {
        engine,
        replicas: NonZeroUsize::MIN,
        router: Router::RoundRobin,
        feeds_back: true,
        timeout: Nanos::from_secs(600),
        retries: RetryOptions::default(),
        max_failures: 50,
        drain: Nanos::ZERO,
        chunks: false,
    }
}

pub(crate) fn run(text: &str, concurrency: u32, seconds: u64, options: &ForecastOptions) -> Run {
    Run::of(text, concurrency, seconds, options, &|| false)
}

/// Rows of the original's format: a first prompt, then turns of (answer, tool output, wait in ms).
pub(crate) fn row(prompt: u64, turns: &[(u64, u64, u64)], last: u64) -> String {
    let list = |of: &dyn Fn(&(u64, u64, u64)) -> String| {
        turns.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let mut text = String::new();
    writeln!(
        text,
        "{{\"num_turns\": {}, \"input_prompt_length\": {prompt}, \"assistant_response_length\": [{}], \
         \"tool_call_output_length\": [{}], \"tool_call_latency\": [{}], \
         \"final_assistant_response_length\": {last}}}",
        turns.len(),
        list(&|turn| turn.0.to_string()),
        list(&|turn| turn.1.to_string()),
        list(&|turn| format!("{}.{:03}", turn.2 / 1000, turn.2 % 1000)),
    )
    .unwrap();
    text
}

/// 100 ms to the first token and 1 ms for each uncached one, 10 ms between tokens.
fn fixed(more: &[(&str, &str)]) -> EngineConfig {
    let mut config = Config::default();
    let times = [("ttft_ms", "100"), ("prefill_us_per_token", "1000"), ("itl_ms", "10")];
    for (key, value) in times.iter().chain(more) {
        config.set(key, value).unwrap();
    }
    config.engine()
}

#[test]
fn rows_of_one_session_run_one_after_another() {
    let text = row(40, &[], 3).replace("{\"num_turns", "{\"session_id\": \"s\", \"num_turns");
    let run = run(&text.repeat(2), 2, 1, &options(fixed(&[])));
    let admitted = run.traces().into_iter().filter(|row| row.event == TraceEvent::Admitted);
    let admitted: Vec<_> =
        admitted.take(3).map(|row| (row.trace, row.slot, row.at_ns, row.held_ns)).collect();
    // 140 ms to the first token, 20 ms for two more; the third trace is of the next cycle.
    let end = Nanos::from_millis(160);
    let expected = [(0, 0, Nanos::ZERO, None), (1, 1, end, Some(end)), (2, 0, end, None)];
    assert_eq!(admitted, expected);
}

/// Two slots, both entered at the second request: what came before it is in the cache, in whole blocks.
#[test]
fn a_run_in_equilibrium_goes_on_where_its_slots_are() {
    let text = row(40, &[(9, 20, 500)], 3);
    let entries = [0, 200].map(|ms| Entry { row: 0, step: 1, waited_ns: Nanos::from_millis(ms) });
    let run = Run::entering(&text, &entries, &options(fixed(&[])));
    let rows = run.requests();
    let first = |trace| rows.iter().find(|row| row.trace == trace).unwrap();
    let seen = |row: &RequestRow| {
        let held = (row.cached_tokens, row.expected_cached_tokens);
        (row.step, row.intent_ns.0 / 1_000_000, row.first_token_ns.unwrap().0 / 1_000_000, held)
    };
    // 49 of 69 tokens are history, 48 of them in whole blocks; 100 + 21 ms to the first token.
    let held = (Some(48), Some(48));
    assert_eq!(seen(first(0)), (1, 500, 621, held));
    assert_eq!(seen(first(1)), (1, 300, 421, held));
    // Those behind them start at their first request.
    assert_eq!(seen(first(2)), (0, 441, 581, (Some(0), Some(0))));
    assert_eq!(run.done.primed, Primed { requests: 2, tokens: 98, lost: 0 });
    let entered: Vec<_> = run.traces().iter().map(|row| (row.trace, row.entered_step)).collect();
    assert_eq!(entered[..3], [(0, Some(1)), (1, Some(1)), (1, Some(1))]);
    assert_eq!(entered[3], (2, None));
    assert_eq!(run.sha256(), Run::entering(&text, &entries, &options(fixed(&[]))).sha256());
}

#[test]
fn what_the_cache_has_no_room_for_is_said() {
    let text = row(400, &[(9, 20, 500)], 3);
    let entries = [Entry { row: 0, step: 1, waited_ns: Nanos::ZERO }; 2];
    let small = EngineConfig { cache_tokens: 640, ..fixed(&[]) };
    let run = Run::entering(&text, &entries, &options(small));
    // Of 2 x 25 blocks of 16 tokens 40 have room; a history's last 9 tokens fill none.
    assert_eq!(run.done.primed, Primed { requests: 2, tokens: 818, lost: 160 });
}

#[test]
fn rows_say_what_a_schedule_gives() {
    let text = row(40, &[(9, 20, 500)], 3);
    let run = run(&text, 1, 2, &options(fixed(&[])));
    let rows = run.requests();
    let [first, second, third, ..] = &rows[..] else { panic!("{} requests", rows.len()) };
    let ms = |ms| Some(Nanos::from_millis(ms));
    let stamps =
        |row: &RequestRow| (row.start_ns, row.first_token_ns, row.last_token_ns, row.end_ns);
    // 40 uncached tokens: 140 ms; 8 more tokens: 80 ms.
    assert_eq!(stamps(first), (ms(0), ms(140), ms(220), ms(220)));
    // 500 ms later 69 tokens, 48 of them in whole blocks of the cache: 100 + 21 ms.
    assert_eq!(stamps(second), (ms(720), ms(841), ms(861), ms(861)));
    assert_eq!((second.prompt_tokens, second.cached_tokens), (Some(69), Some(48)));
    assert_eq!((second.expected_cached_tokens, second.eligible_tokens), (Some(48), 49));
    assert_eq!(second.itl.iter().collect::<Vec<_>>(), [(10_000_000, 2)]);
    // The next trace is another instance and hits nothing.
    assert_eq!(stamps(third), (ms(861), ms(1_001), ms(1_081), ms(1_081)));
    assert_eq!((third.trace, third.cached_tokens), (1, Some(0)));
    // Its second request would end at 1,722.
    assert_eq!(run.done.ending.end_ns, Nanos::from_secs(2));
    let ends: Vec<_> = run.traces().into_iter().map(|row| row.event).collect();
    let completed = TraceEvent::Ended(TraceOutcome::Completed);
    let cut_off = TraceEvent::Ended(TraceOutcome::CutOff);
    let expected = [TraceEvent::Admitted, completed.clone(), TraceEvent::Admitted];
    assert_eq!(ends[..3], expected);
    assert_eq!(ends.last(), Some(&cut_off));
    let client: Vec<ClientRow> = self::rows(&run.client);
    assert_eq!(client.iter().map(|row| row.second).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(client.iter().map(|row| row.reads).sum::<u64>(), run.done.tokens);
}

#[test]
fn the_truth_agrees_with_the_rows_where_there_is_no_way_between() {
    let engine = Preset::named("qwen3-32b-1xh200").unwrap().engine();
    let engine = EngineConfig { cache_tokens: 30_000, ..engine };
    let found = run(&traces(), 12, 30, &ForecastOptions { chunks: true, ..options(engine) });
    let truths: Vec<TruthRow> = rows(&found.truth);
    let rows = found.requests();
    assert_eq!(truths.len(), rows.len());
    let preempted: usize = truths.iter().map(|truth| truth.preempted_ns.len()).sum();
    assert!(preempted > 0);
    assert_eq!(u64::try_from(preempted).unwrap(), found.done.preemptions);
    for row in rows {
        let name = format!("{}/{}/{}", row.trace, row.step, row.attempt);
        let truth = truths.iter().find(|truth| truth.request == name).unwrap();
        let start = row.start_ns.unwrap();
        let tokens: Vec<u64> = truth.token_ns.iter().map(|at| at.since(start).unwrap().0).collect();
        assert_eq!((truth.arrived_ns, Some(tokens)), (start, row.chunk_ns), "{name}");
        let finished = truth.end == TruthEnd::Length;
        assert_eq!(finished, row.outcome == Outcome::Ok, "{name}");
        if finished {
            assert_eq!((truth.cached_tokens, Some(truth.end_ns)), (row.cached_tokens, row.end_ns));
        }
    }
}

#[test]
fn a_forecast_that_is_asked_to_stop_says_so() {
    let asked = std::cell::Cell::new(0);
    let done = Run::of(&row(40, &[], 3), 1, 60, &options(fixed(&[])), &|| {
        asked.set(asked.get() + 1);
        asked.get() == 3
    })
    .done;
    assert_eq!(
        (done.ending.reason, done.ending.end_ns),
        (Reason::Interrupted, Nanos::from_secs(3))
    );
}

#[test]
fn a_draft_changes_times_and_no_counts() {
    let text = row(40, &[(9, 20, 500)], 3);
    let rows_of = |speculation| {
        let mut engine = Preset::named("qwen3-32b-1xh200").unwrap().engine();
        if let Policy::Steps(steps) = &mut engine.policy {
            (steps.speculation, steps.time.jitter) = (speculation, 0.0);
        }
        run(&text, 1, 5, &options(engine)).requests()
    };
    let speculation = Speculation { tokens: NonZeroUsize::new(3).unwrap(), acceptance: 1.0 };
    let (plain, drafted) = (&rows_of(None)[0], &rows_of(Some(speculation))[0]);
    assert_eq!((plain.chunks, drafted.chunks), (9, 3));
    assert_eq!((plain.completion_tokens, drafted.completion_tokens), (Some(9), Some(9)));
    assert_eq!((plain.itl.count(), drafted.itl.count()), (8, 8));
    assert_eq!(plain.first_token_ns, drafted.first_token_ns);
    assert!(drafted.end_ns < plain.end_ns);
}

#[test]
fn what_never_fits_is_refused_and_ends_the_run() {
    let mut config = Config::default();
    for (key, value) in [("engine", "qwen3-32b-1xh200"), ("cache_tokens", "1600")] {
        config.set(key, value).unwrap();
    }
    let run = run(&row(2_000, &[], 10), 1, 60, &options(config.engine()));
    assert_eq!(run.done.ending.reason, Reason::MaxFailures);
    let rows = run.requests();
    assert_eq!(rows.len(), 50);
    let error = rows[0].error.clone().unwrap();
    assert_eq!((rows[0].outcome, error.status), (Outcome::Failed, Some(400)));
    assert!(error.message.contains("do not fit the KV cache"), "{}", error.message);
}

#[test]
fn time_that_stands_still_is_told() {
    let mut config = Config::default();
    config.set("engine", "instant").unwrap();
    let (plan, mut workload) = planned(&row(40, &[(8, 5, 0)], 9), 2, 60);
    let (mut requests, mut traces, mut client) = (vec![], vec![], vec![]);
    let files =
        Files { requests: &mut requests, traces: &mut traces, client: &mut client, truth: None };
    let error =
        forecast(&plan, &mut workload, &options(config.engine()), files, &|| false).unwrap_err();
    let ForecastError::StandsStill { at, traces: 2_001 } = error else { panic!("{error}") };
    assert_eq!(at, Nanos::ZERO);
    let waits = run(&row(40, &[(8, 5, 1_000)], 9), 2, 60, &options(config.engine()));
    assert_eq!(waits.done.ending.reason, Reason::Deadline);
}

#[test]
fn a_request_past_its_timeout_fails_and_leaves_the_engine() {
    let text = row(40, &[], 9);
    let timeout = Nanos::from_millis(150);
    let run =
        run(&text, 2, 1, &ForecastOptions { timeout, ..options(fixed(&[("max_num_seqs", "1")])) });
    let rows = run.requests();
    let error = rows[0].error.clone().unwrap();
    assert_eq!((error.kind.as_str(), rows[0].end_ns), ("timeout", Some(timeout)));
    // The first token had come at 140 ms; the one that waited never got one.
    assert_eq!(
        (rows[0].first_token_ns, rows[1].first_token_ns),
        (Some(Nanos::from_millis(140)), None)
    );
    assert!(
        run.traces().iter().any(|row| {
            row.event == TraceEvent::Ended(TraceOutcome::Failed("timeout".to_owned()))
        })
    );
}

/// Some 40 traces that share nothing, of up to 12 turns.
fn traces() -> String {
    let text = |row_number: u64| {
        let turns = 1 + draw(3, 1, row_number) % 12;
        let turn = |turn: u64| {
            let number = row_number * 100 + turn;
            (1 + draw(3, 2, number) % 200, draw(3, 3, number) % 900, draw(3, 4, number) % 2_000)
        };
        let turns: Vec<_> = (0..turns).map(turn).collect();
        row(500 + draw(3, 5, row_number) % 8_000, &turns, 1 + draw(3, 6, row_number) % 300)
    };
    (0..40).map(text).collect()
}

#[test]
fn records_are_the_same_bits_in_every_run_and_build() {
    let hash = |preset: &str, (policy, seqs): (&str, &str), router: Router| {
        let mut config = Config::default();
        let cache = Preset::named(preset).unwrap().cache_tokens / 4;
        for (key, value) in [
            ("engine", preset),
            ("policy", policy),
            ("cache_tokens", &cache.to_string()),
            ("max_num_seqs", seqs),
        ] {
            config.set(key, value).unwrap();
        }
        let replicas = NonZeroUsize::new(2).unwrap();
        let options =
            ForecastOptions { replicas, router, chunks: true, ..options(config.engine()) };
        let found = run(&traces(), 24, 60, &options);
        assert!(found.done.requests > 100, "{preset} {policy}: {} requests", found.done.requests);
        assert_eq!(found.sha256(), run(&traces(), 24, 60, &options).sha256());
        decided(&found)
    };
    let hashes = [
        hash("qwen3-32b-1xh200", ("vllm", "64"), Router::Session),
        hash("llama-3.1-70b-4xh100", ("sglang", "64"), Router::LeastLoaded),
        hash("deepseek-r1-8xh200", ("trtllm", "64"), Router::RoundRobin),
        hash("llama-3.1-70b-4xh100", ("llamacpp", "8"), Router::Session),
    ];
    let golden = [
        "f1d6e00090cfaf6eae9f21640017d66b40f017fe3f975063119dae0a26254bf0",
        "cb90f9a2d368b115c83aa9cbcb734c98e18b9cfd687836e9419c6fa1043a73fb",
        "833e43fc5065663f8e1982b31cda3518e6f4c6b315e50c7bd9d25c0cba4939f2",
        "c512bb9b9f50aebe861614066981e7ddddd47ad9efc1dbe462bc92a98a447edc",
    ];
    assert_eq!(hashes, golden);
}

#[test]
fn a_hundred_runs_are_one() {
    let engine = Preset::named("qwen3-32b-1xh200").unwrap().engine();
    let options = ForecastOptions { replicas: NonZeroUsize::new(3).unwrap(), ..options(engine) };
    let first = run(&traces(), 12, 10, &options).sha256();
    for number in 1..100 {
        assert_eq!(run(&traces(), 12, 10, &options).sha256(), first, "run {number}");
    }
}

#[test]
fn keeping_a_session_on_one_replica_keeps_its_cache() {
    let hits = |router| {
        let engine = Preset::named("qwen3-32b-1xh200").unwrap().engine();
        let replicas = NonZeroUsize::new(4).unwrap();
        let run = run(&traces(), 8, 120, &ForecastOptions { replicas, router, ..options(engine) });
        let rows = run.requests();
        let sum = |of: fn(&RequestRow) -> Option<u64>| rows.iter().filter_map(of).sum::<u64>();
        sum(|row| row.cached_tokens) * 100 / sum(|row| row.prompt_tokens)
    };
    let (session, robin) = (hits(Router::Session), hits(Router::RoundRobin));
    assert!(session > robin + 20, "session {session} %, round robin {robin} %");
}
