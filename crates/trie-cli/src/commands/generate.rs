//! `trie generate`: a workload made, by tables or like one that is there.

use std::fmt::Write as _;
use std::io::{Cursor, Write};

use trie_core::generate::{
    Checked, GenerateError, GenerateOptions, Knobs, Origin, Preset, check, generate,
};
use trie_core::workload::{ConvertError, ReadOptions, Source, Target, convert};

use crate::args::{ArgsError, Environment, Layers, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::small;

use super::import::LazyFile;
use super::inspect::open;
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
    match &job.output {
        None => job.write(&mut printer.stdout(), printer)?,
        Some(path) => job.write(&mut LazyFile::new(path), printer)?,
    }
    Ok(Code::Ok)
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

    fn write(&self, out: &mut dyn Write, printer: &Printer) -> Result<(), Fault> {
        match self.target {
            Target::V2 => self.rows(out, printer),
            Target::Seed => {
                let mut rows = Vec::new();
                self.rows(&mut rows, printer)?;
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

    fn rows(&self, out: &mut dyn Write, printer: &Printer) -> Result<(), Fault> {
        let fault = |error| match error {
            GenerateError::Write(_) => Fault::failed(error),
            GenerateError::Workload(_) | GenerateError::NothingLeft { .. } => Fault::usage(error),
        };
        let made = match &self.from {
            From::Preset(preset) => generate(Origin::Preset(*preset), &self.options, out),
            From::Like(path) => {
                let mut workload = open(path, "like= names", self.read)?;
                generate(Origin::Like(&mut workload), &self.options, out)
            }
        };
        let made = made.map_err(fault)?;
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
    let factor = |name| Ok::<_, ArgsError>(layers.factor(name)?.unwrap_or(1.0));
    Ok(Knobs {
        turn_scale: factor("turn_scale")?,
        prompt_scale: factor("prompt_scale")?,
        growth_scale: factor("growth_scale")?,
        output_scale: factor("output_scale")?,
        tool_wait_scale: factor("tool_wait_scale")?,
        user_wait_scale: factor("user_wait_scale")?,
        shared_prefix: layers.whole("shared_prefix", 0)?,
        fan_out: small(layers, "fan_out", 1)?,
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
            "{:<22}{:>8}{:>26}{:>26}{:>9}{:>8}",
            "", "n", "data p10 / p50 / p90", "made p10 / p50 / p90", "off by", "chance"
        ),
    ];
    let three = |numbers: [f64; 3]| numbers.map(short).join(" / ");
    for row in &checked.tables {
        lines.push(format!(
            "{:<22}{:>8}{:>26}{:>26}{:>7.2} %{:>6.2} %",
            row.name,
            row.n,
            three(row.expected),
            three(row.found),
            row.worst_pct,
            row.allowed_pct
        ));
    }
    lines.push(String::new());
    for row in &checked.shares {
        let off = (row.found / row.expected - 1.0) * 100.0;
        lines.push(format!(
            "{:<34} data {:>10}   made {:>10}   {off:+.1} %",
            row.name,
            short(row.expected),
            short(row.found)
        ));
    }
    lines.join("\n") + "\n"
}

fn short(number: f64) -> String {
    if number >= 100.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}
