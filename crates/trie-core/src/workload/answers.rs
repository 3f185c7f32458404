//! A prompt can hold an answer only once it has been given.

use std::collections::BTreeSet;

use super::error::Fault;
use super::graph::{On, Step, StepId};
use super::json::Value;

/// Checks that the answers in a step's prompt are there when the step starts, whatever the times.
pub(super) fn check_answers(step: &Step, earlier: &[Step], at: Value<'_>) -> Result<(), Fault> {
    match last_answer(step, earlier) {
        Some(answered) if !waits_for_end(step, answered, earlier) => {
            let found = "a prompt with an answer that may not have ended yet";
            Err(Fault::new(at.column, found, "a step that waits for the end of that answer")
                .hint("`after` must lead, over other steps or not, to an end of the step answered"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The step whose answer is the last in a prompt. All earlier answers stand in that step's own
/// prompt, so they were there when it started.
fn last_answer(step: &Step, earlier: &[Step]) -> Option<StepId> {
    let mut step = step;
    loop {
        let from = step.context.from?;
        let parent = &earlier[from as usize];
        if step.context.keep.is_none() && parent.output.carried() > 0 {
            return Some(from);
        }
        step = parent;
    }
}

/// Whether the end of `target` always lies before the start of `step`.
fn waits_for_end(step: &Step, target: StepId, earlier: &[Step]) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![step];
    while let Some(step) = open.pop() {
        for wait in &step.after {
            if wait.step == target && wait.on == On::End {
                return true;
            }
            if wait.step > target && seen.insert(wait.step) {
                let before = &earlier[wait.step as usize];
                // A step that carries the answer itself was checked to wait for it.
                if before.context.from == Some(target) && before.context.keep.is_none() {
                    return true;
                }
                open.push(before);
            }
        }
    }
    false
}
