//! The `trie` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    let args: Vec<_> = std::env::args_os().skip(1).map(text).collect();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    trie_cli::run(&args, &environment)
}
