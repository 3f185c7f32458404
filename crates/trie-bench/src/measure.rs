//! How long something takes, how many instructions it is, and tables of both.

use std::fmt::Display;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Usage, UsageWho, getrusage};

/// Rounds of a measurement; its median is what is told.
const ROUNDS: usize = 9;

/// Median nanoseconds of one of the `units` that a call of `work` does. The first call is not
/// counted.
pub(crate) fn ns_per_unit(units: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut rounds: Vec<u128> = (0..ROUNDS).map(|_| nanos(&mut work)).collect();
    rounds.sort_unstable();
    float(rounds[ROUNDS / 2]) / float(units as u128)
}

/// Nanoseconds of one call.
#[expect(clippy::disallowed_methods, reason = "this program measures itself")]
pub(crate) fn nanos(work: &mut impl FnMut()) -> u128 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos()
}

/// Instructions that one more unit of `task` takes: this program under callgrind, run with
/// `units` and three times as many, so that what is done once falls out.
pub(crate) fn instructions_per_unit(task: &[&str], units: usize) -> Result<f64> {
    let count = |units: usize| instructions(&[task, &[&units.to_string()]].concat());
    let (few, many) = (count(units)?, count(3 * units)?);
    Ok(float(u128::from(many.saturating_sub(few))) / float(2 * units as u128))
}

/// Instructions of this program, called with `task`, under callgrind.
pub(crate) fn instructions(task: &[&str]) -> Result<u64> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    let output = valgrind.args(task).output();
    let output = output.context("cannot start valgrind; hint: is it installed?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    match collected.and_then(|(_, count)| count.trim().parse().ok()) {
        Some(count) if output.status.success() => Ok(count),
        Some(_) | None => bail!("valgrind counted nothing for {task:?}: {said}"),
    }
}

/// What all processes used that this one started and that have ended.
pub(crate) fn children() -> Result<Usage> {
    getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot read what other processes used")
}

#[expect(clippy::cast_precision_loss, reason = "display: 53 bits hold 104 days in nanoseconds")]
pub(crate) fn float(value: u128) -> f64 {
    value as f64
}

/// Prints one line.
#[expect(clippy::print_stdout, reason = "the one place that prints")]
pub(crate) fn say(line: impl Display) {
    println!("{line}");
}

/// Prints a line of a Markdown table.
pub(crate) fn say_row(cells: &[String]) {
    say(format_args!("| {} |", cells.join(" | ")));
}

/// Prints the head of a Markdown table.
pub(crate) fn say_head(cells: &[&str]) {
    say(format_args!("| {} |", cells.join(" | ")));
    say(format_args!("|{}", "---|".repeat(cells.len())));
}
