//! `trie forecast`: a workload against simulated engines in virtual time; the run directory and the report
//! are those of a run.

use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;

use anyhow::Context;
use trie_core::plan::{History as Rung, Plan, PlanOptions, draw_entries};
use trie_core::record::{Clock, IdsBack, KvCache, Manifest, Priming, Reason, ReplicateOf, ToldBy};
use trie_core::report::{complete_line, start_line};
use trie_core::session::RetryOptions;
use trie_core::units::Nanos;
use trie_core::workload::{ReadOptions, Workload};
use trie_replay::{History, Kept};
use trie_sim::config::Config;
use trie_sim::engine::draw;
use trie_sim::forecast::{Files, ForecastOptions, Forecasted, Primed, Router, forecast};
use trie_tokens::Vocabulary;

use crate::args::{Environment, Layers, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::{
    OutputOptions, ReportOptions, Start, drain, output_options, plan_options, replicates, salt,
    small, start,
};
use crate::run_dir::RunDir;
use crate::setup::{self, ManifestParts};
use crate::watch::{Done, Watch};

use super::engine::Engine;
use super::report;
use super::run::{Prepared, dry_run, layers, no_positional, random};
use super::series::{self, Member};

/// Names the random stream of the salt.
const SALT: u64 = 0x7361_6c74_0000;

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    no_positional(words)?;
    let layers = layers(words, environment)?;
    match prepare(&layers, None, printer)? {
        Prepared::Shown(text) => {
            printer.out(&text);
            Ok(Code::Ok)
        }
        Prepared::Job(work) => {
            let options = work.report_options();
            let done = carry_out(*work, &Watch::of_command(printer)?, printer)?;
            done.print(options, printer);
            Ok(done.code(options))
        }
    }
}

/// One forecast or several, read and checked.
pub(crate) struct Work {
    first: Job,
    more: Option<More>,
}

/// What it takes to make the next one.
struct More {
    layers: Layers,
    /// Text of the workload, where there is no file.
    rows: Option<String>,
    engine: Engine,
    plan: PlanOptions,
    replicates: u32,
}

impl Work {
    pub(crate) fn report_options(&self) -> ReportOptions {
        self.first.output.report
    }
}

/// Reads and checks everything. `rows` stand in for the workload file: its text.
pub(crate) fn prepare(
    layers: &Layers,
    rows: Option<String>,
    printer: &Printer,
) -> Result<Prepared<Work>, Fault> {
    let engine = Engine::of(layers)?;
    let plan = plan_options(layers, &mut random)?;
    let replicates = replicates(layers)?;
    if layers.switch("dry_run")? {
        let (plan, _, notes) = planned(layers, rows, plan)?;
        setup::tell(&notes, printer);
        return Ok(Prepared::Shown(dry_run(layers, &plan)));
    }
    let layers = layers.clone();
    let more = More { layers, rows, engine, plan, replicates };
    let (first, notes) = more.job(None)?;
    setup::tell(&notes, printer);
    let more = (replicates > 1).then_some(more);
    Ok(Prepared::Job(Box::new(Work { first, more })))
}

/// Reads the workload and makes the plan; what is to be said of them.
fn planned(
    layers: &Layers,
    rows: Option<String>,
    plan: PlanOptions,
) -> Result<(Plan, Workload, Vec<String>), Fault> {
    let read = ReadOptions {
        strict: layers.switch("strict")?,
        max_workload_mb: layers.whole("max_workload_mb", 1)?.unwrap_or(1024),
    };
    let mut workload = setup::workload(&layers.required("workload_path")?, rows, read)?;
    // Derived, so that the same seed gives the same records to the bit.
    let salt = salt(layers)?.unwrap_or_else(|| draw(plan.seed, SALT, 0));
    let (plan, notes) = setup::plan(plan, salt, &mut workload)?;
    Ok((plan, workload, notes))
}

impl More {
    /// Everything for one forecast, and what is to be said of its workload.
    fn job(&self, replicate: Option<ReplicateOf>) -> Result<(Job, Vec<String>), Fault> {
        let Self { layers, rows, engine, plan, .. } = self;
        let number = replicate.map_or(0, |replicate| replicate.number);
        let plan = PlanOptions { seed: plan.seed + u64::from(number), ..plan.clone() };
        let (plan, mut workload, notes) = planned(layers, rows.clone(), plan)?;
        let options = options(layers, engine, &plan)?;
        let plan = started(plan, start(layers)?, &options, &mut workload)?;
        let manifest = manifest(layers, engine, &options, (&plan, replicate, notes.clone()))?;
        let truth = layers.text("truth_log").map(|path| create_log(&path)).transpose()?;
        let output = output_options(layers)?;
        Ok((Job { plan, workload, options, manifest, output, truth }, notes))
    }
}

