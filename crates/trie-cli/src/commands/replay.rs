//! From a plan and an endpoint to a run directory and its report; `run` and `demo` share it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Map, Value};
use tokio::sync::watch;
use trie_core::metrics::Summary;
use trie_core::plan::{Dwell, History as Rung, Plan, draw_entries};
use trie_core::record::{
    Capabilities, IdsBack, KvCache, Manifest, OptionValue, Preflight, Priming, Reason, ReplicateOf,
    SelfCheck, Speed,
};
use trie_core::report::{Level, complete_line, log_line, start_line};
use trie_core::session::RetryOptions;
use trie_core::units::Nanos;
use trie_core::workload::Workload;
use trie_replay::wire::{Api, Reuse};
use trie_replay::{
    BodyFields, Chat, Content, History, NextConnection, ReplayError, ReplayOptions, Replayed,
    Runtime,
};
use trie_tokens::Vocabulary;

use crate::fault::{Code, Fault, Topic};
use crate::live::Live;
use crate::preflight::{self, Trial};
use crate::printer::Printer;
use crate::resolve::{OutputOptions, Start, WireOptions};
use crate::run_dir::RunDir;
use crate::selfcheck::{Found, Place, Shape};
use crate::setup::{self, ManifestParts, Wire};
use crate::watch::{Done, Watch};

use super::report;

/// Fewer slots than this are no work for a further thread: one core takes some ten thousand chunks a
/// second.
const SLOTS_OF_A_THREAD: u32 = 64;

/// Everything that was opened and checked for a run.
pub(crate) struct Job {
    pub(super) plan: Plan,
    pub(super) workload: Workload,
    pub(super) vocabulary: Vocabulary,
    /// What makes messages; `None` for prompts of one piece.
    pub(super) chat: Option<Chat>,
    pub(super) wire: Wire,
    pub(super) sampling: Map<String, Value>,
    pub(super) options: BTreeMap<String, OptionValue>,
    pub(super) model: String,
    pub(super) salt: u64,
    pub(super) num_gpus: Option<u32>,
    pub(super) wire_options: WireOptions,
    pub(crate) output: OutputOptions,
    pub(super) simulated: Option<String>,
    /// The size of the KV cache, where it need not be asked for.
    pub(super) kv_cache: Option<KvCache>,
    /// Which of several runs it is.
    pub(super) replicate: Option<ReplicateOf>,
    /// Whether another run of the command was before it.
    pub(super) follows: bool,
    pub(super) start: Start,
    pub(super) prime_timeout: Nanos,
    pub(super) drain: Nanos,
    /// Where to try what the client can take; `None`: it is not to be tried.
    pub(super) selfcheck: Option<anyhow::Result<Place>>,
    pub(super) notes: Vec<String>,
}

/// Probes, replays, reports. The exit code, and where the records are.
pub(super) fn replay(job: Job, printer: &Printer) -> Result<(Code, RunDir), Fault> {
    let options = job.output.report;
    let done = carry_out(job, &Watch::of_command(printer)?, printer)?;
    done.print(options, printer);
    Ok((done.code(options), done.dir))
}

/// Probes, replays, sums up.
pub(crate) fn carry_out(job: Job, watch: &Watch, printer: &Printer) -> Result<Done, Fault> {
    let dir = watch.dir(job.output.dir.as_deref(), super::run::random())?;
    carry_out_in(job, dir, watch, printer)
}

/// The same in a run directory that was made for it. It is taken away where nothing was replayed.
pub(super) fn carry_out_in(
    job: Job,
    dir: RunDir,
    watch: &Watch,
    printer: &Printer,
) -> Result<Done, Fault> {
    let ended = measure(job, &dir, watch, printer);
    let (mut ended, metrics_path) = ended.inspect_err(|_| dir.remove_if_empty())?;
    note_unrecorded(&mut ended);
    let recorded = &ended.replayed.recorded;
    let mut failed = recorded.failed.is_some();
    dir.release();
    watch.still_wanted()?;
    failed |= warned(dir.write_json("manifest.json", &ended.manifest), printer);
    let summary = report::of_run(&dir, &ended.manifest, &recorded.kept).map_err(Fault::Failed)?;
    failed |= finish(&dir, &ended, &summary, printer);
    if let Some(path) = &metrics_path {
        failed |= warned(report::write_metrics_file(path, &dir, &recorded.kept), printer);
    }
    let reason = ended.replayed.ending.reason;
    let kept = ended.replayed.recorded.kept;
    Ok(Done { dir, summary, kept, reason, failed, runs: Vec::new(), compared: None, other: None })
}

