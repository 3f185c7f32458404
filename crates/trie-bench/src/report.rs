//! What a report on many rows takes: time, memory, instructions.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::resource::Usage;
use nix::sys::time::TimeVal;

use crate::measure::{children, float, instructions, nanos, say, say_head, say_row};
use crate::rows::lines;

/// Reports that are measured, one after another: the machine is rarely quiet.
const ROUNDS: usize = 5;

/// What this program is called with to make a report itself.
pub(crate) const TASK: &str = "report-task";

/// Makes the report on `dir` and prints it: what the other two measure.
pub(crate) fn task(dir: &str) {
    let words = ["report", dir, "format=json"].map(str::to_owned);
    // Its exit code says whether the numbers can be trusted, which is of no matter here.
    let _code = trie_cli::run(&words, &BTreeMap::new());
}

/// Prints wall and CPU time and peak memory of reports on `dir`, each in a process of its own.
pub(crate) fn seconds(dir: &str) -> Result<()> {
    say(format_args!("Reports on {dir}, {} rows of requests:", rows(dir)?));
    say_head(&["wall s", "user s", "system s", "most memory of any so far, MB"]);
    for _ in 0..ROUNDS {
        let before = children()?;
        let mut done = Ok(());
        let wall = nanos(&mut || done = report(dir));
        done?;
        let after = children()?;
        let cpu =
            |time: fn(&Usage) -> TimeVal| seconds_of(time(&after)) - seconds_of(time(&before));
        let cells = [float(wall) / 1e9, cpu(Usage::user_time), cpu(Usage::system_time)];
        let memory = format!("{}", after.max_rss() / 1024);
        say_row(&[&cells.map(|cell| format!("{cell:.2}"))[..], &[memory]].concat());
    }
    Ok(())
}

/// Prints the instructions of a report on `dir`.
pub(crate) fn count(dir: &str) -> Result<()> {
    let (rows, all) = (rows(dir)?, instructions(&[TASK, dir])?);
    let each = float(u128::from(all)) / float(u128::from(rows));
    say(format_args!("{all} instructions for {rows} rows of requests: {each:.0} a row"));
    Ok(())
}

fn rows(dir: &str) -> Result<u64> {
    let rows = lines(&Path::new(dir).join("requests.jsonl"))?.count() as u64;
    if rows == 0 {
        bail!("{dir} holds no request");
    }
    Ok(rows)
}

fn report(dir: &str) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut report = Command::new(program);
    let status = report.args([TASK, dir]).stdout(Stdio::null()).status();
    if status.context("cannot start this program")?.success() {
        return Ok(());
    }
    bail!("the report on {dir} failed")
}

#[expect(clippy::cast_precision_loss, reason = "display: 53 bits hold 285 years in microseconds")]
fn seconds_of(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
