//! One pass over the rows of a run: per-trace and whole-run tallies. No row is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::MetricId;
use super::counts::{Counts, answer_tokens, expected};
use super::dense::{Dense, Slot, slots};
use super::estimate::{Spread, float, millis, seconds};
use super::goodput::RequestGoodput;
use super::groups::TTFT_GROUPS;
use super::instruments::Instruments;
use super::objectives::Objectives;
use super::path::Legs;
use super::seed::{SeedPoint, SeedTrace};
use super::state::Reuse;
use super::steady::{Seen, Steadiness};
use crate::record::{
    ClientRow, Histogram, Manifest, Outcome, Reason, RequestRow, TraceEvent, TraceOutcome, TraceRow,
};
use crate::units::{Nanos, Tokens};

/// All runs, folded. Times are nanoseconds since the start of the run they belong to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By (run, instance).
    pub(super) traces: BTreeMap<(usize, u64), TraceTally>,
    pub(super) requests: RequestTally,
    pub(super) client: ClientTally,
    pub(super) instruments: Instruments,
    pub(super) spans: Vec<Span>,
    /// Found once all rows are folded.
    pub(super) steadiness: Steadiness,
    /// What requests and traces are held against; set before any row.
    pub(super) objectives: Objectives,
}

/// When a run was measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: Nanos,
    /// The last instant in the window; `None` in a killed run until all rows are read.
    window: Option<u64>,
    /// The end of the run; for a killed one the last stamp seen so far.
    pub(super) end: u64,
    /// Why it ended; `None`: it was killed.
    ending: Option<Reason>,
    stream: bool,
    /// Tokens that the server's prefix cache keeps or drops together.
    block: Tokens,
    /// The server leaves cached tokens out where there are none.
    omits_cached_zero: bool,
    /// How many cached tokens beyond those that the run itself had sent are no sign of a cache that
    /// was warm when it started; `None` where content is not the run's alone.
    pub(super) slack: Option<Tokens>,
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
    pub(super) itl: Spread,
    pub(super) stall: Spread,
    pub(super) output: Spread,
    pub(super) reuse_loss: Spread,
    pub(super) join_wait: Spread,
}

/// All requests.
#[derive(Debug, Default)]
pub(super) struct RequestTally {
    pub(super) ttft_later: Vec<f64>,
    /// By [`TTFT_GROUPS`].
    pub(super) ttft_groups: [Vec<f64>; TTFT_GROUPS.len()],
    /// Requests after the first of their trace that were cut off before their first token.
    pub(super) ttft_later_unseen: u64,
    pub(super) tpot: Vec<f64>,
    pub(super) itl: Dense,
    /// Of the row at hand, where its latencies count.
    pub(super) itl_slots: Vec<Slot>,
    pub(super) stall: Vec<f64>,
    pub(super) output: Vec<f64>,
    pub(super) reuse_loss: Vec<f64>,
    pub(super) join_wait: Vec<f64>,
    pub(super) served: Vec<Served>,
    /// Answer tokens by the instant their second begins.
    pub(super) credit: BTreeMap<u64, Tokens>,
    /// Prompt tokens times nanoseconds in flight in the window.
    pub(super) prompt_time: u128,
    /// Nanoseconds in flight in the window.
    pub(super) busy: u128,
    pub(super) lanes: bool,
    /// Requests by (run, slot), as they come.
    pub(super) slots: BTreeMap<(usize, u32), Vec<Seen>>,
    /// Later requests that said what was cached: how many, and of how many most was lost.
    pub(super) reuse: Reuse,
    pub(super) seed_points: Vec<SeedPoint>,
    pub(super) seed_itl: Dense,
    pub(super) seed_outputs: Vec<f64>,
    pub(super) counts: Counts,
    pub(super) goodput: RequestGoodput,
}

/// Prompt tokens of a request, at the instant they count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) at: u64,
    pub(super) total: Tokens,
    pub(super) cached: Cached,
}

/// How much of a prompt came from the server's cache.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cached {
    /// As the server said.
    Reported(Tokens),
    /// As a perfect cache would have it: the server did not say.
    Expected {
        tokens: Tokens,
        /// Whether the answer came to its end: then the server could have said.
        finished: bool,
    },
}

/// What the client did.
#[derive(Debug, Default)]
pub(super) struct ClientTally {
    pub(super) lag: Histogram,
    pub(super) queue_full: u64,
    pub(super) reads: u64,
    pub(super) merged_reads: u64,
    pub(super) clock_steps: u64,
}

