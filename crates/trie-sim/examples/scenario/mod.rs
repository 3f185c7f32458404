//! Scenario S: its workload, its engines, its runs; shared by the examples and the tests.

pub(crate) mod figures;

use std::{collections::BTreeMap, error::Error, fmt::Write, io::Cursor, num::NonZeroUsize};

use serde::de::DeserializeOwned;
use trie_core::{
    compare::NamedRun,
    metrics::{RunRecords, Summary, summarize},
    plan::{CacheScope, History, Order, Plan, PlanOptions, Scale, draw_entries},
    record::{
        ClientRow, Clock, Ending, Host, KvCache, MANIFEST_SCHEMA, Manifest, OptionValue,
        RequestRow, ToldBy, TraceEvent, TraceOutcome, TraceRow, Versions,
    },
    session::RetryOptions,
    units::Nanos,
    workload::{Encoding, ReadOptions, Source, Workload},
};
use trie_sim::{
    engine::{EngineConfig, Policy, Preset, StepTime, Steps, normal},
    forecast::{Files, ForecastOptions, Router, forecast},
};

/// Rows of the original's format: traces of ceil(lognormal(median 6, sigma 0.9)) tool turns, a first prompt
/// of 6,000 tokens, tool outputs of 600 after 1 s, answers of 150.
pub(crate) fn rows(seed: u64, count: u64) -> String {
    let mut text = String::new();
    for row in 0..count {
        let turns = turns(seed, row);
        let list = |value: &str| vec![value; turns].join(", ");
        let (answers, outputs, waits) = (list("150"), list("600"), list("1.0"));
        writeln!(
            text,
            "{{\"num_turns\": {turns}, \"input_prompt_length\": 6000, \
             \"assistant_response_length\": [{answers}], \"tool_call_output_length\": [{outputs}], \
             \"tool_call_latency\": [{waits}], \"final_assistant_response_length\": 150}}"
        )
        .expect("a string takes every character");
    }
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few hundred at most"
)]
fn turns(seed: u64, row: u64) -> usize {
    libm::ceil(6.0 * libm::exp(0.9 * normal(seed, 0x7475_726e, row))) as usize
}

/// The workload of a seed.
pub(crate) fn workload(seed: u64, count: u64) -> Result<Workload, Box<dyn Error>> {
    let source = Source::Seekable(Box::new(Cursor::new(rows(seed, count))));
    Ok(Workload::open(source, "S", Encoding::Plain, &ReadOptions::default())?)
}

pub(crate) fn plan_options(concurrency: u32, seconds: u64, seed: u64) -> PlanOptions {
    PlanOptions {
        concurrency,
        duration: Nanos::from_secs(seconds),
        seed,
        stream: true,
        history: History::Auto,
        cache_scope: CacheScope::Run,
        ramp: Nanos::ZERO,
        order: Order::File,
        scale: Scale::default(),
    }
}

/// Tokens of KV cache that the engine has.
const KV_TOKENS: u64 = 424_000;

/// `replicas` of the engine.
pub(crate) fn options(replicas: usize) -> Result<ForecastOptions, Box<dyn Error>> {
    let preset = Preset::named("llama-3.1-70b-4xh100").ok_or("no such preset")?;
    Ok(ForecastOptions {
        engine: EngineConfig { cache_tokens: usize::try_from(KV_TOKENS)?, ..preset.engine() },
        replicas: NonZeroUsize::new(replicas).ok_or("at least one replica")?,
        router: Router::Session,
        feeds_back: true,
        timeout: Nanos::from_secs(600),
        retries: RetryOptions::default(),
        max_failures: 50,
        drain: Nanos::ZERO,
        chunks: false,
    })
}

/// How a run starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Start {
    Cold,
    Equilibrium,
}

/// One run of scenario S on one engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) concurrency: u32,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) start: Start,
}

impl Run {
    /// The summary that a report of it would print.
    pub(crate) fn summary(&self) -> Result<Summary, Box<dyn Error>> {
        Ok(summarize(vec![self.records()?])?)
    }

    /// Latencies in seconds of the traces admitted in the first `first` of it; `None` of one that was not over.
    pub(crate) fn latencies(&self, first: Nanos) -> Result<Vec<Option<f64>>, Box<dyn Error>> {
        let mut all = BTreeMap::new();
        for row in self.records()?.traces {
            match row.event {
                TraceEvent::Admitted if row.at_ns < first => {
                    all.insert(row.trace, (row.at_ns, None));
                }
                TraceEvent::Admitted => {}
                TraceEvent::Ended(outcome) => {
                    if let Some((admitted, latency)) = all.get_mut(&row.trace) {
                        let took = row.at_ns.0 - admitted.0;
                        let over = outcome == TraceOutcome::Completed;
                        *latency = over.then(|| Nanos(took).as_secs_f64());
                    }
                }
            }
        }
        Ok(all.into_values().map(|(_, latency)| latency).collect())
    }

