//! What ends the program early, and the exit codes.

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Error;

use crate::args::ArgsError;

/// How the program ends. Users script against the numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Code {
    /// Done.
    Ok = 0,
    /// The run failed: no server, no disk.
    Failed = 1,
    /// Wrong use: options, input files.
    Usage = 2,
    /// The report is there, and its numbers are not to be trusted.
    Untrusted = 3,
    /// A gate of a comparison fired.
    Fired = 4,
    /// None fired, and one is not sure.
    Unsure = 5,
    /// Ctrl-C; the report is there where anything was replayed.
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// An error that ends the program.
#[derive(Debug)]
pub(crate) enum Fault {
    /// What the user gave is wrong.
    Usage(Error),
    /// What the user asked for could not be done.
    Failed(Error),
    /// The user ended it before there was anything to report.
    Interrupted(Error),
}

impl Fault {
    /// Wrong input, in words.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage(anyhow::anyhow!("{message}"))
    }

    /// A failure, in words.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self::Failed(anyhow::anyhow!("{message}"))
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Usage(_) => Code::Usage,
            Self::Failed(_) => Code::Failed,
            Self::Interrupted(_) => Code::Interrupted,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Usage(error) | Self::Failed(error) | Self::Interrupted(error) => {
                format!("{error:#}")
            }
        }
    }
}

impl From<ArgsError> for Fault {
    fn from(error: ArgsError) -> Self {
        Self::usage(error)
    }
}
