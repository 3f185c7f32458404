//! Python's typed halves of the documents: dataclasses from their schemas, names from the catalogue,
//! options from the table.

use std::collections::BTreeSet;
use std::fmt::Write;

use schemars::{Schema, schema_for};
use serde_json::{Map, Value};
use trie_core::compare::Comparison;
use trie_core::metrics::{METRICS, Metric, Scope, Summary};
use trie_core::record::Preflight;

use crate::args::{Command, Kind, OptionRow, options_of};

const NOTICE: &str =
    "Made by `cargo xtask generate` from the tables in the source; not edited by hand.";

/// The generated modules of the package, by path.
pub(super) fn modules() -> [(&'static str, String); 4] {
    [
        ("python/trie/_summary.py", summary()),
        (
            "python/trie/_comparison.py",
            documents("What `trie compare` says", &schema_for!(Comparison)),
        ),
        (
            "python/trie/_preflight.py",
            documents("What a server was found to do", &schema_for!(Preflight)),
        ),
        ("python/trie/_options.py", options()),
    ]
}

fn summary() -> String {
    let mut module = documents("The contents of summary.json", &schema_for!(Summary));
    for (class, item, scope, what) in [
        ("PerTrace", "Distribution", Scope::Trace, "Metrics with a value per trace."),
        (
            "PerRequest",
            "Distribution",
            Scope::Request,
            "Metrics with a value per request or token.",
        ),
        ("WorkloadMetrics", "Throughput", Scope::Workload, "Metrics of the whole run."),
    ] {
        add(
            &mut module,
            format_args!("\n\nclass {class}(Metrics[{item}]):\n    \"\"\"{what}\"\"\"\n"),
        );
        for metric in METRICS.iter().filter(|metric| metric.scope == scope) {
            add(
                &mut module,
                format_args!(
                    "\n    @property\n    def {key}(self) -> {item}:\n{doc}        return self._named(\"{key}\")\n",
                    key = metric.key,
                    doc = docstring(&about(metric), 8),
                ),
            );
        }
    }
    module.push_str(
        "\n\n#: Key, title, unit, decimals.\nCATALOGUE: list[tuple[str, str, str, int]] = [\n",
    );
    for Metric { key, title, unit, decimals, .. } in &METRICS {
        add(&mut module, format_args!("    ({key:?}, {title:?}, {unit:?}, {decimals}),\n"));
    }
    module.push_str("]\n");
    module
}

fn about(metric: &Metric) -> String {
    format!("{}: {}. Unit: {}.", metric.title, metric.formula, metric.unit)
}

/// A module with a frozen dataclass for each object of a document, and a `Literal` for each choice.
fn documents(about: &str, schema: &Schema) -> String {
    let document = schema.as_value();
    let mut module = format!(
        "\"\"\"{about}, as typed objects. {NOTICE}\"\"\"\n\nfrom __future__ import annotations\n\n\
         from dataclasses import dataclass\nfrom typing import Any, Literal\n\n\
         from ._cells import Cell, Metrics\n"
    );
    let none = Map::new();
    let definitions = document.get("$defs").and_then(Value::as_object).unwrap_or(&none);
    for (name, definition) in definitions.iter().filter(|(name, _)| *name != "Cell") {
        if let Some(words) = words(definition) {
            let words: Vec<_> = words.iter().map(|word| format!("    {word:?},\n")).collect();
            add(&mut module, format_args!("\n{name} = Literal[\n{}]\n", words.concat()));
        }
    }
    for (name, definition) in definitions {
        if definition.get("properties").is_some() {
            module.push_str(&class(name, definition, document));
        }
    }
    let title = document.get("title").and_then(Value::as_str).unwrap_or("Document");
    module.push_str(&class(title, document, document));
    unused(&module)
}

/// Leaves out imports that a module has no use for.
fn unused(module: &str) -> String {
    let uses = |word: &str| module.matches(word).count() > 1;
    let cells: Vec<_> = ["Cell", "Metrics"].into_iter().filter(|word| uses(word)).collect();
    let cells = match &cells[..] {
        [] => String::new(),
        some => format!("from ._cells import {}\n", some.join(", ")),
    };
    let typing = if uses("Literal") { "Any, Literal" } else { "Any" };
    module
        .replace("from ._cells import Cell, Metrics\n", &cells)
        .replace("from typing import Any, Literal\n", &format!("from typing import {typing}\n"))
}

/// The words of a choice, if it is one.
fn words(definition: &Value) -> Option<Vec<&str>> {
    if let Some(words) = definition.get("enum").and_then(Value::as_array) {
        return words.iter().map(Value::as_str).collect();
    }
    let choices = definition.get("oneOf")?.as_array()?;
    choices.iter().map(|choice| choice.get("const")?.as_str()).collect()
}

fn class(name: &str, definition: &Value, document: &Value) -> String {
    let mut text = format!("\n\n@dataclass(frozen=True)\nclass {name}:\n");
    text.push_str(&docstring(&described(definition), 4));
    text.push('\n');
    let properties = definition.get("properties").and_then(Value::as_object);
    let required: BTreeSet<&str> = definition
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut made = String::new();
    for (field, property) in properties.into_iter().flatten() {
        let (hint, read) =
            field_of(name, field, property, (document, required.contains(field.as_str())));
        add(&mut text, format_args!("    {field}: {hint}\n{}", docstring(&described(property), 4)));
        add(&mut made, format_args!("            {field}={read},\n"));
    }
    add(
        &mut text,
        format_args!(
            "\n    @classmethod\n    def of(cls, at: dict[str, Any]) -> {name}:\n        \"\"\"From its JSON.\"\"\"\n        return cls(\n{made}        )\n"
        ),
    );
    text
}

/// The type of a field, and the expression that reads it.
fn field_of(
    class: &str,
    field: &str,
    property: &Value,
    (document, required): (&Value, bool),
) -> (String, String) {
    let groups = [
        ("per_trace", "PerTrace", "Distribution"),
        ("per_request", "PerRequest", "Distribution"),
        ("workload", "WorkloadMetrics", "Throughput"),
    ];
    if let Some((key, group, item)) =
        groups.iter().find(|(key, _, _)| class == "Summary" && *key == field)
    {
        let read = format!("{group}({{k: {item}.of(v) for k, v in at[\"{key}\"].items()}})");
        return ((*group).to_owned(), read);
    }
    let (hint, nullable, read) = hint_of(property, document);
    let at = format!("at.get(\"{field}\")");
    match (nullable, required) {
        (true, _) => {
            let value = read(&format!("at[\"{field}\"]"));
            let read = if value == format!("at[\"{field}\"]") {
                at
            } else {
                format!("None if {at} is None else {value}")
            };
            (format!("{hint} | None"), read)
        }
        (false, true) => {
            let value = read(&format!("at[\"{field}\"]"));
            (hint, value)
        }
        (false, false) => {
            let value = read(&format!("at.get(\"{field}\", {})", nothing(&hint)));
            (hint, value)
        }
    }
}

/// What a field is that is left out where there is nothing to say.
fn nothing(hint: &str) -> &'static str {
    match hint {
        "int" => "0",
        "float" => "0.0",
        "bool" => "False",
        "str" => "\"\"",
        list if list.starts_with("list") => "[]",
        _ => "{}",
    }
}

