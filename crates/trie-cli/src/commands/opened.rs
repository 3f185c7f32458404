//! Workloads that `trie inspect` and `trie generate` look at: our own, or foreign traces made rows on the way.

use std::io::{self, Cursor, Read};

use trie_core::workload::{Encoding, ReadOptions, Row, Source, Workload};
use trie_import::{Format, ImportError, ImportOptions, Target, Writer};

use super::import::{self, Counter};
use super::sources::{self, Input};
use crate::args::{Environment, Layers};
use crate::fault::{Code, Fault, Topic};
use crate::printer::Printer;
use crate::setup;

/// How a workload is opened.
pub(super) struct Opening<'o> {
    /// Who takes it, for a hint: "`trie inspect` takes".
    pub(super) names: &'static str,
    pub(super) read: ReadOptions,
    /// Whether prompts that a foreign source names as blocks stay so.
    pub(super) blocks: bool,
    /// What is done to each row of a foreign source.
    pub(super) change: &'o dyn Fn(&str) -> Option<String>,
    pub(super) layers: &'o Layers,
    pub(super) environment: &'o Environment,
    pub(super) printer: &'o Printer,
}

/// A workload, checked, and what the program's exit code is to tell of its source.
pub(super) struct Opened {
    pub(super) workload: Workload,
    pub(super) code: Code,
}

impl Opening<'_> {
    /// Opens a file of rows; or reads a foreign trace, a folder or a pattern of them, and says on standard error
    /// what was kept of it.
    pub(super) fn open(&self, path: &str) -> Result<Opened, Fault> {
        let format = import::from(self.layers)?;
        if path == "-" {
            return self.stdin(format);
        }
        let word = [path.to_owned()];
        let inputs = sources::inputs(&word)?;
        let [input] = &inputs[..] else { return self.foreign(path, &inputs, format) };
        if !input.named {
            return self.foreign(path, &inputs, format);
        }
        let found = match format {
            Some(format) => Some(format),
            None => self.looks_like(&input.path)?,
        };
        if found.is_none_or(is_ours) {
            let source = setup::workload_source(&input.path, self.names)?;
            return self.own(&input.path, source, found.is_some());
        }
        self.foreign(path, &inputs, format)
    }

    /// What a file looks like; nothing where it is a pipe, which can be read once only.
    fn looks_like(&self, path: &str) -> Result<Option<&'static Format>, Fault> {
        match setup::workload_source(path, self.names)? {
            Source::Seekable(_) => Ok(import::looks_like(sources::open(path)?)),
            Source::Stream(_) => Ok(None),
        }
    }

    /// Opens rows of our own; or, where nothing looks `recognised`, what may be some with a mistake.
    fn own(&self, path: &str, source: Source, recognised: bool) -> Result<Opened, Fault> {
        let workload = Workload::open(source, path, Encoding::of_name(path), &self.read);
        let workload = workload.map_err(|error| {
            if recognised {
                return Fault::usage(error);
            }
            let hint = "if it is a foreign trace, from=NAME names its format";
            Fault::usage_of(Topic::Workload, format!("{error}\nhint: {hint}"))
        })?;
        Ok(Opened { workload, code: Code::Ok })
    }

    fn stdin(&self, format: Option<&'static Format>) -> Result<Opened, Fault> {
        let mut head = Vec::new();
        let read = io::stdin().take(import::HEAD).read_to_end(&mut head);
        read.map_err(|error| Fault::failed(format!("standard input cannot be read: {error}")))?;
        let found = format.or_else(|| import::looks_like(Box::new(Cursor::new(head.clone()))));
        let whole = Box::new(Cursor::new(head).chain(io::stdin()));
        if found.is_none_or(is_ours) {
            return self.own("-", Source::Stream(whole), found.is_some());
        }
        let mut whole: Option<Box<dyn Read + Send>> = Some(whole);
        let mut taken = |_: &str| Ok(whole.take().unwrap_or_else(|| Box::new(io::empty())));
        let inputs = [Input { path: "-".to_owned(), named: true }];
        self.rows("-", &inputs, found, &mut taken)
    }

    fn foreign(
        &self,
        path: &str,
        inputs: &[Input],
        format: Option<&'static Format>,
    ) -> Result<Opened, Fault> {
        self.rows(path, inputs, format, &mut sources::open)
    }

    /// Makes rows of all inputs, in memory, and opens them as a workload.
    fn rows(
        &self,
        path: &str,
        inputs: &[Input],
        format: Option<&'static Format>,
        source: &mut import::OpenSource<'_>,
    ) -> Result<Opened, Fault> {
        let limit_mb = self.read.max_workload_mb;
        let limit = usize::try_from(limit_mb.saturating_mul(1_000_000)).unwrap_or(usize::MAX);
        let mut text = Vec::new();
        let code = Counter::of(self.layers, self.environment)?.with(|count| {
            // Waits are cut where the plan is scaled.
            let options = import::options(self.layers, count)?;
            let options = ImportOptions { wait_cap: None, blocks: self.blocks, ..options };
            let tokenizer = format!("as recorded; else {}", count.kind());
            let mut bytes = 0;
            let mut writer = Writer::new(Target::V2, &tokenizer, &mut text);
            let mut sink = |row: &Row<'_>| {
                bytes += row.text().len();
                if bytes > limit {
                    return Err(ImportError::Write(too_large(limit_mb)));
                }
                let Some(changed) = (self.change)(row.text()) else {
                    return import::written(row, |row| writer.row(row));
                };
                let changed = Row::read(&changed, path, row.number());
                let changed =
                    changed.map_err(|source| ImportError::Row { file: path.to_owned(), source })?;
                import::written(&changed, |row| writer.row(row))
            };
            let fidelity =
                import::import((inputs, source), format, options, self.printer, &mut sink)?;
            let (lines, unsaid) = writer.finish().map_err(Fault::failed)?;
            import::tell(&fidelity, &unsaid, self.printer);
            import::came_out(&fidelity, lines)
        })?;
        let rows = Source::Seekable(Box::new(Cursor::new(text)));
        let workload = Workload::open(rows, path, Encoding::Plain, &self.read);
        Ok(Opened { workload: workload.map_err(Fault::failed)?, code })
    }
}

fn is_ours(format: &Format) -> bool {
    format.name == "trie"
}

fn too_large(limit_mb: u64) -> io::Error {
    io::Error::other(format!(
        "its rows take more than max_workload_mb={limit_mb} MB of memory; raise it, or make a file of them by \
         `trie convert` first"
    ))
}
