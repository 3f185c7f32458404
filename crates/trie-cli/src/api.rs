//! The commands as functions: typed options in, results out, nothing printed.
//!
//! Options are names and texts as on the command line, so that defaults, checks and messages are the
//! same. Talk goes to an [`Ear`], records stay in memory unless `output_dir` names a directory, and
//! whoever calls may end a run by its [`Stop`]. Any number of runs may go on at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::sync::watch;
use trie_core::compare::Comparison;
use trie_core::metrics::Summary;
use trie_core::record::{Manifest, Reason, RequestRow, TraceRow};
use trie_replay::{Kept, Progress};

use crate::args::{ArgsError, Command, Kind, Layers, Typed, checked_name, options_of};
use crate::commands::run::Prepared;
use crate::commands::{check, compare, forecast, report as reports, run};
use crate::fault::{Code, Fault};
use crate::printer::{DEFAULT_WIDTH, Printer};
use crate::resolve::{CompareOptions, Format, ReportOptions, check_options};
use crate::run_dir::RunDir;
use crate::signals::Interrupts;
use crate::watch::{Done, Watch};

pub use crate::args::Environment;
pub use crate::fault::Topic;
pub use crate::printer::Ear;
pub use crate::selfcheck::PROGRAM;

/// What went wrong, in the command line's words.
#[derive(Debug)]
pub struct ApiError {
    /// What it is about.
    pub topic: Topic,
    /// Whoever could end the run did, before there was anything to report.
    pub interrupted: bool,
    /// What failed, where, and what to do.
    pub message: String,
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let interrupted = fault.code() == Code::Interrupted;
        Self { topic: fault.topic(), interrupted, message: fault.message() }
    }
}

/// Ends a run from outside. Clones end the same run.
#[derive(Clone, Debug)]
pub struct Stop {
    ask: watch::Sender<bool>,
    abandoned: Arc<AtomicBool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { ask: watch::channel(false).0, abandoned: Arc::default() }
    }
}

impl Stop {
    /// The run ends now and reports what it saw, as after Ctrl-C.
    pub fn interrupt(&self) {
        self.ask.send_replace(true);
    }

    /// The run ends now, and nobody wants its report.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.interrupt();
    }

    /// Whether the run was asked to end.
    pub fn asked(&self) -> bool {
        *self.ask.borrow()
    }
}

/// A command to be carried out.
pub struct Call {
    /// Options as on the command line, by the table's names.
    pub options: Vec<(String, String)>,
    /// Where keys, proxies and the user's folders come from; `TRIE_*` is not read.
    pub environment: Environment,
    /// Ends the run.
    pub stop: Stop,
    /// Written by the run, to be looked at in between.
    pub progress: Arc<Progress>,
    /// Hears what the command line would say on stderr.
    pub ear: Ear,
}

impl Call {
    fn layers(&self, command: Command) -> Result<Layers, ApiError> {
        let options = self.options.iter().map(|(name, value)| {
            let name = checked_name(command, name)?;
            Ok(Typed { spelled: name.clone(), name, value: value.clone() })
        });
        let typed = options.collect::<Result<Vec<_>, ArgsError>>().map_err(Fault::from)?;
        Ok(Layers::of_arguments(command, &typed, &self.environment).map_err(Fault::from)?)
    }

    fn watch(&self) -> Watch {
        Watch {
            interrupts: Interrupts::asked_by(self.stop.ask.subscribe()),
            progress: Arc::clone(&self.progress),
            abandoned: Arc::clone(&self.stop.abandoned),
            in_memory: true,
        }
    }

    fn printer(&self) -> Printer {
        Printer::told_to(Arc::clone(&self.ear))
    }
}

/// What is left of a run: its numbers and its records.
pub struct Run {
    summary: Summary,
    dirs: Vec<RunDir>,
    /// Rows that no file holds.
    kept: Kept,
    reason: Option<Reason>,
    code: Code,
    /// Of two servers, how the second one differs.
    compared: Option<Compared>,
    /// The numbers of the second one.
    other: Option<Summary>,
}

impl Run {
    fn of(done: Done, options: ReportOptions) -> Self {
        let code = done.code(options);
        let Done { dir, runs, summary, kept, reason, failed: _, compared, other } = done;
        let dirs = if runs.is_empty() { vec![dir] } else { runs };
        let compared = compared.map(|(comparison, _)| Compared { comparison, code });
        Self { summary, dirs, kept, reason: Some(reason), code, compared, other }
    }

