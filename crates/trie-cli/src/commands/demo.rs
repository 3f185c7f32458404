//! `trie demo`: a bundled workload against an embedded engine; no network, no GPU.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::thread;

use tokio::sync::oneshot;
use trie_core::record::{KvCache, ToldBy};
use trie_core::units::Nanos;
use trie_replay::wire::{Api, Reuse};
use trie_sim::config::{Config, DEMO_PRESET, DEMO_SPEED};
use trie_sim::server::{bind, serve};
use trie_tokens::Vocabulary;

use crate::args::{Environment, Layers, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::{
    Format, OutputOptions, Protocol, Stamps, Start, WireOptions, plan_options, report_options, ui,
};
use crate::setup;

use super::demo_cache;
use super::replay::{Job, replay};
use super::run::{layers, no_positional, random};

/// The workload, made by the command in its first line.
const WORKLOAD: &str = include_str!("../../../../workloads/demo.jsonl");
const MODEL: &str = "simulated";
/// Tokens of the system prompt that all rows of the workload share.
const SHARED_TOKENS: u64 = 800;
/// What the demo does where the user says nothing.
pub(super) const DEFAULTS: &[(&str, &str)] = &[("concurrency", "24"), ("duration", "12")];

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    no_positional(words)?;
    let layers = layers(words, environment)?.or_defaults(DEFAULTS);
    let salt = random();
    let mut workload = setup::bundled("workloads/demo.jsonl", WORKLOAD)?;
    let mut plan = plan_options(&layers, &mut random)?;
    // One agent after another, to the end: the cache is seen to fill and to overflow.
    plan.ramp = plan.duration;
    let (plan, mut notes) = setup::plan(plan, salt, &mut workload)?;
    setup::tell(&notes, printer);
    let config = Config { port: 0, model: Some(MODEL.to_owned()), ..Config::demo() };
    let about = about(&config);
    printer.line(&about);
    notes.push(about);
    let (duration, cache_tokens) = (plan.options().duration, config.timing.cache_tokens);
    let output = output_options(&layers)?;
    let format = output.report.format;
    let engine = Engine::start(config)?;
    let options = wire_options();
    let url = format!("http://{}/v1", engine.address);
    let wire = setup::wire(&url, Api::Completions, &options, &Environment::new())?;
    let replayed = replay(
        Job {
            plan,
            workload,
            vocabulary: Vocabulary::builtin(),
            chat: None,
            wire,
            sampling: serde_json::Map::new(),
            options: setup::option_values(&layers),
            model: MODEL.to_owned(),
            salt,
            num_gpus: None,
            wire_options: options,
            output,
            simulated: Some("demo".to_owned()),
            kv_cache: u64::try_from(cache_tokens).ok().map(|tokens| KvCache {
                tokens,
                block_size: None,
                told_by: ToldBy::Engine,
            }),
            replicate: None,
            follows: false,
            start: Start::Cold,
            prime_timeout: Nanos::ZERO,
            drain: Nanos::ZERO,
            selfcheck: None,
            notes,
        },
        printer,
    );
    engine.stop();
    let (code, dir) = replayed?;
    if format == Format::Text {
        let cache = demo_cache::Cache { tokens: cache_tokens, shared: SHARED_TOKENS };
        printer.out(&demo_cache::table(&dir, cache, duration).map_err(Fault::Failed)?);
    }
    // The demo shows what a report looks like; its verdict is about this machine, not a server.
    Ok(if code == Code::Untrusted { Code::Ok } else { code })
}

/// What is simulated, in words.
fn about(config: &Config) -> String {
    format!(
        "simulated: an engine on loopback in this process, no GPU and no model. It works in the steps of \
         vLLM with the step times of {DEMO_PRESET}, and time runs {DEMO_SPEED} times as fast: a second \
         here is {DEMO_SPEED} of that engine's, waits for tools included. Its KV cache is a tenth: {} \
         tokens. Step times are a model's, everything measured is real.",
        config.timing.cache_tokens,
    )
}

fn wire_options() -> WireOptions {
    WireOptions {
        api_key: None,
        headers: vec![],
        max_retries: 0,
        timeout: Nanos::from_secs(60),
        max_failures: 50,
        threads: Some(1),
        cores: None,
        priority: None,
        stamps: Stamps::Kernel,
        reuse: Reuse::Conversation,
        protocol: Protocol::Http1,
        ca_file: None,
        client_cert: None,
        insecure: false,
        preflight: true,
        selfcheck: false,
    }
}

fn output_options(layers: &Layers) -> Result<OutputOptions, Fault> {
    Ok(OutputOptions {
        dir: layers.text("output_dir").map(Into::into),
        metrics_path: None,
        chunks: false,
        ui: ui(layers)?,
        update_interval: None,
        report: report_options(layers)?,
    })
}

/// The engine on a thread of its own.
struct Engine {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Engine {
    fn start(config: Config) -> Result<Self, Fault> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = channel();
        let thread = thread::Builder::new()
            .name("trie-engine".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a runtime was started in this process before");
                runtime.block_on(async {
                    let config = Config { host: Ipv4Addr::LOCALHOST.into(), ..config };
                    let listener = match bind(&config).await {
                        Ok(listener) => listener,
                        Err(error) => return drop(bound.send(Err(error.to_string()))),
                    };
                    let address = listener.local_addr().map_err(|error| error.to_string());
                    drop(bound.send(address));
                    // Ends when the demo drops its end, which is all that is waited for.
                    let shutdown = async { drop(stopped.await) };
                    drop(serve(listener, config, Vocabulary::builtin(), shutdown).await);
                });
            })
            .map_err(Fault::failed)?;
        let address = address.recv().map_err(Fault::failed)?.map_err(Fault::failed)?;
        Ok(Self { address, stop, thread })
    }

    fn stop(self) {
        drop(self.stop);
        drop(self.thread.join());
    }
}