impl Tally {
    /// Opens the next run; rows folded from here on belong to it.
    pub(super) fn begin(&mut self, manifest: &Manifest) {
        let ending = manifest.ending.as_ref();
        let end = ending.map_or(0, |ending| since(manifest.start_ns, ending.end_ns));
        let window = ending.map(|ending| match ending.reason {
            Reason::Deadline => manifest.duration_ns.0,
            Reason::Interrupted | Reason::MaxFailures | Reason::Failed => {
                end.min(manifest.duration_ns.0)
            }
        });
        let (start, stream) = (manifest.start_ns, manifest.stream);
        let found = manifest.preflight.as_ref().map(|preflight| &preflight.capabilities);
        let block = found.and_then(|found| found.block_size).unwrap_or(1).max(1);
        let omits_cached_zero = found.is_some_and(|found| found.omits_cached_zero);
        let ending = ending.map(|ending| ending.reason);
        let slack = slack(manifest, block);
        let span = Span { start, window, end, ending, stream, block, omits_cached_zero, slack };
        self.instruments.begin(manifest);
        self.spans.push(span);
    }

    /// Closes a run. The end of a killed one is the last stamp seen.
    pub(super) fn finish(&mut self, duration: Nanos) {
        let span = self.spans.last_mut().expect("a run was begun");
        span.window.get_or_insert(span.end.min(duration.0));
    }

    /// Length of the window, in nanoseconds: the longest of the runs.
    pub(super) fn window(&self) -> u64 {
        self.spans.iter().filter_map(|span| span.window).max().unwrap_or(0)
    }

    /// Rows that are missing, there twice, or contradict each other.
    pub(super) fn contradictions(&self) -> u64 {
        let traces = self.traces.iter();
        let traces: u64 =
            traces.map(|((run, _), trace)| trace.contradictions(self.spans[*run])).sum();
        traces + self.requests.counts.impossible
    }

    /// When a trace of run `run` ended; for one without an end, when its run did.
    pub(super) fn end_of(&self, run: usize, trace: &TraceTally) -> u64 {
        trace.ended.as_ref().map_or(self.spans[run].end, |(at, _)| *at)
    }

    /// Folds a row of `traces.jsonl`. All of them come before the run's requests.
    pub(super) fn trace(&mut self, row: &TraceRow) {
        let (run, at) = (self.spans.len() - 1, self.stamp(row.at_ns));
        let tally = self.traces.entry((run, row.trace)).or_default();
        tally.steps = row.steps;
        tally.entered = row.entered_step;
        tally.slot = row.slot;
        tally.final_step = Some(row.final_step);
        tally.planned_tokens = row.planned_prompt_tokens + row.planned_completion_tokens;
        match &row.event {
            TraceEvent::Admitted => {
                tally.admitted = Some(at);
                tally.held = row.held_ns.map(|held| held.0);
            }
            TraceEvent::Ended(outcome) => tally.ended = Some((at, outcome.clone())),
        }
    }

    /// Folds a row of `requests.jsonl`.
    pub(super) fn request(&mut self, raw: &RequestRow) {
        let times = self.times(raw);
        let span = *self.spans.last().expect("a run was begun");
        let row = &*span.understood(raw);
        let trace = self.traces.entry((self.spans.len() - 1, row.trace)).or_default();
        trace.legs.add(row, &times);
        self.requests.counts.add(row, &times);
        self.requests.counts.add_warmth(row, span);
        self.requests.serve(row, &times, span, trace);
        trace.add_times(row, &times);
        if !self.objectives.is_empty() {
            let goodput = &mut self.requests.goodput;
            goodput.add(&self.objectives, (row, &times), span.window, trace);
        }
        self.requests.add_stream(row, &times, trace);
        self.requests.add_join(row, trace);
        if row.outcome == Outcome::Ok {
            trace.finished_requests += 1;
            self.requests.add_speed(row, &times, trace);
            self.requests.add_output(row, trace);
            self.requests.add_cache(row, span.block, trace);
        }
        self.requests.add_state(row, &times, (self.spans.len() - 1, trace.slot));
        self.requests.add_seed(raw, &times, trace, span.stream);
    }

    /// Folds a row of `client.jsonl`.
    pub(super) fn client(&mut self, row: &ClientRow) {
        self.instruments.client(row);
        self.client.lag.merge(&row.lag);
        self.client.queue_full += row.queue_full;
        self.client.reads += row.reads;
        self.client.merged_reads += row.merged_reads;
        self.client.clock_steps = self.client.clock_steps.max(row.clock_steps);
    }

