//! A comparison as a table, in Markdown, CSV and JSON.

use std::collections::BTreeMap;

use super::notes::short;
use super::sheet::{Align, Column, Sheet, marks};
use super::{csv, markdown, text};
use crate::compare::{
    BrokeOff, Change, Comparison, Estimate, Finding, GateResult, GateStatus, SideFacts,
};
use crate::metrics::{Bound, Cell, Floor, Trust};
use crate::record::Reason;

/// The comparison for a terminal of `width` columns.
#[must_use]
pub fn comparison_text(comparison: &Comparison, width: usize) -> String {
    let gates = comparison.gates.iter().map(gate).collect();
    text::page(vec![sheet(comparison)], [notes(comparison), gates, trust(comparison)], width)
}

/// The comparison in Markdown.
#[must_use]
pub fn comparison_markdown(comparison: &Comparison) -> String {
    let gates = comparison.gates.iter().map(gate).collect();
    let remarks = [notes(comparison), gates].concat();
    markdown::page(&[sheet(comparison)], &remarks, &trust(comparison).join("; "))
}

/// The comparison as indented JSON with a newline at its end.
#[must_use]
pub fn comparison_json(comparison: &Comparison) -> String {
    let text = serde_json::to_string_pretty(comparison);
    text.expect("a comparison holds only finite numbers, and its keys are strings") + "\n"
}

/// A line per statistic; what there is not is empty.
#[must_use]
pub fn comparison_csv(comparison: &Comparison) -> String {
    let header = ["metric", "stat", "unit", "n", "a", "b"];
    let ends =
        ["difference", "low", "high", "change_pct", "change_pct_low", "change_pct_high", "marks"];
    let mut lines =
        vec![[&header[..], &ends].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for change in &comparison.changes {
        let names = [change.metric.to_string(), change.stat.name().to_owned(), change.unit.clone()];
        let [metric, stat, unit] = names;
        let head = [metric, stat, unit, change.n.to_string(), raw(&change.a), raw(&change.b)];
        let Estimate { value, low, high } = &change.difference;
        let Estimate { value: pct, low: pct_low, high: pct_high } = &change.change_pct;
        let cells = [value, low, high, pct, pct_low, pct_high].map(raw);
        lines.push([&head[..], &cells, &[marks(&change.a)]].concat());
    }
    csv::written(&lines)
}

fn raw(cell: &Cell) -> String {
    cell.value().map(|value| value.to_string()).unwrap_or_default()
}

fn sheet(comparison: &Comparison) -> Sheet {
    let rows: Vec<&Change> =
        comparison.changes.iter().filter(|change| change.a.value().is_some()).collect();
    let column = |header: &str, align: Align, cell: &dyn Fn(&Change) -> String| Column {
        header: header.to_owned(),
        align,
        cells: rows.iter().map(|change| cell(change)).collect(),
    };
    let columns = vec![
        column("Metric", Align::Left, &|change| {
            format!("{}, {}", change.metric.row().title, change.stat.name().replace('_', " "))
        }),
        column("n", Align::Right, &|change| change.n.to_string()),
        column("n eff.", Align::Right, &|change| format!("{:.1}", change.n_effective)),
        column("A", Align::Right, &|change| figure(&change.a, change.metric.row().decimals)),
        column("B", Align::Right, &|change| figure(&change.b, change.metric.row().decimals)),
        column("Change", Align::Right, &|change| percent(&change.change_pct.value)),
        column("95 % interval", Align::Right, &|change| interval(&change.change_pct)),
        column("B is", Align::Left, &|change| finding(&change.change_pct).to_owned()),
    ];
    let title = vec![
        "B against A".to_owned(),
        format!("A: {}", population(&comparison.a)),
        format!("B: {}", population(&comparison.b)),
    ];
    Sheet { title, columns, splits_below: 0 }
}

/// What became of a side's traces.
fn population(side: &SideFacts) -> String {
    let all = &side.populations;
    let (failed, cut_off) = (all.failed_total(), all.cut_off);
    format!("completed={}/{}  failed={failed}  cut_off={cut_off}", all.completed, all.admitted)
}

fn figure(cell: &Cell, decimals: usize) -> String {
    let Cell::Measured(measured) = cell else { return "-".to_owned() };
    let bound = match measured.bound {
        Bound::AtLeast => ">= ",
        Bound::Exact => "",
    };
    let mark = match measured.floor {
        Floor::Below => "?",
        Floor::Met => "",
    };
    format!("{bound}{:.decimals$}{mark}", measured.value)
}

fn percent(cell: &Cell) -> String {
    cell.value().map_or_else(|| "-".to_owned(), |value| format!("{value:+.2} %"))
}

fn interval(estimate: &Estimate) -> String {
    let ends = estimate.interval();
    ends.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:+.2} .. {high:+.2} %"))
}

fn finding(estimate: &Estimate) -> &'static str {
    match estimate.finding() {
        Finding::Higher => "higher",
        Finding::Lower => "lower",
        Finding::Unsure => "inconclusive",
        Finding::Unknown => "-",
    }
}

