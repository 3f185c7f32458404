//! Scenario S as a run of virtual time, for proofs.

use std::{fmt::Write, io::Cursor, num::NonZeroUsize};

use serde::de::DeserializeOwned;
use trie_core::{
    compare::NamedRun,
    metrics::RunRecords,
    plan::{CacheScope, History, Plan, PlanOptions, Scale},
    record::{ClientRow, Clock, Host, MANIFEST_SCHEMA, Manifest, RequestRow, TraceRow, Versions},
    session::RetryOptions,
    units::Nanos,
    workload::{Encoding, ReadOptions, Source, Workload},
};
use trie_sim::{
    engine::{EngineConfig, Policy, Preset, StepTime, Steps, normal},
    forecast::{Files, ForecastOptions, Router, forecast},
};

/// A run and its records.
pub(crate) type Replayed = NamedRun<Vec<RequestRow>, Vec<TraceRow>, Vec<ClientRow>>;

/// One run of scenario S at 8 traces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    /// Of the workload.
    pub(crate) seed: u64,
    /// Of the engine's jitter.
    pub(crate) jitter: u64,
    /// Of all times of the engine's steps.
    pub(crate) factor: f64,
    /// Length of the window.
    pub(crate) seconds: u64,
}

/// Replays it.
pub(crate) fn run(side: Side) -> Replayed {
    let source = Source::Seekable(Box::new(Cursor::new(rows_of(side.seed, 256))));
    let read = ReadOptions::default();
    let mut workload =
        Workload::open(source, "S", Encoding::Plain, &read).expect("it is well made");
    let options = PlanOptions {
        concurrency: 8,
        duration: Nanos::from_secs(side.seconds),
        seed: side.seed,
        stream: true,
        history: History::Ids,
        cache_scope: CacheScope::Run,
        ramp: Nanos::ZERO,
        scale: Scale::default(),
    };
    let plan = Plan::new(options, 1, &mut workload).expect("the options are valid");
    let (mut requests, mut traces, mut client) = (vec![], vec![], vec![]);
    let files =
        Files { requests: &mut requests, traces: &mut traces, client: &mut client, truth: None };
    let done = forecast(&plan, &mut workload, &engine(side), files, &|| false);
    let done = done.expect("memory takes every row");
    let mut manifest = manifest(&plan, side);
    manifest.ending = Some(done.ending);
    NamedRun {
        name: format!("seed {} x{} jitter {}", side.seed, side.factor, side.jitter),
        records: RunRecords {
            manifest,
            requests: rows(&requests),
            traces: rows(&traces),
            client: rows(&client),
        },
    }
}

fn rows<Row: DeserializeOwned>(text: &[u8]) -> Vec<Row> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("it was just written")).collect()
}

fn engine(side: Side) -> ForecastOptions {
    let preset = Preset::named("llama-3.1-70b-4xh100").expect("it is one of the presets").engine();
    let Policy::Steps(steps) = preset.policy else { panic!("presets work in steps") };
    let (old, by) = (steps.time, side.factor);
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
    let policy = Policy::Steps(Steps { time, seed: side.jitter, ..steps });
    ForecastOptions {
        engine: EngineConfig { policy, cache_tokens: 424_000, ..preset },
        replicas: NonZeroUsize::MIN,
        router: Router::RoundRobin,
        feeds_back: true,
        timeout: Nanos::from_secs(600),
        retries: RetryOptions::default(),
        max_failures: 50,
        chunks: false,
    }
}

/// Rows of the original's format: ceil(lognormal(median 6, sigma 0.9)) tool turns each.
fn rows_of(seed: u64, rows: u64) -> String {
    let mut text = String::new();
    for row in 0..rows {
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

fn manifest(plan: &Plan, side: Side) -> Manifest {
    let options = plan.options();
    Manifest {
        schema: MANIFEST_SCHEMA.to_owned(),
        options: std::collections::BTreeMap::new(),
        workload: plan.facts().clone(),
        plan_sha256: plan.sha256().clone(),
        seed: options.seed,
        salt: "0000000000000001".to_owned(),
        content_version: trie_core::plan::CONTENT_VERSION,
        history: "ids".to_owned(),
        model: "S".to_owned(),
        concurrency: options.concurrency,
        duration_ns: options.duration,
        num_gpus: None,
        stream: true,
        start_ns: Nanos::ZERO,
        started_at: "1970-01-01T00:00:00Z".to_owned(),
        simulated: Some(format!("llama-3.1-70b-4xh100 x {}", side.factor)),
        versions: Versions::default(),
        host: Host::default(),
        clock: Clock::default(),
        server: None,
        preflight: None,
        entries: Vec::new(),
        notes: vec![],
        ending: None,
    }
}
