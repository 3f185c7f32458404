//! `trie generate`: a workload made, by tables or like one that is there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write};

use serde_json::Value;
use trie_core::generate::{
    Checked, GenerateError, GenerateOptions, Knobs, Origin, Preset, check, generate,
};
use trie_core::workload::{ConvertError, MAX_TOKENS, ReadOptions, Source, Target, convert};

use crate::args::{ArgsError, Environment, Layers, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::small;

use super::import::LazyFile;
use super::opened::{Opened, Opening};
use super::run::{layers, no_positional};

/// The options that change sessions, in the order of the header's command.
const KNOBS: [&str; 9] = [
    "turn_scale",
    "prompt_scale",
    "growth_scale",
    "output_scale",
    "tool_wait_scale",
    "user_wait_scale",
    "shared_prefix",
    "fan_out",
    "compact_at",
];

/// The largest factor: the longest prompts of public data, 10^6 tokens, are then as long as a length may be.
const MOST_FACTOR: f64 = 1_000.0;

/// The most agents beside a session.
const MOST_AGENTS: u32 = 1_000;

/// Sessions that are made to be compared, where the user says nothing.
const CHECKED: u64 = 4_000;

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    no_positional(words)?;
    let layers = layers(words, environment)?;
    let job = Job::of(&layers)?;
    if layers.switch("check")? {
        let From::Preset(preset) = job.from else {
            let what =
                "`check=` compares a preset with its tables\nhint: preset=office-work check=True";
            return Err(ArgsError::Conflict(what.to_owned()).into());
        };
        let sessions = if layers.given("traces").is_some() { job.options.traces } else { CHECKED };
        printer.out(&table(preset, &check(preset, job.options.seed, sessions)));
        return Ok(Code::Ok);
    }
    let names = RefCell::new(BTreeMap::new());
    let mut source = match &job.from {
        From::Preset(_) => None,
        From::Like(path) => {
            let opening = Opening {
                names: "like= names",
                read: job.read,
                // Rows of blocks are not drawn from.
                blocks: false,
                change: &|row| renamed(row, &mut names.borrow_mut()),
                layers: &layers,
                environment,
                printer,
            };
            Some(opening.open(path)?)
        }
    };
    match &job.output {
        None => job.write(source.as_mut(), &mut printer.stdout(), printer)?,
        Some(path) => job.write(source.as_mut(), &mut LazyFile::new(path), printer)?,
    }
    Ok(source.map_or(Code::Ok, |source| source.code))
}

/// Where sessions come from.
enum From {
    Preset(Preset),
    Like(String),
}

/// What is to be made.
struct Job {
    from: From,
    options: GenerateOptions,
    target: Target,
    output: Option<String>,
    read: ReadOptions,
}

impl Job {
    fn of(layers: &Layers) -> Result<Self, Fault> {
        let from = from(layers)?;
        let seed = layers.whole("seed", 0)?.unwrap_or(1);
        let traces = layers.whole("traces", 1)?.expect("it has a default");
        let knobs = knobs(layers)?;
        let target = match layers.text("to").as_deref() {
            None | Some("v2") => Target::V2,
            Some("seed") => Target::Seed,
            Some(_) => return Err(layers.bad("to", "v2 or seed").into()),
        };
        let max_workload_mb = layers.whole("max_workload_mb", 1)?.unwrap_or(1024);
        let command = command(&from, (seed, traces), layers);
        Ok(Self {
            from,
            options: GenerateOptions { seed, traces, knobs, command },
            target,
            output: layers.text("output"),
            read: ReadOptions { strict: false, max_workload_mb },
        })
    }

    fn write(
        &self,
        like: Option<&mut Opened>,
        out: &mut dyn Write,
        printer: &Printer,
    ) -> Result<(), Fault> {
        match self.target {
            Target::V2 => self.rows(like, out, printer),
            Target::Seed => {
                let mut rows = Vec::new();
                self.rows(like, &mut rows, printer)?;
                let source = Source::Seekable(Box::new(Cursor::new(rows)));
                let done = convert(source, "generated", &self.read, Target::Seed, out);
                let done = done.map_err(|error| match error {
                    ConvertError::Write(_) => Fault::failed(error),
                    ConvertError::Workload(_) | ConvertError::NothingLeft { .. } => {
                        Fault::usage(error)
                    }
                })?;
                for note in done.notes() {
                    printer.warn(&note);
                }
                Ok(())
            }
        }
    }

    fn rows(
        &self,
        like: Option<&mut Opened>,
        out: &mut dyn Write,
        printer: &Printer,
    ) -> Result<(), Fault> {
        let fault = |error| match error {
            GenerateError::Write(_) => Fault::failed(error),
            GenerateError::Workload(_)
            | GenerateError::NothingLeft { .. }
            | GenerateError::TooLong { .. }
            | GenerateError::Refused(_) => Fault::usage(error),
        };
        let origin = match (&self.from, like) {
            (From::Preset(preset), _) => Origin::Preset(*preset),
            (From::Like(_), Some(like)) => Origin::Like(&mut like.workload),
            (From::Like(_), None) => unreachable!("what sessions are like is opened before"),
        };
        let made = generate(origin, &self.options, out).map_err(fault)?;
        if made.left_out > 0 {
            printer.warn(&format!(
                "{} traces of several lanes or of blocks are not drawn from",
                made.left_out
            ));
        }
        printer.line(&format!("{} traces generated", made.traces));
        Ok(())
    }
}

