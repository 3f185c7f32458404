//! Whole runs against the simulated engine over a pipe, under a paused clock: exact times.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde_json::Map;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot, watch};
use trie_core::plan::{CacheScope, Order, Plan, PlanOptions, Scale};
use trie_core::record::{
    Entry, IdsBack, LengthFields, Outcome, Priming, Reason, RequestRow, TraceEvent, TraceOutcome,
    TraceRow,
};
use trie_core::session::RetryOptions;
use trie_core::units::Nanos;
use trie_core::workload::{Encoding, ReadOptions, Source, Workload};
use trie_replay::clock::PausedClock;
use trie_replay::wire::{Api, Connector, Endpoint, PipeConnector, Pool, Reuse, Target, pipe};
use trie_replay::{
    BodyFields, Chat, Content, History, NextConnection, Progress, RecordFiles, ReplayOptions,
    Runtime, StreamUsage, replay,
};
use trie_sim::config::Config;
use trie_sim::server::{Listener, serve};
use trie_tokens::{ChatOptions, Vocabulary};

/// The far ends of the driver's pipes, as the engine accepts them.
pub(crate) struct Far(pub(crate) mpsc::Receiver<DuplexStream>);

impl Listener for Far {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<DuplexStream> {
        match self.0.recv().await {
            Some(stream) => Ok(stream),
            // The client is done; the engine runs until it is told to stop.
            None => std::future::pending().await,
        }
    }
}

/// A file in memory.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn rows<T: DeserializeOwned>(&self) -> Vec<T> {
        let bytes = self.0.lock().unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

/// A file that makes whoever writes to it panic.
struct Trap;

impl Write for Trap {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        panic!("this is the panic that the test is about")
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A workload file that somebody may write to.
#[derive(Clone)]
struct Sheet(Arc<Mutex<Cursor<Vec<u8>>>>);

impl Read for Sheet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap().read(buffer)
    }
}

impl Seek for Sheet {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.lock().unwrap().seek(to)
    }
}

/// What a test run is made of.
pub(crate) struct Case {
    pub(crate) rows: &'static str,
    /// What the file holds once the plan is made; empty: what it held.
    pub(crate) rows_later: &'static str,
    pub(crate) concurrency: u32,
    pub(crate) seconds: u64,
    pub(crate) retries: u32,
    pub(crate) stream: bool,
    pub(crate) history: History,
    pub(crate) cache_block: u64,
    pub(crate) next_connection: NextConnection,
    /// Seconds that traces alive at the end may go on.
    pub(crate) drain: u64,
    /// Where the slots begin.
    pub(crate) entries: &'static [Entry],
    /// Seconds for their histories.
    pub(crate) prime_timeout: u64,
    /// Writing a row panics.
    pub(crate) broken_recorder: bool,
    pub(crate) engine: &'static [(&'static str, &'static str)],
}

pub(crate) const CASE: Case = Case {
    rows: concat!(
        r#"{"num_turns":1,"input_prompt_length":64,"assistant_response_length":[5],"#,
        r#""tool_call_output_length":[16],"tool_call_latency":[1.0],"final_assistant_response_length":3}"#
    ),
    rows_later: "",
    concurrency: 1,
    seconds: 10,
    retries: 0,
    stream: true,
    history: History::Text,
    cache_block: 1,
    next_connection: NextConnection::Kept,
    drain: 0,
    entries: &[],
    prime_timeout: 600,
    broken_recorder: false,
    engine: &[],
};

/// What a test run left behind.
pub(crate) struct Seen {
    reason: Reason,
    message: Option<String>,
    pub(crate) requests: Vec<RequestRow>,
    traces: Vec<TraceRow>,
    start: Nanos,
    primed: Option<Priming>,
}

impl Seen {
    /// Milliseconds since the run's start; exact, or the test fails.
    fn ms(&self, at: Option<Nanos>) -> u64 {
        let nanos = at.unwrap().since(self.start).unwrap().0;
        assert_eq!(nanos % 1_000_000, 0, "{nanos} is not a whole millisecond");
        nanos / 1_000_000
    }

    fn outcomes(&self) -> Vec<TraceOutcome> {
        let ended = self.traces.iter().filter_map(|row| match &row.event {
            TraceEvent::Admitted => None,
            TraceEvent::Ended(outcome) => Some(outcome.clone()),
        });
        ended.collect()
    }
}

async fn run(case: Case) -> Seen {
    run_over(case, |pipe| pipe).await
}

