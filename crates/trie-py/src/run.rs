//! What is left of a command: numbers as JSON, text, and records.

use std::path::PathBuf;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use serde::Serialize;
use trie_cli::api;

use crate::columns::{self, Rows};
use crate::errors::raise;

/// A run that is over.
#[pyclass(frozen, module = "trie._trie")]
pub(crate) struct Run(api::Run);

impl From<api::Run> for Run {
    fn from(run: api::Run) -> Self {
        Self(run)
    }
}

impl Run {
    pub(crate) fn run(&self) -> &api::Run {
        &self.0
    }
}

#[pymethods]
impl Run {
    /// The contents of summary.json.
    fn summary_json(&self) -> PyResult<String> {
        json(self.0.summary())
    }

    /// The contents of manifest.json, one for each run, as a list.
    fn manifests_json(&self) -> PyResult<String> {
        json(&self.0.manifests().map_err(raise)?)
    }

    /// The report, as `trie` prints it.
    fn report(&self, format: &str, width: Option<usize>) -> PyResult<String> {
        self.0.report(format, width).map_err(raise)
    }

    /// Run directories on the disk.
    fn paths(&self) -> Vec<PathBuf> {
        self.0.paths().into_iter().map(PathBuf::from).collect()
    }

    /// What the command line would have exited with.
    fn exit_code(&self) -> u8 {
        self.0.exit_code()
    }

    /// With `against=`: the second server's summary.json.
    fn summary_against_json(&self) -> PyResult<Option<String>> {
        self.0.summary_against().map(json).transpose()
    }

    /// With `against=`: how the second server differs.
    fn comparison(&self) -> Option<Compared> {
        self.0.compared().cloned().map(Compared::from)
    }

    /// Whether it was ended before its deadline.
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }

    /// A row for each attempt.
    fn requests(&self, py: Python<'_>) -> PyResult<Rows> {
        py.detach(|| columns::requests(&self.0))
    }

    /// A row for each trace.
    fn traces(&self, py: Python<'_>) -> PyResult<Rows> {
        py.detach(|| columns::traces(&self.0))
    }
}

/// What a server was found to do.
#[pyclass(frozen, module = "trie._trie")]
pub(crate) struct Checked {
    /// What `trie check format=json` prints.
    #[pyo3(get)]
    document_json: String,
    /// What `trie check` prints.
    #[pyo3(get)]
    table: String,
}

impl Checked {
    pub(crate) fn of((document, table): (serde_json::Value, String)) -> Self {
        Self { document_json: document.to_string(), table }
    }
}

/// How one side differs from another.
#[pyclass(frozen, module = "trie._trie")]
pub(crate) struct Compared(api::Compared);

impl From<api::Compared> for Compared {
    fn from(compared: api::Compared) -> Self {
        Self(compared)
    }
}

#[pymethods]
impl Compared {
    /// What `trie compare --json` prints.
    fn comparison_json(&self) -> PyResult<String> {
        json(self.0.comparison())
    }

    /// As `trie compare` prints it.
    fn report(&self, format: &str, width: Option<usize>) -> PyResult<String> {
        self.0.report(format, width).map_err(raise)
    }

    /// What the command line would have exited with.
    fn exit_code(&self) -> u8 {
        self.0.exit_code()
    }
}

fn json(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
