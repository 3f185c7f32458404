//! `trie convert`: a workload written anew, in version 2 or in the original's six fields.

use std::fs::{self, File};
use std::io::{BufWriter, Write};

use trie_core::workload::{ConvertError, Converted, ReadOptions, Target, convert};

use crate::args::{ArgsError, Environment, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::setup;

/// The words of `to=`.
const TARGETS: &[(&str, Target)] = &[("seed", Target::Seed), ("v2", Target::V2)];

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    let layers = super::run::layers(words, environment)?;
    let [input] = &words.positional[..] else {
        let what = "`trie convert` needs one workload\nhint: trie convert FILE to=v2";
        return Err(ArgsError::Conflict(what.to_owned()).into());
    };
    layers.required("to")?;
    let target = layers.choice("to", TARGETS)?;
    let max_workload_mb = layers.whole("max_workload_mb", 1)?;
    let options = ReadOptions { strict: false, max_workload_mb: max_workload_mb.unwrap_or(1024) };
    let done = match layers.text("output") {
        None => to(input, &options, target, &mut printer.stdout())?,
        Some(output) => to_file(input, &options, target, &output)?,
    };
    for note in done.notes() {
        printer.warn(&note);
    }
    printer.line(&format!("{} traces written", done.written));
    Ok(Code::Ok)
}

fn to_file(
    input: &str,
    options: &ReadOptions,
    target: Target,
    output: &str,
) -> Result<Converted, Fault> {
    let same = |path: &str| fs::canonicalize(path).ok();
    if same(output).is_some_and(|path| same(input) == Some(path)) {
        let what = "output= is the workload itself\nhint: name another file";
        return Err(ArgsError::Conflict(what.to_owned()).into());
    }
    let mut file = LazyFile::new(output);
    to(input, options, target, &mut file)
}

fn to(
    input: &str,
    options: &ReadOptions,
    target: Target,
    out: &mut dyn Write,
) -> Result<Converted, Fault> {
    let source = setup::workload_source(input, "`trie convert` takes")?;
    convert(source, input, options, target, out).map_err(|error| match error {
        ConvertError::Write(_) => Fault::failed(error),
        ConvertError::Workload(_) | ConvertError::NothingLeft { .. } => Fault::usage(error),
    })
}

/// A file that is made when something is written to it: a workload that is refused leaves none.
pub(super) struct LazyFile<'p> {
    path: &'p str,
    file: Option<BufWriter<File>>,
}

impl<'p> LazyFile<'p> {
    /// Nothing written yet.
    pub(super) fn new(path: &'p str) -> Self {
        Self { path, file: None }
    }
}

impl Write for LazyFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.file.is_none() {
            self.file = Some(BufWriter::new(File::create(self.path)?));
        }
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}
