//! The Python module `trie._trie`: conversions between Python and the commands of [`trie_cli::api`].
//!
//! No thread of a run ever waits for Python's interpreter lock: a run has a thread of its own, and
//! who waits for it looks at what it left.
//!
//! # Layout
//!
//! - `job`: a command on a thread of its own, waited for and ended from Python.
//! - `run`: what is left of it.
//! - `columns`: its records as Arrow columns.
//! - `errors`: the command line's errors as exceptions.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what comes from Python is converted, and owned"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::prelude::*;
use trie_cli::api::{self, Side};

mod columns;
mod errors;
mod job;
mod run;

use errors::raise;
use run::{Compared, Run};

/// The native half of the package `trie`.
#[pymodule]
fn _trie(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<job::Job>()?;
    module.add_class::<run::Run>()?;
    module.add_class::<run::Checked>()?;
    module.add_class::<run::Compared>()?;
    module.add_class::<columns::Rows>()?;
    errors::add(module)?;
    module.add_function(wrap_pyfunction!(report, module)?)?;
    module.add_function(wrap_pyfunction!(compare, module)?)?;
    module.add_function(wrap_pyfunction!(options, module)?)?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add("PROGRAM", api::PROGRAM)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}

/// Every number of run directories computed anew.
#[pyfunction]
fn report(py: Python<'_>, paths: Vec<PathBuf>) -> PyResult<Run> {
    py.detach(|| api::report(&paths)).map(Run::from).map_err(raise)
}

/// One run of a side: a path, or a run of this process.
#[derive(FromPyObject)]
enum Given {
    Run(Py<Run>),
    Path(PathBuf),
}

/// How side `b` differs from side `a`.
#[pyfunction]
fn compare(
    py: Python<'_>,
    a: Vec<Given>,
    b: Vec<Given>,
    fail_if: Vec<String>,
    fail_if_unsure: bool,
) -> PyResult<Compared> {
    let compared = py.detach(|| {
        let (a, b) = (sides(&a), sides(&b));
        api::compare(&a, &b, &fail_if, fail_if_unsure)
    });
    compared.map(Compared::from).map_err(raise)
}

fn sides(given: &[Given]) -> Vec<Side<'_>> {
    let each = given.iter().map(|one| match one {
        Given::Run(run) => Side::Run(run.get().run()),
        Given::Path(path) => Side::Path(path.clone()),
    });
    each.collect()
}

/// An option: name, kind, words of a choice, default, help.
type OptionRow =
    (&'static str, &'static str, &'static [&'static str], Option<&'static str>, &'static str);

/// The options of a command.
#[pyfunction]
fn options(command: &str) -> Vec<OptionRow> {
    let rows = api::options(command).into_iter();
    rows.map(|row| (row.name, row.kind, row.words, row.default, row.help)).collect()
}

/// The whole command line: its words and environment in, its exit code out. Signals end it as they
/// end the program.
#[pyfunction]
fn main(py: Python<'_>, args: Vec<String>, environment: BTreeMap<String, String>) -> u8 {
    py.detach(|| trie_cli::status(&args, &environment))
}
