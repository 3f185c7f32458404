//! What scaling does to one trace.

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::options::Scale;
use crate::units::{Nanos, Tokens};
use crate::workload::{Carry, Context, Dependency, Segment, SegmentKind, Step, Trace, Wait};

/// What scaling touched, in one pass over the workload.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ScaleCounts {
    /// Lengths that would have rounded to 0 tokens and were kept at 1.
    pub lengths_kept_at_one: u64,
    /// Waits shortened to `wait_cap`.
    pub waits_capped: u64,
    /// Traces that `max_turns` shortened.
    pub traces_cut_by_max_turns: u64,
    /// Requests that `max_turns` dropped.
    pub requests_dropped_by_max_turns: u64,
    /// Traces that `max_context` shortened.
    pub traces_cut_by_max_context: u64,
    /// Requests that `max_context` dropped from those.
    pub requests_dropped_by_max_context: u64,
    /// Traces left out because their first request is beyond `max_context`.
    pub traces_left_out: u64,
}

/// A trace as it is replayed; `None` when `max_context` leaves nothing of it.
///
/// Tokens are scaled first, then `max_turns` is applied, then `max_context`, then the waits of what
/// is left.
pub fn scale_trace(mut trace: Trace, scale: &Scale, counts: &mut ScaleCounts) -> Option<Trace> {
    if scale.is_identity() {
        return Some(trace);
    }
    cut_turns(&mut trace, scale, counts);
    scale_tokens(&mut trace, scale.token_scale, counts);
    cut_context(&mut trace, scale, counts);
    for dependency in trace.steps.iter_mut().flat_map(|step| &mut step.after) {
        scale_wait(dependency, scale, counts);
    }
    Some(trace).filter(|trace| !trace.steps.is_empty())
}

/// Every edge points backwards, so any opening stretch of the steps is a graph of its own.
fn cut_turns(trace: &mut Trace, scale: &Scale, counts: &mut ScaleCounts) {
    let Some(most) = scale.max_turns else { return };
    let dropped = drop_from(trace, (most as usize).saturating_add(1));
    counts.traces_cut_by_max_turns += u64::from(dropped > 0);
    counts.requests_dropped_by_max_turns += dropped;
}

fn cut_context(trace: &mut Trace, scale: &Scale, counts: &mut ScaleCounts) {
    let Some(most) = scale.max_context else { return };
    let beyond = |step: &Step| step.prompt_tokens + step.output.tokens > most;
    match trace.steps.iter().position(beyond) {
        None => {}
        Some(0) => {
            trace.steps.clear();
            counts.traces_left_out += 1;
        }
        Some(first) => {
            counts.requests_dropped_by_max_context += drop_from(trace, first);
            counts.traces_cut_by_max_context += 1;
        }
    }
}

fn drop_from(trace: &mut Trace, first: usize) -> u64 {
    let dropped = trace.steps.len().saturating_sub(first);
    trace.steps.truncate(first);
    dropped as u64
}

/// Scales every length by itself, then adds prompts up anew. Equal lengths stay equal, so shared
/// prefixes stay shared; what had a token keeps one, so no prompt becomes empty. Cuts stay where
/// they were among the stretches they cut.
fn scale_tokens(trace: &mut Trace, factor: f64, counts: &mut ScaleCounts) {
    if (factor - 1.0).abs() <= 0.0 {
        return;
    }
    let cuts = trace.steps.iter().any(|step| is_cut(&step.context));
    let before = if cuts { trace.steps.clone() } else { Vec::new() };
    for index in 0..trace.steps.len() {
        let (earlier, rest) = trace.steps.split_at_mut(index);
        let step = &mut rest[0];
        scale_lengths(step, factor, counts);
        if is_cut(&step.context) {
            scale_cuts(&mut step.context, &before, earlier, factor);
        }
        let new = step.new_tokens();
        if step.context.tokens(earlier) + new == 0 {
            // The ranges left a token, and scaling took it: the last of them goes instead.
            step.context.drop.pop();
        }
        step.prompt_tokens = step.context.tokens(earlier) + new;
    }
}

