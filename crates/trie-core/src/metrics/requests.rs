//! The tally of all requests.

use std::collections::BTreeMap;

use super::counts::{Counts, answer_tokens, expected, merge_counts};
use super::dense::{Dense, Slot, slots};
use super::estimate::{float, millis, seconds};
use super::fold::{Span, Times};
use super::goodput::RequestGoodput;
use super::groups::TTFT_GROUPS;
use super::seed::SeedPoint;
use super::state::Reuse;
use super::steady::Seen;
use super::traces::TraceTally;
use crate::record::{Outcome, RequestRow};
use crate::units::{Nanos, Tokens};

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

impl RequestTally {
    /// Adds what another share saw, behind this one's own.
    pub(super) fn merge(&mut self, other: Self) {
        let Self {
            ttft_later,
            ttft_groups,
            ttft_later_unseen,
            tpot,
            itl,
            itl_slots: _,
            stall,
            output,
            reuse_loss,
            join_wait,
            served,
            credit,
            prompt_time,
            busy,
            lanes,
            slots,
            reuse,
            seed_points,
            seed_itl,
            seed_outputs,
            counts,
            goodput,
        } = other;
        self.ttft_later.extend(ttft_later);
        for (group, more) in self.ttft_groups.iter_mut().zip(ttft_groups) {
            group.extend(more);
        }
        self.ttft_later_unseen += ttft_later_unseen;
        self.tpot.extend(tpot);
        self.itl.merge(&itl);
        self.stall.extend(stall);
        self.output.extend(output);
        self.reuse_loss.extend(reuse_loss);
        self.join_wait.extend(join_wait);
        self.served.extend(served);
        merge_counts(&mut self.credit, credit);
        self.prompt_time += prompt_time;
        self.busy += busy;
        self.lanes |= lanes;
        for (slot, seen) in slots {
            self.slots.entry(slot).or_default().extend(seen);
        }
        self.reuse.merge(reuse);
        self.seed_points.extend(seed_points);
        self.seed_itl.merge(&seed_itl);
        self.seed_outputs.extend(seed_outputs);
        self.counts.merge(counts);
        self.goodput.merge(goodput);
    }

    /// Credits tokens when they arrived, and the time in flight.
    pub(super) fn serve(
        &mut self,
        row: &RequestRow,
        times: &Times,
        span: Span,
        trace: &mut TraceTally,
    ) {
        let window = span.window;
        let prompt = row.prompt_tokens.unwrap_or(row.planned_prompt_tokens);
        let flight = times.last_seen().min(window).saturating_sub(times.intent);
        self.busy += u128::from(flight);
        self.prompt_time += u128::from(prompt) * u128::from(flight);
        self.lanes |= row.lane != 0;
        for credit in &row.credit {
            let second = Nanos::from_secs_f64(credit.0).unwrap_or(Nanos::MAX).0;
            *self.credit.entry(second).or_insert(0) += credit.1;
            if second < window {
                trace.served += credit.1;
            }
        }
        let Some(at) = arrival(row, times) else { return };
        let cached = row.cached_tokens.map_or_else(|| self.expected_cached(row), Cached::Reported);
        self.served.push(Served { at, total: prompt, cached });
        self.counts.prompt_from_plan += u64::from(row.prompt_tokens.is_none());
        if at <= window {
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
    pub(super) fn add_stream(&mut self, row: &RequestRow, times: &Times, trace: &mut TraceTally) {
        self.itl_slots.clear();
        self.itl_slots.extend(slots(&row.itl));
        self.itl.add_slots(&self.itl_slots);
        trace.spreads.itl.add_all(&row.itl);
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
    pub(super) fn add_join(&mut self, row: &RequestRow, trace: &mut TraceTally) {
        if let Some(wait) = row.join_wait_ns.filter(|_| row.attempt == 0) {
            self.join_wait.push(wait.as_secs_f64());
            trace.spreads.join_wait.add(wait.as_secs_f64(), 1.0);
        }
    }

    /// Decode speed and stall of a finished request.
    pub(super) fn add_speed(&mut self, row: &RequestRow, times: &Times, trace: &mut TraceTally) {
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
    pub(super) fn add_output(&mut self, row: &RequestRow, trace: &mut TraceTally) {
        if let Some(tokens) = answer_tokens(row) {
            self.output.push(float(tokens));
            trace.spreads.output.add(float(tokens), 1.0);
            trace.output += tokens;
        }
    }

    /// Cache use of a finished request that said it.
    pub(super) fn add_cache(&mut self, row: &RequestRow, block: Tokens, trace: &mut TraceTally) {
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