    /// Every number.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The report as the command line prints it: `text`, `json`, `csv` or `markdown`. `width` is
    /// that of the tables in columns.
    pub fn report(&self, format: &str, width: Option<usize>) -> Result<String, ApiError> {
        let options = ReportOptions { format: format_of(format)?, ..PLAIN };
        Ok(reports::shown(&self.summary, options, width.unwrap_or(DEFAULT_WIDTH)))
    }

    /// What the command line would have exited with.
    pub fn exit_code(&self) -> u8 {
        self.code as u8
    }

    /// Whether it was ended before its deadline by whoever waited for it.
    pub fn interrupted(&self) -> bool {
        self.reason == Some(Reason::Interrupted)
    }

    /// With `against=`: how the second server differs from the first, whose numbers these are.
    pub fn compared(&self) -> Option<&Compared> {
        self.compared.as_ref()
    }

    /// With `against=`: every number of the second server; none where no run of it was begun.
    pub fn summary_against(&self) -> Option<&Summary> {
        self.other.as_ref()
    }

    /// Its run directories; none where the records are in memory.
    pub fn paths(&self) -> Vec<&Path> {
        self.dirs.iter().filter_map(RunDir::on_disk).collect()
    }

    /// What was run, and how it ended: a manifest for each shard.
    pub fn manifests(&self) -> Result<Vec<Manifest>, ApiError> {
        let all: anyhow::Result<Vec<_>> = self.dirs.iter().map(RunDir::manifest).collect();
        Ok(all.map_err(Fault::Failed)?)
    }

    /// Hands out every attempt, in the order of the records.
    pub fn requests(&self, take: &mut dyn FnMut(&RequestRow)) {
        self.dirs.iter().for_each(|dir| dir.rows("requests.jsonl").each_here(take));
        self.kept.requests.iter().for_each(take);
    }

    /// Hands out the admission and the end of every trace, in the order of the records.
    pub fn traces(&self, take: &mut dyn FnMut(&TraceRow)) {
        self.dirs.iter().for_each(|dir| dir.rows("traces.jsonl").each_here(take));
        self.kept.traces.iter().for_each(take);
    }
}

/// How a report is shown where nothing else is said.
const PLAIN: ReportOptions =
    ReportOptions { format: Format::Text, strict_percentiles: false, strict: false };

fn format_of(word: &str) -> Result<Format, Fault> {
    let found = Format::WORDS.iter().find(|(name, _)| *name == word);
    found.map(|(_, format)| *format).ok_or_else(|| {
        let words: Vec<_> = Format::WORDS.iter().map(|(name, _)| *name).collect();
        Fault::usage_of(
            Topic::Options,
            format!("`format={word}` is not valid: one of {}", words.join(", ")),
        )
    })
}

/// `trie run`: replays a workload against an endpoint. Blocks until the run is over. `rows` stand in
/// for the workload file: its text, which `workload_path` names then.
///
/// # Errors
///
/// What the command line would exit for before a report: options, workload, tokenizer, endpoint.
pub fn run(call: &Call, rows: Option<String>) -> Result<Run, ApiError> {
    let (layers, printer) = (call.layers(Command::Run)?, call.printer());
    match run::prepare(&layers, rows, &call.environment, &printer)? {
        Prepared::Shown(_) => Err(no_dry_run()),
        Prepared::Job(job) => {
            let options = job.report_options();
            Ok(Run::of(run::carry_out(*job, &call.watch(), &printer)?, options))
        }
    }
}

/// `trie forecast`: the same against simulated engines in virtual time.
///
/// # Errors
///
/// As for [`run`]; the engine's settings too.
pub fn forecast(call: &Call, rows: Option<String>) -> Result<Run, ApiError> {
    let (layers, printer) = (call.layers(Command::Forecast)?, call.printer());
    match forecast::prepare(&layers, rows, &printer)? {
        Prepared::Shown(_) => Err(no_dry_run()),
        Prepared::Job(job) => {
            let options = job.report_options();
            Ok(Run::of(forecast::carry_out(*job, &call.watch(), &printer)?, options))
        }
    }
}

fn no_dry_run() -> ApiError {
    let what = "`dry_run=` shows a command line; there is none here";
    Fault::usage_of(Topic::Options, what).into()
}

/// `trie check`: tries the endpoint. The document that `format=json` prints, and the table.
///
/// # Errors
///
/// As for [`run`]. What a server cannot do is a finding and no error.
pub fn check(call: &Call, rows: Option<String>) -> Result<(Value, String), ApiError> {
    let layers = call.layers(Command::Check)?.or_defaults(&[("concurrency", "1")]);
    let options = check_options(&layers, &mut run::random).map_err(Fault::from)?;
    let watch = call.watch();
    let given = (rows, &call.environment);
    let told = (&watch.interrupts, &call.printer());
    let checked = check::attempt(&layers, options, given, told)?;
    Ok((checked.document(), crate::preflight::table(&checked.found)))
}

