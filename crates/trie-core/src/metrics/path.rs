//! The way through a trace: its critical path and its lanes.

use std::collections::BTreeMap;

use super::fold::Times;
use crate::record::RequestRow;
use crate::units::Tokens;

/// An attempt at a step, as a stretch of its trace's time: nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug)]
struct Leg {
    step: u32,
    attempt: u32,
    lane: u32,
    intent: u64,
    end: Option<u64>,
    waited_for: Option<u32>,
    waited_until: Option<u64>,
    /// Prompt and answer.
    context: Tokens,
    /// Of the prompt, what another request had brought in.
    taken_over: Tokens,
}

/// What the server has to keep of a lane from one request to the next, as a stretch of time: nanoseconds
/// since the start of the run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Held {
    pub(super) from: u64,
    /// When the request was over.
    pub(super) end: u64,
    /// When the next one was due, or the lane was over.
    pub(super) until: u64,
    pub(super) tokens: Tokens,
    /// Prompt and answer of the request alone.
    pub(super) context: Tokens,
}

/// Attempts that memory is reserved for at first.
pub(super) const MOST_RESERVED: u32 = 256;

/// All attempts of one trace.
#[derive(Debug, Default)]
pub(super) struct Legs(Vec<Leg>);

impl Legs {
    /// Adds an attempt of a trace whose plan has so many steps.
    pub(super) fn add(&mut self, row: &RequestRow, times: &Times, steps: u32) {
        if self.0.capacity() == 0 {
            self.0.reserve_exact(steps.clamp(1, MOST_RESERVED) as usize);
        }
        self.0.push(Leg {
            step: row.step,
            attempt: row.attempt,
            lane: row.lane,
            intent: times.intent,
            end: times.end,
            waited_for: row.waited_for,
            waited_until: times.waited_until,
            context: context(row),
            taken_over: row.eligible_tokens,
        });
    }

    /// The contexts that a trace which was over at `over` kept in the server, those of its lanes side by side.
    ///
    /// A lane is over with its last request, the root's with its trace. What a lane took over from another
    /// one at its start is counted there.
    pub(super) fn held(&self, over: u64) -> Vec<Held> {
        let mut legs: Vec<&Leg> = self.0.iter().collect();
        legs.sort_by_key(|leg| (leg.lane, leg.intent));
        let lanes = legs.chunk_by(|one, next| one.lane == next.lane);
        let of_lane = |lane: &[&Leg]| -> Vec<Held> {
            let shared = if lane[0].lane == 0 { 0 } else { lane[0].taken_over };
            let stretch = |at: usize| {
                let leg = lane[at];
                let end = leg.end.unwrap_or(over).max(leg.intent);
                let last = if leg.lane == 0 { over.max(end) } else { end };
                let until = lane.get(at + 1).map_or(last, |next| next.intent);
                let tokens = leg.context.saturating_sub(shared);
                Held { from: leg.intent, end, until, tokens, context: leg.context }
            };
            (0..lane.len()).map(stretch).collect()
        };
        lanes.flat_map(of_lane).collect()
    }

    /// When the first attempt at a step was due, of those added so far.
    pub(super) fn due(&self, step: u32) -> Option<u64> {
        self.0.iter().filter(|leg| leg.step == step).map(|leg| leg.intent).min()
    }

    /// How many different attempts there are, and how many are there once more.
    pub(super) fn count(&self) -> (usize, usize) {
        let attempt = |leg: &Leg| (leg.step, leg.attempt);
        // As they nearly always stand: each behind the one before.
        if self.0.is_sorted_by(|one, next| attempt(one) < attempt(next)) {
            return (self.0.len(), 0);
        }
        let mut attempts: Vec<_> = self.0.iter().map(attempt).collect();
        attempts.sort_unstable();
        attempts.dedup();
        (attempts.len(), self.0.len() - attempts.len())
    }

    /// Nanoseconds for which a completed trace waited for the server: from the end of its last
    /// request back through those that each let the next one go. `None` where a row is missing or
    /// does not say what its step waited for.
    pub(super) fn critical_path(&self) -> Option<u64> {
        let mut first: Vec<&Leg> = self.0.iter().collect();
        first.sort_by_key(|leg| (leg.step, leg.attempt));
        first.dedup_by_key(|leg| leg.step);
        let (mut until, mut step) =
            self.0.iter().filter_map(|leg| Some((leg.end?, leg.step))).max()?;
        let mut path = 0;
        loop {
            let leg = first[first.binary_search_by_key(&step, |leg| leg.step).ok()?];
            let waited_until = leg.waited_until?;
            path += until.checked_sub(leg.intent)?;
            match leg.waited_for {
                None => return Some(path),
                // Whatever a step waits for has a lower number.
                Some(before) if before < step => (until, step) = (waited_until, before),
                Some(_) => return None,
            }
        }
    }

    /// Of a trace with several lanes, how long each took: its latest end minus its first intent.
    pub(super) fn lanes(&self) -> Vec<u64> {
        if self.0.iter().all(|leg| leg.lane == 0) {
            return Vec::new();
        }
        let mut lanes: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for leg in &self.0 {
            let (first, last) = lanes.entry(leg.lane).or_insert((leg.intent, 0));
            *first = leg.intent.min(*first);
            *last = leg.end.unwrap_or(0).max(*last);
        }
        if lanes.len() < 2 {
            return Vec::new();
        }
        lanes.into_values().map(|(first, last)| last.saturating_sub(first)).collect()
    }
}

/// Prompt and answer of a request; of one that is not over, the answer that it was to have.
fn context(row: &RequestRow) -> Tokens {
    let prompt = row.prompt_tokens.unwrap_or(row.planned_prompt_tokens);
    let answer = row.completion_tokens.unwrap_or(row.planned_completion_tokens);
    prompt.saturating_add(answer)
}