fn is_cut(context: &Context) -> bool {
    context.keep.is_some() || !context.drop.is_empty()
}

fn scale_lengths(step: &mut Step, factor: f64, counts: &mut ScaleCounts) {
    for segment in &mut step.new {
        scale_segment(segment, factor, counts);
    }
    let output = &mut step.output;
    output.tokens = scaled(output.tokens, factor, counts);
    output.carry = match output.carry {
        Carry::All => Carry::All,
        Carry::Last(tokens) => Carry::Last(scaled(tokens, factor, counts).min(output.tokens)),
    };
    let reasoning = output.reasoning.map(|tokens| scaled(tokens, factor, counts));
    output.reasoning = reasoning.map(|tokens| tokens.min(output.tokens));
}

fn scale_segment(segment: &mut Segment, factor: f64, counts: &mut ScaleCounts) {
    let SegmentKind::Blocks(blocks) = &mut segment.kind else {
        segment.tokens = scaled(segment.tokens, factor, counts);
        return;
    };
    let (whole, part) = (segment.tokens / blocks.size, segment.tokens % blocks.size);
    blocks.size = scaled(blocks.size, factor, counts);
    segment.tokens = whole * blocks.size + scaled(part, factor, counts).min(blocks.size);
}

/// Moves the cuts of a context to where they lie in the scaled prompt.
fn scale_cuts(context: &mut Context, before: &[Step], earlier: &[Step], factor: f64) {
    let from = context.from.expect("only a context that is from a step is cut");
    let layout = Layout::of_context(from, context.keep, before, earlier, factor);
    for range in &mut context.drop {
        *range = layout.place(range.start)..layout.place(range.end);
    }
    context.drop.retain(|range| !range.is_empty());
    context.keep = context.keep.map(|keep| layout.place(keep));
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "lengths and factors are bounded: products stay below 2^53"
)]
pub(super) fn scaled(tokens: Tokens, factor: f64, counts: &mut ScaleCounts) -> Tokens {
    let scaled = (tokens as f64 * factor).round() as Tokens;
    if scaled == 0 && tokens > 0 {
        counts.lengths_kept_at_one += 1;
        return 1;
    }
    scaled
}

fn scale_wait(dependency: &mut Dependency, scale: &Scale, counts: &mut ScaleCounts) {
    let factor = match dependency.wait {
        Wait::Tool | Wait::Unknown => scale.tool_wait_scale,
        Wait::User => scale.user_wait_scale,
    };
    let delay = scaled_wait(dependency.delay, factor);
    let capped = scale.wait_cap.filter(|cap| *cap < delay);
    counts.waits_capped += u64::from(capped.is_some());
    dependency.delay = capped.unwrap_or(delay);
}

/// Rounded to the nearest nanosecond; waits of more than 104 days to the nearest microsecond.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a float beyond 64 bits becomes the end of time, which it is"
)]
fn scaled_wait(delay: Nanos, factor: f64) -> Nanos {
    if (factor - 1.0).abs() <= 0.0 {
        return delay;
    }
    Nanos((delay.0 as f64 * factor).round() as u64)
}

impl ScaleCounts {
    /// What was touched, in words; empty when nothing was.
    pub fn notes(&self) -> Vec<String> {
        let lines = [
            (self.lengths_kept_at_one, "lengths that token_scale rounds to 0 are kept at 1 token"),
            (self.waits_capped, "waits are shortened to wait_cap"),
            (self.traces_cut_by_max_turns, "traces are shortened to max_turns"),
            (self.requests_dropped_by_max_turns, "requests are dropped by that"),
            (
                self.traces_cut_by_max_context,
                "traces are ended before a request beyond max_context",
            ),
            (self.requests_dropped_by_max_context, "requests are dropped by that"),
            (
                self.traces_left_out,
                "traces are left out: their first request is beyond max_context",
            ),
        ];
        let touched = lines.into_iter().filter(|(count, _)| *count > 0);
        touched.map(|(count, what)| format!("{count} {what}")).collect()
    }
}
