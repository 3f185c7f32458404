//! From a plan and an endpoint to a run directory and its report; `run` and `demo` share it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Map, Value};
use tokio::sync::watch;
use trie_core::metrics::Summary;
use trie_core::plan::{ContentRule, Plan, Stretch, content_key};
use trie_core::record::{Manifest, OptionValue, Reason};
use trie_core::report::{Level, complete_line, log_line, start_line};
use trie_core::session::RetryOptions;
use trie_core::units::Nanos;
use trie_core::workload::Workload;
use trie_replay::wire::{Failure, Reuse};
use trie_replay::{NextConnection, Progress, ReplayError, ReplayOptions, Replayed, Runtime, probe};
use trie_tokens::Vocabulary;

use crate::fault::{Code, Fault};
use crate::live::Live;
use crate::printer::Printer;
use crate::resolve::{OutputOptions, WireOptions};
use crate::run_dir::RunDir;
use crate::setup::{self, ManifestParts, Wire};
use crate::signals::Interrupts;

use super::report;

/// Instance whose content no run replays: the probe's.
const PROBE_INSTANCE: u64 = u64::MAX;

/// Everything that was opened and checked for a run.
pub(super) struct Job {
    pub(super) plan: Plan,
    pub(super) workload: Workload,
    pub(super) vocabulary: Vocabulary,
    pub(super) wire: Wire,
    pub(super) sampling: Map<String, Value>,
    pub(super) options: BTreeMap<String, OptionValue>,
    pub(super) model: String,
    pub(super) salt: u64,
    pub(super) num_gpus: Option<u32>,
    pub(super) wire_options: WireOptions,
    pub(super) output: OutputOptions,
    pub(super) simulated: Option<String>,
    pub(super) notes: Vec<String>,
}