/// The same with a connector of one's own over the pipe.
pub(crate) async fn run_over<N: Connector<PausedClock> + Clone + 'static>(
    case: Case,
    over: impl FnOnce(PipeConnector) -> N,
) -> Seen {
    let (connector, far) = pipe();
    let mut config = Config::default();
    for (key, value) in case.engine {
        config.set(key, value).unwrap();
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let engine = async {
        let shutdown = async { drop(stopped.await) };
        serve(Far(far), config, Vocabulary::builtin(), shutdown).await.unwrap();
    };
    let client = async {
        let seen = drive(&case, over(connector)).await;
        drop(stop);
        seen
    };
    tokio::join!(Box::pin(client), engine).0
}

/// The plan of a case, and the file that its rows are read from again.
fn planned(case: &Case) -> (Plan, Workload) {
    let sheet = Sheet(Arc::new(Mutex::new(Cursor::new(case.rows.as_bytes().to_vec()))));
    let source = Source::Seekable(Box::new(sheet.clone()));
    let read = ReadOptions::default();
    let mut workload = Workload::open(source, "rows.jsonl", Encoding::Plain, &read).unwrap();
    let options = PlanOptions {
        concurrency: case.concurrency,
        duration: Nanos::from_secs(case.seconds),
        seed: 1,
        stream: case.stream,
        history: trie_core::plan::History::Auto,
        cache_scope: CacheScope::Run,
        ramp: Nanos::ZERO,
        order: Order::File,
        scale: Scale::default(),
    };
    let plan = Plan::new(options, 7, &mut workload).unwrap().entering(case.entries.to_vec());
    if !case.rows_later.is_empty() {
        *sheet.0.lock().unwrap().get_mut() = case.rows_later.as_bytes().to_vec();
    }
    (plan, workload)
}

async fn drive<N: Connector<PausedClock> + Clone + 'static>(case: &Case, connector: N) -> Seen {
    let clock = PausedClock::start();
    let (plan, workload) = planned(case);
    let fields = BodyFields {
        model: "m".to_owned(),
        stream: case.stream,
        special_tokens: true,
        stream_usage: StreamUsage::Final,
        length: LengthFields::default(),
        sampling: Map::new(),
    };
    let vocabulary = Vocabulary::builtin();
    let (api, content) = if case.history == History::Chat {
        let template = vocabulary.chat_template().unwrap().unwrap();
        let chat = Chat::new(vocabulary.clone(), template, ChatOptions::default()).unwrap();
        (Api::Chat, Content::of_chats(vocabulary, chat, fields))
    } else {
        (Api::Completions, Content::new(vocabulary, case.history, fields))
    };
    let endpoint = Endpoint::parse("http://localhost:1/v1").unwrap();
    let (requests, traces, client) = (Page::default(), Page::default(), Page::default());
    let (_keep, shutdown) = watch::channel(false);
    let start = Arc::new(Mutex::new((Nanos::ZERO, None)));
    let started = Arc::clone(&start);
    let runtime = Runtime {
        clock,
        pool: Pool::new(connector, clock, Reuse::Conversation, 10_000_000_000),
        target: Target::new(&endpoint, None, api, None, &[]).unwrap(),
        plan: Arc::new(plan),
        workload,
        content,
        files: RecordFiles {
            requests: if case.broken_recorder {
                Box::new(Trap)
            } else {
                Box::new(requests.clone())
            },
            traces: Box::new(traces.clone()),
            client: Box::new(client.clone()),
        },
        progress: Arc::<Progress>::default(),
        shutdown,
        started: Box::new(move |at, primed| *started.lock().unwrap() = (at, primed)),
    };
    let replayed = replay(runtime, replay_options(case)).await.unwrap();
    assert_eq!(replayed.recorded.failed.is_some(), case.broken_recorder);
    let (start, primed) = *start.lock().unwrap();
    Seen {
        reason: replayed.ending.reason,
        message: replayed.ending.message,
        requests: requests.rows(),
        traces: traces.rows(),
        start,
        primed,
    }
}

fn replay_options(case: &Case) -> ReplayOptions {
    ReplayOptions {
        stream: case.stream,
        timeout: Nanos::from_secs(60),
        retries: RetryOptions { max: case.retries },
        concurrency: case.concurrency,
        duration: Nanos::from_secs(case.seconds),
        ramp: Nanos::ZERO,
        drain: Nanos::from_secs(case.drain),
        prime_timeout: Nanos::from_secs(case.prime_timeout),
        max_failures: 5,
        cache_block: case.cache_block,
        next_connection: case.next_connection,
        chunks: true,
        background: false,
        workers: 1,
        cores: None,
        priority: None,
    }
}

