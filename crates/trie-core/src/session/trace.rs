//! One trace: which step is sent when, and when the trace is over.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use crate::record::{Entry, Release, TraceOutcome};
use crate::units::Nanos;
use crate::workload::{Dependency, On, Step, StepId, Trace};

/// What the driver must do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Send this step's request at `intent` (which may be in the future).
    Send {
        /// Which step.
        step: StepId,
        /// Which attempt at it, from 0.
        attempt: u32,
        /// When it is due.
        intent: Nanos,
    },
    /// Cancel this step's request, in flight or still waiting for its intent.
    Cancel {
        /// Which step.
        step: StepId,
    },
    /// The trace is over; nothing of it is in flight any more.
    Over(TraceOutcome),
}

/// How a request ended, as the driver saw it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StepEnd {
    /// The answer was read to its end.
    Ok,
    /// It failed.
    Failed {
        /// Name of the kind of failure.
        kind: String,
        /// Whether the same request may succeed later (no answer yet, 408, 429, 5xx).
        retryable: bool,
        /// How long the server asks to be left alone (`Retry-After`).
        retry_after: Option<Nanos>,
    },
}

/// Longest wait that a server's `Retry-After` is followed for.
const RETRY_AFTER_MAX: Nanos = Nanos::from_secs(60);

/// Retrying failed requests. Off by default: a retry hides what a user would have seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RetryOptions {
    /// Further attempts at a step after its first.
    pub max: u32,
}

impl RetryOptions {
    /// Wait before attempt `attempt` (from 1): 0.5 s doubling to 8 s, as the `OpenAI` clients do, and
    /// never shorter than the server asks for, up to a minute.
    fn wait(attempt: u32, asked: Option<Nanos>) -> Nanos {
        let own = Nanos::from_millis(500 << attempt.saturating_sub(1).min(4));
        own.max(asked.unwrap_or_default().min(RETRY_AFTER_MAX))
    }
}

/// One trace between its admission and its end.
///
/// Reads no clock and opens no socket. The driver reports `first_token` and `ended`, each with the
/// time at which it happened, and carries out the actions it is given. `T` is the trace, or what holds it.
#[derive(Debug)]
pub struct Session<T> {
    trace: T,
    retries: RetryOptions,
    steps: Vec<StepState>,
    open: usize,
    over: bool,
}

/// What is known of one step.
#[derive(Clone, Copy, Debug, Default)]
struct StepState {
    /// Dependencies whose event has not happened.
    missing: usize,
    /// Latest of (event + delay) over those that have.
    due: Nanos,
    /// Whose event that was, and when it happened.
    waited_for: Option<StepId>,
    waited_until: Nanos,
    /// Of a join: how many branches were ready, and when the first of them was.
    branches: u32,
    first_branch: Option<Nanos>,
    sent: bool,
    attempt: u32,
    first_token: bool,
    ended: bool,
}

impl<T: Borrow<Trace>> Session<T> {
    /// Starts a trace at `at`; the first actions are appended to `actions`.
    #[must_use]
    pub fn start(trace: T, retries: RetryOptions, at: Nanos, actions: &mut Vec<Action>) -> Self {
        Self::enter(trace, Entry::default(), (retries, at), actions)
    }

    /// Starts a trace in the middle of its life: what comes before the entry counts as done at `at`.
    #[must_use]
    pub fn enter(
        trace: T,
        entry: Entry,
        (retries, at): (RetryOptions, Nanos),
        actions: &mut Vec<Action>,
    ) -> Self {
        let state = |after: usize| StepState {
            missing: after,
            due: at,
            waited_until: at,
            ..StepState::default()
        };
        let steps: Vec<_> =
            trace.borrow().steps.iter().map(|step| state(step.after.len())).collect();
        let mut session = Self { trace, retries, open: steps.len(), steps, over: false };
        for step in 0..entry.step {
            session.skip(step, at);
        }
        // What is over of the wait before it is waited for no more; and no branch was seen to wait.
        let entered = &mut session.steps[entry.step as usize];
        entered.due = at.plus(entered.due.since(at.plus(entry.waited_ns)).unwrap_or_default());
        session.send_ready(actions);
        session
    }

    /// Takes a step for done before the trace was entered.
    fn skip(&mut self, step: StepId, at: Nanos) {
        let state = &mut self.steps[step as usize];
        (state.sent, state.first_token, state.ended) = (true, true, true);
        self.open -= 1;
        for on in [On::Start, On::FirstToken, On::End] {
            self.happened(step, on, at);
        }
        for state in &mut self.steps {
            (state.branches, state.first_branch) = (0, None);
        }
    }

