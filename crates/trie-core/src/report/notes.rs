//! What is said under the tables.

use std::collections::BTreeSet;

use super::sheet::{TABLE_1, marks};
use crate::metrics::{
    Bound, Cell, Check, GoodShare, MetricId, Stat, Status, Summary, Throughput, Trust,
};
use crate::record::StampSource;

/// Remarks under the tables: samples, kinds of failure, what the marks mean, what was run.
pub(super) fn notes(summary: &Summary) -> Vec<String> {
    let mut notes = vec![samples(summary)];
    notes.extend(failures(summary));
    notes.extend(lengths(summary));
    notes.extend(stamps(summary));
    notes.extend(held_up(summary));
    notes.extend(waiting(summary));
    notes.extend(held(summary));
    notes.extend(steady(summary));
    notes.extend(replicates(summary));
    notes.extend(goodput(summary));
    notes.extend(legend(summary));
    notes.extend(absent(summary));
    notes.extend(summary.run.notes.iter().cloned());
    notes.retain(|note| !note.is_empty());
    notes
}

/// What the checks have to say, worst first.
pub(super) fn warnings(summary: &Summary) -> Vec<String> {
    summary.verdict.checks.iter().filter_map(warning).collect()
}

/// The verdict in one line.
pub(super) fn trust(summary: &Summary) -> String {
    match summary.verdict.trust {
        Trust::Yes => "TRUST: yes".to_owned(),
        Trust::Caveats => format!("TRUST: with caveats ({})", warnings(summary).len()),
        Trust::No => {
            let failed = summary.verdict.checks.iter().filter(|check| check.makes_wrong());
            let failed: Vec<String> = failed.map(|check| check.id.to_string()).collect();
            format!("TRUST: no ({})", failed.join(", "))
        }
    }
}

fn warning(check: &Check) -> Option<String> {
    let word = match check.status {
        Status::Fail => "FAIL",
        Status::Warn => "warn",
        Status::Pass | Status::Unknown => return None,
    };
    let value = check.value.value().map_or_else(|| "-".to_owned(), short);
    Some(format!("{word} {}: {value} ({}); {}", check.id, check.threshold, check.advice))
}

/// At most three decimals, none that say nothing.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Samples of table 1's columns; table 3 has columns for its own.
fn samples(summary: &Summary) -> String {
    let one = |&id: &MetricId| {
        let all = summary.per_trace.get(&id).filter(|all| all.n > 0)?;
        Some(format!("{id} {} ({})", all.n, short(all.n_effective)))
    };
    let all: Vec<String> = TABLE_1.iter().filter_map(one).collect();
    if all.is_empty() { String::new() } else { format!("n (effective): {}", all.join(", ")) }
}

fn failures(summary: &Summary) -> Option<String> {
    let kinds = summary.populations.failed.iter().map(|(kind, n)| format!("{kind} {n}"));
    let kinds: Vec<String> = kinds.collect();
    (!kinds.is_empty()).then(|| format!("failed traces by kind: {}", kinds.join(", ")))
}

/// How many requests had the lengths that the workload says, by the server's own count.
fn lengths(summary: &Summary) -> Option<String> {
    let accounting = &summary.accounting;
    let prompts = accounting.prompt_exact.value()?;
    let answers = accounting.completion_exact.value();
    let answers = answers.map_or_else(String::new, |part| format!(", {} of answers", share(part)));
    let drift = match accounting.prompt_drift_tokens {
        0 => String::new(),
        tokens => format!("; prompts are {tokens:+} tokens off in all"),
    };
    let history = &summary.run.history;
    Some(format!(
        "history={history}; exactly as planned: {} of prompts{answers}{drift}",
        share(prompts)
    ))
}

/// How true the times are: who stamped them, and how far behind the client was.
fn stamps(summary: &Summary) -> Option<String> {
    let accounting = &summary.accounting;
    let all: u64 = accounting.stamp_sources.values().sum();
    let of = |source| accounting.stamp_sources.get(&source).copied().unwrap_or(0);
    let (kernel, user) = (of(StampSource::Kernel), of(StampSource::User));
    let source = match (kernel, user) {
        (0, 0) => return None,
        (_, 0) => "by the kernel".to_owned(),
        (0, _) => "when they were read, not when they arrived".to_owned(),
        (..) => format!("by the kernel, {user} of {all} answers when they were read"),
    };
    let lag = |cell: &Cell| cell.value().map(|ms| short(ms * 1e3));
    let lag = lag(&accounting.client_lag_p50_ms).zip(lag(&accounting.client_lag_p99_ms));
    let lag =
        lag.map_or_else(String::new, |(p50, p99)| format!("; read {p50} us later (p99 {p99} us)"));
    let merged = accounting.merged_reads.value().filter(|part| *part > 0.0);
    let merged = merged.map_or_else(String::new, |part| {
        format!("; {} % of reads held several chunks of an answer", short(part * 100.0))
    });
    Some(format!("tokens are stamped {source}{lag}{merged}"))
}

/// What HTTP/2 adds to TTFT before a server has a request.
fn held_up(summary: &Summary) -> Option<String> {
    let accounting = &summary.accounting;
    let (waits, all) = accounting.window_waits.zip(accounting.window_wait_s)?;
    Some(format!(
        "{waits} requests waited on their way for the server's leave to send more (HTTP/2 windows), {} s in \
         all: that is inside TTFT; a larger window of the server or its proxy ends it",
        short(all)
    ))
}

/// Waits that the table of later turns cannot hold.
fn waiting(summary: &Summary) -> Option<String> {
    match (summary.run.stream, summary.accounting.ttft_later_left_out) {
        (false, _) | (true, 0) => None,
        (true, n) => Some(format!(
            "{n} later turns still waited for their first token at the end: TTFT of later turns \
             leaves them out and is that much too low"
        )),
    }
}

