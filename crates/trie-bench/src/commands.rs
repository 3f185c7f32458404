//! From the command line to a benchmark.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::fuzz::{self, Target};
use crate::fuzz_import;
#[cfg(target_os = "linux")]
use crate::live;
use crate::measure::say;
use crate::{decode, report, rows};

const USAGE: &str = "\
usage: cargo run --release -p trie-bench -- COMMAND

  decode                  ns a chunk, from bytes to counts, for each shape of chunk
  decode --instructions   the same in instructions, under valgrind
  targets [--rounds N]    the table of targets beside what the whole client needs, against a source
                          in a process of its own; about 7 minutes
  staged                  faults of the client's machine, and what the report says of each
  cell SHAPE STREAMS EVERY_MS SECONDS [OPTION=VALUE...]
                          one of its measurements, with all that came out
  fuzz sse|chunk [--seconds N] [--seed N]
                          compare a stream in pieces with the whole, templates with serde
  fuzz import [FORMAT] [--seconds N] [--seed N]
                          import mutated traces: no panic, memory bounded; all formats share the time
  rows DIR [--requests N]
                          make a run directory of so many rows: a small forecast, repeated
  report DIR              time and memory of reports on it
  report DIR --instructions
                          the same in instructions, under valgrind: for a smaller directory";

/// How long a fuzz target runs when nothing is said, seconds.
const FUZZ_SECONDS: u64 = 60;

/// Rows that `rows` makes when nothing is said.
const REQUESTS: u64 = 1_000_000;

/// Does what `args` (without the program's name) ask for. Exit codes: 0 done, 1 it failed.
pub fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    #[cfg(target_os = "linux")]
    if let Some(code) = live::client(&args) {
        return code;
    }
    match perform(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}\n\n{USAGE}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(words: &[&str]) -> Result<()> {
    match words {
        ["decode"] => decode::nanoseconds(),
        ["decode", "--instructions"] => decode::instructions()?,
        ["fuzz", "import", settings @ ..] => {
            let format = settings.first().filter(|word| !word.starts_with('-')).copied();
            let seconds = setting(settings, "--seconds")?.unwrap_or(FUZZ_SECONDS);
            fuzz_import::run(format, seconds, setting(settings, "--seed")?.unwrap_or(1))?;
        }
        ["fuzz", target, settings @ ..] => {
            let target = match *target {
                "sse" => Target::Sse,
                "chunk" => Target::Chunk,
                other => bail!("no such target: {other}"),
            };
            let seconds = setting(settings, "--seconds")?.unwrap_or(FUZZ_SECONDS);
            fuzz::run(target, seconds, setting(settings, "--seed")?.unwrap_or(1))?;
        }
        ["rows", dir, settings @ ..] => {
            let requests = setting(settings, "--requests")?.unwrap_or(REQUESTS);
            rows::make(Path::new(dir), requests)?;
        }
        ["report", dir] => report::seconds(dir)?,
        ["report", dir, "--instructions"] => report::count(dir)?,
        [report::TASK, dir] => report::task(dir),
        // What `--instructions` runs under valgrind.
        ["task", way, shape, streams] => decode::task(way, shape, streams)?,
        [] => bail!("no command given"),
        #[cfg(target_os = "linux")]
        other => live::perform(other)?,
        #[cfg(not(target_os = "linux"))]
        other => bail!("no such command here: {}", other.join(" ")),
    }
    Ok(())
}

/// The number behind `name`.
pub(crate) fn setting(words: &[&str], name: &str) -> Result<Option<u64>> {
    let value = words.iter().skip_while(|word| **word != name).nth(1);
    let parse = |value: &&str| value.parse().with_context(|| format!("{name}: no number: {value}"));
    value.map(parse).transpose()
}
