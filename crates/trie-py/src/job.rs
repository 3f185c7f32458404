//! A command on a thread of its own, waited for and ended from Python.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use trie_cli::api::{self, ApiError, Call, Ear, Stop};
use trie_core::units::Nanos;
use trie_replay::clock::{Clock, SystemClock};
use trie_replay::{Progress, Totals};

use crate::errors::raise;
use crate::run::{Checked, Run};

/// Lines of talk that wait to be taken; later ones are counted instead.
const MOST_LINES: usize = 4096;

/// Stack of the run's thread, as a main thread has it.
const STACK: usize = 8 << 20;

/// What a command came to.
enum Outcome {
    Run(Box<api::Run>),
    Checked(Box<Checked>),
}

/// What the run's thread leaves for who waits.
#[derive(Default)]
struct Left {
    /// Whether a line is a warning, and the line.
    lines: Vec<(bool, String)>,
    /// Lines that found no room.
    dropped: usize,
    /// The command is over.
    over: bool,
    /// What it came to, until it is taken. `None` after the end: it panicked.
    result: Option<Result<Outcome, ApiError>>,
}

/// The place where it leaves that, and the ways to hear of it.
struct Desk {
    left: Mutex<Left>,
    /// The command is over.
    over: Condvar,
    /// A byte for each thing that was left, as far as there is room; closed at the end.
    ring: Mutex<Option<UnixStream>>,
}

impl Desk {
    fn change(&self, change: impl FnOnce(&mut Left)) {
        change(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner));
        // A full bell rings already, and one that nobody hears any more need not.
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        drop(ring.as_ref().map(|mut ring| ring.write(b".")));
    }

    fn say(&self, warning: bool, line: &str) {
        self.change(|left| {
            if left.lines.len() < MOST_LINES {
                left.lines.push((warning, line.to_owned()));
            } else {
                left.dropped += 1;
            }
        });
    }
}

/// A command that goes on by itself. Dropped, it is ended and forgotten.
#[pyclass(frozen, module = "trie._trie")]
pub(crate) struct Job {
    stop: Stop,
    progress: Arc<Progress>,
    desk: Arc<Desk>,
    /// Closed when the result is taken.
    bell: Mutex<Option<UnixStream>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.stop.abandon();
    }
}

/// Tokens so far: prompt, cached, completion.
type Tokens = (u64, u64, u64);

/// Seconds since the start; traces admitted, completed, failed; tokens since the start; seconds and
/// tokens of the last 30 s.
type Snapshot = (f64, u64, u64, u64, Tokens, u64, Tokens);

#[pymethods]
impl Job {
    /// Starts `run`, `forecast` or `check`.
    #[new]
    fn new(
        command: &str,
        options: Vec<(String, String)>,
        rows: Option<String>,
        environment: BTreeMap<String, String>,
    ) -> PyResult<Self> {
        let command = match command {
            "run" => |call: &Call, rows| api::run(call, rows).map(Box::new).map(Outcome::Run),
            "forecast" => {
                |call: &Call, rows| api::forecast(call, rows).map(Box::new).map(Outcome::Run)
            }
            "check" => |call: &Call, rows| {
                api::check(call, rows).map(Checked::of).map(Box::new).map(Outcome::Checked)
            },
            _ => return Err(PyValueError::new_err(format!("no command `{command}`"))),
        };
        let (bell, ring) = bell().map_err(PyOSError::new_err)?;
        let desk = Arc::new(Desk {
            left: Mutex::default(),
            over: Condvar::new(),
            ring: Mutex::new(Some(ring)),
        });
        let (stop, progress) = (Stop::default(), Arc::<Progress>::default());
        let heard = Arc::clone(&desk);
        let ear: Ear = Arc::new(move |warning, line: &str| heard.say(warning, line));
        let call =
            Call { options, environment, stop: stop.clone(), progress: Arc::clone(&progress), ear };
        let at = Arc::clone(&desk);
        let work = move || {
            // A panic must not leave who waits for it waiting.
            let result = catch_unwind(AssertUnwindSafe(|| command(&call, rows))).ok();
            drop(call);
            at.change(|left| {
                left.over = true;
                left.result = result;
            });
            at.over.notify_all();
            drop(at.ring.lock().unwrap_or_else(PoisonError::into_inner).take());
        };
        let thread = Builder::new().name("trie-run".to_owned()).stack_size(STACK).spawn(work)?;
        let (bell, thread) = (Mutex::new(Some(bell)), Mutex::new(Some(thread)));
        Ok(Self { stop, progress, desk, bell, thread })
    }

    /// Waits until it is over, at most so many seconds; whether it is.
    fn wait(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let most = Duration::try_from_secs_f64(seconds)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(py.detach(|| {
            let left = self.desk.left.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.desk.over.wait_timeout_while(left, most, |left| !left.over);
            waited.unwrap_or_else(PoisonError::into_inner).0.over
        }))
    }

    /// A descriptor that can be read when something was left: lines, or the end.
    fn fileno(&self) -> PyResult<RawFd> {
        let bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = || PyValueError::new_err("the result was taken, and the descriptor is closed");
        bell.as_ref().map(AsRawFd::as_raw_fd).ok_or_else(closed)
    }

    /// What was said since the last time, and whether the command is over: lines with whether each
    /// is a warning.
    fn take(&self) -> (Vec<(bool, String)>, bool) {
        if let Some(mut bell) = self.bell.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let mut bytes = [0; 512];
            while bell.read(&mut bytes).is_ok_and(|read| read > 0) {}
        }
        let mut left = self.desk.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = std::mem::take(&mut left.lines);
        let dropped = std::mem::take(&mut left.dropped);
        if dropped > 0 {
            lines.push((true, format!("{dropped} further lines were not kept")));
        }
        (lines, left.over)
    }

    /// How far a run is; `None` before its clock starts.
    fn progress(&self) -> Option<Snapshot> {
        let now = self.progress.snapshot();
        let elapsed = Nanos(SystemClock.now()).since(now.start?).unwrap_or_default();
        let tokens = |at: Totals| (at.prompt, at.cached, at.completion);
        Some((
            elapsed.as_secs_f64(),
            now.admitted,
            now.completed,
            now.failed,
            tokens(now.totals),
            now.recent_seconds,
            tokens(now.recent),
        ))
    }

    /// Ends it now; it reports what it saw.
    fn interrupt(&self) {
        self.stop.interrupt();
    }

    /// Ends it now; nobody wants its report.
    fn abandon(&self) {
        self.stop.abandon();
    }

    /// What it came to, once it is over and its thread is gone. Once only.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Panics were caught inside.
            drop(py.detach(|| thread.join()));
        }
        drop(self.bell.lock().unwrap_or_else(PoisonError::into_inner).take());
        let result = self.desk.left.lock().unwrap_or_else(PoisonError::into_inner).result.take();
        match result {
            Some(Ok(Outcome::Run(run))) => Ok(Py::new(py, Run::from(*run))?.into_any()),
            Some(Ok(Outcome::Checked(checked))) => Ok(Py::new(py, *checked)?.into_any()),
            Some(Err(error)) => Err(raise(error)),
            None => Err(PyRuntimeError::new_err(
                "the run's thread panicked (see stderr), or its result was taken before",
            )),
        }
    }
}

/// Two ends that never wait.
fn bell() -> std::io::Result<(UnixStream, UnixStream)> {
    let (bell, ring) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    ring.set_nonblocking(true)?;
    Ok((bell, ring))
}
