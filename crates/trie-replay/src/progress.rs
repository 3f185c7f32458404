//! What the live view may look at while a run goes on: a snapshot, kept off the measuring path.

use std::collections::VecDeque;
use std::sync::Mutex;

use trie_core::record::{Outcome, RequestRow, TraceEvent, TraceOutcome, TraceRow};
use trie_core::units::{Nanos, Tokens};

/// Seconds of the short window of the live view.
const SHORT_WINDOW: u64 = 30;

/// Cumulative token counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Prompt tokens of answered requests.
    pub prompt: Tokens,
    /// Of them, from the server's cache.
    pub cached: Tokens,
    /// Answer tokens.
    pub completion: Tokens,
}

impl Totals {
    /// What was added since an earlier count.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            prompt: self.prompt - earlier.prompt,
            cached: self.cached - earlier.cached,
            completion: self.completion - earlier.completion,
        }
    }
}

/// A moment of a run.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Run start, once the clock has started.
    pub start: Option<Nanos>,
    /// Traces admitted so far.
    pub admitted: u64,
    /// Traces completed.
    pub completed: u64,
    /// Traces failed.
    pub failed: u64,
    /// Token counts since the start.
    pub totals: Totals,
    /// Token counts of the last 30 s, and the seconds they cover.
    pub recent: Totals,
    /// Seconds that `recent` covers.
    pub recent_seconds: u64,
}

/// Shared between the recorder, which writes, and the live view, which reads at its own pace.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    start: Option<Nanos>,
    admitted: u64,
    completed: u64,
    failed: u64,
    totals: Totals,
    /// `totals` at the start of each of the last seconds, `(second, totals)`.
    history: VecDeque<(u64, Totals)>,
}

impl Progress {
    /// The clock started; what a run before has left is forgotten.
    pub(crate) fn started(&self, start: Nanos) {
        *self.lock() = State { start: Some(start), ..State::default() };
    }

    pub(crate) fn trace(&self, row: &TraceRow) {
        let mut state = self.lock();
        match &row.event {
            TraceEvent::Admitted => state.admitted += 1,
            TraceEvent::Ended(TraceOutcome::Completed) => state.completed += 1,
            TraceEvent::Ended(TraceOutcome::Failed(_)) => state.failed += 1,
            TraceEvent::Ended(TraceOutcome::CutOff) => {}
        }
    }

    pub(crate) fn request(&self, row: &RequestRow) {
        if row.outcome != Outcome::Ok {
            return;
        }
        let mut state = self.lock();
        state.totals.prompt += row.prompt_tokens.unwrap_or(row.planned_prompt_tokens);
        state.totals.cached += row.cached_tokens.or(row.expected_cached_tokens).unwrap_or(0);
        state.totals.completion += row.completion_tokens.unwrap_or(row.planned_completion_tokens);
    }

    /// A second of the run began.
    pub(crate) fn second(&self, second: u64) {
        let mut state = self.lock();
        let totals = state.totals;
        state.history.push_back((second, totals));
        while state.history.front().is_some_and(|(then, _)| then + SHORT_WINDOW < second) {
            state.history.pop_front();
        }
    }

    /// Where the run stands.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let ends = state.history.front().zip(state.history.back());
        let (recent, recent_seconds) = ends.map_or((Totals::default(), 0), |(first, last)| {
            (last.1.since(first.1), last.0 - first.0)
        });
        Snapshot {
            start: state.start,
            admitted: state.admitted,
            completed: state.completed,
            failed: state.failed,
            totals: state.totals,
            recent,
            recent_seconds,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("adding numbers does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_window_covers_thirty_seconds() {
        let progress = Progress::default();
        for second in 0..100 {
            progress.second(second);
            let row = RequestRow {
                outcome: Outcome::Ok,
                prompt_tokens: Some(10),
                completion_tokens: Some(1),
                ..RequestRow::default()
            };
            progress.request(&row);
        }
        let snapshot = progress.snapshot();
        assert_eq!(snapshot.totals.prompt, 1000);
        assert_eq!((snapshot.recent.prompt, snapshot.recent_seconds), (300, 30));
    }
}
