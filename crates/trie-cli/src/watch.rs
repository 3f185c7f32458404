//! Who watches a run and may end it, and what is left when it is over.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use trie_core::compare::Comparison;
use trie_core::metrics::{Summary, Trust};
use trie_core::record::Reason;
use trie_replay::{Kept, Progress};

use crate::commands::{comparison_shown, judged, print, verdict};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::{CompareOptions, ReportOptions};
use crate::run_dir::RunDir;
use crate::signals::Interrupts;

/// Who watches a run and may end it.
pub(crate) struct Watch {
    pub(crate) interrupts: Interrupts,
    pub(crate) progress: Arc<Progress>,
    /// Nobody wants the report any more.
    pub(crate) abandoned: Arc<AtomicBool>,
    /// Records that were given no directory stay in memory.
    pub(crate) in_memory: bool,
}

impl Watch {
    /// Of a command: signals end it, and its records are on the disk.
    pub(crate) fn of_command(printer: &Printer) -> Result<Self, Fault> {
        let listen = || -> io::Result<Interrupts> { Interrupts::listen(printer) };
        Ok(Self {
            interrupts: listen().map_err(Fault::failed)?,
            progress: Arc::default(),
            abandoned: Arc::default(),
            in_memory: false,
        })
    }

    /// The run directory, in the place that was asked for.
    pub(crate) fn dir(&self, wanted: Option<&Path>, random: u64) -> Result<RunDir, Fault> {
        match wanted {
            None if self.in_memory => Ok(RunDir::in_memory()),
            wanted => RunDir::create(wanted, random).map_err(Fault::Usage),
        }
    }

    /// Ends here what nobody waits for.
    pub(crate) fn still_wanted(&self) -> Result<(), Fault> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Err(Fault::Interrupted(anyhow::anyhow!("the run was cancelled")));
        }
        Ok(())
    }
}

/// A run that is over and summed up.
pub(crate) struct Done {
    pub(crate) dir: RunDir,
    pub(crate) summary: Summary,
    /// Rows that no file holds.
    pub(crate) kept: Kept,
    pub(crate) reason: Reason,
    /// Something that was to be written could not be, or not all of several runs could be made.
    pub(crate) failed: bool,
    /// Of several runs: their directories. `dir` holds them all then, and `summary` pools them.
    pub(crate) runs: Vec<RunDir>,
    /// Of two servers: how the second one differs, and what is asked of that.
    pub(crate) compared: Option<(Comparison, CompareOptions)>,
    /// Of two servers: the numbers of the second one, where a run of it was finished.
    pub(crate) other: Option<Summary>,
}

impl Done {
    /// The exit code that it asks for.
    pub(crate) fn code(&self, options: ReportOptions) -> Code {
        match self.reason {
            _ if self.failed => Code::Failed,
            Reason::Interrupted => Code::Interrupted,
            Reason::MaxFailures | Reason::Failed => Code::Failed,
            Reason::Deadline => match &self.compared {
                Some((comparison, asked)) => {
                    let sides = [&comparison.a, &comparison.b];
                    let doubted = sides.iter().any(|side| side.trust == Trust::Caveats);
                    let code = judged(comparison, asked);
                    if code == Code::Ok && options.strict && doubted {
                        Code::Untrusted
                    } else {
                        code
                    }
                }
                None => verdict(&self.summary, options),
            },
        }
    }

    /// Prints the report and where the records are.
    pub(crate) fn print(&self, options: ReportOptions, printer: &Printer) {
        match &self.compared {
            Some((comparison, asked)) => {
                printer.out(&comparison_shown(comparison, asked.format, printer.width));
            }
            None => print(&self.summary, options, printer),
        }
        printer.line(&format!("run directory: {}", self.dir.path().display()));
    }
}