/// Probes and replays. The next signal ends the program then, unless further runs follow.
fn measure(
    job: Job,
    dir: &RunDir,
    watch: &Watch,
    printer: &Printer,
) -> Result<(Ended, Option<PathBuf>), Fault> {
    let limit = setup::raise_descriptor_limit(printer);
    setup::check_sockets(job.plan.options().concurrency, limit)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .map_err(Fault::Failed)?;
    let metrics_path = job.output.metrics_path.clone();
    metrics_path.as_deref().map_or(Ok(()), report::try_metrics_file)?;
    let alone = job.replicate.is_none();
    let ended = runtime.block_on(run(job, dir, printer, watch))?;
    if alone {
        watch.interrupts.end_at_once();
    }
    Ok((ended, metrics_path))
}

/// A run that is over.
struct Ended {
    manifest: Manifest,
    replayed: Replayed,
}

async fn run(mut job: Job, dir: &RunDir, printer: &Printer, watch: &Watch) -> Result<Ended, Fault> {
    let shutdown = watch.interrupts.asked();
    let mut options = replay_options(&job);
    let mut fields = fields(&mut job);
    let found = look(&mut job, &fields, &shutdown, printer).await?;
    if let Some(Preflight { capabilities, .. }) = &found {
        fields.length = capabilities.length;
        fields.special_tokens &= capabilities.special_tokens;
        fields.stream_usage = setup::stream_usage(capabilities);
        if !capabilities.keeps_connection {
            options.next_connection = NextConnection::Spare;
        }
        options.cache_block = capabilities.block_size.unwrap_or(1);
    }
    let capabilities = found.as_ref().map(|found| &found.capabilities);
    enter(&mut job, capabilities)?;
    let content = content(&mut job, fields, capabilities)?;
    let history = content.history();
    job.notes.push(setup::price(history, capabilities).to_owned());
    if history == History::Ids(IdsBack::NativeCompletion) {
        let target = job.wire.target.clone().with_api(Api::NativeCompletion);
        job.wire.target = target.map_err(Fault::failed)?;
    }
    let self_check = self_check(&mut job, options, &shutdown, printer)?;
    let manifest = Rc::new(RefCell::new(manifest(&job, history, (found, self_check))));
    let progress = Arc::clone(&watch.progress);
    let files = dir.record_files().map_err(Fault::Failed)?;
    dir.write_json("manifest.json", &*manifest.borrow()).map_err(Fault::Failed)?;
    let live = Live::start(&job.output, options.duration, Arc::clone(&progress), printer);
    let live = live.context("cannot start the live view").map_err(Fault::Failed)?;
    let started = {
        let (manifest, dir, printer) = (Rc::clone(&manifest), dir.clone(), printer.clone());
        Box::new(move |start, primed| on_start((&manifest, &dir), &printer, (start, primed)))
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
        ReplayError::Workload(_) => Fault::failed_of(Topic::Workload, error),
        ReplayError::Thread(_) => Fault::failed(error),
    })?;
    let mut manifest = manifest.borrow().clone();
    manifest.ending = Some(replayed.ending.clone());
    Ok(Ended { manifest, replayed })
}

/// Draws where the slots begin, if that is in the middle of traces.
fn enter(job: &mut Job, found: Option<&Capabilities>) -> Result<(), Fault> {
    if job.start == Start::Cold {
        return Ok(());
    }
    let Speed { request_ns, prefill_ns, decode_ns } =
        found.and_then(|found| found.speed).ok_or_else(|| {
            Fault::failed_of(
                Topic::Endpoint,
                "start=equilibrium: it could not be found out how long this server takes for a \
                 request\nhint: start=cold",
            )
        })?;
    let [request, prefill, decode] = [request_ns, prefill_ns, decode_ns].map(float);
    let dwell = Dwell { request, prefill, history: 0.0, decode };
    let entries = draw_entries(&job.plan, &mut job.workload, &dwell);
    let entries = entries.map_err(|error| Fault::failed_of(Topic::Workload, error))?;
    job.plan = job.plan.clone().entering(entries);
    let ms = |ns: u64| float(ns) / 1e6;
    job.notes.push(format!(
        "start=equilibrium: each slot began in the middle of a trace, drawn with {:.1} ms a request, {:.4} ms a \
         prompt token and {:.2} ms a token of an answer, measured of a request that was alone",
        ms(request_ns),
        ms(prefill_ns),
        ms(decode_ns),
    ));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "times of single requests")]
fn float(ns: u64) -> f64 {
    ns as f64
}

