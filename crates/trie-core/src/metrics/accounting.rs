//! What the numbers stand on.

use super::estimate::{float, millis, percent, seconds};
use super::fold::Tally;
use super::{Accounting, Cell};
use crate::record::{Histogram, Outcome};

/// The `accounting` block.
pub(super) fn accounting(tally: &Tally) -> Accounting {
    let counts = &tally.requests.counts;
    let lateness = counts.send_lateness.histogram();
    let finished = counts.outcomes.get(&Outcome::Ok).copied().unwrap_or(0);
    Accounting {
        requests: counts.outcomes.clone(),
        request_failures: counts.failures.clone(),
        retries: counts.retries,
        stale_resends: counts.stale_resends,
        prompt_exact: share(counts.prompt_exact, counts.prompt_known),
        completion_exact: share(counts.completion_exact, counts.completion_known),
        prompt_drift_tokens: counts.prompt_drift.signed,
        completion_drift_tokens: counts.completion_drift.signed,
        usage_missing: counts.usage_missing,
        prompt_from_plan: counts.prompt_from_plan,
        cache_coverage: share(counts.cached_known, finished),
        cached_reported_tokens: counts.cached_reported,
        cached_expected_tokens: counts.cached_expected,
        cached_stand_in_tokens: counts.cached_stand_in,
        ttft_later_left_out: tally.requests.ttft_later_unseen,
        decode_left_out: counts.decode_left_out,
        token_sources: counts.token_sources.clone(),
        stamp_sources: counts.stamp_sources.clone(),
        late_chunks: counts.late_chunks,
        uncounted_tokens: counts.uncounted,
        excess_tokens: counts.excess,
        held_traces: held(tally).count() as u64,
        held_s: seconds(held(tally).sum()),
        connects_after_intent: counts.connects_after_intent,
        window_waits: Some(counts.window_waits).filter(|waits| *waits > 0),
        window_wait_s: (counts.window_waits > 0).then(|| seconds(counts.window_wait_ns)),
        send_lateness_p50_ms: quantile(&lateness, 0.50, "no request was sent"),
        send_lateness_p99_ms: quantile(&lateness, 0.99, "no request was sent"),
        client_lag_p50_ms: quantile(&tally.client.lag, 0.50, NO_STAMPS),
        client_lag_p99_ms: quantile(&tally.client.lag, 0.99, NO_STAMPS),
        client_lag_max_ms: quantile(&tally.client.lag, 1.0, NO_STAMPS),
        merged_reads: part(tally.client.merged_reads, tally.client.reads, "nothing was read"),
        clock_steps: tally.client.clock_steps,
        queue_full: tally.client.queue_full,
    }
}

/// Nanoseconds that slots waited for an earlier row of a session.
fn held(tally: &Tally) -> impl Iterator<Item = u64> + '_ {
    tally.traces.values().filter_map(|trace| trace.held)
}

/// Why there is no lag.
const NO_STAMPS: &str = "no kernel stamps";

fn share(part: u64, whole: u64) -> Cell {
    self::part(part, whole, "no finished request said it")
}

fn part(part: u64, whole: u64, without: &str) -> Cell {
    match percent(part, whole) {
        Some(_) => Cell::exact(float(part) / float(whole)),
        None => Cell::Missing(without.into()),
    }
}

fn quantile(values: &Histogram, share: f64, why: &str) -> Cell {
    match values.quantile(share) {
        Some(nanos) => Cell::exact(millis(nanos)),
        None => Cell::Missing(why.into()),
    }
}