    /// The first generated token of `step` arrived at `at`.
    pub fn first_token(&mut self, step: StepId, at: Nanos, actions: &mut Vec<Action>) {
        let state = &mut self.steps[step as usize];
        if self.over || state.first_token {
            return;
        }
        state.first_token = true;
        self.happened(step, On::FirstToken, at);
        self.send_ready(actions);
    }

    /// The request of `step` ended at `at`.
    ///
    /// A failure without an attempt left fails the trace: every other request is cancelled.
    pub fn ended(&mut self, step: StepId, end: StepEnd, at: Nanos, actions: &mut Vec<Action>) {
        if self.over || self.steps[step as usize].ended {
            return;
        }
        match end {
            StepEnd::Ok => self.succeeded(step, at, actions),
            StepEnd::Failed { kind, retryable, retry_after } => {
                let state = &mut self.steps[step as usize];
                if retryable && state.attempt < self.retries.max {
                    state.attempt += 1;
                    let intent = at.plus(RetryOptions::wait(state.attempt, retry_after));
                    actions.push(Action::Send { step, attempt: state.attempt, intent });
                } else {
                    self.fail(step, kind, actions);
                }
            }
        }
    }

    /// What let `step` go; of one that is sent.
    #[must_use]
    pub fn release(&self, step: StepId) -> Release {
        let StepState { waited_for, waited_until, due, branches, first_branch, .. } =
            self.steps[step as usize];
        let first_branch = first_branch.filter(|_| branches > 1);
        let join_wait = first_branch.map(|first| due.since(first).unwrap_or_default());
        Release { waited_for, waited_until, join_wait }
    }

    fn succeeded(&mut self, step: StepId, at: Nanos, actions: &mut Vec<Action>) {
        // An answer that ended without a token (a response that was not streamed) still lets go
        // those who waited for its first token.
        self.first_token(step, at, actions);
        self.steps[step as usize].ended = true;
        self.open -= 1;
        self.happened(step, On::End, at);
        self.send_ready(actions);
        if self.open == 0 {
            self.over = true;
            actions.push(Action::Over(TraceOutcome::Completed));
        }
    }

    fn fail(&mut self, failed: StepId, kind: String, actions: &mut Vec<Action>) {
        self.over = true;
        self.steps[failed as usize].ended = true;
        for (step, state) in (0..).zip(&self.steps) {
            if state.sent && !state.ended {
                actions.push(Action::Cancel { step });
            }
        }
        actions.push(Action::Over(TraceOutcome::Failed(kind)));
    }

    /// Tells every step that waits for `on` of `parent`.
    fn happened(&mut self, parent: StepId, on: On, at: Nanos) {
        let steps = &self.trace.borrow().steps;
        for (state, step) in self.steps.iter_mut().zip(steps) {
            for wait in step.after.iter().filter(|wait| wait.step == parent && wait.on == on) {
                state.missing -= 1;
                let ready = at.plus(wait.delay);
                if state.waited_for.is_none() || ready > state.due {
                    state.waited_for = Some(parent);
                    state.waited_until = at;
                }
                state.due = state.due.max(ready);
                if step.after.len() > 1 && is_branch(steps, step, wait) {
                    let first = state.first_branch.map_or(ready, |first| first.min(ready));
                    state.first_branch = Some(first);
                    state.branches += 1;
                }
            }
        }
    }

    /// Sends every step that waits for nothing more. Edges point backwards, so one pass in order
    /// also reaches those that wait for the start of a step sent in it.
    fn send_ready(&mut self, actions: &mut Vec<Action>) {
        for step in 0..self.steps.len() {
            let state = &mut self.steps[step];
            if state.sent || state.missing > 0 {
                continue;
            }
            state.sent = true;
            let intent = state.due;
            let step = StepId::try_from(step).expect("steps are numbered in 32 bits");
            actions.push(Action::Send { step, attempt: 0, intent });
            self.happened(step, On::Start, intent);
        }
    }
}

