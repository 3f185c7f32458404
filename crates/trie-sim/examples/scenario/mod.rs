//! Scenario S: its workload, its engines, its runs.

use std::{error::Error, fmt::Write, io::Cursor, num::NonZeroUsize};

use serde::de::DeserializeOwned;
use trie_core::{
    metrics::{RunRecords, Summary, summarize},
    plan::{CacheScope, History, Plan, PlanOptions, Scale, draw_entries},
    record::{
        ClientRow, Clock, Host, MANIFEST_SCHEMA, Manifest, OptionValue, RequestRow, TraceRow,
        Versions,
    },
    session::RetryOptions,
    units::Nanos,
    workload::{Encoding, ReadOptions, Source, Workload},
};
use trie_sim::{
    engine::{EngineConfig, Preset, normal},
    forecast::{Files, ForecastOptions, Forecasted, Router, forecast},
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
        scale: Scale::default(),
    }
}

/// `replicas` of the engine.
pub(crate) fn options(replicas: usize) -> Result<ForecastOptions, Box<dyn Error>> {
    let preset = Preset::named("llama-3.1-70b-4xh100").ok_or("no such preset")?;
    Ok(ForecastOptions {
        engine: EngineConfig { cache_tokens: 424_000, ..preset.engine() },
        replicas: NonZeroUsize::new(replicas).ok_or("at least one replica")?,
        router: Router::Session,
        feeds_back: true,
        timeout: Nanos::from_secs(600),
        retries: RetryOptions::default(),
        max_failures: 50,
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
        let (mut requests, mut traces, mut client) = (vec![], vec![], vec![]);
        let files = Files {
            requests: &mut requests,
            traces: &mut traces,
            client: &mut client,
            truth: None,
        };
        let done = forecast(&plan, &mut workload, &options, files, &|| false)?;
        let manifest = manifest(&plan, &done);
        let run = RunRecords {
            manifest,
            requests: lines::<RequestRow>(&requests),
            traces: lines::<TraceRow>(&traces),
            client: lines::<ClientRow>(&client),
        };
        Ok(summarize(vec![run])?)
    }
}

/// The engine whose jitter is that of a seed.
fn seeded(engine: EngineConfig, seed: u64) -> EngineConfig {
    use trie_sim::engine::{Policy, Steps};
    let policy = match engine.policy {
        Policy::Steps(steps) => Policy::Steps(Steps { seed, ..steps }),
        other @ (Policy::Fixed { .. } | Policy::Instant) => other,
    };
    EngineConfig { policy, ..engine }
}

fn lines<T: DeserializeOwned>(text: &[u8]) -> impl Iterator<Item = T> + '_ {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("it was written as such a row"))
}

fn manifest(plan: &Plan, done: &Forecasted) -> Manifest {
    let options = plan.options();
    Manifest {
        schema: MANIFEST_SCHEMA.to_owned(),
        options: std::collections::BTreeMap::<String, OptionValue>::new(),
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
        entries: plan.entries().to_vec(),
        notes: Vec::new(),
        ending: Some(done.ending.clone()),
    }
}
