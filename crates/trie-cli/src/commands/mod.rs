//! One file per command.

mod anonymize;
pub(crate) mod check;
pub(crate) mod compare;
mod completions;
mod convert;
mod demo;
mod demo_cache;
mod engine;
pub(crate) mod forecast;
mod generate;
mod help;
mod import;
mod inspect;
mod opened;
mod python;
mod reference;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod run;
mod series;
mod serve;
mod sources;
mod version;

use crate::args::{Command, Environment, Words, parse};
use crate::fault::{Code, Fault};
use crate::printer::Printer;

pub(crate) use compare::{code as judged, shown as comparison_shown};
pub(crate) use report::{code as verdict, print};
pub(crate) use run::random;

/// Carries out the command that the words name.
pub(crate) fn dispatch(
    args: &[String],
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    let words = parse(args)?;
    if words.help {
        printer.out(&help::of(words.command));
        return Ok(Code::Ok);
    }
    let Words { command, .. } = words;
    match command {
        Command::Run => run::run(&words, environment, printer),
        Command::Forecast => forecast::run(&words, environment, printer),
        Command::Check => check::run(&words, environment, printer),
        Command::Report => report::run(&words, environment, printer),
        Command::Compare => compare::run(&words, environment, printer),
        Command::Anonymize => anonymize::run(&words, environment, printer),
        Command::Convert => convert::run(&words, environment, printer),
        Command::Inspect => inspect::run(&words, environment, printer),
        Command::Generate => generate::run(&words, environment, printer),
        Command::Demo => demo::run(&words, environment, printer),
        Command::Serve => serve::run(&words, environment, printer),
        Command::Completions => completions::run(&words, printer),
        Command::Man => {
            printer.out(&help::man());
            Ok(Code::Ok)
        }
        Command::Version => version::run(&words, environment, printer),
        Command::Help => {
            printer.out(&help::about(&words.positional)?);
            Ok(Code::Ok)
        }
        Command::Reference => reference::run(&words, environment),
    }
}
