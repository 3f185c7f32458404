//! What ends the program early, and the exit codes.

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Error;
use thiserror::Error as ThisError;

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

/// What a fault is about, for callers that tell kinds apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Topic {
    /// A workload that cannot be read, or is wrong.
    Workload,
    /// Options that are wrong, alone or together.
    Options,
    /// A tokenizer or a chat template that cannot be had.
    Tokenizer,
    /// An endpoint that cannot be used, or cannot serve the run.
    Endpoint,
    /// Anything else: run directories, files, the machine.
    Other,
}

/// An error in words, and what it is about.
#[derive(Debug, ThisError)]
#[error("{text}")]
struct Said {
    topic: Topic,
    text: String,
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

    /// Wrong input of some kind, in words.
    pub(crate) fn usage_of(topic: Topic, message: impl Display) -> Self {
        Self::Usage(Said { topic, text: message.to_string() }.into())
    }

    /// A failure of some kind, in words.
    pub(crate) fn failed_of(topic: Topic, message: impl Display) -> Self {
        Self::Failed(Said { topic, text: message.to_string() }.into())
    }

    /// What it is about.
    pub(crate) fn topic(&self) -> Topic {
        let (Self::Usage(error) | Self::Failed(error) | Self::Interrupted(error)) = self;
        error.downcast_ref::<Said>().map_or(Topic::Other, |said| said.topic)
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
        Self::usage_of(Topic::Options, error)
    }
}
