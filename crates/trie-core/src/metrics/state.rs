//! What of a run says whether it was in its steady state, and the checks of it.

use super::distributions::lifetimes;
use super::estimate::{float, percent, seconds};
use super::fold::{Tally, Times};
use super::requests::RequestTally;
use super::steady::{Evidence, Seen, Steadiness};
use super::throughput::{credited, steady_errors};
use super::verdict::{Words, above, check};
use super::{Cell, Check, CheckId, Status, SteadyState};
use crate::record::{Outcome, RequestRow};

/// Part of the window that is left out of the steady-state column at least, in percent.
const WARM_UP_PCT: u64 = 20;

/// Later requests whose server said what was cached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reuse {
    pub(super) requests: u64,
    /// Those that found less than half of what an earlier request had left.
    pub(super) lost: u64,
}

impl Reuse {
    /// Adds what another share counted.
    pub(super) fn merge(&mut self, other: Self) {
        self.requests += other.requests;
        self.lost += other.lost;
    }
}

impl RequestTally {
    /// Notes the state of a request's slot.
    pub(super) fn add_state(&mut self, row: &RequestRow, times: &Times, slot: (usize, u32)) {
        if row.attempt > 0 {
            return;
        }
        let prompt = row.prompt_tokens.unwrap_or(row.planned_prompt_tokens);
        // One that is cut off before its first token can say nothing yet: as its plan has it.
        let unsaid = row.outcome == Outcome::CutOff && row.prompt_tokens.is_none();
        let expected = row.expected_cached_tokens.filter(|_| unsaid);
        self.slots.entry(slot).or_default().push(Seen {
            at: times.intent,
            step: row.step,
            prompt,
            cached: row.cached_tokens.or(expected),
            answer: row.completion_tokens.unwrap_or(row.planned_completion_tokens),
        });
        if let Some(cached) = row.cached_tokens.filter(|_| row.eligible_tokens > 0) {
            self.reuse.requests += 1;
            self.reuse.lost += u64::from(cached * 2 < row.eligible_tokens);
        }
    }
}

/// Whether the run was in its steady state, and from when on.
pub(super) fn steadiness(tally: &mut Tally) -> Steadiness {
    for slot in tally.requests.slots.values_mut() {
        slot.sort_by_key(|seen| seen.at);
    }
    let tally = &*tally;
    let slots = tally.requests.slots.values();
    let whole = tally.traces.values().filter(|trace| !trace.entered());
    let lengths: Vec<u32> = whole.map(super::traces::TraceTally::steps).collect();
    let survival = lifetimes(tally);
    let older = |at: u64| share_older(&survival, at);
    let (slots, window) = (slots.cloned().collect(), tally.window());
    let tokens = |from, to| credited(tally, from, to);
    Evidence { slots, window, lengths: &lengths, older: &older, tokens: &tokens }.steadiness()
}

/// Share of the traces alive in a steady state that are older than `at`, from `(time, share still alive
/// after it)`: the rest of the area under that curve. What lies beyond the last time is not in it.
fn share_older(survival: &[(u64, f64)], at: u64) -> f64 {
    let (mut all, mut beyond, mut from) = (0.0, 0.0, (0, 1.0));
    for &step in survival {
        all += float(step.0 - from.0) * from.1;
        beyond += float(step.0.saturating_sub(from.0.max(at))) * from.1;
        from = step;
    }
    if all > 0.0 { beyond / all } else { 1.0 }
}

/// The steady state in the summary.
pub(super) fn steady_state(tally: &Tally) -> Option<SteadyState> {
    let (from_pct, found) = match tally.steadiness {
        Steadiness::Unknown => return None,
        Steadiness::Throughout(found) => (Some(WARM_UP_PCT), found),
        Steadiness::From(from, found) => (Some(from), found),
        Steadiness::Nowhere(found) => (None, found),
    };
    Some(SteadyState {
        from_s: from_pct.map(|percent| seconds(tally.window()) * float(percent) / 100.0),
        deviations: found.deviations,
        halves: found.halves,
        errors: steady_errors(tally),
        age_requests: found.age,
        age_requests_expected: found.expected_age,
    })
}

/// When the steady-state column begins, in percent of the window, and what is doubtful about that.
pub(super) fn warm_up(steadiness: Steadiness) -> (u64, Option<&'static str>) {
    match steadiness {
        Steadiness::Unknown => (WARM_UP_PCT, Some(NOT_TESTED)),
        Steadiness::Throughout(_) => (WARM_UP_PCT, None),
        Steadiness::From(from, _) => (from, None),
        Steadiness::Nowhere(_) => (WARM_UP_PCT, Some(NOT_REACHED)),
    }
}

/// Whether there was a steady state from the start to the end.
pub(super) fn is_steady_throughout(steadiness: Steadiness) -> bool {
    match steadiness {
        Steadiness::Throughout(_) => true,
        Steadiness::From(..) | Steadiness::Unknown | Steadiness::Nowhere(_) => false,
    }
}

const NOT_TESTED: &str = "whether a steady state was reached could not be tested, with fewer than 4 slots of 4 \
                          requests each: the column is from 20 % of the window on";

const NOT_REACHED: &str = "no steady state was reached: the column is from 20 % of the window on, and its \
                           traffic still changes";

/// Whether the state of the slots changes over the run.
pub(super) fn steady_check(tally: &Tally) -> Check {
    let words = Words {
        threshold: "change of context, age and cache hits of the slots in deviations, or of tok/s between the \
                    halves in steps of 5 %: warns above 2, fails above 4, where no later window is without",
        advice: "the run had not come to its steady state: start=equilibrium, or a longer duration=",
    };
    match tally.steadiness {
        Steadiness::Unknown => {
            let why = "fewer than 4 slots with 4 requests each";
            check(CheckId::SteadyState, Status::Unknown, Cell::Missing(why.into()), &words)
        }
        Steadiness::Throughout(found) | Steadiness::From(_, found) => {
            check(CheckId::SteadyState, Status::Pass, Cell::exact(found.distance()), &words)
        }
        Steadiness::Nowhere(found) => {
            above(CheckId::SteadyState, Some(found.distance()), [2.0, 4.0], &words)
        }
    }
}

/// Whether some requests find their history and others do not: a server at the edge of its cache, which
/// can fall into a state in which nothing is found any more.
pub(super) fn metastability(tally: &Tally) -> Check {
    let words = Words {
        threshold: "later requests that found less than half of their history in the cache, %: warns above 1",
        advice: "the server evicts what is still needed: it may serve many times less from one minute to \
                 the next; replicates= shows how often, and less concurrency avoids it",
    };
    let Reuse { requests, lost } = tally.requests.reuse;
    above(CheckId::Metastability, percent(lost, requests), [1.0, f64::INFINITY], &words)
}