#[tokio::test(start_paused = true)]
async fn times_of_a_scripted_engine_come_out_exact() {
    let seen = run(CASE).await;
    let [first, second, ..] = seen.requests.as_slice() else { panic!("two requests at least") };
    let stamps = |row: &RequestRow| {
        [Some(row.intent_ns), row.first_token_ns, row.last_token_ns, row.end_ns]
            .map(|at| seen.ms(at))
    };
    assert_eq!(stamps(first), [0, 250, 330, 330]);
    assert_eq!(stamps(second), [1330, 1580, 1620, 1620]);
    assert_eq!(first.itl.iter().collect::<Vec<_>>(), [(20_000_000, 4)]);
    assert_eq!(first.chunk_ns.as_ref().unwrap()[..2], [250_000_000, 270_000_000]);
    assert_eq!((first.prompt_tokens, first.completion_tokens), (Some(64), Some(5)));
    assert_eq!((second.prompt_tokens, second.planned_prompt_tokens), (Some(85), 85));
    assert_eq!((second.cached_tokens, second.eligible_tokens), (Some(64), 69));
    assert_eq!(second.connection, first.connection);
    assert!(seen.requests.iter().all(|row| row.prompt_tokens == Some(row.planned_prompt_tokens)
        || row.outcome == Outcome::CutOff));
}

#[tokio::test(start_paused = true)]
async fn what_is_alive_at_the_deadline_is_cut_off_with_what_was_seen() {
    let seen = run(CASE).await;
    assert_eq!(seen.reason, Reason::Deadline);
    let mut expected = vec![TraceOutcome::Completed; 6];
    expected.push(TraceOutcome::CutOff);
    assert_eq!(seen.outcomes(), expected);
    let last = seen.requests.last().unwrap();
    assert_eq!(last.outcome, Outcome::CutOff);
    assert_eq!(seen.ms(last.first_token_ns), 9970);
    assert_eq!((seen.ms(last.end_ns), last.chunks), (10_000, 2));
    assert_eq!(seen.traces.last().unwrap().at_ns, last.end_ns.unwrap());
    // The seventh trace is the row's seventh cycle, and shares nothing with the others.
    assert_eq!((last.trace, last.row, last.cycle), (6, 0, 6));
    let openers = seen.requests.iter().filter(|row| row.step == 0 && row.outcome == Outcome::Ok);
    assert!(openers.map(|row| row.cached_tokens).all(|cached| cached == Some(0)));
}

