//! Reference pages and schemas, from the tables that the program itself reads.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use trie_core::metrics::METRICS;

use crate::args::{COMMANDS, Command, Environment, Kind, Words, options_of};
use crate::fault::{Code, Fault};

pub(crate) fn run(words: &Words, environment: &Environment) -> Result<Code, Fault> {
    let layers = super::run::layers(words, environment)?;
    let output = layers.required("output")?;
    let folder = Path::new(&output).join("docs/reference");
    for (name, text) in [("commands.md", commands()), ("metrics.md", metrics())] {
        write(&folder.join(name), &text).map_err(Fault::Failed)?;
    }
    Ok(Code::Ok)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("a page lies in a folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

const NOTICE: &str = "<!-- Made by `cargo xtask generate` from the tables in the source. -->\n\n";

fn commands() -> String {
    let mut page = format!("{NOTICE}# Commands and options\n");
    for row in COMMANDS.iter().filter(|row| !row.hidden) {
        let usage = format!("trie {} {}", row.name, row.usage);
        add(
            &mut page,
            format_args!("\n## {}\n\n{}.\n\n    {}\n", row.name, row.help, usage.trim_end()),
        );
        if options_of(row.command).next().is_none() {
            continue;
        }
        add(&mut page, format_args!("\n| option | value | default | what |\n|---|---|---|---|\n"));
        for option in options_of(row.command) {
            let dotted = if option.kind == Kind::Map { ".NAME" } else { "" };
            let kind = option.kind.placeholder().replace('|', " \\| ");
            let default = option.default.map(|value| format!("`{value}`")).unwrap_or_default();
            add(
                &mut page,
                format_args!(
                    "| `{}{dotted}` | {kind} | {default} | {} |\n",
                    option.name, option.help
                ),
            );
        }
    }
    add(
        &mut page,
        format_args!(
            "\n## Settings of the simulated engine (`trie serve`)\n\n| option | default | what |\n|---|---|---|\n"
        ),
    );
    for option in trie_sim::config::OPTIONS {
        add(
            &mut page,
            format_args!("| `{}` | `{}` | {} |\n", option.name, option.default, option.help),
        );
    }
    debug_assert!(Command::Run.name() == "run");
    page
}

fn metrics() -> String {
    let mut page =
        format!("{NOTICE}# Metrics\n\n| id | column | unit | what |\n|---|---|---|---|\n");
    for metric in METRICS {
        add(
            &mut page,
            format_args!(
                "| `{}` | {} | {} | {} |\n",
                metric.key, metric.title, metric.unit, metric.formula
            ),
        );
    }
    page
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a string does not fail");
}
