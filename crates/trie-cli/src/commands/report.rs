//! `trie report`: every number of a run recomputed from its records, and printed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;
use trie_core::metrics::{Replicated, RunRecords, Summary, Trust, pool, summarize};
use trie_core::record::{
    Manifest, OptionValue, RequestRow, Source, TraceEvent, TraceOutcome, TraceRow,
};
use trie_core::report;
use trie_replay::Kept;

use crate::args::{ArgsError, Environment, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::{Format, ReportOptions, objectives, report_options};
use crate::rows::With;
use crate::run_dir::RunDir;

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    let layers = super::run::layers(words, environment)?;
    let options = report_options(&layers)?;
    if words.positional.is_empty() {
        let what = "`trie report` needs a run directory\nhint: trie report trie-runs/NAME";
        return Err(ArgsError::Conflict(what.to_owned()).into());
    }
    let objectives = objectives(&layers, true)?;
    let paths: Vec<PathBuf> = words.positional.iter().map(PathBuf::from).collect();
    let (summary, _dirs) = of_paths(&paths, &objectives)?;
    print(&summary, options, printer);
    Ok(code(&summary, options))
}

/// The summary of a run that just ended, with the rows that no file holds.
///
/// The manifest is handed over, since a full disk may hold an older one.
pub(super) fn of_run(dir: &RunDir, manifest: &Manifest, kept: &Kept) -> anyhow::Result<Summary> {
    summary(vec![(manifest.clone(), dir)], kept)
}

/// Objectives that were typed for this report, as options of a manifest.
type Given = BTreeMap<String, OptionValue>;

/// The summary of runs on disk, and the runs: shards of one plan are merged, the replicates below one
/// folder pooled. `objectives` take the place of the runs' own of the same name.
pub(crate) fn of_paths(
    paths: &[PathBuf],
    objectives: &Given,
) -> Result<(Summary, Vec<RunDir>), Fault> {
    let below = match paths {
        [path] => RunDir::replicates(path),
        _ => Vec::new(),
    };
    let pooled = !below.is_empty();
    let paths = if pooled { below } else { paths.to_vec() };
    let dirs = paths.iter().map(|path| RunDir::open(path));
    let dirs = dirs.collect::<anyhow::Result<Vec<_>>>().map_err(Fault::Usage)?;
    let held_to = |dir: &RunDir| {
        let mut manifest = dir.manifest()?;
        manifest.options.extend(objectives.clone());
        Ok(manifest)
    };
    let manifests = dirs.iter().map(held_to).collect::<anyhow::Result<Vec<_>>>();
    let manifests = manifests.map_err(Fault::Failed)?;
    if pooled {
        return Ok((of_replicates(&manifests, &dirs)?, dirs));
    }
    let runs = manifests.into_iter().zip(&dirs).collect();
    let summary = summary(runs, &Kept::default()).map_err(Fault::Failed)?;
    Ok((summary, dirs))
}

/// The pooled summary of replicates, each from its own records.
fn of_replicates(manifests: &[Manifest], dirs: &[RunDir]) -> Result<Summary, Fault> {
    let one = |(number, (manifest, dir)): (usize, (&Manifest, &RunDir))| {
        let summary = of_run(dir, manifest, &Kept::default())?;
        Ok(Replicated { dir: number.to_string(), summary })
    };
    let runs = manifests.iter().zip(dirs).enumerate().map(one);
    let runs = runs.collect::<anyhow::Result<Vec<_>>>().map_err(Fault::Failed)?;
    let planned = manifests.iter().filter_map(|manifest| Some(manifest.replicate?.of)).max();
    pool(&runs, planned.unwrap_or(0).into()).map_err(Fault::usage)
}

fn summary(runs: Vec<(Manifest, &RunDir)>, kept: &Kept) -> anyhow::Result<Summary> {
    let mut files = vec![];
    for (manifest, dir) in runs {
        files.push((
            manifest,
            dir.rows("requests.jsonl"),
            dir.rows("traces.jsonl"),
            dir.rows("client.jsonl"),
        ));
    }
    let runs = files.iter_mut().map(|(manifest, requests, traces, client)| RunRecords {
        manifest: manifest.clone(),
        requests: With(requests, &kept.requests),
        traces: With(traces, &kept.traces),
        client: With(client, &kept.client),
    });
    let mut summary = summarize(runs.collect())?;
    for (_, requests, traces, client) in &files {
        let missing = [requests.missing()?, traces.missing()?, client.missing()?];
        summary.run.notes.extend(missing.into_iter().flatten());
    }
    Ok(summary)
}

/// Writes the report to stdout.
pub(crate) fn print(summary: &Summary, options: ReportOptions, printer: &Printer) {
    printer.out(&shown(summary, options, printer.width));
}

/// The report, in its format.
pub(crate) fn shown(summary: &Summary, options: ReportOptions, width: usize) -> String {
    let mut summary = summary.clone();
    if options.strict_percentiles {
        summary.drop_small_samples();
    }
    match options.format {
        Format::Text => report::text(&summary, width),
        Format::Json => report::json(&summary),
        Format::Csv => report::csv(&summary),
        Format::Markdown => report::markdown(&summary),
    }
}

/// The exit code that the verdict asks for.
pub(crate) fn code(summary: &Summary, options: ReportOptions) -> Code {
    match summary.verdict.trust {
        Trust::No => Code::Untrusted,
        Trust::Caveats if options.strict => Code::Untrusted,
        Trust::Caveats | Trust::Yes => Code::Ok,
    }
}

/// Opens the file of `output_metrics_path`, so that a path that cannot be written is known early.
/// What it holds stays until there is something to put in its place.
pub(super) fn try_metrics_file(path: &Path) -> Result<(), Fault> {
    let made = File::options()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("cannot write output_metrics_path={}", path.display()));
    made.map(drop).map_err(Fault::Usage)
}

/// A row per completed trace, in the shape of the original's file.
pub(super) fn write_metrics_file(path: &Path, dir: &RunDir, kept: &Kept) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut completed = BTreeMap::<u64, Vec<(u32, u64)>>::new();
    With(&mut dir.rows("traces.jsonl"), &kept.traces).each(&mut |row: &TraceRow| {
        if row.event == TraceEvent::Ended(TraceOutcome::Completed) {
            completed.insert(row.trace, vec![]);
        }
    });
    With(&mut dir.rows("requests.jsonl"), &kept.requests).each(&mut |row: &RequestRow| {
        let tokens = row.completion_tokens.unwrap_or(row.planned_completion_tokens);
        if let Some(turns) = completed.get_mut(&row.trace).filter(|_| row.error.is_none()) {
            turns.push((row.step, tokens));
        }
    });
    let mut file = BufWriter::new(File::create(path).with_context(context)?);
    for (trace, mut turns) in completed {
        turns.sort_unstable();
        let turns: Vec<_> = turns.into_iter().map(|(_, tokens)| tokens).collect();
        let total: u64 = turns.iter().sum();
        let row = json!({
            "request_id": trace,
            "output_tokens_per_turn": turns,
            "output_tokens_per_trace": total,
        });
        writeln!(file, "{row}").with_context(context)?;
    }
    file.flush().with_context(context)
}
