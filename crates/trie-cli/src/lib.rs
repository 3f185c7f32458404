//! The `trie` command: words in, exit code out; and its commands as functions.
//!
//! # Layout
//!
//! - `args`: the command line, the environment and run files, down to typed values.
//! - `resolve`: typed values, checked together.
//! - `setup`: files, tokenizer, plan and endpoint, opened before anything is sent.
//! - `signals`: Ctrl-C and SIGTERM.
//! - `preflight`: what the server can do, tried and shown.
//! - `selfcheck`: what the client itself can take, tried before a run.
//! - `run_dir`: the run directory, made and read.
//! - `rows`: the rows of its files, read on all cores and handed out in order.
//! - `commands`: one file per command.
//! - `live`: progress while a run goes on.
//! - `watch`: who may end a run, and what is left when it is over.
//! - [`api`]: commands as functions, for other languages.
//! - `printer`: the only place that writes to stdout and stderr.
//! - `fault`: what ends the program, and its exit code.

use std::process::ExitCode;

use fault::Code;

pub mod api;
mod args;
mod commands;
mod fault;
mod live;
mod preflight;
mod printer;
mod resolve;
mod rows;
mod run_dir;
mod selfcheck;
mod setup;
mod signals;
mod watch;

/// Runs the command that the words name.
///
/// Tables and documents go to stdout, everything else to stderr. Exit codes: 0 done, 1 the run
/// failed, 2 wrong use, 3 the numbers are not to be trusted, 130 interrupted.
#[must_use]
pub fn run(args: &[String], environment: &args::Environment) -> ExitCode {
    status(args, environment).into()
}

/// The same, with the exit code as the number that it is.
#[must_use]
pub fn status(args: &[String], environment: &args::Environment) -> u8 {
    let printer = printer::Printer::standard(environment);
    let code = match commands::dispatch(args, environment, &printer) {
        Ok(_code) if printer.lost_data() => Code::Failed,
        Ok(code) => code,
        Err(fault) => {
            printer.fault(&fault);
            fault.code()
        }
    };
    code as u8
}