/// A foreign row with numbers for what its first prompt shares: hashes of an import are salted anew each
/// time, and equal options are to give equal bytes.
fn renamed(row: &str, names: &mut BTreeMap<String, usize>) -> Option<String> {
    let mut row: Value = serde_json::from_str(row).ok()?;
    for segment in row.get_mut("prefix")?.as_array_mut()? {
        let id = segment.get_mut("id")?;
        let next = names.len();
        let number = *names.entry(id.as_str()?.to_owned()).or_insert(next);
        *id = Value::from(format!("shared{number}"));
    }
    Some(row.to_string())
}

fn from(layers: &Layers) -> Result<From, ArgsError> {
    match (layers.text("preset"), layers.text("like")) {
        (Some(name), None) => {
            let preset = Preset::ALL.into_iter().find(|preset| preset.name() == name);
            let names = Preset::ALL.map(Preset::name).join(", ");
            preset.map(From::Preset).ok_or_else(|| layers.bad("preset", format!("one of {names}")))
        }
        (None, Some(path)) => Ok(From::Like(path)),
        (Some(_), Some(_)) | (None, None) => Err(ArgsError::Conflict(
            "`trie generate` needs either `preset=` or `like=`\nhint: trie generate preset=office-work \
             traces=100 output=w.jsonl"
                .to_owned(),
        )),
    }
}

fn knobs(layers: &Layers) -> Result<Knobs, ArgsError> {
    let factor = |name| match layers.factor(name)? {
        Some(factor) if factor > MOST_FACTOR => {
            Err(layers.bad(name, format!("a number from 0 to {MOST_FACTOR}")))
        }
        factor => Ok::<_, ArgsError>(factor.unwrap_or(1.0)),
    };
    let shared_prefix = layers.whole("shared_prefix", 0)?;
    if shared_prefix.is_some_and(|tokens| tokens > MAX_TOKENS) {
        return Err(layers.bad("shared_prefix", format!("a whole number from 0 to {MAX_TOKENS}")));
    }
    let fan_out = small(layers, "fan_out", 1)?;
    if fan_out.is_some_and(|agents| agents > MOST_AGENTS) {
        return Err(layers.bad("fan_out", format!("a whole number from 1 to {MOST_AGENTS}")));
    }
    Ok(Knobs {
        turn_scale: factor("turn_scale")?,
        prompt_scale: factor("prompt_scale")?,
        growth_scale: factor("growth_scale")?,
        output_scale: factor("output_scale")?,
        tool_wait_scale: factor("tool_wait_scale")?,
        user_wait_scale: factor("user_wait_scale")?,
        shared_prefix,
        fan_out,
        compact_at: layers.whole("compact_at", 2)?,
    })
}

/// The command that makes the same bytes, with what was given of the knobs.
fn command(from: &From, (seed, traces): (u64, u64), layers: &Layers) -> String {
    let mut text = match from {
        From::Preset(preset) => format!("trie generate preset={}", preset.name()),
        From::Like(path) => format!("trie generate like={path}"),
    };
    write!(text, " seed={seed} traces={traces}").expect("a string takes every word");
    for name in KNOBS {
        if let Some(given) = layers.given(name) {
            write!(text, " {name}={}", given.text).expect("a string takes every word");
        }
    }
    text
}

/// What was made beside what it was made by.
fn table(preset: Preset, checked: &Checked) -> String {
    let mut lines = vec![
        format!("{}: {} sessions against the tables of the data", preset.name(), checked.sessions),
        String::new(),
        format!(
            "{:<22}{:>7}{:>25}{:>25}{:>9}{:>7}",
            "", "n", "data p10 / p50 / p90", "made p10 / p50 / p90", "off by", "errors"
        ),
    ];
    let three = |numbers: [f64; 3]| numbers.map(short).join(" / ");
    for row in &checked.tables {
        lines.push(format!(
            "{:<22}{:>7}{:>25}{:>25}{:>7.2} %{:>7.1}",
            row.name,
            row.n,
            three(row.expected),
            three(row.found),
            row.off_by_pct,
            row.off_by_errors
        ));
    }
    lines.push(String::new());
    for row in &checked.shares {
        lines.push(format!(
            "{:<32}data {:>9}   made {:>9}   error {:>7}   off by {:>5.1} errors",
            row.name,
            short(row.expected),
            short(row.found),
            short(row.error),
            row.off_by_errors()
        ));
    }
    lines.extend(checked.doubts().into_iter().map(|doubt| format!("\n{doubt}")));
    lines.join("\n") + "\n"
}

fn short(number: f64) -> String {
    if number >= 100.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}
