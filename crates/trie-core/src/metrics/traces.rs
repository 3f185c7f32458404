//! Tallies of single traces.

use std::collections::BTreeMap;

use super::MetricId;
use super::estimate::{Exact, Spread};
use super::fold::{Span, Times};
use super::groups::TTFT_GROUPS;
use super::path::Legs;
use super::seed::SeedTrace;
use crate::record::{RequestRow, TraceEvent, TraceOutcome, TraceRow};
use crate::units::Tokens;

/// A trace's run and its number.
pub(super) type Key = (usize, u64);

/// Traces of one share, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Part {
    traces: Vec<(Key, TraceTally)>,
    /// Where those of the run at hand lie, by number. A tally has most of a kilobyte: they lie apart from
    /// what is searched.
    places: BTreeMap<u64, usize>,
}

/// All traces, in the order of runs and numbers.
#[derive(Debug)]
pub(super) struct Traces {
    parts: Vec<Part>,
    /// Key, part and place of each.
    order: Vec<(Key, usize, usize)>,
}

impl Part {
    /// Opens the next run.
    pub(super) fn begin(&mut self) {
        self.places.clear();
    }

    /// The trace of this key, which is of the run at hand.
    pub(super) fn entry(&mut self, key: Key) -> &mut TraceTally {
        let place = *self.places.entry(key.1).or_insert(self.traces.len());
        if place == self.traces.len() {
            self.traces.push((key, TraceTally::default()));
        }
        &mut self.traces[place].1
    }
}

impl Traces {
    /// Of parts that have no trace in common.
    pub(super) fn of(parts: Vec<Part>) -> Self {
        let mut order = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let places = part.traces.iter().enumerate();
            order.extend(places.map(|(place, (key, _))| (*key, number, place)));
        }
        order.sort_unstable();
        Self { parts, order }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.order.iter().map(|(key, _, _)| *key)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &TraceTally> + Clone + '_ {
        self.order.iter().map(|&(_, part, place)| &self.parts[part].traces[place].1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &TraceTally)> + '_ {
        self.keys().zip(self.values())
    }
}

/// One trace.
#[derive(Debug, Default)]
pub(super) struct TraceTally {
    pub(super) admitted: Option<u64>,
    /// Nanoseconds that its slot waited for an earlier row of its session.
    pub(super) held: Option<u64>,
    first_intent: Option<u64>,
    /// The step at which it was entered in the middle of its life.
    entered: Option<u32>,
    slot: u32,
    pub(super) ended: Option<(u64, TraceOutcome)>,
    steps: u32,
    final_step: Option<u32>,
    pub(super) planned_tokens: Tokens,
    pub(super) last_end: u64,
    first_token: Latest,
    final_token: Latest,
    pub(super) decode_sum: f64,
    pub(super) decode_requests: u64,
    pub(super) finished_requests: u64,
    pub(super) prompt: Tokens,
    pub(super) cached: Tokens,
    pub(super) eligible: Tokens,
    pub(super) eligible_cached: Tokens,
    pub(super) output: Tokens,
    /// Prompt and answer tokens that arrived in the window.
    pub(super) served: Tokens,
    pub(super) spreads: Spreads,
    pub(super) seed: SeedTrace,
    pub(super) legs: Legs,
    /// Objectives that its requests broke.
    pub(super) broke: Vec<MetricId>,
}

/// The first token of a step's latest attempt.
#[derive(Clone, Copy, Debug, Default)]
struct Latest {
    attempt: u32,
    token: Option<u64>,
}

/// Per-request values of one trace, for the correlation inside traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spreads {
    pub(super) ttft_later: Spread,
    pub(super) ttft_groups: [Spread; TTFT_GROUPS.len()],
    pub(super) tpot: Spread,
    pub(super) itl: Exact,
    pub(super) stall: Spread,
    pub(super) output: Spread,
    pub(super) reuse_loss: Spread,
    pub(super) join_wait: Spread,
}

impl TraceTally {
    /// Intent of the trace: of its admission, or of its earliest request where that row is lost.
    pub(super) fn intent(&self) -> u64 {
        self.admitted.or(self.first_intent).unwrap_or(0)
    }

    /// When the first step's first token came.
    pub(super) fn first_token(&self) -> Option<u64> {
        self.first_token.token
    }

    /// When the final step's first token came.
    pub(super) fn final_token(&self) -> Option<u64> {
        self.final_token.token
    }

    /// Whether it was entered in the middle of its life: then nothing is known of the whole of it.
    pub(super) fn entered(&self) -> bool {
        self.entered.is_some()
    }

    /// Whether every step ended well.
    pub(super) fn completed(&self) -> bool {
        matches!(self.ended, Some((_, TraceOutcome::Completed)))
    }

    /// Rows that it lacks, has twice, or has without having been admitted; a killed run may have
    /// lost the row that says so.
    pub(super) fn contradictions(&self, span: Span) -> u64 {
        let (attempts, twice) = self.legs.count();
        let stray = self.admitted.is_none() && span.ending.is_some();
        let orphans = if stray { attempts } else { 0 };
        let lacks = if self.completed() {
            u64::from(self.steps() - self.entered.unwrap_or(0))
                .saturating_sub(self.finished_requests)
        } else {
            0
        };
        lacks + (twice + orphans) as u64
    }

    /// Whether a step failed.
    pub(super) fn failed(&self) -> bool {
        matches!(self.ended, Some((_, TraceOutcome::Failed(_))))
    }

    /// Whether `step` is the final one; unknown where the admission row is lost.
    pub(super) fn is_final(&self, step: u32) -> bool {
        self.final_step == Some(step)
    }

    /// Steps the plan gives it.
    pub(super) fn steps(&self) -> u32 {
        self.steps
    }

    /// The slot it ran in.
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    /// Folds a row of `traces.jsonl`; `at` is its time.
    pub(super) fn add_row(&mut self, row: &TraceRow, at: u64) {
        self.steps = row.steps;
        self.entered = row.entered_step;
        self.slot = row.slot;
        self.final_step = Some(row.final_step);
        self.planned_tokens = row.planned_prompt_tokens + row.planned_completion_tokens;
        match &row.event {
            TraceEvent::Admitted => {
                self.admitted = Some(at);
                self.held = row.held_ns.map(|held| held.0);
            }
            TraceEvent::Ended(outcome) => self.ended = Some((at, outcome.clone())),
        }
    }

    /// Notes the stamps of a request.
    pub(super) fn add_times(&mut self, row: &RequestRow, times: &Times) {
        let first = self.first_intent.unwrap_or(times.intent).min(times.intent);
        self.first_intent = Some(first);
        self.last_end = self.last_end.max(times.end.unwrap_or(0));
        if row.step == 0 {
            self.first_token.see(row.attempt, times.first_token);
        }
        if self.is_final(row.step) {
            self.final_token.see(row.attempt, times.first_token);
        }
    }
}

impl Latest {
    fn see(&mut self, attempt: u32, token: Option<u64>) {
        if attempt >= self.attempt {
            *self = Self { attempt, token };
        }
    }
}
