//! Plain counts of the requests.

use std::collections::BTreeMap;

use super::dense::Dense;
use super::fold::{Span, Times};
use crate::record::{Outcome, RequestRow, StampSource, TokenSource};
use crate::units::Tokens;

/// Plain counts of the requests.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) outcomes: BTreeMap<Outcome, u64>,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) retries: u64,
    pub(super) stale_resends: u64,
    pub(super) prompt_known: u64,
    pub(super) prompt_exact: u64,
    pub(super) completion_known: u64,
    pub(super) completion_exact: u64,
    pub(super) prompt_drift: Drift,
    pub(super) completion_drift: Drift,
    pub(super) usage_missing: u64,
    pub(super) prompt_from_plan: u64,
    pub(super) cached_known: u64,
    pub(super) cached_reported: Tokens,
    pub(super) cached_expected: Tokens,
    /// How far the reported ones are from what a perfect cache holds at least and at most.
    pub(super) cached_apart: Tokens,
    pub(super) cached_stand_in: Tokens,
    /// Finished requests that say what was cached, in runs with content of their own.
    pub(super) warmth_known: u64,
    /// Of those, the ones with more cached than the requests of the run had brought in.
    pub(super) too_warm: u64,
    pub(super) decode_left_out: u64,
    pub(super) token_sources: BTreeMap<TokenSource, u64>,
    pub(super) stamp_sources: BTreeMap<StampSource, u64>,
    pub(super) late_chunks: u64,
    pub(super) uncounted: Tokens,
    pub(super) excess: Tokens,
    /// Rows whose stamps or counts contradict each other.
    pub(super) impossible: u64,
    pub(super) connects_after_intent: u64,
    /// Requests that waited for a window of HTTP/2, and how long together, ns.
    pub(super) window_waits: u64,
    pub(super) window_wait_ns: u64,
    pub(super) send_lateness: Dense,
}

/// Planned against reported tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drift {
    pub(super) planned: Tokens,
    pub(super) signed: i64,
    pub(super) absolute: Tokens,
}

impl Counts {
    pub(super) fn add(&mut self, row: &RequestRow, times: &Times) {
        *self.outcomes.entry(row.outcome).or_insert(0) += 1;
        if let Some(error) = &row.error {
            *self.failures.entry(error.kind.clone()).or_insert(0) += 1;
        }
        self.impossible += u64::from(is_impossible(row));
        self.retries += u64::from(row.attempt > 0);
        self.stale_resends += u64::from(row.stale_resend);
        self.late_chunks += row.late_chunks;
        self.uncounted += row.uncounted_tokens;
        self.excess += row.excess_tokens;
        if let Some(source) = row.token_source {
            *self.token_sources.entry(source).or_insert(0) += 1;
        }
        if let Some(source) = row.stamp_source {
            *self.stamp_sources.entry(source).or_insert(0) += 1;
        }
        let late = times.connected.is_some_and(|connected| connected > times.intent);
        self.connects_after_intent += u64::from(row.connect_ns.is_some() && late);
        if let Some(wait) = row.window_wait_ns {
            self.window_waits += 1;
            self.window_wait_ns += wait.0;
        }
        if let Some(sent) = times.sent {
            self.send_lateness.add(sent.saturating_sub(times.intent));
        }
        if row.outcome == Outcome::Ok {
            self.add_usage(row);
        }
    }

    /// Adds what another share counted.
    pub(super) fn merge(&mut self, other: Self) {
        let Self {
            outcomes,
            failures,
            retries,
            stale_resends,
            prompt_known,
            prompt_exact,
            completion_known,
            completion_exact,
            prompt_drift,
            completion_drift,
            usage_missing,
            prompt_from_plan,
            cached_known,
            cached_reported,
            cached_expected,
            cached_apart,
            cached_stand_in,
            warmth_known,
            too_warm,
            decode_left_out,
            token_sources,
            stamp_sources,
            late_chunks,
            uncounted,
            excess,
            impossible,
            connects_after_intent,
            window_waits,
            window_wait_ns,
            send_lateness,
        } = other;
        merge_counts(&mut self.outcomes, outcomes);
        merge_counts(&mut self.failures, failures);
        merge_counts(&mut self.token_sources, token_sources);
        merge_counts(&mut self.stamp_sources, stamp_sources);
        self.prompt_drift.merge(prompt_drift);
        self.completion_drift.merge(completion_drift);
        self.send_lateness.merge(&send_lateness);
        for (count, more) in [
            (&mut self.retries, retries),
            (&mut self.stale_resends, stale_resends),
            (&mut self.window_waits, window_waits),
            (&mut self.window_wait_ns, window_wait_ns),
            (&mut self.prompt_known, prompt_known),
            (&mut self.prompt_exact, prompt_exact),
            (&mut self.completion_known, completion_known),
            (&mut self.completion_exact, completion_exact),
            (&mut self.usage_missing, usage_missing),
            (&mut self.prompt_from_plan, prompt_from_plan),
            (&mut self.cached_known, cached_known),
            (&mut self.cached_reported, cached_reported),
            (&mut self.cached_expected, cached_expected),
            (&mut self.cached_apart, cached_apart),
            (&mut self.cached_stand_in, cached_stand_in),
            (&mut self.warmth_known, warmth_known),
            (&mut self.too_warm, too_warm),
            (&mut self.decode_left_out, decode_left_out),
            (&mut self.late_chunks, late_chunks),
            (&mut self.uncounted, uncounted),
            (&mut self.excess, excess),
            (&mut self.impossible, impossible),
            (&mut self.connects_after_intent, connects_after_intent),
        ] {
            *count += more;
        }
    }