    /// Since the run's start; a killed run ends at the latest of these.
    fn stamp(&mut self, at: Nanos) -> u64 {
        let span = self.spans.last_mut().expect("a run was begun");
        let at = since(span.start, at);
        if span.ending.is_none() {
            span.end = span.end.max(at);
        }
        at
    }

    fn times(&mut self, row: &RequestRow) -> Times {
        let mut stamp = |at: Option<Nanos>| at.map(|at| self.stamp(at));
        Times {
            waited_until: stamp(row.waited_until_ns),
            intent: stamp(Some(row.intent_ns)).unwrap_or(0),
            start: stamp(row.start_ns),
            connected: stamp(row.connected_ns),
            sent: stamp(row.sent_ns),
            headers: stamp(row.headers_ns).or_else(|| stamp(row.first_event_ns)),
            first_token: stamp(row.first_token_ns),
            first_visible: stamp(row.first_visible_ns),
            last_token: stamp(row.last_token_ns),
            end: stamp(row.end_ns),
        }
    }
}

impl Span {
    /// Whether a fault ended it before its time, not the user.
    pub(super) fn broke_off(self) -> bool {
        match self.ending {
            Some(Reason::MaxFailures | Reason::Failed) => true,
            Some(Reason::Deadline | Reason::Interrupted) | None => false,
        }
    }

    /// The row with what the server means by leaving something out.
    fn understood(self, row: &RequestRow) -> Cow<'_, RequestRow> {
        let told = row.outcome == Outcome::Ok && row.prompt_tokens.is_some();
        if self.omits_cached_zero && told && row.cached_tokens.is_none() {
            return Cow::Owned(RequestRow { cached_tokens: Some(0), ..row.clone() });
        }
        Cow::Borrowed(row)
    }
}

/// The stamps of a request since the start of its run.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) waited_until: Option<u64>,
    pub(super) intent: u64,
    pub(super) start: Option<u64>,
    pub(super) connected: Option<u64>,
    pub(super) sent: Option<u64>,
    headers: Option<u64>,
    pub(super) first_token: Option<u64>,
    pub(super) first_visible: Option<u64>,
    pub(super) last_token: Option<u64>,
    pub(super) end: Option<u64>,
}