/// A run that did not come to its deadline, and what became of it.
fn broke_off(run: &BrokeOff) -> String {
    let BrokeOff { run, reason, after_s, of_s, compared } = run;
    let why = match reason {
        Some(Reason::Interrupted) => "was interrupted",
        Some(Reason::MaxFailures) => "gave up",
        Some(Reason::Failed) => "broke off",
        Some(Reason::Deadline) | None => "has no end",
    };
    let after = after_s.map_or_else(String::new, |after| format!(" after {} s", short(after)));
    let what = if *compared {
        "no pair of runs came to its deadline, so that it is compared all the same"
    } else {
        "its pair is left out"
    };
    format!("{run} {why}{after} (of {} s): {what}", short(*of_s))
}

fn notes(comparison: &Comparison) -> Vec<String> {
    let Comparison { a, b, pairs, instances, steps, horizon_s, resamples, .. } = comparison;
    let mut notes = vec![
        format!("A: {}; B: {}", a.runs.join(", "), b.runs.join(", ")),
        format!(
            "pairs: runs {pairs}, traces {} (only A {}, only B {}), finished steps {} (only A {}, only B {})",
            instances.both,
            instances.only_a,
            instances.only_b,
            steps.both,
            steps.only_a,
            steps.only_b
        ),
    ];
    if let Some(horizon) = horizon_s {
        notes.push(format!(
            "trace latency: means up to the common horizon of {} s, of traces that could be watched so long",
            short(*horizon)
        ));
        notes.extend(match (resamples, pairs) {
            (0, 0..3) => None,
            (0, _) => Some("intervals: t over the pairs of runs".to_owned()),
            _ => Some(format!(
                "intervals of traces and steps: {resamples} joint resamples of blocks of traces"
            )),
        });
    }
    notes.extend(comparison.broke_off.iter().map(broke_off));
    notes.extend(windows(a, b));
    // What no run has (objectives, say) is no loss.
    let why = |change: &Change| match &change.change_pct.low {
        Cell::Missing(why) if change.n > 0 => Some(why.clone()),
        Cell::Missing(_) | Cell::Measured(_) => None,
    };
    let mut reasons: Vec<String> = comparison.changes.iter().filter_map(why).collect();
    reasons.dedup();
    notes.extend(reasons.into_iter().map(|why| format!("- no interval: {why}")));
    let below = |change: &Change| matches!(&change.a, Cell::Measured(a) if a.floor == Floor::Below);
    if comparison.changes.iter().any(below) {
        notes.push("?  too few samples for this quantile".to_owned());
    }
    notes.extend(comparison.differences.iter().map(|difference| {
        format!("differs: {} ({} against {})", difference.what, difference.a, difference.b)
    }));
    notes
}

/// From when on the steady-state rates are, unless it is the same everywhere.
fn windows(a: &SideFacts, b: &SideFacts) -> Option<String> {
    let mut all = a.steady_from_s.iter().chain(&b.steady_from_s);
    let first = all.next()?;
    if all.all(|from| from == first) {
        let none =
            "no run was found in a steady state: steady-state rates are from 20 % of the window on";
        return first.is_none().then(|| none.to_owned());
    }
    let list = |side: &SideFacts| {
        let one = |from: &Option<f64>| from.map_or_else(|| "none".to_owned(), short);
        side.steady_from_s.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    Some(format!(
        "steady-state rates are from {} s on in A and {} s in B; where there is none, from 20 % of the window on",
        list(a),
        list(b)
    ))
}

fn gate(result: &GateResult) -> String {
    let ends = result.low.value().zip(result.high.value());
    let ends = ends.map_or_else(String::new, |(low, high)| {
        let unit = if result.gate.ends_with('%') { " %" } else { "" };
        format!(": the change is {low:+.2} .. {high:+.2}{unit}")
    });
    let word = match result.status {
        GateStatus::Fired => "FIRED",
        GateStatus::Passed => "passed",
        GateStatus::Inconclusive => "inconclusive",
    };
    let why = result.why.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    format!("gate {}: {word}{ends}{why}", result.gate)
}

/// A line per side.
fn trust(comparison: &Comparison) -> Vec<String> {
    [("A", &comparison.a), ("B", &comparison.b)].map(|(name, side)| side_trust(name, side)).to_vec()
}

fn side_trust(name: &str, side: &SideFacts) -> String {
    let of = side.runs.len();
    let list = |checks: &BTreeMap<String, u64>| {
        let one = |(check, runs): (&String, &u64)| {
            if of == 1 { check.clone() } else { format!("{check} in {runs} of {of}") }
        };
        checks.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let others = side.doubts.iter().filter(|(check, _)| !side.wrong.contains_key(*check));
    let doubts = list(&others.map(|(check, runs)| (check.clone(), *runs)).collect());
    match side.trust {
        Trust::Yes => format!("TRUST {name}: yes"),
        Trust::Caveats => format!("TRUST {name}: with caveats ({doubts})"),
        Trust::No if doubts.is_empty() => format!("TRUST {name}: no ({})", list(&side.wrong)),
        Trust::No => format!("TRUST {name}: no ({}); besides {doubts}", list(&side.wrong)),
    }
}
