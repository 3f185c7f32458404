//! The chores of this repository, as one program instead of a folder of scripts.
//!
//! # Layout
//!
//! One file or folder per chore, in the order in which `ci` needs them:
//!
//! - `chores`: from the command line to a chore.
//! - `repo`: where things lie, and commands run there.
//! - `talk`: the one place that prints.
//! - `layers`: refuses an arrow between crates or modules that the architecture does not have.
//! - `generate`: generated files, made or compared.
//! - `licences`: the list of third-party licences.
//! - `engines`: conformance runs against real inference servers.
//! - `python`: the Python package, built, installed and tested.
//! - `ci`: everything above and the tests, each step timed.

mod chores;
mod ci;
mod engines;
mod generate;
mod layers;
mod licences;
mod python;
mod repo;
mod talk;

pub use chores::run;