/// Probes, replays, reports.
pub(super) fn replay(job: Job, printer: &Printer) -> Result<Code, Fault> {
    setup::raise_descriptor_limit(printer);
    let line = log_line(Level::Warning, "benchmark interrupted", &BTreeMap::new());
    let interrupts = Interrupts::listen(printer, &line).map_err(Fault::failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .map_err(Fault::Failed)?;
    let dir = RunDir::create(job.output.dir.as_deref(), job.salt).map_err(Fault::Usage)?;
    let metrics_path = job.output.metrics_path.clone();
    let report_options = job.output.report;
    let begun = metrics_path.as_deref().map_or(Ok(()), report::try_metrics_file);
    let ended = begun.and_then(|()| runtime.block_on(run(job, &dir, printer, interrupts.asked())));
    let ended = ended.inspect_err(|_| dir.remove_if_empty())?;
    interrupts.end_at_once();
    let recorded = &ended.replayed.recorded;
    let mut failed = recorded.failed.is_some();
    warn_of(dir.write_json("manifest.json", &ended.manifest), printer);
    let summary = report::of_run(&dir, &ended.manifest, &recorded.kept).map_err(Fault::Failed)?;
    finish(&dir, &ended, &summary, printer);
    report::print(&summary, report_options, printer);
    if let Some(path) = &metrics_path {
        let written = report::write_metrics_file(path, &dir, &recorded.kept);
        failed |= written.is_err();
        warn_of(written, printer);
    }
    printer.line(&format!("run directory: {}", dir.path().display()));
    match ended.replayed.ending.reason {
        _ if failed => Ok(Code::Failed),
        Reason::Interrupted => Ok(Code::Interrupted),
        Reason::MaxFailures | Reason::Failed => Ok(Code::Failed),
        Reason::Deadline => Ok(report::code(&summary, report_options)),
    }
}

/// A run that is over.
struct Ended {
    manifest: Manifest,
    replayed: Replayed,
}

async fn run(
    mut job: Job,
    dir: &RunDir,
    printer: &Printer,
    shutdown: watch::Receiver<bool>,
) -> Result<Ended, Fault> {
    let mut options = replay_options(&job);
    let sampling = std::mem::take(&mut job.sampling);
    let content = setup::content(job.vocabulary.clone(), &job.plan, &job.model, sampling);
    let rule = ContentRule::new(job.plan.options().seed, job.salt, job.plan.options().cache_scope);
    let key = content_key(&rule, PROBE_INSTANCE, Stretch::Own { step: 0, segment: 0 });
    if job.wire_options.preflight {
        let probed = probe(&job.wire.pool, &job.wire.target, &content, &options, key.0).await;
        let probed = probed.map_err(|failure| refused(&job.wire, &failure))?;
        if !probed.keeps_connection {
            options.next_connection = NextConnection::Spare;
        }
        job.notes.extend(remarks(&probed, printer));
    }
    let manifest = Rc::new(RefCell::new(manifest(&job)));
    let progress = Arc::<Progress>::default();
    let files = dir.record_files().map_err(Fault::Failed)?;
    dir.write_json("manifest.json", &*manifest.borrow()).map_err(Fault::Failed)?;
    let live = Live::start(&job.output, options.duration, Arc::clone(&progress), printer);
    let live = live.context("cannot start the live view").map_err(Fault::Failed)?;
    let started = {
        let (manifest, dir, printer) = (Rc::clone(&manifest), dir.clone(), printer.clone());
        Box::new(move |start| on_start(&manifest, &dir, &printer, start))
    };
    let runtime = Runtime {
        clock: trie_replay::clock::SystemClock,
        pool: job.wire.pool,
        target: job.wire.target,
        plan: Arc::new(job.plan),
        workload: job.workload,
        content,
        files,
        progress,
        shutdown,
        started,
    };
    let replayed = trie_replay::replay(runtime, options).await;
    drop(live);
    let replayed = replayed.map_err(|error| match error {
        ReplayError::Interrupted => Fault::Interrupted(error.into()),
        ReplayError::Workload(_) | ReplayError::Thread(_) => Fault::failed(error),
    })?;
    let mut manifest = manifest.borrow().clone();
    manifest.ending = Some(replayed.ending.clone());
    Ok(Ended { manifest, replayed })
}

fn replay_options(job: &Job) -> ReplayOptions {
    let plan = job.plan.options();
    ReplayOptions {
        stream: plan.stream,
        timeout: job.wire_options.timeout,
        retries: RetryOptions { max: job.wire_options.max_retries },
        concurrency: plan.concurrency,
        duration: plan.duration,
        ramp: plan.ramp,
        max_failures: job.wire_options.max_failures,
        next_connection: match job.wire_options.reuse {
            Reuse::Request => NextConnection::Spare,
            Reuse::Conversation | Reuse::Shared => NextConnection::Kept,
        },
        chunks: job.output.chunks,
        threads: true,
    }
}

fn manifest(job: &Job) -> Manifest {
    setup::manifest(ManifestParts {
        options: job.options.clone(),
        plan: &job.plan,
        vocabulary: &job.vocabulary,
        model: &job.model,
        num_gpus: job.num_gpus,
        server: None,
        simulated: job.simulated.clone(),
        notes: job.notes.clone(),
    })
}

/// The clock started: the manifest learns when, and the user is told.
fn on_start(manifest: &RefCell<Manifest>, dir: &RunDir, printer: &Printer, start: Nanos) {
    let mut manifest = manifest.borrow_mut();
    manifest.start_ns = start;
    manifest.started_at = jiff::Timestamp::now().to_string();
    if let Err(error) = dir.write_json("manifest.json", &*manifest) {
        printer.warn(&format!("{error:#}"));
    }
    printer.line(&start_line(&manifest));
}

/// The final summary, and the original's closing log line.
fn finish(dir: &RunDir, ended: &Ended, summary: &Summary, printer: &Printer) {
    let recorded = &ended.replayed.recorded;
    if let Some(error) = &recorded.failed {
        let path = dir.path().join("requests.jsonl");
        printer.warn(&format!(
            "recording stopped in mid-run: {error}\nhint: {} ends with row {}; the report below \
             was made with {} more rows from memory that no file holds",
            path.display(),
            recorded.requests_written,
            recorded.kept.requests.len(),
        ));
    }
    warn_of(dir.write_json("summary.json", summary), printer);
    if let Some(message) = &ended.replayed.ending.message {
        printer.warn(message);
    }
    printer.line(&complete_line(summary));
}

fn warn_of(written: anyhow::Result<()>, printer: &Printer) {
    if let Err(error) = written {
        printer.warn(&format!("{error:#}"));
    }
}

fn remarks(probed: &trie_replay::Probed, printer: &Printer) -> Vec<String> {
    let mut notes = vec![];
    match probed.prompt_tokens {
        None => notes.push(
            "the server reports no usage: prompt and cache metrics rest on the plan".to_owned(),
        ),
        Some(tokens) if tokens != probed.planned_tokens => notes.push(format!(
            "the server counts {tokens} tokens in a probe of {}: tokenizer_model= does not fit the \
             served model",
            probed.planned_tokens
        )),
        Some(_) if !probed.reports_cache => notes.push(
            "the probe's usage holds no cached_tokens: start vLLM with \
             --enable-prompt-tokens-details, SGLang with --enable-cache-report"
                .to_owned(),
        ),
        Some(_) => {}
    }
    for note in &notes {
        printer.warn(note);
    }
    notes
}

/// The probe failed: what happened, and what to do about it.
fn refused(wire: &Wire, failure: &Failure) -> Fault {
    let status = failure.status.map(|status| format!(" with status {status}")).unwrap_or_default();
    let hint = advice(failure).map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    Fault::failed(format!(
        "the probe of {} failed{status} ({}): {}{hint}\nnothing was replayed; preflight=False \
         skips the probe",
        wire.endpoint,
        failure.kind.as_str(),
        failure.message
    ))
}

fn advice(failure: &Failure) -> Option<&'static str> {
    if failure.message.contains("ignore_eos") {
        return Some(
            "this server does not take ignore_eos, without which answers have no fixed length; \
             use one that does (vLLM, SGLang, TensorRT-LLM, llama.cpp)",
        );
    }
    match failure.status {
        Some(401 | 403) => Some("check the key: api_key=, api_key_file= or OPENAI_API_KEY"),
        Some(404) => Some("check model= against GET /v1/models, and that the endpoint ends in /v1"),
        Some(400 | 422) => Some("the server refuses a field: check sampling= and api="),
        Some(500..) => Some("the server fails by itself: its own log says why"),
        Some(429) => Some("the server is rate-limited: benchmarks need a server without limits"),
        _ => None,
    }
}