/// From when on the steady state is.
fn steady(summary: &Summary) -> Option<String> {
    let from = summary.steady_state.as_ref()?.from_s?;
    Some(format!(
        "Steady State is from {} s on: no slot's state changes more than chance has it",
        short(from)
    ))
}

/// Which objectives were broken, and what the two bounds mean.
fn goodput(summary: &Summary) -> Vec<String> {
    let Some(good) = &summary.goodput else { return Vec::new() };
    let rows = [("traces", &good.per_trace), ("requests", &good.per_request)];
    let broke = |(name, share): &(&str, &GoodShare)| {
        let each = share.broke.iter().map(|(metric, count)| format!("{metric} {count}"));
        let each: Vec<String> = each.collect();
        (!each.is_empty()).then(|| format!("{name}: {}", each.join(", ")))
    };
    let broke: Vec<String> = rows.iter().filter_map(broke).collect();
    let mut lines = Vec::new();
    if !broke.is_empty() {
        lines.push(format!("broke an objective: {}", broke.join("; ")));
    }
    if rows.iter().any(|(_, share)| share.unknown > 0) {
        lines.push(
            "goodput is a range where it is not known of some whether they were good: cut off, or not \
             reported by the server"
                .to_owned(),
        );
    }
    lines
}

/// Which runs were pooled, and from when on each was steady.
fn replicates(summary: &Summary) -> Option<String> {
    let runs: Vec<_> = summary.replicates.as_ref()?.runs.iter().filter(|one| one.used).collect();
    let seeds: Vec<String> = runs.iter().map(|one| one.seed.to_string()).collect();
    let steady = runs.iter().map(|one| one.steady_state.as_ref().and_then(|state| state.from_s));
    let steady: Vec<String> =
        steady.map(|from| from.map_or_else(|| "none".to_owned(), short)).collect();
    let from = if runs
        .iter()
        .all(|one| one.steady_state.as_ref().and_then(|state| state.from_s).is_none())
    {
        "none was found in a steady state".to_owned()
    } else {
        format!("Steady State is from {} s on", steady.join(", "))
    };
    Some(format!("replicates of seeds {}; {from}", seeds.join(", ")))
}

/// Slots that stood still: fewer traces were alive than the concurrency says.
fn held(summary: &Summary) -> Option<String> {
    let n = summary.accounting.held_traces;
    let wait = short(summary.accounting.held_s);
    (n > 0).then(|| {
        format!(
            "{n} traces waited {wait} s in all for an earlier row of their session_id, and their \
             slots with them"
        )
    })
}

/// In percent; what rounds to all but is not all stays below it.
fn share(part: f64) -> String {
    let percent = part * 100.0;
    let shown = if part < 1.0 { percent.min(99.99) } else { percent };
    format!("{} %", short((shown * 100.0).floor() / 100.0))
}

/// The marks that were used, and what they mean.
fn legend(summary: &Summary) -> Vec<String> {
    let mut used = BTreeSet::new();
    let mut lines = Vec::new();
    let mut bounded = false;
    for cell in cells(summary) {
        used.extend(marks(cell).chars());
        if let Cell::Measured(measured) = cell {
            bounded |= measured.bound == Bound::AtLeast;
            lines.extend(measured.note.as_ref().map(|note| format!("* {note}")));
        }
    }
    if bounded {
        lines.push(">= traces were cut off or failed before, or had no such token: only a lower bound is known".into());
    }
    lines.extend(spread(summary));
    if used.contains(&'?') {
        lines.push("?  too few samples for this quantile".into());
    }
    if used.contains(&'e') {
        lines.push("e  some answers did not say it: what the workload expects stands in".into());
    }
    // Cells of different columns bring the same notes in turn.
    let mut said = BTreeSet::new();
    lines.retain(|line| said.insert(line.clone()));
    lines
}

/// What stands behind `±`.
fn spread(summary: &Summary) -> Option<String> {
    if !cells(summary).any(|cell| cell.interval().is_some()) {
        return None;
    }
    let of = match &summary.replicates {
        Some(replicates) => {
            format!("of the mean over {} replicates (Student's t)", replicates.used)
        }
        None => "from this run alone (replicates= are surer)".to_owned(),
    };
    Some(format!("± half of the 95 % interval {of}"))
}

fn cells(summary: &Summary) -> impl Iterator<Item = &Cell> {
    let all = summary.per_trace.values().chain(summary.per_request.values());
    let all = all.flat_map(|all| Stat::ALL.map(|stat| all.cell(stat)));
    all.chain(summary.workload.values().flat_map(windows))
}

fn windows(rates: &Throughput) -> impl Iterator<Item = &Cell> {
    let rest = [&rates.last_30s, &rates.steady_state, &rates.steady_state_per_gpu];
    [&rates.overall].into_iter().chain(rest.into_iter().flatten())
}

/// Metrics left out of the tables, and why.
fn absent(summary: &Summary) -> Vec<String> {
    let all = summary.per_trace.iter().chain(&summary.per_request);
    // What the workload has none of is no loss.
    let of_lanes = |id| matches!(id, MetricId::LaneLatency | MetricId::JoinWait);
    let all = all.filter(|(id, _)| !id.is_breakdown() && !of_lanes(**id));
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for (id, distribution) in all {
        let Cell::Missing(why) = &distribution.mean else { continue };
        match lines.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, ids)) => ids.push(id.to_string()),
            None => lines.push((why.clone(), vec![id.to_string()])),
        }
    }
    lines.into_iter().map(|(why, ids)| format!("without {}: {why}", ids.join(", "))).collect()
}
