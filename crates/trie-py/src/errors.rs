//! The command line's errors as exceptions, with its own words.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use trie_cli::api::{ApiError, Topic};

create_exception!(
    trie,
    TrieError,
    PyException,
    "What trie refuses or cannot do; base of all its exceptions."
);
create_exception!(
    trie,
    WorkloadError,
    TrieError,
    "A workload that cannot be read, or is wrong: file, line and column are in the text."
);
create_exception!(trie, PlanError, TrieError, "Options that are wrong, alone or together.");
create_exception!(
    trie,
    TokenizerError,
    TrieError,
    "A tokenizer or a chat template that cannot be had."
);
create_exception!(
    trie,
    EndpointError,
    TrieError,
    "An endpoint that cannot be used, or cannot serve the run."
);
create_exception!(
    trie,
    Interrupted,
    TrieError,
    "A run that was ended before there was anything to report."
);

/// Adds them to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("TrieError", py.get_type::<TrieError>())?;
    module.add("WorkloadError", py.get_type::<WorkloadError>())?;
    module.add("PlanError", py.get_type::<PlanError>())?;
    module.add("TokenizerError", py.get_type::<TokenizerError>())?;
    module.add("EndpointError", py.get_type::<EndpointError>())?;
    module.add("Interrupted", py.get_type::<Interrupted>())
}

/// The exception for an error.
pub(crate) fn raise(error: ApiError) -> PyErr {
    let ApiError { topic, interrupted, message } = error;
    if interrupted {
        return Interrupted::new_err(message);
    }
    match topic {
        Topic::Workload => WorkloadError::new_err(message),
        Topic::Options => PlanError::new_err(message),
        Topic::Tokenizer => TokenizerError::new_err(message),
        Topic::Endpoint => EndpointError::new_err(message),
        Topic::Other => TrieError::new_err(message),
    }
}
