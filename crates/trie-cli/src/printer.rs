//! The only place that writes to stdout and stderr.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::args::Environment;
use crate::fault::Fault;

/// Hears a line of talk; `true`: it is a warning.
pub type Ear = Arc<dyn Fn(bool, &str) + Send + Sync>;

/// Width of tables where the output is no terminal.
pub(crate) const DEFAULT_WIDTH: usize = 200;

/// stdout for data, stderr for talk. Cloned handles write to the same places.
#[derive(Clone)]
pub(crate) struct Printer {
    out: Sink,
    err: Sink,
    /// Data could not be written.
    lost: Arc<AtomicBool>,
    /// Columns of stdout.
    pub(crate) width: usize,
    /// Whether stderr is a terminal that may be redrawn.
    pub(crate) live: bool,
    color: bool,
    /// Hears lines in place of stderr.
    ear: Option<Ear>,
}

type Sink = Arc<Mutex<Box<dyn Write + Send>>>;

impl Printer {
    /// The process's own stdout and stderr.
    pub(crate) fn standard(environment: &Environment) -> Self {
        let set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
        let dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        let live = io::stderr().is_terminal() && !dumb;
        Self {
            out: Arc::new(Mutex::new(Box::new(io::stdout()))),
            err: Arc::new(Mutex::new(Box::new(io::stderr()))),
            lost: Arc::default(),
            width: width(environment),
            live,
            color: live && !set("NO_COLOR"),
            ear: None,
        }
    }

    /// Lines of talk go to an ear, data nowhere.
    pub(crate) fn told_to(ear: Ear) -> Self {
        let nowhere = || -> Sink { Arc::new(Mutex::new(Box::new(io::sink()))) };
        Self {
            out: nowhere(),
            err: nowhere(),
            lost: Arc::default(),
            width: DEFAULT_WIDTH,
            live: false,
            color: false,
            ear: Some(ear),
        }
    }

    /// Data to stdout, as it is.
    pub(crate) fn out(&self, text: &str) {
        let mut stdout = Stdout(Arc::clone(&self.out));
        if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            self.lost.store(true, Ordering::Relaxed);
            self.line(&format!("{} cannot write to stdout: {error}", self.paint("error:", "31")));
        }
    }

    /// Whether data could not be written: then the program has failed, whatever else it did.
    pub(crate) fn lost_data(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// stdout for data that is written bit by bit.
    pub(crate) fn stdout(&self) -> impl Write {
        BufWriter::new(Stdout(Arc::clone(&self.out)))
    }

    /// A line of talk to stderr.
    pub(crate) fn line(&self, text: &str) {
        match &self.ear {
            Some(ear) => ear(false, text),
            None => write(&self.err, &format!("{text}\n")),
        }
    }

    /// Talk to stderr, as it is.
    pub(crate) fn talk(&self, text: &str) {
        write(&self.err, text);
    }

    /// A warning with what to do about it.
    pub(crate) fn warn(&self, text: &str) {
        match &self.ear {
            Some(ear) => ear(true, text),
            None => self.line(&format!("{} {text}", self.paint("warning:", "33"))),
        }
    }

    /// The error that ends the program.
    pub(crate) fn fault(&self, fault: &Fault) {
        match fault {
            Fault::Usage(_) | Fault::Failed(_) => {
                self.line(&format!("{} {}", self.paint("error:", "31"), fault.message()));
            }
            Fault::Interrupted(error) => self.line(&format!("{error:#}")),
        }
    }

    fn paint(&self, text: &str, color: &str) -> String {
        if self.color { format!("\x1b[1;{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A handle on stdout.
struct Stdout(Sink);

impl Write for Stdout {
    /// A closed pipe (`trie report x | head`) is no reason to complain.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sink = self.0.lock().expect("writing does not panic");
        match sink.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.lock().expect("writing does not panic").flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}

/// Columns of the terminal behind stderr, as it is now; without one, no limit.
pub(crate) fn screen_width() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(usize::MAX, |size| size.0.0.into())
}

/// The terminal's width; COLUMNS wins, as with most programs.
fn width(environment: &Environment) -> usize {
    let told = environment.get("COLUMNS").and_then(|columns| columns.parse().ok());
    told.or_else(terminal_width).unwrap_or(DEFAULT_WIDTH)
}

fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    stdout
        .is_terminal()
        .then(|| terminal_size::terminal_size_of(&stdout))?
        .map(|size| size.0.0.into())
}

/// Talk that nobody can hear is no reason to complain.
fn write(sink: &Sink, text: &str) {
    let mut sink = sink.lock().expect("writing does not panic");
    drop(sink.write_all(text.as_bytes()).and_then(|()| sink.flush()));
}