impl Times {
    /// The latest instant at which the request was seen alive.
    fn last_seen(&self) -> u64 {
        let stamps = [self.start, self.connected, self.sent, self.headers, self.last_token];
        self.end.unwrap_or_else(|| stamps.into_iter().flatten().fold(self.intent, u64::max))
    }
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
    fn contradictions(&self, span: Span) -> u64 {
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

    fn add_times(&mut self, row: &RequestRow, times: &Times) {
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

impl RequestTally {
    /// Credits tokens when they arrived, and the time in flight.
    fn serve(&mut self, row: &RequestRow, times: &Times, span: Span, trace: &mut TraceTally) {
        let inside = |at: u64| span.window.is_none_or(|window| at <= window);
        let prompt = row.prompt_tokens.unwrap_or(row.planned_prompt_tokens);
        let window = span.window.unwrap_or(u64::MAX);
        let flight = times.last_seen().min(window).saturating_sub(times.intent);
        self.busy += u128::from(flight);
        self.prompt_time += u128::from(prompt) * u128::from(flight);
        self.lanes |= row.lane != 0;
        for credit in &row.credit {
            let second = Nanos::from_secs_f64(credit.0).unwrap_or(Nanos::MAX).0;
            *self.credit.entry(second).or_insert(0) += credit.1;
            if span.window.is_none_or(|window| second < window) {
                trace.served += credit.1;
            }
        }
        let Some(at) = arrival(row, times) else { return };
        let cached = row.cached_tokens.map_or_else(|| self.expected_cached(row), Cached::Reported);
        self.served.push(Served { at, total: prompt, cached });
        self.counts.prompt_from_plan += u64::from(row.prompt_tokens.is_none());
        if inside(at) {
            trace.served += prompt;
        }
    }

    /// What stands in for cached tokens that were not reported.
    fn expected_cached(&mut self, row: &RequestRow) -> Cached {
        let tokens = expected(row);
        self.counts.cached_stand_in += tokens;
        Cached::Expected { tokens, finished: row.outcome == Outcome::Ok }
    }

    /// Values of any streamed attempt, finished or not.
    fn add_stream(&mut self, row: &RequestRow, times: &Times, trace: &mut TraceTally) {
        self.itl_slots.clear();
        self.itl_slots.extend(slots(&row.itl));
        self.itl.add_slots(&self.itl_slots);
        for (nanos, count) in row.itl.iter() {
            trace.spreads.itl.add(millis(nanos), float(count));
        }
        let unseen = times.first_token.is_none() && row.outcome == Outcome::CutOff;
        self.ttft_later_unseen += u64::from(unseen && row.step > 0);
        let Some(token) = times.first_token else { return };
        let wait = seconds(token.saturating_sub(times.intent));
        if row.step > 0 {
            self.ttft_later.push(wait);
            trace.spreads.ttft_later.add(wait, 1.0);
        }
        for (at, _) in TTFT_GROUPS.iter().enumerate().filter(|(_, group)| group.holds(row)) {
            self.ttft_groups[at].push(wait);
            trace.spreads.ttft_groups[at].add(wait, 1.0);
        }
    }

    /// How long the first branch of a join waited for the last one.
    fn add_join(&mut self, row: &RequestRow, trace: &mut TraceTally) {
        if let Some(wait) = row.join_wait_ns.filter(|_| row.attempt == 0) {
            self.join_wait.push(wait.as_secs_f64());
            trace.spreads.join_wait.add(wait.as_secs_f64(), 1.0);
        }
    }

    /// Decode speed and stall of a finished request.
    fn add_speed(&mut self, row: &RequestRow, times: &Times, trace: &mut TraceTally) {
        if let Some(stall) = row.stall_ns {
            self.stall.push(stall.as_millis_f64());
            trace.spreads.stall.add(stall.as_millis_f64(), 1.0);
        }
        let Some((tokens, nanos)) = decode(row, times) else {
            self.counts.decode_left_out += u64::from(times.first_token.is_some());
            return;
        };
        let tpot = millis(nanos) / float(tokens);
        self.tpot.push(tpot);
        trace.spreads.tpot.add(tpot, 1.0);
        trace.decode_sum += float(tokens) / seconds(nanos);
        trace.decode_requests += 1;
    }

    /// Answer tokens of a finished request.
    fn add_output(&mut self, row: &RequestRow, trace: &mut TraceTally) {
        if let Some(tokens) = answer_tokens(row) {
            self.output.push(float(tokens));
            trace.spreads.output.add(float(tokens), 1.0);
            trace.output += tokens;
        }
    }

    /// Cache use of a finished request that said it.
    fn add_cache(&mut self, row: &RequestRow, block: Tokens, trace: &mut TraceTally) {
        let (Some(cached), Some(prompt)) = (row.cached_tokens, row.prompt_tokens) else { return };
        trace.cached += cached;
        trace.prompt += prompt;
        if row.step == 0 || row.eligible_tokens == 0 {
            return;
        }
        trace.eligible += row.eligible_tokens;
        trace.eligible_cached += cached.min(row.eligible_tokens);
        // What fills no whole block is never kept, and so not lost.
        let eligible = row.eligible_tokens - row.eligible_tokens % block;
        let loss = float(eligible.saturating_sub(cached));
        self.reuse_loss.push(loss);
        trace.spreads.reuse_loss.add(loss, 1.0);
    }
}

/// When the prompt of a request counts as served: at its first token, or at the end of an answer
/// that was not streamed.
fn arrival(row: &RequestRow, times: &Times) -> Option<u64> {
    let whole = if row.outcome == Outcome::Ok { times.end } else { None };
    times.first_token.or(whole)
}

/// Tokens after the first chunk and the time they took; `None` where there are none or no time.
pub(super) fn decode(row: &RequestRow, times: &Times) -> Option<(Tokens, u64)> {
    let tokens = answer_tokens(row)?.checked_sub(row.first_chunk_tokens?)?;
    let nanos = times.last_token?.checked_sub(times.first_token?)?;
    (tokens > 0 && nanos > 0).then_some((tokens, nanos))
}

/// A block that is filled up by chance. `None` where warmth means nothing: on purpose, or in chats,
/// whose prompts share what the template makes of tools and roles, which nobody follows.
fn slack(manifest: &Manifest, block: Tokens) -> Option<Tokens> {
    // Without the option its default holds.
    let scope = manifest.options.get("cache_scope").map(|option| option.value.as_str());
    (scope != Some("seed") && manifest.history != "chat").then_some(block)
}

fn since(start: Nanos, at: Nanos) -> u64 {
    at.0.saturating_sub(start.0)
}
