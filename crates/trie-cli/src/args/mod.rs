//! Words of the command line, the environment and run files, down to typed options.
//!
//! # Layout
//!
//! - `table`: every option once: name, kind, default, help. Help, man page, completions, reference
//!   and the parser read it.
//! - `parse`: the command line into a command, options as typed, and positional words.
//! - `layers`: default < run file < environment < command line; who said what is kept.
//! - `values`: text into numbers, switches and choices.
//! - `error`: [`ArgsError`].

mod error;
mod layers;
mod parse;
mod table;
mod values;

pub(crate) use error::ArgsError;
pub use layers::Environment;
pub(crate) use layers::{Layers, flat};
pub(crate) use parse::{Typed, Words, checked_name, command_named, parse};
pub(crate) use table::{COMMANDS, Command, Group, Kind, OptionRow, options_of};
pub(crate) use values::is_secret;