/// What the server was given before the clock started, in words.
fn told(primed: Priming) -> String {
    let Priming { requests, tokens, missed_requests, missed_tokens, took_ns } = primed;
    let seconds = took_ns.as_secs_f64();
    let missed = match missed_requests {
        0 => String::new(),
        missed => format!("; {missed} of them failed or were late, {missed_tokens} tokens"),
    };
    format!("primed: {requests} histories of {tokens} tokens in {seconds:.1} s{missed}")
}

/// What this machine's client can take, where it is asked for. A run goes on without it.
fn self_check(
    job: &mut Job,
    options: ReplayOptions,
    shutdown: &watch::Receiver<bool>,
    printer: &Printer,
) -> Result<Option<SelfCheck>, Fault> {
    let Some(place) = job.selfcheck.take().filter(|_| options.stream) else { return Ok(None) };
    let shape = Shape {
        concurrency: options.concurrency,
        threads: options.workers,
        options: ["pin", "priority", "stamps", "connection", "http2"]
            .iter()
            .filter_map(|name| given(job, name))
            .collect(),
    };
    match place.and_then(|place| place.find(&shape, &|| *shutdown.borrow())) {
        Ok(None) => Err(Fault::Interrupted(anyhow::anyhow!(
            "interrupted during the self-check: nothing was replayed"
        ))),
        Ok(Some(Found { finding, unkept })) => {
            let threads = finding.threads;
            printer.line(&format!(
                "self-check: the client can take {} reads a second ({} us of CPU each, {threads} {})",
                finding.honest_load(),
                finding.cpu_ns_per_read.div_ceil(1_000),
                if threads == 1 { "thread" } else { "threads" },
            ));
            if let Some(why) = unkept {
                printer.warn(&format!("the next run makes the self-check again: {why}"));
            }
            Ok(Some(finding))
        }
        Err(error) => {
            let note = format!("the self-check was not possible: {error:#}");
            printer.warn(&note);
            job.notes.push(note);
            Ok(None)
        }
    }
}

/// An option of the run as it is written, unless it is the default.
fn given(job: &Job, name: &str) -> Option<String> {
    let option = job.options.get(name).filter(|option| option.origin != "default")?;
    Some(format!("{name}={}", option.value))
}

/// What makes bodies: messages, or prompts of the rung that the server can do.
fn content(
    job: &mut Job,
    fields: BodyFields,
    found: Option<&Capabilities>,
) -> Result<Content, Fault> {
    if let Some(chat) = job.chat.take() {
        job.notes.extend(setup::chat_notes(&chat));
        let vocabulary = served(&job.vocabulary, found);
        let chat = chat.counting_with(vocabulary.clone());
        return Ok(Content::of_chats(vocabulary, chat, fields));
    }
    let rung = setup::rung(job.plan.options().history, found)?;
    // Other rungs count no text but our own, which is the same to all servers.
    let vocabulary = match rung {
        History::Text => served(&job.vocabulary, found),
        History::Ids(_) | History::Stable | History::Recorded | History::Chat => {
            job.vocabulary.clone()
        }
    };
    Ok(Content::new(vocabulary, rung, fields))
}

/// The vocabulary as the server reads text with it.
fn served(vocabulary: &Vocabulary, found: Option<&Capabilities>) -> Vocabulary {
    let composes = found.and_then(|found| found.composes).unwrap_or(true);
    let uncomposed = if composes { None } else { vocabulary.uncomposed() };
    let served = uncomposed.unwrap_or_else(|| vocabulary.clone());
    // Read now what is read when it is first needed.
    served.encode("");
    served
}

/// A later report must know that its files are not all that was measured.
fn note_unrecorded(ended: &mut Ended) {
    let recorded = &ended.replayed.recorded;
    if let Some(error) = &recorded.failed {
        ended.manifest.notes.push(format!(
            "recording stopped in mid-run ({error}): {} rows of requests were measured and are in no file",
            recorded.kept.requests.len(),
        ));
    }
}

/// The fields of every body, before the server was asked what it takes.
fn fields(job: &mut Job) -> BodyFields {
    let plan = job.plan.options();
    let sampling = std::mem::take(&mut job.sampling);
    let api = if job.chat.is_some() { Api::Chat } else { Api::Completions };
    setup::fields(&job.model, plan.stream, (api, plan.history), sampling)
}