/// Makes an expression that reads a value from one that gives its JSON.
type Reader = Box<dyn Fn(&str) -> String>;

/// The type of a value, whether it may be null, and what reads it.
fn hint_of(property: &Value, document: &Value) -> (String, bool, Reader) {
    let plain = |hint: &str, nullable| -> (String, bool, Reader) {
        (hint.to_owned(), nullable, Box::new(str::to_owned))
    };
    if let Some(path) = property.get("$ref").and_then(Value::as_str) {
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let found = document.pointer(path.trim_start_matches('#')).unwrap_or(&Value::Null);
        if name == "Cell" || found.get("properties").is_some() {
            let of = name.clone();
            return (name, false, Box::new(move |at| format!("{of}.of({at})")));
        }
        if words(found).is_some() {
            return plain(&name, false);
        }
        return hint_of(found, document);
    }
    if let Some(choices) = property.get("anyOf").and_then(Value::as_array) {
        let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
        let Some(choice) = choices.iter().find(|choice| !is_null(choice)) else {
            return plain("Any", true);
        };
        let (hint, _, read) = hint_of(choice, document);
        return (hint, true, read);
    }
    let kinds: Vec<&str> = match property.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        Some(kind) => kind.as_str().into_iter().collect(),
        None => vec![],
    };
    let nullable = kinds.contains(&"null");
    match kinds.iter().find(|kind| **kind != "null") {
        Some(&"string") => plain("str", nullable),
        Some(&"integer") => plain("int", nullable),
        Some(&"number") => plain("float", nullable),
        Some(&"boolean") => plain("bool", nullable),
        Some(&"array") => match property.get("items") {
            Some(items) => {
                let (hint, null, read) = hint_of(items, document);
                let hint = if null { format!("{hint} | None") } else { hint };
                let each = if null { String::new() } else { read("v") };
                let read: Reader = Box::new(move |at| {
                    if each.is_empty() || each == "v" {
                        format!("list({at})")
                    } else {
                        format!("[{each} for v in {at}]")
                    }
                });
                (format!("list[{hint}]"), nullable, read)
            }
            None => plain("list[Any]", nullable),
        },
        Some(&"object") => match property.get("additionalProperties") {
            Some(values) => {
                let (hint, _, read) = hint_of(values, document);
                let each = read("v");
                let read: Reader = Box::new(move |at| {
                    if each == "v" {
                        format!("dict({at})")
                    } else {
                        format!("{{k: {each} for k, v in {at}.items()}}")
                    }
                });
                (format!("dict[str, {hint}]"), nullable, read)
            }
            None => plain("dict[str, Any]", nullable),
        },
        _ => plain("Any", nullable),
    }
}

