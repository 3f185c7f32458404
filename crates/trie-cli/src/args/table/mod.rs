//! Every command and option once. Help, man page, completions, reference and the parser read this.
//!
//! # Layout
//!
//! - `command`: the commands. `option`: what a row is, and sets of commands.
//! - `main`, `workload`, `content`, `wire`, `output`: the rows, by the heading they stand under.

mod command;
mod content;
mod main;
mod option;
mod output;
mod wire;
mod workload;

pub(crate) use command::{COMMANDS, Command};
pub(crate) use option::{Group, Kind, OptionRow};

/// All options of all commands but `serve`'s engine settings, which trie-sim lists itself, in the order of
/// help.
pub(crate) fn options() -> impl Iterator<Item = &'static OptionRow> {
    let groups = [main::ROWS, workload::ROWS, content::ROWS, wire::ROWS, output::ROWS];
    groups.into_iter().flatten()
}

/// The options of a command, in table order.
pub(crate) fn options_of(command: Command) -> impl Iterator<Item = &'static OptionRow> {
    options().filter(move |row| row.commands.contains(&command))
}

/// The option of a command that a name, perhaps dotted, means.
pub(crate) fn find(command: Command, name: &str) -> Option<&'static OptionRow> {
    options_of(command).find(|row| row.matches(name))
}

/// The table's default of an option, whichever command asks.
pub(crate) fn default_of(name: &str) -> Option<&'static str> {
    options().find(|row| row.name == name).and_then(|row| row.default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_choices_hold_their_default() {
        for (at, row) in options().enumerate() {
            assert!(options().take(at).all(|other| other.name != row.name), "{}", row.name);
            if let (Kind::Choice(words), Some(default)) = (row.kind, row.default) {
                assert!(words.contains(&default), "{}", row.name);
            }
        }
    }
}
