//! `trie compare`: two sides of runs, paired.

use std::path::{Path, PathBuf};

use trie_core::compare::{CompareError, Comparison, GateStatus, NamedRun, compare};
use trie_core::metrics::{RunRecords, Trust};
use trie_core::report;

use crate::args::{ArgsError, Environment, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::{CompareOptions, Format, compare_options};
use crate::rows::Rows;
use crate::run_dir::RunDir;

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    let layers = super::run::layers(words, environment)?;
    let options = compare_options(&layers)?;
    let [a, b] = &words.positional[..] else {
        let what = "`trie compare` needs two sides: a run directory each, or several with commas \
                    between them\nhint: trie compare trie-runs/A trie-runs/B";
        return Err(ArgsError::Conflict(what.to_owned()).into());
    };
    let (a, b) = (side(a).map_err(Fault::Usage)?, side(b).map_err(Fault::Usage)?);
    let comparison = of_dirs(&a, &b, &options)?;
    printer.out(&shown(&comparison, options.format, printer.width));
    Ok(code(&comparison, &options))
}

/// The run directories that a word names: one, several with commas between them, or one with
/// replicates `0`, `1` and so on below it.
fn side(word: &str) -> anyhow::Result<Vec<RunDir>> {
    let whole = Path::new(word);
    let paths: Vec<PathBuf> = if whole.exists() {
        vec![whole.to_path_buf()]
    } else {
        word.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect()
    };
    let dirs = paths.iter().map(|path| below(path));
    Ok(dirs.collect::<anyhow::Result<Vec<_>>>()?.concat())
}

/// The run directory of this path, or the replicates below it.
pub(crate) fn below(path: &Path) -> anyhow::Result<Vec<RunDir>> {
    replicates(path).iter().map(|path| RunDir::open(path)).collect()
}

fn replicates(path: &Path) -> Vec<PathBuf> {
    let below = RunDir::replicates(path);
    if below.is_empty() { vec![path.to_path_buf()] } else { below }
}

/// A run whose rows are read from its files.
type Read<'f> = NamedRun<&'f mut Rows, &'f mut Rows, &'f mut Rows>;

/// The record files of a run.
struct Files {
    requests: Rows,
    traces: Rows,
    client: Rows,
}

impl Files {
    fn of(dir: &RunDir) -> Self {
        Self {
            requests: dir.rows("requests.jsonl"),
            traces: dir.rows("traces.jsonl"),
            client: dir.rows("client.jsonl"),
        }
    }

    fn missing(&self) -> anyhow::Result<Vec<String>> {
        let all = [self.requests.missing()?, self.traces.missing()?, self.client.missing()?];
        Ok(all.concat())
    }
}

/// Compares the runs of two sides.
pub(crate) fn of_dirs(
    a: &[RunDir],
    b: &[RunDir],
    options: &CompareOptions,
) -> Result<Comparison, Fault> {
    let files = |dirs: &[RunDir]| dirs.iter().map(Files::of).collect::<Vec<_>>();
    let (mut files_a, mut files_b) = (files(a), files(b));
    let runs_a = runs(a, &mut files_a).map_err(Fault::Usage)?;
    let runs_b = runs(b, &mut files_b).map_err(Fault::Usage)?;
    let comparison = compare(runs_a, runs_b, &options.gates).map_err(|error| match error {
        CompareError::NoRuns { .. }
        | CompareError::Seeds { .. }
        | CompareError::Different { .. }
        | CompareError::Summary(_) => Fault::usage(error),
    })?;
    for (dir, files) in a.iter().zip(&files_a).chain(b.iter().zip(&files_b)) {
        // A side of which rows are missing would be compared by what is left of it.
        let missing = files.missing().map_err(Fault::Failed)?;
        if let Some(what) = missing.iter().find(|what| !what.starts_with("client.jsonl")) {
            return Err(Fault::usage(format!("{}: {what}", dir.path().display())));
        }
    }
    Ok(comparison)
}

fn runs<'f>(dirs: &[RunDir], files: &'f mut [Files]) -> anyhow::Result<Vec<Read<'f>>> {
    let one = |(dir, files): (&RunDir, &'f mut Files)| {
        Ok(NamedRun {
            name: dir.path().display().to_string(),
            records: RunRecords {
                manifest: dir.manifest()?,
                requests: &mut files.requests,
                traces: &mut files.traces,
                client: &mut files.client,
            },
        })
    };
    dirs.iter().zip(files).map(one).collect()
}

/// The comparison in a format; `width` is that of the tables.
pub(crate) fn shown(comparison: &Comparison, format: Format, width: usize) -> String {
    match format {
        Format::Text => report::comparison_text(comparison, width),
        Format::Json => report::comparison_json(comparison),
        Format::Csv => report::comparison_csv(comparison),
        Format::Markdown => report::comparison_markdown(comparison),
    }
}

/// A side whose numbers are wrong comes first: nothing follows from them. Then gates that fired.
pub(crate) fn code(comparison: &Comparison, options: &CompareOptions) -> Code {
    let any = |status| comparison.gates.iter().any(|gate| gate.status == status);
    if [&comparison.a, &comparison.b].iter().any(|side| side.trust == Trust::No) {
        Code::Untrusted
    } else if any(GateStatus::Fired) {
        Code::Fired
    } else if options.fail_if_unsure && any(GateStatus::Inconclusive) {
        Code::Unsure
    } else {
        Code::Ok
    }
}
