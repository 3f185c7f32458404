//! Reference pages, schemas and Python's types, from the tables that the program itself reads.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use schemars::{Schema, schema_for};
use serde_json::Value;
use trie_core::compare::{Comparison, QUANTITIES};
use trie_core::inspect::Inspection;
use trie_core::metrics::{METRICS, Summary};
use trie_core::record::{ClientRow, Manifest, RequestRow, TraceRow};

use crate::args::{COMMANDS, Environment, Kind, Words, options_of};
use crate::fault::{Code, Fault};

use super::python;

pub(crate) fn run(words: &Words, environment: &Environment) -> Result<Code, Fault> {
    let layers = super::run::layers(words, environment)?;
    let output = layers.required("output")?;
    let folder = Path::new(&output).join("docs/reference");
    let pages = [
        ("commands.md".to_owned(), commands()),
        ("formats.md".to_owned(), formats()),
        ("metrics.md".to_owned(), metrics()),
        ("records.md".to_owned(), records()),
    ];
    let schemas = files().map(|file| {
        (format!("schemas/{}.schema.json", file.name), format!("{:#}\n", file.schema.to_value()))
    });
    for (name, text) in pages.into_iter().chain(schemas) {
        write(&folder.join(name), &text).map_err(Fault::Failed)?;
    }
    for (name, text) in python::modules() {
        write(&Path::new(&output).join(name), &text).map_err(Fault::Failed)?;
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

fn formats() -> String {
    let mut page = format!(
        "{NOTICE}# Formats that are imported\n\n`trie convert` and `trie anonymize` know a format by its content, \
         tried in this order; `from=NAME` names one.\n\n| name | what | known by | times | what is kept | what is \
         lost |\n|---|---|---|---|---|---|\n"
    );
    for format in trie_import::FORMATS {
        let lost = format.lost.split_once(": ").map_or(format.lost, |(_, lost)| lost);
        add(
            &mut page,
            format_args!(
                "| [`{}`](../guide/{}) | {} | {} | {} | {} | {lost} |\n",
                format.name,
                format.page,
                format.title,
                format.known_by,
                format.time_unit,
                format.expresses,
            ),
        );
    }
    page
}

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
            "\n## Settings of the simulated engine\n\n`trie serve` takes all of them; `trie forecast` those up to `host`, as `sim.NAME=` or in the TOML file that `engine=` names.\n\n| option | default | what |\n|---|---|---|\n"
        ),
    );
    for option in trie_sim::config::OPTIONS {
        add(
            &mut page,
            format_args!("| `{}` | `{}` | {} |\n", option.name, option.default, option.help),
        );
    }
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
    add(
        &mut page,
        format_args!(
            "\n# What `trie compare` compares\n\n| id | row | statistics | unit | what |\n|---|---|---|---|---|\n"
        ),
    );
    for row in QUANTITIES {
        let stats: Vec<_> = row.measures.iter().map(|measure| measure.name()).collect();
        add(
            &mut page,
            format_args!(
                "| `{}` | {} | {} | {} | {} |\n",
                row.key,
                row.title,
                stats.join(", "),
                row.unit,
                row.formula
            ),
        );
    }
    page
}

/// A record file and what its rows are.
struct RecordFile {
    name: &'static str,
    file: &'static str,
    what: &'static str,
    schema: Schema,
}

fn files() -> [RecordFile; 7] {
    let file = |name, file, what, schema| RecordFile { name, file, what, schema };
    [
        file(
            "manifest",
            "manifest.json",
            "What was run, where, and how it ended.",
            schema_for!(Manifest),
        ),
        file("request", "requests.jsonl", "One row per attempt.", schema_for!(RequestRow)),
        file("trace", "traces.jsonl", "Two rows per trace.", schema_for!(TraceRow)),
        file("client", "client.jsonl", "One row per second and thread.", schema_for!(ClientRow)),
        file(
            "summary",
            "summary.json",
            "Everything the report says, computed from the files above.",
            schema_for!(Summary),
        ),
        file(
            "comparison",
            "comparison",
            "What `trie compare --json` prints.",
            schema_for!(Comparison),
        ),
        file(
            "inspection",
            "inspection",
            "What `trie inspect format=json` prints.",
            schema_for!(Inspection),
        ),
    ]
}

fn records() -> String {
    let mut page = format!(
        "{NOTICE}# Record files\n\nAll `*_ns` are nanoseconds; stamps are absolute on the clock that \
         the manifest names. `null` means that it never happened or that the server did not say.\n"
    );
    for file in files() {
        add(
            &mut page,
            format_args!(
                "\n## {}\n\n{} [Schema](schemas/{}.schema.json).\n\n| field | type | what |\n|---|---|---|\n",
                file.file, file.what, file.name
            ),
        );
        let properties = file.schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let what = property.get("description").and_then(Value::as_str).unwrap_or_default();
            let kind = kind(property).replace('|', "\\|");
            add(&mut page, format_args!("| `{name}` | {kind} | {} |\n", what.replace('\n', " ")));
        }
    }
    page
}

/// The type of a field, in short.
fn kind(property: &Value) -> String {
    let named =
        |at: &Value| at.as_str().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
    if let Some(name) = property.get("$ref").and_then(named) {
        return name;
    }
    if let Some(choices) = property.get("anyOf").and_then(Value::as_array) {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" | ");
    }
    match property.get("type") {
        Some(Value::Array(types)) => {
            types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | ")
        }
        Some(Value::String(name)) => name.clone(),
        Some(_) | None => "any".to_owned(),
    }
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a string does not fail");
}
