//! All of it in order.

use std::collections::BTreeMap;

use thiserror::Error;

use super::accounting::accounting;
use super::distributions::{per_request, per_trace, populations};
use super::estimate::seconds;
use super::fold::{Fold, Tally};
use super::goodput::goodput;
use super::objectives::{ObjectiveError, Objectives};
use super::room::cache_room;
use super::seed::seed;
use super::state::{steadiness, steady_state};
use super::throughput::workload;
use super::traces::TraceTally;
use super::verdict::verdict;
use super::{RunFacts, SUMMARY_SCHEMA, Summary};
use crate::record::{ClientRow, Ending, Manifest, Reason, RequestRow, Source, TraceRow};

/// The records of one run. The rows are read once and not kept.
#[derive(Debug)]
pub struct RunRecords<Requests, Traces, Client> {
    /// Its manifest.
    pub manifest: Manifest,
    /// Rows of `requests.jsonl`, in the order of the file: attempts of a step in order.
    pub requests: Requests,
    /// Rows of `traces.jsonl`.
    pub traces: Traces,
    /// Rows of `client.jsonl`.
    pub client: Client,
}

/// Why records have no summary.
#[derive(Debug, Error)]
pub enum SummaryError {
    /// No run was given.
    #[error("no run to report on: name at least one run directory")]
    NoRuns,
    /// Shards of different plans.
    #[error(
        "runs of different plans cannot be merged: the run of {first_start} replayed plan \
         {first_plan}, the run of {other_start} plan {other_plan}; hint: report them one by one"
    )]
    DifferentPlans {
        /// When the first run started.
        first_start: String,
        /// sha256 of its plan.
        first_plan: String,
        /// When the other run started.
        other_start: String,
        /// sha256 of its plan.
        other_plan: String,
    },
    /// Not shards: both replayed the same traces.
    #[error(
        "the runs of {first_start} and {other_start} both replayed trace {trace}: they repeat each \
         other and are no shards of one run; hint: report them one by one"
    )]
    Repeats {
        /// When the earlier given run started.
        first_start: String,
        /// When the other run started.
        other_start: String,
        /// Number of a trace instance that both replayed.
        trace: u64,
    },
    /// An option of the run is no objective.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
}

/// Computes the summary of a run, or of the shards of one plan merged.
pub fn summarize<Requests, Traces, Client>(
    runs: Vec<RunRecords<Requests, Traces, Client>>,
) -> Result<Summary, SummaryError>
where
    Requests: Source<RequestRow>,
    Traces: Source<TraceRow>,
    Client: Source<ClientRow>,
{
    let mut objectives = Objectives::default();
    if let Some(first) = runs.first() {
        let streamed = runs.iter().all(|run| run.manifest.stream);
        objectives = Objectives::of_options(&first.manifest.options)?.checked(streamed)?;
    }
    let mut fold = Fold::new(&objectives);
    let mut manifests = Vec::with_capacity(runs.len());
    for run in runs {
        fold.begin(&run.manifest);
        fold.traces(run.traces);
        fold.requests(run.requests);
        run.client.each(&mut |row| fold.client(row));
        fold.finish(run.manifest.duration_ns);
        manifests.push(run.manifest);
    }
    let mut tally = fold.whole();
    tally.steadiness = steadiness(&mut tally);
    check_plans(&manifests)?;
    check_shards(&manifests, &tally)?;
    let facts = facts(&manifests, &tally).ok_or(SummaryError::NoRuns)?;
    let populations = populations(&tally);
    let per_trace = per_trace(&tally, &populations, facts.stream);
    let per_request = per_request(&mut tally, facts.stream);
    let accounting = accounting(&tally);
    let seed = seed(&mut tally, facts.stream);
    let room = cache_room(&tally);
    let distributions = [&per_trace, &per_request];
    Ok(Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        verdict: verdict(&tally, &populations, distributions, (&accounting, room.as_ref())),
        workload: workload(&tally, facts.concurrency, facts.num_gpus),
        goodput: goodput(&tally, facts.concurrency, facts.num_gpus),
        steady_state: steady_state(&tally),
        cache_room: room,
        seed,
        populations,
        per_trace,
        per_request,
        accounting,
        run: facts,
        replicates: None,
    })
}

