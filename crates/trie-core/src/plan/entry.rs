//! Entry points of a run that starts in equilibrium: which trace each slot is in, and where in it.

use sha2::{Digest, Sha256};

use super::build::Plan;
use crate::record::Entry;
use crate::units::{Nanos, Tokens};
use crate::workload::{Step, StepId, Trace, Workload, WorkloadError};

/// How long a server takes for a request, for its share of a trace's life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dwell {
    /// Nanoseconds of each request.
    pub request: f64,
    /// Nanoseconds of each prompt token that is not taken over from an earlier request.
    pub prefill: f64,
    /// Nanoseconds of each prompt token that is: 0 where the server still has it.
    pub history: f64,
    /// Nanoseconds of each token of an answer.
    pub decode: f64,
}

impl Dwell {
    /// The wait before a step, and all of its time. At least a nanosecond, so that each can be drawn.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float beyond 64 bits becomes the end of time, which it is"
    )]
    fn of(&self, trace: &Trace, step: &Step) -> (u64, u64) {
        let wait = step.after.iter().map(|edge| edge.delay.0).max().unwrap_or(0);
        let taken = trace.context_tokens(step);
        let new = float(step.prompt_tokens - taken);
        let prompt = self.prefill * new + self.history * float(taken);
        let served = self.request + prompt + self.decode * float(step.output.tokens);
        (wait, wait.saturating_add(served.round() as u64).max(1))
    }
}

/// Draws an entry point for each slot: (row, step) with a chance in proportion to its dwell, and evenly
/// within it. That is what a clock finds that looks at a closed loop at any time: long traces more often
/// than short ones, each somewhere in its life.
///
/// All dwells laid end to end are cut into as many equal parts as there are slots, and each slot draws from
/// its own. Every moment keeps its chance, and two runs differ by less than if all drew from everywhere: of
/// 500 sets of five runs of scenario S at c=8 (seeds from 50,001 on), t intervals hold the truth in 92
/// instead of 90 %.
///
/// Equal plans and dwells give equal entries. A request that would be in the middle of its answer starts
/// anew.
///
/// # Errors
///
/// When the workload cannot be read again.
pub fn draw_entries(
    plan: &Plan,
    workload: &mut Workload,
    dwell: &Dwell,
) -> Result<Vec<Entry>, WorkloadError> {
    let rows = plan.facts().rows - plan.left_out().len() as u64;
    let mut ends = Vec::new();
    let mut all = 0_u64;
    for place in 0..rows {
        let trace = plan.trace(place, workload)?.trace;
        let steps = trace.steps.iter().map(|step| dwell.of(&trace, step).1);
        all = steps.fold(all, u64::saturating_add);
        ends.push(all);
    }
    let slots = u64::from(plan.options().concurrency);
    (0..slots)
        .map(|slot| {
            let from = part(all, slot, slots);
            let width = part(all, slot + 1, slots) - from;
            let at = from + share(width, random(plan.options().seed, slot));
            let place = ends.partition_point(|end| *end <= at);
            let before = place.checked_sub(1).map_or(0, |before| ends[before]);
            let planned = plan.trace(place as u64, workload)?;
            Ok(entry(&planned.trace, planned.instance.row, dwell, at - before))
        })
        .collect()
}

/// The step in which a trace is after `at` nanoseconds of dwelling.
fn entry(trace: &Trace, row: u64, dwell: &Dwell, mut at: u64) -> Entry {
    let mut last = Entry { row, step: 0, waited_ns: Nanos::ZERO };
    for (step, of) in (0..).zip(&trace.steps) {
        let (wait, whole) = dwell.of(trace, of);
        last = Entry { row, step, waited_ns: Nanos(at.min(wait)) };
        if at < whole {
            break;
        }
        at -= whole;
    }
    last
}

/// Where part `number` of `all` in `parts` equal ones begins.
fn part(all: u64, number: u64, parts: u64) -> u64 {
    let product = u128::from(all) * u128::from(number);
    u64::try_from(product / u128::from(parts.max(1))).expect("a part of 64 bits fits in 64 bits")
}

/// The part of `all` that a draw of 64 bits stands for; below `all`.
fn share(all: u64, draw: u64) -> u64 {
    let product = u128::from(all) * u128::from(draw);
    u64::try_from(product >> 64).expect("a part of 64 bits fits in 64 bits")
}

/// 64 bits of a stream of its own: what else is drawn from the seed stays as it is.
fn random(seed: u64, slot: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"trie.entry/1\0");
    hash.update(seed.to_be_bytes());
    hash.update(slot.to_be_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    u64::from_be_bytes(*digest.first_chunk().expect("sha256 has 32 bytes"))
}

/// The steps of a trace that start when it is entered: they wait for nothing but what counts as done.
pub(super) fn ready(entry: Entry, trace: &Trace) -> Vec<StepId> {
    let from = entry.step;
    let open = (0..).zip(&trace.steps).filter(|(step, _)| *step >= from);
    let ready = open.filter(|(_, of)| of.after.iter().all(|edge| edge.step < from));
    ready.map(|(step, _)| step).collect()
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
fn float(tokens: Tokens) -> f64 {
    tokens as f64
}
