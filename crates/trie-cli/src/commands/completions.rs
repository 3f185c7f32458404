//! `trie completions SHELL`.

use clap_complete::Shell;

use crate::args::{ArgsError, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;

use super::help;

pub(crate) fn run(words: &Words, printer: &Printer) -> Result<Code, Fault> {
    let wanted = "a shell: bash, elvish, fish, powershell or zsh";
    let [shell] = words.positional.as_slice() else {
        return Err(ArgsError::Conflict(format!("`trie completions` needs {wanted}")).into());
    };
    let shell: Shell =
        shell.parse().map_err(|_| ArgsError::Conflict(format!("`{shell}` is not {wanted}")))?;
    let mut text = vec![];
    clap_complete::generate(shell, &mut help::program(), "trie", &mut text);
    printer.out(&String::from_utf8_lossy(&text));
    Ok(Code::Ok)
}