    fn add_usage(&mut self, row: &RequestRow) {
        if let Some(tokens) = row.prompt_tokens {
            self.prompt_known += 1;
            self.prompt_exact +=
                u64::from(self.prompt_drift.add(row.planned_prompt_tokens, tokens));
        }
        if let Some(tokens) = row.completion_tokens {
            let exact = self.completion_drift.add(row.planned_completion_tokens, tokens);
            self.completion_known += 1;
            self.completion_exact += u64::from(exact);
        }
        let silent = row.prompt_tokens.is_none() || row.completion_tokens.is_none();
        self.usage_missing += u64::from(silent);
        if let Some(cached) = row.cached_tokens {
            self.cached_known += 1;
            self.cached_reported += cached;
            let (least, most) = (expected(row), shown(row));
            self.cached_expected += least;
            self.cached_apart += cached.abs_diff(cached.clamp(least, most));
        }
    }

    /// Whether the server served what no request of this run had shown it.
    pub(super) fn add_warmth(&mut self, row: &RequestRow, span: Span) {
        let shown = row.shown_cached_tokens.or(row.expected_cached_tokens);
        let (Some(cached), Some(shown), Some(slack)) = (row.cached_tokens, shown, span.slack)
        else {
            return;
        };
        if row.outcome == Outcome::Ok {
            self.warmth_known += 1;
            self.too_warm += u64::from(cached > shown.saturating_add(slack));
        }
    }
}

impl Drift {
    /// Adds a pair; whether it is equal.
    fn add(&mut self, planned: Tokens, reported: Tokens) -> bool {
        self.planned += planned;
        self.absolute += planned.abs_diff(reported);
        self.signed =
            self.signed.saturating_add_unsigned(reported).saturating_sub_unsigned(planned);
        planned == reported
    }

    fn merge(&mut self, other: Self) {
        self.planned += other.planned;
        self.absolute += other.absolute;
        self.signed = self.signed.saturating_add(other.signed);
    }
}

/// Adds counts by name.
pub(super) fn merge_counts<Name: Ord>(all: &mut BTreeMap<Name, u64>, more: BTreeMap<Name, u64>) {
    for (name, count) in more {
        *all.entry(name).or_insert(0) += count;
    }
}

/// Whether a row says what cannot have been: a step sent before what it waited for, tokens before the
/// request, or after its end. One that is cut off ends at the deadline itself, and may see a token
/// until it is told.
fn is_impossible(row: &RequestRow) -> bool {
    let end = row.end_ns.filter(|_| row.outcome != Outcome::CutOff);
    let intent = Some(row.intent_ns);
    let order =
        [row.waited_until_ns, intent, row.start_ns, row.first_token_ns, row.last_token_ns, end];
    let stamps = order.into_iter().flatten();
    let first = row.first_chunk_tokens.unwrap_or(0);
    !stamps.is_sorted() || answer_tokens(row).is_some_and(|tokens| first > tokens)
}

/// Prompt tokens that a perfect cache could have held.
pub(super) fn expected(row: &RequestRow) -> Tokens {
    let unchanged = row.planned_prompt_tokens.saturating_sub(row.planned_new_tokens);
    row.expected_cached_tokens.unwrap_or(unchanged)
}

/// The same if every request sent before had been answered at once.
fn shown(row: &RequestRow) -> Tokens {
    row.shown_cached_tokens.unwrap_or(0).max(expected(row))
}

/// Answer tokens: by the server's usage, else as counted on arrival.
pub(super) fn answer_tokens(row: &RequestRow) -> Option<Tokens> {
    let counted = || row.credit.iter().map(|credit| credit.1).sum();
    row.completion_tokens.or_else(|| (!row.credit.is_empty()).then(counted))
}