/// Replays in virtual time and sums up: once, or one seed after another.
pub(crate) fn carry_out(work: Work, watch: &Watch, printer: &Printer) -> Result<Done, Fault> {
    let Work { first, more } = work;
    let home = watch.dir(first.output.dir.as_deref(), random())?;
    let Some(more) = more else {
        return replay(first, &home, (printer, watch)).inspect_err(|_| home.remove_if_empty());
    };
    let members = series::members(more.replicates, more.plan.seed);
    let mut one = |member: &Member, dir: RunDir| {
        let done = more
            .job(Some(member.replicate))
            .and_then(|(job, _)| replay(job, &dir, (printer, watch)));
        done.inspect_err(|_| dir.remove_if_empty())
    };
    let series = series::in_turn(home, members, (watch, printer), &mut one)?;
    series::pooled(series, printer)
}

/// The plan with the entry points of its slots, if there are any.
fn started(
    plan: Plan,
    start: Start,
    options: &ForecastOptions,
    workload: &mut Workload,
) -> Result<Plan, Fault> {
    match start {
        Start::Cold => Ok(plan),
        Start::Equilibrium => {
            let replicas = u64::try_from(options.replicas.get()).unwrap_or(u64::MAX);
            let alive = u64::from(plan.options().concurrency).div_ceil(replicas);
            let dwell = options.engine.dwell(alive, plan.facts());
            let entries = draw_entries(&plan, workload, &dwell).map_err(Fault::failed)?;
            Ok(plan.entering(entries))
        }
    }
}

/// Everything for one forecast.
struct Job {
    plan: Plan,
    workload: Workload,
    options: ForecastOptions,
    manifest: Manifest,
    output: OutputOptions,
    truth: Option<File>,
}

fn create_log(path: &str) -> Result<File, Fault> {
    File::create(path)
        .with_context(|| format!("cannot write truth_log={path}"))
        .map_err(Fault::Usage)
}

fn replay(job: Job, dir: &RunDir, (printer, watch): (&Printer, &Watch)) -> Result<Done, Fault> {
    let Job { plan, mut workload, options, mut manifest, output, mut truth } = job;
    output.metrics_path.as_deref().map_or(Ok(()), report::try_metrics_file)?;
    let mut files = dir.record_files().map_err(Fault::Failed)?;
    manifest.started_at = jiff::Timestamp::now().to_string();
    dir.write_json("manifest.json", &manifest).map_err(Fault::Failed)?;
    printer.line(&start_line(&manifest));
    let files = Files {
        requests: &mut files.requests,
        traces: &mut files.traces,
        client: &mut files.client,
        truth: truth.as_mut().map(|file| file as &mut dyn Write),
    };
    let asked = watch.interrupts.asked();
    let done = forecast(&plan, &mut workload, &options, files, &|| *asked.borrow());
    let done = done.map_err(Fault::failed)?;
    if manifest.replicate.is_none() {
        watch.interrupts.end_at_once();
    }
    manifest.ending = Some(done.ending.clone());
    manifest.notes.extend(preempted(&done));
    let (note, priming) = primed(&done).unzip();
    manifest.notes.extend(note);
    manifest.priming = priming;
    dir.release();
    watch.still_wanted()?;
    dir.write_json("manifest.json", &manifest).map_err(Fault::Failed)?;
    let kept = Kept::default();
    let summary = report::of_run(dir, &manifest, &kept).map_err(Fault::Failed)?;
    dir.write_json("summary.json", &summary).map_err(Fault::Failed)?;
    if done.ending.reason == Reason::Interrupted {
        printer.warn("forecast interrupted: the report is of the virtual time up to then");
    }
    if let Some(message) = &done.ending.message {
        printer.warn(message);
    }
    printer.line(&complete_line(&summary));
    if let Some(path) = &output.metrics_path {
        report::write_metrics_file(path, dir, &kept).map_err(Fault::Failed)?;
    }
    Ok(Done {
        dir: dir.clone(),
        summary,
        kept,
        reason: done.ending.reason,
        failed: false,
        runs: Vec::new(),
        compared: None,
        other: None,
    })
}

