//! Several runs by one command, one after another, and the report on all of them.

use std::collections::BTreeMap;
use std::fs;

use trie_core::metrics::{Replicated, Summary, pool};
use trie_core::record::{Reason, ReplicateOf};
use trie_core::report::{Level, log_line};
use trie_replay::Kept;

use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::CompareOptions;
use crate::run_dir::RunDir;
use crate::watch::{Done, Watch};

use super::compare;

/// One run of several.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its folder, below that of all.
    name: String,
    /// Which replicate it is.
    pub(super) replicate: ReplicateOf,
    /// Its seed.
    pub(super) seed: u64,
    /// Which of two servers it is of.
    pub(super) side: Side,
}

/// Which of two servers is measured; the first where there is one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    /// The folder of its runs, where there are two.
    fn folder(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// The replicates of one server or engine, whose first seed is `seed`.
pub(super) fn members(of: u32, seed: u64) -> Vec<Member> {
    (0..of).map(|number| member((number, of), seed, Side::A, number.to_string())).collect()
}

/// The replicates of two servers in turn: A, B, B, A, A, B and so on. What drifts meets both alike.
pub(super) fn in_blocks(of: u32, seed: u64) -> Vec<Member> {
    let pair = |number: u32| match number % 2 {
        0 => [Side::A, Side::B],
        _ => [Side::B, Side::A],
    };
    let named = |number, side: Side| {
        member((number, of), seed, side, format!("{}/{number}", side.folder()))
    };
    (0..of).flat_map(|number| pair(number).map(|side| named(number, side))).collect()
}

fn member((number, of): (u32, u32), seed: u64, side: Side, name: String) -> Member {
    let replicate = ReplicateOf { number, of };
    Member { name, replicate, seed: seed + u64::from(number), side }
}

/// A run that is over.
struct Ran {
    member: Member,
    dir: RunDir,
    summary: Summary,
    reason: Reason,
}

/// Several runs that are over, or as many as there are by then.
pub(super) struct Series {
    home: RunDir,
    runs: Vec<Ran>,
    /// Why not all of them were run to their end.
    ended: Option<Reason>,
    failed: bool,
}

/// Runs one member after another. The first that does not go on to its deadline is the last: what there is
/// by then is reported. Where the first cannot even begin, that is the command's error.
pub(super) fn in_turn(
    home: RunDir,
    members: Vec<Member>,
    (watch, printer): (&Watch, &Printer),
    one: &mut dyn FnMut(&Member, RunDir) -> Result<Done, Fault>,
) -> Result<Series, Fault> {
    let mut series = Series { home, runs: Vec::new(), ended: None, failed: false };
    for member in members {
        printer.line(&log_line(Level::Info, "replicate", &values(&member)));
        let dir = watch
            .interrupts
            .go_on()
            .and_then(|()| series.home.make_below(&member.name).map_err(Fault::Failed));
        match dir.and_then(|dir| one(&member, dir)) {
            Ok(Done { dir, summary, reason, failed, .. }) => {
                series.failed |= failed;
                series.ended = (reason != Reason::Deadline || failed).then_some(reason);
                series.runs.push(Ran { member, dir, summary, reason });
            }
            Err(fault) if series.runs.is_empty() => {
                // Holds nothing but the folder of a side, if that.
                drop(fs::remove_dir(series.home.folder_below(member.side.folder()).path()));
                series.home.remove_if_empty();
                return Err(fault);
            }
            Err(fault) => {
                printer.fault(&fault);
                let interrupted = fault.code() == Code::Interrupted;
                series.ended = Some(if interrupted { Reason::Interrupted } else { Reason::Failed });
            }
        }
        if series.ended.is_some() {
            break;
        }
    }
    watch.interrupts.end_at_once();
    watch.still_wanted()?;
    Ok(series)
}

fn values(member: &Member) -> BTreeMap<String, String> {
    let values = [
        ("number", member.replicate.number.to_string()),
        ("of", member.replicate.of.to_string()),
        ("seed", member.seed.to_string()),
        ("folder", member.name.clone()),
    ];
    values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The report on the replicates of one server.
pub(super) fn pooled(series: Series, printer: &Printer) -> Result<Done, Fault> {
    let summary = pool_in(&series.home, &series.runs, printer)?;
    Ok(done(series, summary))
}

/// The reports on the replicates of two servers, and the comparison of the pairs of runs that both finished.
pub(super) fn paired(
    series: Series,
    options: CompareOptions,
    printer: &Printer,
) -> Result<Done, Fault> {
    let (a, b): (Vec<&Ran>, Vec<&Ran>) =
        series.runs.iter().partition(|ran| ran.member.side == Side::A);
    let mut summaries = Vec::new();
    for (side, runs) in [(Side::A, &a), (Side::B, &b)] {
        if !runs.is_empty() {
            let folder = series.home.folder_below(side.folder());
            summaries.push(pool_in(&folder, runs.iter().copied(), printer)?);
        }
    }
    let whole = |ran: &&&Ran| ran.reason == Reason::Deadline;
    let dirs = |runs: &[&Ran], others: &[&Ran]| -> Vec<RunDir> {
        let pairs = |one: &&&Ran| {
            others.iter().filter(whole).any(|other| other.member.seed == one.member.seed)
        };
        runs.iter().filter(whole).filter(pairs).map(|ran| ran.dir.clone()).collect()
    };
    let (a, b) = (dirs(&a, &b), dirs(&b, &a));
    let mut compared = None;
    if a.is_empty() {
        printer.warn("no pair of runs was finished: there is nothing to compare");
    } else {
        let comparison = compare::of_dirs(&a, &b, &options)?;
        let written = series.home.write_json("comparison.json", &comparison);
        written.map_err(Fault::Failed)?;
        compared = Some((comparison, options));
    }
    let mut summaries = summaries.into_iter();
    let summary = summaries.next().expect("the first run of a series is on one side");
    let done = done(series, summary);
    Ok(Done { compared, other: summaries.next(), ..done })
}

fn done(series: Series, summary: Summary) -> Done {
    let Series { home, runs, ended, failed } = series;
    Done {
        dir: home,
        summary,
        kept: Kept::default(),
        reason: ended.unwrap_or(Reason::Deadline),
        failed,
        runs: runs.into_iter().map(|ran| ran.dir).collect(),
        compared: None,
        other: None,
    }
}

/// The summary of replicates, written to where they lie.
fn pool_in<'r>(
    home: &RunDir,
    runs: impl IntoIterator<Item = &'r Ran>,
    printer: &Printer,
) -> Result<Summary, Fault> {
    let mut planned = 0;
    let each = runs.into_iter().map(|ran| {
        planned = ran.member.replicate.of;
        let dir = ran.member.replicate.number.to_string();
        Replicated { dir, summary: ran.summary.clone() }
    });
    let each: Vec<_> = each.collect();
    let summary = pool(&each, planned.into()).map_err(Fault::failed)?;
    if let Err(error) = home.write_json("summary.json", &summary) {
        printer.warn(&format!("{error:#}"));
    }
    Ok(summary)
}
