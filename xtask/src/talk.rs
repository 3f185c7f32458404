//! The one place of this program that prints.

use std::fmt::Display;

/// Prints one line.
#[expect(clippy::print_stdout, reason = "a chore talks to whoever runs it")]
pub(crate) fn say(line: impl Display) {
    println!("{line}");
}