    /// Its records.
    fn records(&self) -> Result<Records, Box<dyn Error>> {
        let Self { concurrency, seconds, seed, start } = *self;
        let mut options = options(1)?;
        options.engine = seeded(options.engine, seed);
        // No row comes twice: a trace takes some 25 s at least.
        let count = u64::from(concurrency) * (seconds / 15 + 4);
        let mut workload = workload(seed, count)?;
        let mut plan = Plan::new(plan_options(concurrency, seconds, seed), seed, &mut workload)?;
        if start == Start::Equilibrium {
            let dwell = options.engine.dwell(concurrency.into(), plan.facts());
            let entries = draw_entries(&plan, &mut workload, &dwell)?;
            plan = plan.entering(entries);
        }
        replayed(&plan, &mut workload, &options)
    }
}

/// One side of a comparison: a run at 8 traces for 300 s from a cold start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    /// Of the workload.
    pub(crate) seed: u64,
    /// Of the engine's jitter.
    pub(crate) jitter: u64,
    /// Of all times of the engine's steps.
    pub(crate) factor: f64,
}

impl Side {
    /// Its records.
    pub(crate) fn run(&self) -> Result<Named, Box<dyn Error>> {
        let Self { seed, jitter, factor } = *self;
        let mut options = options(1)?;
        options.engine = slowed(seeded(options.engine, jitter), factor);
        let mut workload = workload(seed, 256)?;
        let plan = PlanOptions { history: History::Ids, ..plan_options(8, 300, seed) };
        let plan = Plan::new(plan, 1, &mut workload)?;
        let records = replayed(&plan, &mut workload, &options)?;
        Ok(NamedRun { name: format!("seed {seed} x{factor} jitter {jitter}"), records })
    }
}

/// Threads that runs are shared out to.
const THREADS: usize = 4;

/// What `of` makes of each, in order.
pub(crate) fn on_threads<T: Sync, R: Send>(
    each: &[T],
    of: impl Fn(&T) -> Result<R, Box<dyn Error>> + Sync,
) -> Result<Vec<R>, Box<dyn Error>> {
    let some = |part: &[T]| -> Result<Vec<R>, String> {
        part.iter().map(|one| of(one).map_err(|error| error.to_string())).collect()
    };
    let some = &some;
    std::thread::scope(|scope| {
        let parts = each.chunks(each.len().div_ceil(THREADS).max(1));
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || some(part))).collect();
        let mut all = vec![];
        for part in parts {
            all.extend(part.join().map_err(|_| "a run panicked")??);
        }
        Ok(all)
    })
}

/// The records of a run.
type Records = RunRecords<Vec<RequestRow>, Vec<TraceRow>, Vec<ClientRow>>;
/// With a name.
pub(crate) type Named = NamedRun<Vec<RequestRow>, Vec<TraceRow>, Vec<ClientRow>>;

fn replayed(
    plan: &Plan,
    workload: &mut Workload,
    options: &ForecastOptions,
) -> Result<Records, Box<dyn Error>> {
    let (mut requests, mut traces, mut client) = (vec![], vec![], vec![]);
    let files =
        Files { requests: &mut requests, traces: &mut traces, client: &mut client, truth: None };
    let done = forecast(plan, workload, options, files, &|| false)?;
    Ok(RunRecords {
        manifest: manifest(plan, done.ending),
        requests: lines(&requests),
        traces: lines(&traces),
        client: lines(&client),
    })
}

/// The engine whose jitter is that of a seed.
fn seeded(engine: EngineConfig, seed: u64) -> EngineConfig {
    with_steps(engine, |steps| Steps { seed, ..steps })
}

/// The engine whose steps take `by` times as long.
fn slowed(engine: EngineConfig, by: f64) -> EngineConfig {
    with_steps(engine, |steps| {
        let old = steps.time;
        let time = StepTime {
            a: old.a * by,
            b: old.b * by,
            c: old.c * by,
            p0: old.p0 * by,
            p: old.p * by,
            q: old.q * by,
            d: old.d * by,
            ..old
        };
        Steps { time, ..steps }
    })
}

fn with_steps(engine: EngineConfig, change: impl Fn(Steps) -> Steps) -> EngineConfig {
    let policy = match engine.policy {
        Policy::Steps(steps) => Policy::Steps(change(steps)),
        other @ (Policy::Fixed { .. } | Policy::Instant) => other,
    };
    EngineConfig { policy, ..engine }
}

fn lines<T: DeserializeOwned>(text: &[u8]) -> Vec<T> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("it was written as such a row")).collect()
}

fn manifest(plan: &Plan, ending: Ending) -> Manifest {
    let options = plan.options();
    Manifest {
        schema: MANIFEST_SCHEMA.to_owned(),
        options: BTreeMap::<String, OptionValue>::new(),
        workload: plan.facts().clone(),
        plan_sha256: plan.sha256(),
        seed: options.seed,
        salt: String::new(),
        content_version: trie_core::plan::CONTENT_VERSION,
        history: "ids".to_owned(),
        model: "S".to_owned(),
        concurrency: options.concurrency,
        duration_ns: options.duration,
        num_gpus: None,
        stream: true,
        start_ns: Nanos::ZERO,
        started_at: String::new(),
        simulated: None,
        versions: Versions::default(),
        host: Host::default(),
        clock: Clock::default(),
        server: None,
        preflight: None,
        self_check: None,
        entries: plan.entries().to_vec(),
        priming: None,
        kv_cache: Some(KvCache { tokens: KV_TOKENS, block_size: None, told_by: ToldBy::Engine }),
        replicate: None,
        notes: Vec::new(),
        ending: Some(ending),
    }
}