/// Whether what `join` waits for in `wait` is not before another thing it waits for anyway. With a delay,
/// such as a tool beside a subagent, it is a branch of its own.
fn is_branch(steps: &[Step], join: &Step, wait: &Dependency) -> bool {
    if wait.delay > Nanos::ZERO {
        return true;
    }
    let covers = |edge: &Dependency| edge.step == wait.step && edge.on >= wait.on;
    let others = || join.after.iter().filter(|other| *other != wait);
    if others().any(covers) {
        return false;
    }
    let mut before: BTreeSet<StepId> = others().map(|other| other.step).collect();
    // Edges point backwards: from the highest number down no step is met twice.
    while let Some(step) = before.pop_last().filter(|step| *step > wait.step) {
        let edges = &steps[step as usize].after;
        if edges.iter().any(covers) {
            return false;
        }
        before.extend(edges.iter().map(|edge| edge.step));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{About, Carry, Context, Dependency, Extras, Output, Step, Wait};

    const MS: fn(u64) -> Nanos = Nanos::from_millis;

    /// A step of `lane` that starts `delay` ms after each `(step, event)`.
    fn step(lane: u32, after: &[(StepId, On, u64)]) -> Step {
        let after = after
            .iter()
            .map(|&(step, on, delay)| Dependency { step, on, delay: MS(delay), wait: Wait::Tool })
            .collect();
        let output = Output { tokens: 5, carry: Carry::All, reasoning: None };
        let (context, extras) = (Context::default(), Extras::new());
        Step { lane, after, context, new: vec![], output, extras, prompt_tokens: 1 }
    }

    fn trace(steps: Vec<Step>) -> Trace {
        Trace { id: "t".into(), about: About::default(), steps }
    }

    fn send(step: StepId, ms: u64) -> Action {
        Action::Send { step, attempt: 0, intent: MS(ms) }
    }

    /// What let a step go, in ms.
    fn release(waited_for: Option<StepId>, until: u64, join_wait: Option<u64>) -> Release {
        Release { waited_for, waited_until: MS(until), join_wait: join_wait.map(MS) }
    }

    fn failed(retryable: bool) -> StepEnd {
        StepEnd::Failed { kind: "status".into(), retryable, retry_after: None }
    }

    #[test]
    fn a_linear_trace_waits_for_its_tool_after_each_answer() {
        let trace = trace(vec![step(0, &[]), step(0, &[(0, On::End, 300)])]);
        let mut actions = vec![];
        let mut session = Session::start(&trace, RetryOptions::default(), MS(10), &mut actions);
        session.first_token(0, MS(60), &mut actions);
        session.ended(0, StepEnd::Ok, MS(100), &mut actions);
        session.ended(1, StepEnd::Ok, MS(500), &mut actions);
        assert_eq!(actions, [send(0, 10), send(1, 400), Action::Over(TraceOutcome::Completed)]);
        assert_eq!(session.release(0), release(None, 10, None));
        assert_eq!(session.release(1), release(Some(0), 100, None));
    }

    #[test]
    fn a_trace_that_is_entered_goes_on_where_it_is() {
        let trace = trace(vec![
            step(0, &[]),
            step(0, &[(0, On::End, 300)]),
            step(0, &[(1, On::End, 300)]),
            step(1, &[(0, On::End, 50)]),
        ]);
        let check = |step, waited, sent: &[Action]| {
            let mut actions = vec![];
            let entry = Entry { row: 0, step, waited_ns: MS(waited) };
            let retries = RetryOptions::default();
            let mut session = Session::enter(&trace, entry, (retries, MS(10)), &mut actions);
            assert_eq!(actions, sent, "step {step} after {waited} ms");
            for one in sent {
                let Action::Send { step, intent, .. } = *one else { panic!("only sends are due") };
                session.ended(step, StepEnd::Ok, intent, &mut actions);
            }
            actions.split_off(sent.len())
        };
        let over = || Action::Over(TraceOutcome::Completed);
        check(0, 0, &[send(0, 10)]);
        // 100 of 300 ms are over; the other lane has all of its wait before it.
        assert_eq!(check(1, 100, &[send(1, 210), send(3, 60)]), [send(2, 510)]);
        assert_eq!(check(2, 300, &[send(2, 10), send(3, 60)]), [over()]);
        // More than all of it cannot be over.
        assert_eq!(check(3, 900, &[send(3, 10)]), [over()]);
    }

    #[test]
    fn a_join_starts_at_the_latest_of_what_it_waits_for() {
        let fan_in = step(0, &[(1, On::End, 100), (2, On::End, 5)]);
        let fan = |on| step(1, &[(0, on, 0)]);
        let trace = trace(vec![step(0, &[]), fan(On::End), fan(On::End), fan_in]);
        let mut actions = vec![];
        let mut session = Session::start(&trace, RetryOptions::default(), MS(0), &mut actions);
        session.ended(0, StepEnd::Ok, MS(10), &mut actions);
        session.ended(1, StepEnd::Ok, MS(20), &mut actions);
        assert_eq!(actions, [send(0, 0), send(1, 10), send(2, 10)]);
        session.ended(2, StepEnd::Ok, MS(50), &mut actions);
        assert_eq!(actions[3..], [send(3, 120)]);
        // The second branch was ready at 55 ms.
        assert_eq!(session.release(3), release(Some(1), 20, Some(65)));
    }

    #[test]
    fn only_branches_side_by_side_make_a_join_wait() {
        let end = On::End;
        // The join's list, and what the wait is: 0 ends at 10 ms, 1 (after 0) at 30, 2 (after 0) at
        // 70, 3 (from the first token of 0) at 40.
        let check = |after: &[(StepId, On, u64)], wait: Option<u64>| {
            let pipelined = step(3, &[(0, On::FirstToken, 0)]);
            let fan = |lane| step(lane, &[(0, end, 0)]);
            let trace = trace(vec![step(0, &[]), fan(1), fan(2), pipelined, step(0, after)]);
            let mut actions = vec![];
            let mut session = Session::start(&trace, RetryOptions::default(), MS(0), &mut actions);
            session.first_token(0, MS(5), &mut actions);
            for (step, at) in [(0, 10), (1, 30), (3, 40), (2, 70)] {
                session.ended(step, StepEnd::Ok, MS(at), &mut actions);
            }
            assert_eq!(session.release(4).join_wait, wait.map(MS), "{after:?}");
        };
        check(&[(1, end, 0), (2, end, 0)], Some(40));
        // What both branches come after is none of them.
        check(&[(0, end, 0), (1, end, 0), (2, end, 0)], Some(40));
        check(&[(0, end, 0), (2, end, 0)], None);
        // But for a tool that was called there.
        check(&[(0, end, 15), (2, end, 0)], Some(45));
        check(&[(0, end, 0), (0, end, 15), (2, end, 0)], Some(45));
        // The end of step 0 and the step that its first token let go run side by side.
        check(&[(0, end, 0), (3, end, 0)], Some(30));
        check(&[(0, On::FirstToken, 0), (3, end, 0)], None);
        check(&[(1, On::Start, 0), (1, end, 0), (2, end, 0)], Some(40));
    }

    #[test]
    fn a_pipelined_step_starts_at_the_first_token_and_a_detached_one_at_the_start() {
        let trace = trace(vec![
            step(0, &[]),
            step(1, &[(0, On::Start, 7)]),
            step(2, &[(1, On::Start, 1)]),
            step(3, &[(0, On::FirstToken, 2)]),
        ]);
        let mut actions = vec![];
        let mut session = Session::start(&trace, RetryOptions::default(), MS(0), &mut actions);
        assert_eq!(actions, [send(0, 0), send(1, 7), send(2, 8)]);
        session.first_token(0, MS(40), &mut actions);
        session.first_token(0, MS(50), &mut actions);
        assert_eq!(actions[3..], [send(3, 42)]);
        assert_eq!(session.release(2), release(Some(1), 7, None));
        assert_eq!(session.release(3), release(Some(0), 40, None));
    }

    #[test]
    fn a_failed_step_cancels_the_other_lanes_and_fails_the_trace_once() {
        let lanes = vec![step(0, &[]), step(1, &[]), step(0, &[(0, On::End, 0)])];
        let trace = trace(lanes);
        let mut actions = vec![];
        let mut session = Session::start(&trace, RetryOptions::default(), MS(0), &mut actions);
        session.ended(0, failed(true), MS(9), &mut actions);
        session.ended(1, failed(true), MS(9), &mut actions);
        let over = Action::Over(TraceOutcome::Failed("status".into()));
        assert_eq!(actions, [send(0, 0), send(1, 0), Action::Cancel { step: 1 }, over]);
        assert!(session.over);
    }

    #[test]
    fn a_retry_waits_longer_each_time_and_only_for_what_may_pass() {
        let trace = trace(vec![step(0, &[])]);
        let mut actions = vec![];
        let mut session = Session::start(&trace, RetryOptions { max: 2 }, MS(0), &mut actions);
        session.ended(0, failed(true), MS(10), &mut actions);
        session.ended(0, failed(true), MS(1000), &mut actions);
        let again = |attempt, ms| Action::Send { step: 0, attempt, intent: MS(ms) };
        assert_eq!(actions, [send(0, 0), again(1, 510), again(2, 2000)]);
        session.ended(0, failed(true), MS(3000), &mut actions);
        assert_eq!(actions[3..], [Action::Over(TraceOutcome::Failed("status".into()))]);

        // The server asks for less than our own wait, then for more, then for hours.
        for (asked, wait) in [(100, 500), (3_000, 3_000), (7_200_000, 60_000)] {
            let mut actions = vec![];
            let mut session = Session::start(&trace, RetryOptions { max: 1 }, MS(0), &mut actions);
            let (kind, retry_after) = ("status".to_owned(), Some(MS(asked)));
            let busy = StepEnd::Failed { kind, retryable: true, retry_after };
            session.ended(0, busy, MS(10), &mut actions);
            assert_eq!(actions[1..], [again(1, 10 + wait)]);
        }

        let mut actions = vec![];
        let mut session = Session::start(&trace, RetryOptions { max: 2 }, MS(0), &mut actions);
        session.ended(0, failed(false), MS(10), &mut actions);
        assert_eq!(actions[1..], [Action::Over(TraceOutcome::Failed("status".into()))]);
    }
}