fn described(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or("As its name says.");
    // Links of Rust's documentation lead nowhere here.
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace("([`SUMMARY_SCHEMA`])", "")
        .replace(" .", ".")
}

/// A docstring with lines of at most 115 characters.
fn docstring(text: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let text = text.replace('\\', "\\\\").replace("\"\"\"", "'''");
    let (mut lines, mut line) = (vec![], String::from("\"\"\""));
    for word in text.split(' ') {
        if line.len() + word.len() + indent > 110 {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() && line != "\"\"\"" {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let end = if lines.len() > 1 { format!("\n{pad}\"\"\"") } else { "\"\"\"".to_owned() };
    format!("{pad}{}{end}\n", lines.join(&format!("\n{pad}")))
}

/// What the functions of the package take by name and place, or not at all.
const TAKEN: &[&str] = &[
    "workload_path",
    "endpoint",
    "engine",
    "model",
    "tokenizer_model",
    "concurrency",
    "duration",
    "seed",
    "num_gpus",
    "stream",
    "arrival_rate",
    "api_key",
    "max_retries",
    "timeout",
    "output_metrics_path",
    "duration_update_interval",
    "config",
    "dry_run",
    "format",
    "ui",
    "strict_percentiles",
    "truth_log",
];

fn options() -> String {
    let mut module = format!(
        "\"\"\"Options that functions take by keyword. {NOTICE}\"\"\"\n\nfrom __future__ import annotations\n\n\
         import os\nfrom collections.abc import Mapping, Sequence\nfrom typing import Any, Literal, TypedDict\n"
    );
    for (class, command, what) in [
        (
            "RunOptions",
            Command::Run,
            "Further options of `Client.run` and `Client.sync_run`: those of `trie run`.",
        ),
        (
            "ForecastOptions",
            Command::Forecast,
            "Further options of `trie.forecast`: those of `trie forecast`.",
        ),
        ("CheckOptions", Command::Check, "Further options of `trie.check`: those of `trie check`."),
    ] {
        add(
            &mut module,
            format_args!("\n\nclass {class}(TypedDict, total=False):\n    \"\"\"{what}\"\"\"\n\n"),
        );
        for row in options_of(command).filter(|row| !TAKEN.contains(&row.name)) {
            let default =
                row.default.map_or(String::new(), |default| format!(" Default: {default}."));
            add(
                &mut module,
                format_args!(
                    "    {}: {} | None\n{}",
                    row.name,
                    hint(row),
                    docstring(&format!("{}.{default}", row.help), 4)
                ),
            );
        }
    }
    module
}

fn hint(row: &OptionRow) -> String {
    match row.kind {
        Kind::Text if row.name == "sampling" => "Mapping[str, Any] | str".to_owned(),
        Kind::Switch => "bool".to_owned(),
        Kind::Whole => "int".to_owned(),
        Kind::Number | Kind::Seconds => "float".to_owned(),
        Kind::Text => "str".to_owned(),
        Kind::Path => "str | os.PathLike[str]".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("Literal[{}]", words.join(", "))
        }
        Kind::Map => "Mapping[str, Any]".to_owned(),
        Kind::List if row.name == "cache_tokens" => "int | str | Sequence[int]".to_owned(),
        Kind::List => "str | Sequence[str]".to_owned(),
    }
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a string does not fail");
}