/// The preflight, unless it is switched off. A server that cannot serve the run ends it here.
async fn look(
    job: &mut Job,
    fields: &BodyFields,
    shutdown: &watch::Receiver<bool>,
    printer: &Printer,
) -> Result<Option<Preflight>, Fault> {
    if !job.wire_options.preflight {
        return Ok(None);
    }
    if job.follows {
        preflight::settle(&job.wire, job.wire_options.timeout, shutdown.clone(), printer).await?;
    }
    let trial = Trial {
        wire: &job.wire,
        vocabulary: &job.vocabulary,
        chat: job.chat.as_ref(),
        fields: fields.clone(),
        timeout: job.wire_options.timeout,
        limits_output: job.plan.options().history == Rung::Stable,
        longest: Some(job.plan.facts().max_context_tokens),
        timed: job.start == Start::Equilibrium,
        content: (job.plan.options().seed, job.salt),
    };
    let found = preflight::attempt(trial, shutdown.clone(), printer).await?;
    if !found.can_run() {
        return Err(preflight::refused(&found, &job.wire));
    }
    preflight::tell(&found, printer);
    job.notes.extend(preflight::remarks(&found));
    Ok(Some(found))
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
        drain: job.drain,
        prime_timeout: job.prime_timeout,
        max_failures: job.wire_options.max_failures,
        cache_block: 1,
        next_connection: match job.wire_options.reuse {
            Reuse::Request => NextConnection::Spare,
            Reuse::Conversation | Reuse::Shared => NextConnection::Kept,
        },
        chunks: job.output.chunks,
        background: true,
        workers: workers(plan.concurrency, job.wire_options.threads),
        cores: job.wire_options.cores,
        priority: job.wire_options.priority,
    }
}

/// Threads that send and receive: as many as were asked for, else one for each core but one, which
/// is for making content and writing rows. A thread has a slot at least.
fn workers(concurrency: u32, asked: Option<u32>) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let spare = u32::try_from(cores.saturating_sub(1)).unwrap_or(u32::MAX);
    let enough = concurrency.div_ceil(SLOTS_OF_A_THREAD);
    asked.unwrap_or_else(|| spare.min(enough)).clamp(1, concurrency.max(1))
}

fn manifest(
    job: &Job,
    history: History,
    (preflight, self_check): (Option<Preflight>, Option<SelfCheck>),
) -> Manifest {
    setup::manifest(ManifestParts {
        options: job.options.clone(),
        plan: &job.plan,
        history,
        vocabulary: &job.vocabulary,
        model: &job.model,
        num_gpus: job.num_gpus,
        preflight,
        self_check,
        simulated: job.simulated.clone(),
        kv_cache: job.kv_cache,
        replicate: job.replicate,
        notes: job.notes.clone(),
    })
}

/// The clock started: the manifest learns when, and the user is told.
fn on_start(
    (manifest, dir): (&RefCell<Manifest>, &RunDir),
    printer: &Printer,
    (start, primed): (Nanos, Option<Priming>),
) {
    let mut manifest = manifest.borrow_mut();
    manifest.priming = primed;
    if let Some(primed) = primed {
        let said = told(primed);
        printer.line(&said);
        manifest.notes.push(said);
    }
    manifest.start_ns = start;
    manifest.started_at = jiff::Timestamp::now().to_string();
    if let Err(error) = dir.write_json("manifest.json", &*manifest) {
        printer.warn(&format!("{error:#}"));
    }
    printer.line(&start_line(&manifest));
}

/// The final summary, and the original's closing log line. Whether the summary could not be written.
fn finish(dir: &RunDir, ended: &Ended, summary: &Summary, printer: &Printer) -> bool {
    if ended.replayed.ending.reason == Reason::Interrupted {
        printer.line(&log_line(Level::Warning, "benchmark interrupted", &BTreeMap::new()));
    }
    let recorded = &ended.replayed.recorded;
    if let Some(error) = &recorded.failed {
        let path = dir.path().join("requests.jsonl");
        printer.warn(&format!(
            "recording stopped in mid-run: {error}\nhint: {} ends with row {}; the report below \
             was made with {} more rows from memory that no file holds",
            path.display(),
            recorded.requests_written.map_or("?".to_owned(), |row| row.to_string()),
            recorded.kept.requests.len(),
        ));
    }
    let failed = warned(dir.write_json("summary.json", summary), printer);
    if let Some(message) = &ended.replayed.ending.message {
        printer.warn(message);
    }
    printer.line(&complete_line(summary));
    failed
}

/// Warns of a file that could not be written; whether that was so.
fn warned(written: anyhow::Result<()>, printer: &Printer) -> bool {
    written.inspect_err(|error| printer.warn(&format!("{error:#}"))).is_err()
}
