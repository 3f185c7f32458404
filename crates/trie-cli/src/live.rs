//! Progress while a run goes on: a live line on a terminal, log lines elsewhere.
//!
//! A thread of its own that looks at a snapshot at its own pace: it can be deleted and no
//! measurement changes.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use trie_core::report::{Level, log_line};
use trie_core::units::Nanos;
use trie_replay::clock::{Clock, SystemClock};
use trie_replay::{Progress, Snapshot, Totals};

use crate::printer::{Printer, screen_width};
use crate::resolve::{OutputOptions, Ui};

/// How often the live line is drawn.
const REDRAW: Duration = Duration::from_millis(250);
/// How often a log line is written where none was asked for.
const LOG_EVERY: Nanos = Nanos::from_secs(30);
/// Lines of the live view.
const LINES: usize = 3;

/// The running view; dropping it ends it and wipes the live line.
pub(crate) struct Live {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts the view that the options ask for.
    pub(crate) fn start(
        output: &OutputOptions,
        duration: Nanos,
        progress: Arc<Progress>,
        printer: &Printer,
    ) -> io::Result<Self> {
        let bar = match output.ui {
            Ui::Bar => true,
            Ui::Auto => printer.live,
            Ui::Log => false,
            Ui::None => return Ok(Self { stop: None, thread: None }),
        };
        let every = output.update_interval.or((!bar).then_some(LOG_EVERY));
        let (stop, stopped) = channel::<()>();
        let view =
            View { bar, every, duration, progress, printer: printer.clone(), logged: Nanos::ZERO };
        let thread = Builder::new().name("trie-live".to_owned()).spawn(move || {
            let mut view = view;
            while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                view.step();
            }
            view.wipe();
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A view that panicked has nothing to say about the measurements.
            drop(thread.join());
        }
    }
}

struct View {
    bar: bool,
    every: Option<Nanos>,
    duration: Nanos,
    progress: Arc<Progress>,
    printer: Printer,
    logged: Nanos,
}

impl View {
    fn step(&mut self) {
        let snapshot = self.progress.snapshot();
        let Some(start) = snapshot.start else { return };
        let elapsed = Nanos(SystemClock.now()).since(start).unwrap_or_default();
        if let Some(every) = self.every.filter(|every| elapsed >= self.logged.plus(*every)) {
            while elapsed >= self.logged.plus(every) {
                self.logged = self.logged.plus(every);
            }
            self.wipe();
            let left = self.duration.since(elapsed).unwrap_or_default().as_secs_f64();
            let values = BTreeMap::from([
                ("remaining_duration".to_owned(), format!("{left:.1}")),
                ("completed".to_owned(), snapshot.completed.to_string()),
            ]);
            let line = log_line(Level::Info, "benchmark in progress", &values);
            self.printer.line(&line);
        }
        if self.bar {
            // A line that wraps would not be wiped: the cursor goes up by lines of the screen.
            let columns = screen_width();
            let cut = |line: String| line.chars().take(columns).collect::<String>() + "\x1b[K\n";
            let lines = lines(&snapshot, elapsed, self.duration).map(cut);
            self.printer.talk(&format!("{}\x1b[{LINES}A\r", lines.concat()));
        }
    }

    fn wipe(&self) {
        if self.bar {
            self.printer.talk("\r\x1b[J");
        }
    }
}

/// The three lines of the live view, in the original's words.
fn lines(snapshot: &Snapshot, elapsed: Nanos, duration: Nanos) -> [String; LINES] {
    let seconds = elapsed.as_secs_f64();
    let failed = match snapshot.failed {
        0 => String::new(),
        failed => format!("  failed={failed}"),
    };
    #[expect(clippy::cast_precision_loss, reason = "display")]
    let rate = snapshot.completed as f64 / seconds.max(1e-9);
    [
        format!(
            "Running benchmark  elapsed={}/{}  completed={}{failed}  trace/s={rate:.2}",
            clock(elapsed),
            clock(duration),
            snapshot.completed,
        ),
        tokens("overall:  ", snapshot.totals, seconds),
        #[expect(clippy::cast_precision_loss, reason = "display")]
        tokens("last30:   ", snapshot.recent, snapshot.recent_seconds as f64),
    ]
}

fn tokens(label: &str, totals: Totals, seconds: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "display")]
    let rate = |tokens: u64| {
        if seconds > 0.0 { format!("{:.0}", tokens as f64 / seconds) } else { "-".to_owned() }
    };
    format!(
        "{label}total_prompt_t/s={}  cached_prompt_t/s={}  uncached_prompt_t/s={}  compl_t/s={}",
        rate(totals.prompt),
        rate(totals.cached),
        rate(totals.prompt.saturating_sub(totals.cached)),
        rate(totals.completion),
    )
}

/// `MM:SS`, with hours in front where there are any.
fn clock(time: Nanos) -> String {
    let seconds = time.0 / Nanos::SECOND.0;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_lines_are_the_originals() {
        let snapshot = Snapshot {
            completed: 8,
            totals: Totals { prompt: 42_000, cached: 21_000, completion: 420 },
            recent: Totals { prompt: 30_000, cached: 15_000, completion: 300 },
            recent_seconds: 30,
            ..Snapshot::default()
        };
        let lines = lines(&snapshot, Nanos::from_secs(42), Nanos::from_secs(300));
        assert_eq!(
            lines,
            [
                "Running benchmark  elapsed=00:42/05:00  completed=8  trace/s=0.19",
                "overall:  total_prompt_t/s=1000  cached_prompt_t/s=500  uncached_prompt_t/s=500  compl_t/s=10",
                "last30:   total_prompt_t/s=1000  cached_prompt_t/s=500  uncached_prompt_t/s=500  compl_t/s=10",
            ]
        );
        let early = Snapshot { recent_seconds: 0, ..snapshot };
        let [_, _, recent] = super::lines(&early, Nanos::SECOND, Nanos::from_secs(300));
        assert!(recent.starts_with("last30:   total_prompt_t/s=-  cached"), "{recent}");
        assert_eq!(clock(Nanos::from_secs(3723)), "1:02:03");
    }
}
