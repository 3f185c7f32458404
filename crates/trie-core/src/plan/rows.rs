//! What the plan says in the rows of a run.

use super::PlannedTrace;
use crate::record::{Release, RequestRow, TraceEvent, TraceRow};
use crate::units::Nanos;
use crate::workload::StepId;

impl PlannedTrace {
    /// The row of an attempt at a step as far as it is known when it is due: no stamps beside its
    /// intent, nothing of the answer.
    #[must_use]
    pub fn request_row(
        &self,
        step: StepId,
        attempt: u32,
        intent_ns: Nanos,
        release: Release,
    ) -> RequestRow {
        let of = &self.trace.steps[step as usize];
        let eligible = self.trace.context_tokens(of);
        RequestRow {
            trace: self.instance.number,
            row: self.instance.row,
            cycle: self.instance.cycle,
            lane: of.lane,
            step,
            parent: of.context.from,
            attempt,
            waited_for: release.waited_for,
            waited_until_ns: Some(release.waited_until),
            join_wait_ns: release.join_wait,
            intent_ns,
            planned_prompt_tokens: of.prompt_tokens,
            planned_new_tokens: of.prompt_tokens - eligible,
            planned_completion_tokens: of.output.tokens,
            eligible_tokens: eligible,
            ..RequestRow::default()
        }
    }

    /// The row of what happened to the trace in `slot`; `held` is how long its slot waited for an
    /// earlier row of its session.
    #[must_use]
    pub fn trace_row(
        &self,
        slot: u32,
        held: Option<Nanos>,
        at_ns: Nanos,
        event: TraceEvent,
    ) -> TraceRow {
        let steps = &self.trace.steps;
        TraceRow {
            trace: self.instance.number,
            row: self.instance.row,
            cycle: self.instance.cycle,
            trace_id: self.trace.id.clone(),
            slot,
            at_ns,
            steps: StepId::try_from(steps.len()).expect("steps are numbered in 32 bits"),
            final_step: self.trace.final_step(),
            planned_completion_tokens: steps.iter().map(|step| step.output.tokens).sum(),
            planned_prompt_tokens: steps.iter().map(|step| step.prompt_tokens).sum(),
            held_ns: held,
            entered_step: self.entry.map(|entry| entry.step),
            event,
        }
    }
}
