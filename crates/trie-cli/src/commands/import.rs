//! What `trie convert` and `trie anonymize` have in common: foreign traces in, rows out.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};

use trie_core::workload::Row;
use trie_import::{
    Count, Damage, Fidelity, Format, Import, ImportError, ImportOptions, MooncakeLengths, Salt,
    Sink, format_named, recognised, unpacked,
};
use trie_tokens::Vocabulary;

use super::sources::Input;
use crate::args::{ArgsError, Environment, Layers};
use crate::fault::{Code, Fault, Topic};
use crate::printer::Printer;
use crate::{resolve, setup};

/// Bytes of a source that are looked at to see what it is.
pub(super) const HEAD: u64 = 256 << 10;

/// The words of `mooncake_lengths=`.
const LENGTHS: &[(&str, MooncakeLengths)] = &[
    ("auto", MooncakeLengths::BySession),
    ("delta", MooncakeLengths::Delta),
    ("cumulative", MooncakeLengths::Cumulative),
];

/// What counts texts.
pub(super) enum Counter {
    Estimate,
    Words,
    Tokenizer(Box<Vocabulary>),
}

impl Counter {
    /// As `count=` says.
    pub(super) fn of(layers: &Layers, environment: &Environment) -> Result<Self, Fault> {
        Ok(match layers.text("count").as_deref() {
            Some("estimate") | None => Self::Estimate,
            Some("words") => Self::Words,
            Some(name) => Self::Tokenizer(Box::new(setup::vocabulary(name, environment)?)),
        })
    }

    /// Hands `with` what the importers count with.
    pub(super) fn with<T>(&self, with: impl FnOnce(Count<'_>) -> T) -> T {
        match self {
            Self::Estimate => with(Count::Estimate),
            Self::Words => with(Count::Words),
            Self::Tokenizer(vocabulary) => {
                with(Count::Tokenizer(&|text| vocabulary.count(text), vocabulary.name()))
            }
        }
    }
}

/// The options of an import.
pub(super) fn options<'c>(layers: &Layers, count: Count<'c>) -> Result<ImportOptions<'c>, Fault> {
    Ok(ImportOptions {
        salt: Salt(resolve::salt(layers)?.unwrap_or_else(super::random)),
        count,
        keep_names: layers.switch("keep_names")?,
        blocks: layers.switch("blocks")?,
        wait_cap: layers.seconds("wait_cap")?,
        mooncake_lengths: layers.choice("mooncake_lengths", LENGTHS)?,
        mooncake_join: layers.switch("mooncake_join")?,
        mooncake_spread: layers.seconds("mooncake_spread")?,
        answer_length: layers.whole("answer_length", 1)?,
        max_workload_mb: layers.whole("max_workload_mb", 1)?.unwrap_or(1024),
    })
}

/// The format that `from=` names.
pub(super) fn from(layers: &Layers) -> Result<Option<&'static Format>, Fault> {
    let Some(name) = layers.text("from") else { return Ok(None) };
    let found = format_named(&name);
    let wanted = || format!("one of {}", trie_import::NAMES.join(", "));
    found.map(Some).ok_or_else(|| layers.bad("from", wanted()).into())
}

/// The format of a source by its first bytes, packed or not.
pub(super) fn looks_like(source: Box<dyn Read + Send>) -> Option<&'static Format> {
    let mut head = Vec::new();
    // What cannot be read says so when it is read as a whole; what is packed and cut here is enough.
    let read = unpacked(source).map(|source| source.take(HEAD).read_to_end(&mut head));
    if read.is_ok() { recognised(&head) } else { None }
}

/// Opens a source by its name.
pub(super) type OpenSource<'s> = dyn FnMut(&str) -> Result<Box<dyn Read + Send>, Fault> + 's;

/// Reads all inputs; rows go to `sink`. Files of a folder that are of no format are said and left
/// out.
pub(super) fn import(
    (inputs, source): (&[Input], &mut OpenSource<'_>),
    format: Option<&'static Format>,
    options: ImportOptions<'_>,
    printer: &Printer,
    sink: &mut Sink<'_>,
) -> Result<Fidelity, Fault> {
    let mut import = Import::new(options);
    let mut strange = 0_u64;
    for input in inputs {
        match import.source(&input.path, source(&input.path)?, format, sink) {
            Err(ImportError::Unrecognised { .. }) if !input.named => strange += 1,
            read => read.map_err(fault)?,
        }
    }
    if strange > 0 {
        printer.warn(&format!("{strange} files are of no format that is known and are left out"));
    }
    import.finish(sink).map_err(fault)
}

/// A row that is handed out and written; what cannot be written ends the import.
pub(super) fn written(
    row: &Row<'_>,
    mut write: impl FnMut(&Row<'_>) -> io::Result<()>,
) -> Result<(), ImportError> {
    write(row).map_err(ImportError::Write)
}

fn fault(error: ImportError) -> Fault {
    match error {
        ImportError::Write(_) | ImportError::Row { .. } => Fault::failed(error),
        ImportError::Read { .. }
        | ImportError::Unrecognised { .. }
        | ImportError::Record { .. }
        | ImportError::Workload(_)
        | ImportError::TooLarge { .. } => Fault::usage_of(Topic::Workload, error),
    }
}

/// Says what was kept and what not, and how many rows were written.
pub(super) fn report(
    fidelity: &Fidelity,
    unsaid: &[String],
    lines: u64,
    printer: &Printer,
) -> Result<Code, Fault> {
    tell(fidelity, unsaid, printer);
    printer.line(&format!("{lines} {} written", if lines == 1 { "row" } else { "rows" }));
    came_out(fidelity, lines)
}

/// Says what was kept and what not.
pub(super) fn tell(fidelity: &Fidelity, unsaid: &[String], printer: &Printer) {
    for note in fidelity.notes() {
        printer.line(&format!("note: {note}"));
    }
    for note in unsaid {
        printer.warn(note);
    }
    for damage in &fidelity.damage {
        printer.warn(&damage.words());
    }
    printer.line(&fidelity.line());
}

/// The exit code tells of sources that were damaged; nothing at all is refused.
pub(super) fn came_out(fidelity: &Fidelity, lines: u64) -> Result<Code, Fault> {
    if lines == 0 {
        let what = "no request could be taken from the input\nhint: where it is neither empty nor damaged, from=NAME \
                    says what it is";
        return Err(Fault::usage_of(Topic::Workload, what));
    }
    let cut = fidelity.damage.iter().any(|damage| match damage {
        Damage::Truncated { .. } | Damage::Unreadable { .. } => true,
    });
    Ok(if cut { Code::Failed } else { Code::Ok })
}

/// Refuses an output that is one of the inputs.
pub(super) fn check_output(output: Option<&str>, inputs: &[Input]) -> Result<(), Fault> {
    let Some(output) = output.and_then(|output| fs::canonicalize(output).ok()) else {
        return Ok(());
    };
    if inputs.iter().any(|input| fs::canonicalize(&input.path).is_ok_and(|path| path == output)) {
        let what = "output= is the workload itself\nhint: name another file";
        return Err(ArgsError::Conflict(what.to_owned()).into());
    }
    Ok(())
}

/// Hands `with` the place to write to: a file that is made when something is written, or stdout.
pub(super) fn writing<T>(
    output: Option<&str>,
    printer: &Printer,
    with: impl FnOnce(&mut dyn Write) -> T,
) -> T {
    match output {
        Some(path) => with(&mut LazyFile::new(path)),
        None => with(&mut printer.stdout()),
    }
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
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() {
            self.file = Some(BufWriter::new(File::create(self.path)?));
        }
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}