fn check_plans(manifests: &[Manifest]) -> Result<(), SummaryError> {
    let Some((first, others)) = manifests.split_first() else { return Err(SummaryError::NoRuns) };
    match others.iter().find(|other| other.plan_sha256 != first.plan_sha256) {
        None => Ok(()),
        Some(other) => Err(SummaryError::DifferentPlans {
            first_start: first.started_at.clone(),
            first_plan: first.plan_sha256.clone(),
            other_start: other.started_at.clone(),
            other_plan: other.plan_sha256.clone(),
        }),
    }
}

/// Shards split a plan: no trace instance is in two of them.
fn check_shards(manifests: &[Manifest], tally: &Tally) -> Result<(), SummaryError> {
    let mut run_of = BTreeMap::new();
    for (run, trace) in tally.traces.keys() {
        if let Some(first) = run_of.insert(trace, run) {
            let start = |run: usize| manifests[run].started_at.clone();
            let (first_start, other_start) = (start(first), start(run));
            return Err(SummaryError::Repeats { first_start, other_start, trace });
        }
    }
    Ok(())
}

fn facts(manifests: &[Manifest], tally: &Tally) -> Option<RunFacts> {
    let first = manifests.first()?;
    let longest = manifests.iter().map(|manifest| manifest.duration_ns).max()?;
    Some(RunFacts {
        runs: manifests.len() as u64,
        started_at: first.started_at.clone(),
        model: first.model.clone(),
        workload: first.workload.clone(),
        plan_sha256: first.plan_sha256.clone(),
        seed: first.seed,
        history: first.history.clone(),
        content_version: first.content_version,
        concurrency: manifests.iter().map(|manifest| u64::from(manifest.concurrency)).sum(),
        num_gpus: first.num_gpus,
        stream: manifests.iter().all(|manifest| manifest.stream),
        simulated: first.simulated.clone(),
        duration_s: longest.as_secs_f64(),
        window_s: seconds(tally.window()),
        wall_time_s: seconds(tally.spans.iter().map(|span| span.end).max()?),
        endings: manifests.iter().map(|run| run.ending.as_ref().map(|end| end.reason)).collect(),
        notes: manifests.iter().flat_map(notes).chain(drained(tally)).collect(),
    })
}

/// How many traces ended after the window, where a run drained.
fn drained(tally: &Tally) -> Option<String> {
    let window = tally.window();
    let late = |trace: &&TraceTally| trace.ended.as_ref().is_some_and(|(at, _)| *at > window);
    let (all, done) =
        tally.traces.values().filter(late).fold((0_u64, 0_u64), |(all, done), trace| {
            (all + 1, done + u64::from(trace.completed()))
        });
    let end = tally.spans.iter().map(|span| span.end).max()?;
    (all > 0).then(|| {
        format!(
            "drained: of {all} traces alive at the deadline {done} came to their end in the {:.1} s after it; rates \
             end at the deadline",
            seconds(end.saturating_sub(window))
        )
    })
}

/// How long the window of a run was that did not come to its deadline: all rates are over that.
fn cut_short(manifest: &Manifest, ending: &Ending) -> Option<String> {
    let why = match ending.reason {
        Reason::Deadline => return None,
        Reason::Interrupted => "interrupted",
        Reason::MaxFailures => "given up",
        Reason::Failed => "broken off",
    };
    let lasted = ending.end_ns.0.saturating_sub(manifest.start_ns.0);
    (lasted < manifest.duration_ns.0).then(|| {
        format!(
            "{why} after {:.1} of {} s: all figures are of that time",
            seconds(lasted),
            manifest.duration_ns.as_secs_f64()
        )
    })
}

/// Remarks of a run, and what is special about how it ended.
fn notes(manifest: &Manifest) -> Vec<String> {
    let mut notes = manifest.notes.clone();
    if let Some(engine) = &manifest.simulated {
        notes.push(format!("simulated engine `{engine}`: no endpoint was measured"));
    }
    match &manifest.ending {
        Some(ending) => {
            notes.extend(ending.message.clone());
            notes.extend(cut_short(manifest, ending));
        }
        None => notes.push(
            "the run has no end: it was killed, or still goes on; traces without an end count as cut \
             off at the last stamp seen"
                .to_owned(),
        ),
    }
    notes
}
