//! What a run needs to know.

use std::io;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;
use trie_core::plan::Plan;
use trie_core::record::Priming;
use trie_core::session::RetryOptions;
use trie_core::units::{Nanos, Tokens};
use trie_core::workload::{Workload, WorkloadError};

use crate::clock::Clock;
use crate::content::Content;
use crate::cores::Cores;
use crate::priority::Nice;
use crate::progress::Progress;
use crate::recorder::RecordFiles;
use crate::wire::{Connector, Pool, Target};

/// Asks a run to end: `true` once the user wants it to.
pub type Shutdown = watch::Receiver<bool>;

/// Called once, when connections stand and the clock starts, with what was primed before.
pub type Started = Box<dyn FnOnce(Nanos, Option<Priming>)>;

/// Where the connection of a trace's next request comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NextConnection {
    /// It is the one before, which the server keeps open.
    Kept,
    /// It is opened while an answer streams: the server closes each one after its answer.
    Spare,
}

/// How requests are sent and traces admitted.
#[derive(Clone, Copy, Debug)]
pub struct ReplayOptions {
    /// Whether answers are streamed.
    pub stream: bool,
    /// How long a whole request may take, from its start.
    pub timeout: Nanos,
    /// Further attempts at failed requests.
    pub retries: RetryOptions,
    /// Traces kept alive.
    pub concurrency: u32,
    /// How long traces are admitted.
    pub duration: Nanos,
    /// Slots open evenly over this long.
    pub ramp: Nanos,
    /// How long traces that are alive at the end may go on.
    pub drain: Nanos,
    /// How long the server may take to compute the histories of traces that are entered.
    pub prime_timeout: Nanos,
    /// Failed requests in a row that end the run.
    pub max_failures: u32,
    /// Tokens that the server's prefix cache keeps or drops together; 1 where that is not known.
    pub cache_block: Tokens,
    /// Where the next request's connection comes from.
    pub next_connection: NextConnection,
    /// Whether rows hold every chunk.
    pub chunks: bool,
    /// Whether content and rows are made on threads of their own. Off under a paused clock, which
    /// does not wait for threads.
    pub background: bool,
    /// Threads that send and receive, at least 1; each has a share of the slots.
    pub workers: u32,
    /// Cores that these threads are kept on.
    pub cores: Option<Cores>,
    /// How urgent they are; `None`: as the process is.
    pub priority: Option<Nice>,
}

/// The moving parts of a run.
pub struct Runtime<C: Clock, N: Connector<C>> {
    /// Time.
    pub clock: C,
    /// Connections to the server under test.
    pub pool: Pool<C, N>,
    /// Request line and headers.
    pub target: Target,
    /// What is replayed.
    pub plan: Arc<Plan>,
    /// The file its rows come from.
    pub workload: Workload,
    /// Makes bodies.
    pub content: Content,
    /// Where rows go.
    pub files: RecordFiles,
    /// For the live view.
    pub progress: Arc<Progress>,
    /// Ctrl-C.
    pub shutdown: Shutdown,
    /// Called when the clock starts.
    pub started: Started,
}

/// A run that could not be carried out. What a server does wrong is no such error.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// A row of the workload cannot be read again.
    #[error("the workload changed while it was replayed: {0}")]
    Workload(#[from] WorkloadError),
    /// The user wanted the run to end before its clock started.
    #[error("interrupted before the first request; nothing was replayed")]
    Interrupted,
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}
