//! Help, overview and manual page, all from the tables of commands and options.

use std::fmt::Write;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command as Program};

use crate::args::{
    ArgsError, COMMANDS, Command, Group, Kind, OptionRow, command_named, options_of,
};

use super::demo::DEFAULTS;

const ABOUT: &str = "Replay agentic traces against an OpenAI-compatible inference server and report what its users would feel";

const SPELLING: &str = "Options are written key=value, --key value or --key=value; \
    the environment (TRIE_KEY) and a run file (config=FILE) may set them too.";

/// The whole program as clap sees it: for completions and the manual page.
pub(crate) fn program() -> Program {
    let commands = COMMANDS.iter().filter(|row| !row.hidden).map(|row| subcommand(row.command));
    Program::new("trie")
        .about(ABOUT)
        .after_help(SPELLING)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommands(commands)
}

/// The overview.
pub(crate) fn overview() -> String {
    let mut text = format!("{ABOUT}.\n\nUsage: trie COMMAND [key=value ...]\n\nCommands:\n");
    for row in COMMANDS.iter().filter(|row| !row.hidden) {
        add(&mut text, format_args!("  {:12} {}\n", row.name, row.help));
    }
    text + &format!(
        "\n{SPELLING}\n\nFirst steps:\n  trie demo\n  trie workload_path=workload.jsonl \
         endpoint=http://localhost:8000/v1 model=NAME concurrency=8\n\n\
         `trie COMMAND --help` lists the options of a command.\n"
    )
}

/// The help of the command that the words name; the overview where they name none.
pub(crate) fn about(words: &[String]) -> Result<String, ArgsError> {
    match words.first() {
        None => Ok(overview()),
        Some(word) => command_named(word).map(of),
    }
}

/// The help of one command.
pub(crate) fn of(command: Command) -> String {
    let row = COMMANDS.iter().find(|row| row.command == command);
    let row = row.expect("every command is in the table");
    let mut text = format!("{}.\n\nUsage: trie {} {}\n", row.help, row.name, row.usage);
    let mut group = None;
    for option in options_of(command) {
        if group != Some(option.group) {
            group = Some(option.group);
            add(&mut text, format_args!("\n{}:\n", option.group.title()));
        }
        text += &line(command, option);
    }
    if command == Command::Serve {
        text += "\nThe simulated engine:\n";
        for option in trie_sim::config::OPTIONS {
            let name = format!("{}=", option.name);
            add(
                &mut text,
                format_args!("  {name:32} {} [default: {}]\n", option.help, option.default),
            );
        }
    }
    if command == Command::Forecast {
        text += "\nSettings of the engine, in its TOML file or as sim.NAME=:\n";
        for option in trie_sim::config::ENGINE_OPTIONS.iter().filter(|row| row.name != "engine") {
            let name = format!("{}=", option.name);
            add(
                &mut text,
                format_args!("  {name:32} {} [default: {}]\n", option.help, option.default),
            );
        }
    }
    text + &format!("\n{SPELLING}\n")
}

fn line(command: Command, option: &OptionRow) -> String {
    let dotted = if option.kind == Kind::Map { ".NAME" } else { "" };
    let name = format!("{}{dotted}={}", option.name, option.kind.placeholder());
    let own = if command == Command::Demo { DEFAULTS } else { &[] };
    let own = own.iter().find(|(name, _)| *name == option.name).map(|(_, value)| *value);
    let default = own.or(option.default).map(|value| format!(" [default: {value}]"));
    let default = default.unwrap_or_default();
    format!("  {name:32} {}{default}\n", option.help)
}

/// The manual page.
pub(crate) fn man() -> String {
    let mut page = vec![];
    let rendered = clap_mangen::Man::new(program()).render(&mut page);
    rendered.expect("writing to memory does not fail");
    let mut text = String::from_utf8_lossy(&page).into_owned();
    for row in COMMANDS.iter().filter(|row| !row.hidden) {
        let options = of(row.command).replace('\\', "\\\\").replace('-', "\\-");
        add(
            &mut text,
            format_args!(".SH \"TRIE {}\"\n.nf\n{options}.fi\n", row.name.to_uppercase()),
        );
    }
    text
}

fn subcommand(command: Command) -> Program {
    let row = COMMANDS.iter().find(|row| row.command == command);
    let row = row.expect("every command is in the table");
    let program = Program::new(row.name).about(row.help).args(options_of(command).map(argument));
    match command {
        Command::Completions => {
            program.arg(Arg::new("shell").value_parser(PossibleValuesParser::new([
                "bash",
                "elvish",
                "fish",
                "powershell",
                "zsh",
            ])))
        }
        Command::Report => {
            program.arg(Arg::new("run").num_args(1..).value_hint(clap::ValueHint::DirPath))
        }
        Command::Compare => {
            program.arg(Arg::new("side").num_args(2).value_hint(clap::ValueHint::DirPath))
        }
        Command::Convert | Command::Anonymize => {
            program.arg(Arg::new("in").num_args(1..).value_hint(clap::ValueHint::AnyPath))
        }
        Command::Inspect => program.arg(Arg::new("file").value_hint(clap::ValueHint::FilePath)),
        Command::Serve => program.args(
            trie_sim::config::OPTIONS
                .iter()
                .map(|option| Arg::new(option.name).long(dashed(option.name)).help(option.help)),
        ),
        Command::Run
        | Command::Forecast
        | Command::Check
        | Command::Demo
        | Command::Generate
        | Command::Man
        | Command::Version
        | Command::Help
        | Command::Reference => program,
    }
}

fn argument(option: &'static OptionRow) -> Arg {
    let arg = Arg::new(option.name)
        .long(dashed(option.name))
        .help(option.help)
        .help_heading(Group::title(option.group))
        .value_name(option.kind.placeholder());
    match option.kind {
        Kind::Path => arg.value_hint(clap::ValueHint::AnyPath),
        Kind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)),
        Kind::Switch => arg.value_parser(["True", "False"]),
        Kind::Map | Kind::List => arg.action(ArgAction::Append),
        Kind::Whole | Kind::Number | Kind::Seconds | Kind::Text => arg,
    }
}

fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a string does not fail");
}