/// `trie report`: every number of run directories computed anew; shards of one plan are merged, the
/// replicates below one folder pooled.
///
/// # Errors
///
/// A path that is no run directory, records that cannot be read or do not belong together.
pub fn report(paths: &[PathBuf]) -> Result<Run, ApiError> {
    let (summary, dirs) = reports::of_paths(paths, &BTreeMap::new())?;
    let code = reports::code(&summary, PLAIN);
    let manifests: anyhow::Result<Vec<_>> = dirs.iter().map(RunDir::manifest).collect();
    let reasons = manifests.map_err(Fault::Failed)?.into_iter().map(|one| one.ending);
    let interrupted = reasons.flatten().any(|ending| ending.reason == Reason::Interrupted);
    let reason = interrupted.then_some(Reason::Interrupted);
    Ok(Run { summary, dirs, kept: Kept::default(), reason, code, compared: None, other: None })
}

/// One run of a side of a comparison.
pub enum Side<'r> {
    /// A run directory, or one with replicates below it.
    Path(PathBuf),
    /// A run of this process.
    Run(&'r Run),
}

/// What `trie compare` says.
#[derive(Clone)]
pub struct Compared {
    comparison: Comparison,
    code: Code,
}

impl Compared {
    /// Every number.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// As the command line prints it: `text`, `json`, `csv` or `markdown`.
    pub fn report(&self, format: &str, width: Option<usize>) -> Result<String, ApiError> {
        let width = width.unwrap_or(DEFAULT_WIDTH);
        Ok(compare::shown(&self.comparison, format_of(format)?, width))
    }

    /// What the command line would have exited with.
    pub fn exit_code(&self) -> u8 {
        self.code as u8
    }
}

/// `trie compare`: how side `b` differs from side `a`, request by request. `fail_if` are gates, as
/// in `ttft_s.p90 > +5%`.
///
/// # Errors
///
/// Runs that cannot be compared, gates that cannot be read.
pub fn compare(
    a: &[Side<'_>],
    b: &[Side<'_>],
    fail_if: &[String],
    fail_if_unsure: bool,
) -> Result<Compared, ApiError> {
    let gates = fail_if.iter().map(|text| {
        let bad = |error| format!("`fail_if={text}` is not valid: {error}");
        text.parse().map_err(|error| Fault::usage_of(Topic::Options, bad(error)))
    });
    let options = CompareOptions {
        format: Format::Text,
        gates: gates.collect::<Result<_, Fault>>()?,
        fail_if_unsure,
    };
    let dirs = |side: &[Side<'_>]| -> anyhow::Result<Vec<RunDir>> {
        let each = side.iter().map(|one| match one {
            Side::Path(path) => compare::below(path),
            Side::Run(run) => Ok(run.dirs.clone()),
        });
        Ok(each.collect::<anyhow::Result<Vec<_>>>()?.concat())
    };
    let (a, b) = (dirs(a).map_err(Fault::Usage)?, dirs(b).map_err(Fault::Usage)?);
    let comparison = compare::of_dirs(&a, &b, &options)?;
    let code = compare::code(&comparison, &options);
    Ok(Compared { comparison, code })
}

/// An option of a command, as the table has it.
pub struct OptionFacts {
    /// Its name.
    pub name: &'static str,
    /// What its value is: `switch`, `whole`, `number`, `seconds`, `text`, `path`, `choice`, `map`
    /// (several `name.KEY=VALUE`) or `list`.
    pub kind: &'static str,
    /// The words that it may be, of a choice.
    pub words: &'static [&'static str],
    /// As it would be typed.
    pub default: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

/// The options of `run`, `forecast` or `check`; none of another word.
pub fn options(command: &str) -> Vec<OptionFacts> {
    let command = match command {
        "run" => Command::Run,
        "forecast" => Command::Forecast,
        "check" => Command::Check,
        _ => return vec![],
    };
    let facts = options_of(command).map(|row| OptionFacts {
        name: row.name,
        kind: match row.kind {
            Kind::Switch => "switch",
            Kind::Whole => "whole",
            Kind::Number => "number",
            Kind::Seconds => "seconds",
            Kind::Text => "text",
            Kind::Path => "path",
            Kind::Choice(_) => "choice",
            Kind::Map => "map",
            Kind::List => "list",
        },
        words: if let Kind::Choice(words) = row.kind { words } else { &[] },
        default: row.default,
        help: row.help,
    });
    facts.collect()
}
