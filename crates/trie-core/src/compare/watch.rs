//! What pairs need of a run's rows.

use std::collections::BTreeMap;

use crate::metrics::Observation;
use crate::record::{Manifest, Outcome, RequestRow, TraceEvent, TraceOutcome, TraceRow};
use crate::units::{Nanos, Tokens};

/// A step that finished.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Seconds to the first token.
    pub(super) ttft: Option<f64>,
    /// Milliseconds a token.
    pub(super) tpot: Option<f64>,
    /// Seconds to the end.
    pub(super) latency: Option<f64>,
    /// Cached and all prompt tokens, where the server said both.
    pub(super) cached: Option<(Tokens, Tokens)>,
}

/// A trace that was admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// How long it took, or was watched.
    pub(super) seen: Observation,
    /// From its intent to the end of the window, in nanoseconds: how long it could be watched.
    pub(super) room: u64,
}

/// Finished steps and waits of one run.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// By (instance, step).
    pub(super) steps: BTreeMap<(u64, u32), Step>,
    traces: BTreeMap<u64, Trace>,
    latest: Nanos,
}

#[derive(Debug, Default)]
struct Trace {
    admitted: Option<Nanos>,
    ended: Option<Nanos>,
    completed: bool,
    last_end: Nanos,
    /// Entered in the middle of its life, and perhaps elsewhere on the other side.
    entered: bool,
}

impl Watched {
    pub(super) fn trace(&mut self, row: &TraceRow) {
        self.latest = self.latest.max(row.at_ns);
        let trace = self.traces.entry(row.trace).or_default();
        trace.entered |= row.entered_step.is_some();
        match &row.event {
            TraceEvent::Admitted => trace.admitted = Some(row.at_ns),
            TraceEvent::Ended(outcome) => {
                trace.ended = Some(row.at_ns);
                trace.completed = *outcome == TraceOutcome::Completed;
            }
        }
    }

    pub(super) fn request(&mut self, row: &RequestRow) {
        self.latest = self.latest.max(row.end_ns.unwrap_or(row.intent_ns));
        let trace = self.traces.entry(row.trace).or_default();
        trace.last_end = trace.last_end.max(row.end_ns.unwrap_or_default());
        if row.outcome == Outcome::Ok {
            self.steps.insert((row.trace, row.step), step(row));
        }
    }

    /// Leaves out traces that were entered in the middle of their life: where depends on the engine.
    pub(super) fn whole(mut self) -> Self {
        let entered = |number: &u64| self.traces.get(number).is_some_and(|trace| trace.entered);
        self.steps.retain(|(number, _), _| !entered(number));
        self.traces.retain(|_, trace| !trace.entered);
        self
    }

    /// Every admitted trace.
    pub(super) fn waits(&self, manifest: &Manifest) -> BTreeMap<u64, Wait> {
        let deadline = manifest.start_ns.0.saturating_add(manifest.duration_ns.0);
        let end = manifest.ending.as_ref().map_or(self.latest, |ending| ending.end_ns);
        let wait = |(number, trace): (&u64, &Trace)| {
            let ended = trace.ended.unwrap_or(end);
            let saw_end = trace.completed && trace.last_end > Nanos::ZERO;
            let until = if saw_end { trace.last_end } else { ended };
            let admitted = trace.admitted?;
            let nanos = until.0.saturating_sub(admitted.0);
            let room = deadline.min(end.0).saturating_sub(admitted.0);
            let seen = Observation { nanos, seen: trace.completed };
            Some((*number, Wait { seen, room }))
        };
        let admitted = self.traces.iter().filter(|(_, trace)| trace.admitted.is_some());
        admitted.filter_map(wait).collect()
    }
}

fn step(row: &RequestRow) -> Step {
    let since = |from: Option<Nanos>, to: Option<Nanos>| to?.0.checked_sub(from?.0);
    let intent = Some(row.intent_ns);
    let seconds = |nanos: u64| Nanos(nanos).as_secs_f64();
    let decode = since(row.first_token_ns, row.last_token_ns).filter(|nanos| *nanos > 0);
    let after = row.completion_tokens.zip(row.first_chunk_tokens);
    let after = after.and_then(|(all, first)| all.checked_sub(first)).filter(|after| *after > 0);
    let after = after.and_then(|after| u32::try_from(after).ok());
    Step {
        ttft: since(intent, row.first_token_ns).map(seconds),
        tpot: decode
            .zip(after)
            .map(|(nanos, after)| Nanos(nanos).as_millis_f64() / f64::from(after)),
        latency: since(intent, row.end_ns).map(seconds),
        cached: row.cached_tokens.zip(row.prompt_tokens),
    }
}