#[tokio::test(start_paused = true)]
async fn traces_alive_at_the_deadline_may_go_on_while_no_other_starts() {
    let seen = run(Case { drain: 5, ..CASE }).await;
    assert_eq!(seen.reason, Reason::Deadline);
    assert_eq!(seen.outcomes(), vec![TraceOutcome::Completed; 7]);
    assert_eq!(seen.ms(Some(seen.traces.last().unwrap().at_ns)), 11_340);
    // What is alive when there is no more time is cut off then.
    let seen = run(Case { drain: 1, ..CASE }).await;
    assert_eq!(seen.outcomes().last(), Some(&TraceOutcome::CutOff));
    assert_eq!(seen.ms(Some(seen.traces.last().unwrap().at_ns)), 11_000);
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_is_entered_finds_its_history_in_the_cache() {
    const ENTRIES: &[Entry] = &[Entry { row: 0, step: 1, waited_ns: Nanos::from_millis(400) }];
    for history in [History::Text, History::Ids(IdsBack::ReturnTokenIds), History::Recorded] {
        let seen = run(Case { entries: ENTRIES, history, ..CASE }).await;
        let primed = seen.primed.unwrap();
        assert_eq!((primed.requests, primed.tokens, primed.missed_requests), (1, 69, 0));
        assert_eq!(primed.took_ns, Nanos::from_millis(250), "{history:?}");
        let [first, second, ..] = seen.requests.as_slice() else { panic!("two requests at least") };
        assert_eq!((first.trace, first.step, seen.ms(Some(first.intent_ns))), (0, 1, 600));
        // Of 69 tokens four blocks of 16 are kept.
        assert_eq!((first.prompt_tokens, first.cached_tokens), (Some(85), Some(64)), "{history:?}");
        assert_eq!(first.expected_cached_tokens, Some(69), "{history:?}");
        assert_eq!((second.trace, second.step, second.cached_tokens), (1, 0, Some(0)));
        assert_eq!(seen.traces[0].entered_step, Some(1));
        assert_eq!(seen.outcomes()[0], TraceOutcome::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_primed_in_time_is_said() {
    const ENTRIES: &[Entry] = &[Entry { row: 0, step: 1, waited_ns: Nanos::ZERO }];
    const FIRST: &[Entry] = &[Entry { row: 0, step: 0, waited_ns: Nanos::ZERO }];
    let late: &[(&str, &str)] = &[("ttft_ms", "3000")];
    let seen = run(Case { entries: ENTRIES, prime_timeout: 2, engine: late, ..CASE }).await;
    let primed = seen.primed.unwrap();
    assert_eq!((primed.requests, primed.missed_requests, primed.missed_tokens), (1, 1, 69));
    assert_eq!(primed.took_ns, Nanos::from_secs(2));
    // A trace that begins at its first step has nothing behind it.
    let primed = run(Case { entries: FIRST, ..CASE }).await.primed.unwrap();
    assert_eq!((primed.requests, primed.tokens), (0, 0));
    assert_eq!(run(CASE).await.primed, None);
}

#[tokio::test(start_paused = true)]
async fn a_closed_loop_keeps_its_traces_alive() {
    let seen = run(Case { concurrency: 4, ..CASE }).await;
    let alive_at = |ms: u64| {
        let at = seen.start.plus(Nanos::from_millis(ms));
        let before = |ended: bool| {
            let rows = seen.traces.iter().filter(|row| row.at_ns <= at);
            rows.filter(|row| (row.event != TraceEvent::Admitted) == ended).count()
        };
        before(false) - before(true)
    };
    assert_eq!([0, 100, 1619, 1620, 5000, 9999].map(alive_at), [4; 6]);
    let instances: Vec<_> = seen
        .traces
        .iter()
        .filter(|row| row.event == TraceEvent::Admitted)
        .map(|row| row.trace)
        .collect();
    assert_eq!(instances, (0..instances.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_every_request_ends_the_run_by_max_failures() {
    let seen = run(Case { seconds: 3600, engine: &[("status", "500")], ..CASE }).await;
    assert_eq!(seen.reason, Reason::MaxFailures);
    assert!(seen.message.unwrap().contains("max_failures: 5 requests in a row"));
    let starts: Vec<_> = seen.requests.iter().map(|row| row.intent_ns).collect();
    let since: Vec<_> =
        starts.iter().map(|at| at.since(seen.start).unwrap().0 / 1_000_000_000).collect();
    assert_eq!(since, [0, 1, 3, 7, 15], "each failure waits twice as long");
    assert!(seen.requests.iter().all(|row| row.error.as_ref().unwrap().status == Some(500)));
    assert_eq!(seen.requests.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_of_a_retried_request_is_a_row() {
    let engine = &[("status", "503"), ("status_every", "2")];
    let seen = run(Case { retries: 1, seconds: 4, engine, ..CASE }).await;
    let attempts: Vec<_> =
        seen.requests.iter().take(3).map(|row| (row.step, row.attempt, row.outcome)).collect();
    assert_eq!(attempts, [(0, 0, Outcome::Ok), (1, 0, Outcome::Failed), (1, 1, Outcome::Ok)],);
    assert_eq!(seen.outcomes()[0], TraceOutcome::Completed);
}

#[tokio::test(start_paused = true)]
async fn without_streaming_there_is_no_first_token_and_the_answer_counts_at_its_end() {
    let seen = run(Case { stream: false, ..CASE }).await;
    let first = &seen.requests[0];
    assert_eq!((first.first_token_ns, first.chunks), (None, 0));
    assert_eq!(seen.ms(first.end_ns), 330);
    assert_eq!(first.credit.len(), 1);
    assert_eq!(first.credit[0].1, 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_after_each_answer_costs_no_connect_inside_a_request() {
    let engine = &[("keep_alive_requests", "1")];
    let seen = run(Case { next_connection: NextConnection::Spare, engine, ..CASE }).await;
    let answered: Vec<_> = seen.requests.iter().filter(|row| row.outcome == Outcome::Ok).collect();
    assert_eq!(answered.len(), 12);
    assert!(answered.iter().all(|row| row.connect_ns.is_none() && !row.stale_resend));
    let mut connections: Vec<_> = answered.iter().map(|row| row.connection).collect();
    connections.dedup();
    assert_eq!(connections.len(), 12, "each answer closed its connection");
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_changes_in_mid_run_ends_it_with_what_was_measured() {
    let seen = run(Case { rows_later: "{}", ..CASE }).await;
    assert_eq!(seen.reason, Reason::Failed);
    let message = seen.message.unwrap();
    assert!(message.contains("the workload changed while it was replayed"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn ids_make_every_prompt_exact_and_leave_nothing_to_prefill_again() {
    const ROWS: &str = concat!(
        r#"{"num_turns":3,"input_prompt_length":40,"assistant_response_length":[9,1,6],"#,
        r#""tool_call_output_length":[7,0,5],"tool_call_latency":[0.1,0,0.2],"#,
        r#""final_assistant_response_length":3}"#
    );
    let engine = &[("block", "4")];
    let ways = [IdsBack::ReturnTokenIds, IdsBack::Logprobs];
    for (back, stream) in ways.into_iter().flat_map(|back| [(back, true), (back, false)]) {
        let history = History::Ids(back);
        let case = Case { rows: ROWS, history, stream, cache_block: 4, engine, seconds: 4, ..CASE };
        let seen = run(case).await;
        let answered: Vec<_> =
            seen.requests.iter().filter(|row| row.outcome == Outcome::Ok).collect();
        assert!(answered.len() >= 8, "{}", answered.len());
        for row in answered {
            let name = format!("{}.{}", row.trace, row.step);
            assert_eq!(row.prompt_tokens, Some(row.planned_prompt_tokens), "{name}");
            assert_eq!(row.completion_tokens, Some(row.planned_completion_tokens), "{name}");
            assert_eq!(row.cached_tokens, row.expected_cached_tokens, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_traces_share_is_expected_in_the_cache_as_far_as_it_is_there() {
    const ROWS: &str = concat!(
        r#"{"num_turns":0,"input_prompt_length":64,"assistant_response_length":[],"#,
        r#""tool_call_output_length":[],"tool_call_latency":[],"final_assistant_response_length":3,"#,
        r#""blocks":{"size":16,"scope":"office","steps":[{"new":[[1,4]]}]}}"#,
        "\n",
        r#"{"num_turns":0,"input_prompt_length":64,"assistant_response_length":[],"#,
        r#""tool_call_output_length":[],"tool_call_latency":[],"final_assistant_response_length":3,"#,
        r#""blocks":{"size":16,"scope":"office","steps":[{"new":[[1,2],[9,2]]}]}}"#,
        "\n",
        r#"{"num_turns":0,"input_prompt_length":64,"assistant_response_length":[],"#,
        r#""tool_call_output_length":[],"tool_call_latency":[],"final_assistant_response_length":3,"#,
        r#""blocks":{"size":16,"scope":"office","steps":[{"new":[[1,4]]}]}}"#
    );
    let engine = &[("block", "4")];
    for stream in [true, false] {
        let history = History::Ids(IdsBack::ReturnTokenIds);
        let case = Case { rows: ROWS, history, stream, cache_block: 4, engine, seconds: 3, ..CASE };
        let seen = run(case).await;
        let cached: Vec<_> = seen.requests.iter().map(|row| row.cached_tokens).collect();
        let expected: Vec<_> = seen.requests.iter().map(|row| row.expected_cached_tokens).collect();
        assert_eq!(expected[..6], [0, 32, 60, 0, 32, 60].map(Some), "stream={stream}");
        assert_eq!(cached[..6], expected[..6], "stream={stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_waits_in_its_slot_until_the_one_before_it_in_its_session_has_ended() {
    const ROWS: &str = concat!(
        r#"{"num_turns":0,"input_prompt_length":64,"assistant_response_length":[],"session_id":"s","#,
        r#""tool_call_output_length":[],"tool_call_latency":[],"final_assistant_response_length":40}"#,
        "\n",
        r#"{"num_turns":0,"input_prompt_length":64,"assistant_response_length":[],"session_id":"s","#,
        r#""tool_call_output_length":[],"tool_call_latency":[],"final_assistant_response_length":3}"#,
        "\n",
        r#"{"num_turns":0,"input_prompt_length":64,"assistant_response_length":[],"#,
        r#""tool_call_output_length":[],"tool_call_latency":[],"final_assistant_response_length":3}"#
    );
    let seen = run(Case { rows: ROWS, concurrency: 3, seconds: 2, ..CASE }).await;
    let row = |trace: u64, admitted: bool| {
        let is =
            |row: &&TraceRow| row.trace == trace && (row.event == TraceEvent::Admitted) == admitted;
        seen.traces.iter().find(is).unwrap()
    };
    let ended = row(0, false).at_ns;
    assert_eq!(row(1, true).at_ns, ended);
    assert_eq!(row(1, true).held_ns, ended.since(seen.start));
    assert_eq!([row(0, true), row(2, true)].map(|row| row.held_ns), [None, None]);
    let first = seen.requests.iter().find(|row| row.trace == 1).unwrap();
    assert_eq!(first.intent_ns, ended);
    assert!(row(2, false).at_ns < ended);
}

#[tokio::test(start_paused = true)]
async fn a_pipelined_step_goes_out_while_the_answer_it_waited_for_still_streams() {
    const ROWS: &str = concat!(
        r#"{"steps":[{"id":"a","lane":"main","new":[{"role":"user","tokens":64}],"output":{"tokens":100}},"#,
        r#"{"id":"b","lane":"side","after":[{"id":"a","on":"first_token","delay":0.003}],"#,
        r#""context":{"from":null},"new":[{"role":"user","tokens":32}],"output":{"tokens":2}}]}"#
    );
    let seen = run(Case { rows: ROWS, seconds: 3, ..CASE }).await;
    let of = |step: u32| seen.requests.iter().find(|row| row.trace == 0 && row.step == step);
    let (first, piped) = (of(0).unwrap(), of(1).unwrap());
    assert_eq!([first.first_token_ns, first.end_ns].map(|at| seen.ms(at)), [250, 2230]);
    assert_eq!(seen.ms(Some(piped.intent_ns)), 253);
    assert_eq!([piped.first_token_ns, piped.end_ns].map(|at| seen.ms(at)), [503, 523]);
}

#[tokio::test(start_paused = true)]
async fn text_that_makes_other_tokens_than_were_generated_leaves_every_prompt_as_planned() {
    const ROWS: &str = concat!(
        r#"{"num_turns":3,"input_prompt_length":40,"assistant_response_length":[9,11,6],"#,
        r#""tool_call_output_length":[60,60,60],"tool_call_latency":[0,0,0],"#,
        r#""final_assistant_response_length":3}"#
    );
    let engine = &[("output", "raw")];
    let seen = run(Case { rows: ROWS, engine, seconds: 4, ..CASE }).await;
    let answered = || seen.requests.iter().filter(|row| row.outcome == Outcome::Ok);
    assert!(answered().count() >= 8);
    for row in answered() {
        let name = format!("{}.{}", row.trace, row.step);
        assert_eq!(row.prompt_tokens, Some(row.planned_prompt_tokens), "{name}");
    }
    // What the server generated is not what the text makes again: its cache is lost.
    assert!(answered().any(|row| row.cached_tokens < row.expected_cached_tokens));
}

#[tokio::test(start_paused = true)]
async fn a_recorder_that_panics_ends_the_run_with_a_reason() {
    let seen = run(Case { broken_recorder: true, seconds: 1_000_000, ..CASE }).await;
    assert_eq!(seen.reason, Reason::Failed);
    assert!(seen.message.unwrap().contains("a part of the client panicked"));
}

#[tokio::test(start_paused = true)]
async fn every_prompt_of_a_chat_is_as_planned_and_finds_the_one_before_in_the_cache() {
    let seen = run(Case {
        rows: concat!(
            r#"{"num_turns":3,"input_prompt_length":200,"assistant_response_length":[5,5,5],"#,
            r#""tool_call_output_length":[90,100,110],"tool_call_latency":[1,1,1],"#,
            r#""final_assistant_response_length":3}"#
        ),
        history: History::Chat,
        engine: &[("output", "stable")],
        ..CASE
    })
    .await;
    assert_eq!(seen.outcomes()[0], TraceOutcome::Completed);
    let ok: Vec<_> = seen.requests.iter().filter(|row| row.outcome == Outcome::Ok).collect();
    assert!(ok.len() >= 4);
    for row in &ok {
        assert_eq!(row.prompt_tokens, Some(row.planned_prompt_tokens), "{row:?}");
        assert_eq!(row.completion_tokens, Some(row.planned_completion_tokens));
        assert_eq!(row.first_visible_ns, row.first_token_ns);
    }
    // The engine caches whole blocks of 16 tokens.
    let before = ok[0].planned_prompt_tokens;
    assert!(ok[1].cached_tokens.unwrap() >= before - before % 16, "{:?}", ok[1]);
}
