//! From the command line to a benchmark.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::decode;
use crate::measure::say;

const USAGE: &str = "\
usage: cargo run --release -p trie-bench -- COMMAND

  decode                  ns a chunk, from bytes to counts, for each shape of chunk
  decode --instructions   the same in instructions, under valgrind";

/// Does what `args` (without the program's name) ask for. Exit codes: 0 done, 1 it failed.
pub fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
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
        // What `--instructions` runs under valgrind.
        ["task", way, shape, streams] => decode::task(way, shape, streams)?,
        [] => bail!("no command given"),
        other => bail!("no such command: {}", other.join(" ")),
    }
    Ok(())
}