/// What the engines held when the clock started.
fn primed(done: &Forecasted) -> Option<(String, Priming)> {
    let Primed { requests, tokens, lost } = done.primed;
    let held = tokens - lost;
    let priming = Priming { requests, tokens, missed_tokens: lost, ..Priming::default() };
    (requests > 0).then(|| {
        let note = format!(
            "start=equilibrium: {requests} histories of {tokens} tokens primed in 0 s of virtual time; \
             the engines held {held} of them when the clock started"
        );
        (note, priming)
    })
}

fn preempted(done: &Forecasted) -> Option<String> {
    let words =
        |count| format!("requests lost their place in the KV cache {count} times, to start over");
    (done.preemptions > 0).then(|| words(done.preemptions))
}

impl Engine {
    /// What is simulated and what that is worth, in words.
    fn notes(&self, options: &ForecastOptions) -> Vec<String> {
        let router = match options.router {
            Router::RoundRobin => "one after another",
            Router::Session => "each trace on one of them",
            Router::LeastLoaded => "to the one with the fewest requests",
        };
        let replicas = options.replicas;
        let fleet = format!("virtual time: {replicas} simulated engine(s), requests go {router}");
        let worth = self.preset.map(|preset| {
            format!(
                "{}: {}; {}. Engines on the same hardware differ by 35 % either way: believe the shape, not \
                 the level",
                preset.name, preset.about, preset.source
            )
        });
        [Some(fleet), worth].into_iter().flatten().collect()
    }
}

fn options(layers: &Layers, engine: &Engine, plan: &Plan) -> Result<ForecastOptions, Fault> {
    let replicas = small(layers, "replicas", 1)?.expect("it has a default");
    let replicas = usize::try_from(replicas).expect("32 bits fit a length");
    let routers = [
        ("round_robin", Router::RoundRobin),
        ("session", Router::Session),
        ("least_loaded", Router::LeastLoaded),
    ];
    let config = Config { seed: plan.options().seed, ..engine.config.clone() };
    Ok(ForecastOptions {
        engine: config.engine(),
        replicas: NonZeroUsize::new(replicas).expect("it is at least 1"),
        router: layers.choice("router", &routers)?,
        feeds_back: history(plan) != History::Recorded,
        timeout: layers.seconds("timeout")?.expect("it has a default"),
        retries: RetryOptions { max: small(layers, "max_retries", 0)?.unwrap_or(0) },
        max_failures: small(layers, "max_failures", 1)?.expect("it has a default"),
        drain: drain(layers)?,
        chunks: layers.switch("chunks")?,
    })
}

/// Text never changes its length in virtual time: all rungs but `recorded` feed back what was generated.
fn history(plan: &Plan) -> History {
    match plan.options().history {
        Rung::Auto | Rung::Ids => History::Ids(IdsBack::ReturnTokenIds),
        Rung::Stable => History::Stable,
        Rung::Text => History::Text,
        Rung::Recorded => History::Recorded,
    }
}

/// What all engines together can keep.
fn kv_cache(options: &ForecastOptions) -> KvCache {
    let of_one = u64::try_from(options.engine.cache_tokens).unwrap_or(u64::MAX);
    let replicas = u64::try_from(options.replicas.get()).unwrap_or(u64::MAX);
    let block_size = u64::try_from(options.engine.block.get()).ok();
    KvCache { tokens: of_one.saturating_mul(replicas), block_size, told_by: ToldBy::Engine }
}

fn manifest(
    layers: &Layers,
    engine: &Engine,
    options: &ForecastOptions,
    (plan, replicate, mut notes): (&Plan, Option<ReplicateOf>, Vec<String>),
) -> Result<Manifest, Fault> {
    notes.extend(engine.notes(options));
    let replicas = u32::try_from(options.replicas.get()).unwrap_or(u32::MAX);
    let gpus = engine.preset.map(|preset| preset.gpus.saturating_mul(replicas));
    let model = layers.text("model").unwrap_or_else(|| engine.name.clone());
    let mut manifest = setup::manifest(ManifestParts {
        options: setup::option_values(layers),
        plan,
        history: history(plan),
        vocabulary: &Vocabulary::builtin(),
        model: &model,
        num_gpus: small(layers, "num_gpus", 1)?.or(gpus),
        preflight: None,
        self_check: None,
        simulated: Some(engine.name.clone()),
        kv_cache: Some(kv_cache(options)),
        replicate,
        notes,
    });
    "none: no text is made in virtual time".clone_into(&mut manifest.versions.tokenizer);
    manifest.versions.tokenizer_sha256 = String::new();
    manifest.clock = Clock {
        monotonic: "virtual".to_owned(),
        stamps: "virtual".to_owned(),
        resolution_ns: Nanos(1),
    };
    Ok(manifest)
}
