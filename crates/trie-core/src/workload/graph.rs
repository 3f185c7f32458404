//! The step graph: what every workload row becomes.

use serde::{Deserialize, Serialize};

use crate::units::{Nanos, Tokens};

/// Number of a step inside its trace, from 0; a step only refers to lower numbers.
pub type StepId = u32;

/// Number of a lane (one agent) inside its trace, from 0; lane 0 is the root: the first step's.
pub type LaneId = u32;

/// One trace: a graph of requests in which every edge points backwards.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Trace {
    /// Identity, unique in the file; the row's number (from 0) where the file names none.
    pub id: String,
    /// Steps, each referring only to earlier ones. Never empty.
    pub steps: Vec<Step>,
}

/// One request of a trace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// The agent this step belongs to.
    pub lane: LaneId,
    /// What must have happened; empty for a step that starts with the trace.
    pub after: Vec<Dependency>,
    /// What the prompt takes over from an earlier step.
    pub context: Context,
    /// What the prompt adds at its end, in order.
    pub new: Vec<Segment>,
    /// What the server is asked to generate.
    pub output: Output,
    /// Planned prompt length in tokens: context kept, plus carried output, plus `new`.
    pub prompt_tokens: Tokens,
}

/// "Start `delay` after `on` of `step`"; a step with several starts at the latest.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Dependency {
    /// The earlier step.
    pub step: StepId,
    /// Which of its events.
    pub on: On,
    /// How long after it.
    pub delay: Nanos,
    /// Who is waited for: decides which scale applies.
    pub wait: Wait,
}

/// An event of a step that another can wait for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The request was due to be sent: fire and forget.
    Start,
    /// Its first generated token arrived: pipelined.
    FirstToken,
    /// Its response body ended.
    End,
}

/// Who a delay waits for: tool waits and human waits scale apart.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// A tool.
    Tool,
    /// A person.
    User,
    /// Not said by the source; scaled as a tool.
    Unknown,
}

/// What a prompt takes over from an earlier step: that step's prompt plus its carried output.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Context {
    /// The step whose prompt and answer open this prompt; `None` opens with nothing.
    pub from: Option<StepId>,
    /// How many tokens of that step's *prompt* stay, counted from its start; `None`: all, and its
    /// carried answer follows. With a number the answer is not carried.
    pub keep: Option<Tokens>,
}

/// A stretch of prompt text that is new in this step.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Segment {
    /// Length in tokens.
    pub tokens: Tokens,
    /// What it stands for.
    pub kind: SegmentKind,
}

/// What a segment stands for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// A prefix that all rows with this id share.
    Shared(String),
    /// The opening prompt of a lane.
    Prompt,
    /// Output of a tool.
    Tool,
    /// Something a person wrote.
    User,
}

/// What the server is asked to generate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Output {
    /// Tokens to generate, at least 1 (a 0 in the file is planned as 1).
    pub tokens: Tokens,
    /// What of it later prompts take over.
    pub carry: Carry,
}

/// How much of an answer stays in the history.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carry {
    /// All of it.
    All,
    /// Its last tokens only: reasoning goes first.
    Last(Tokens),
}

impl Output {
    /// Tokens of the answer that later prompts take over.
    #[must_use]
    pub fn carried(&self) -> Tokens {
        match self.carry {
            Carry::All => self.tokens,
            Carry::Last(tokens) => tokens.min(self.tokens),
        }
    }
}

impl Trace {
    /// Number of the last step of the root lane: its answer is the final one the user sees.
    #[must_use]
    pub fn final_step(&self) -> StepId {
        let last = self.steps.iter().rposition(|step| step.lane == 0);
        let last = last.expect("lane 0 is the first step's lane and steps are never empty");
        StepId::try_from(last).expect("steps are numbered in 32 bits")
    }

    /// Tokens a step takes over from its context: kept prompt plus carried answer.
    #[must_use]
    pub fn context_tokens(&self, step: &Step) -> Tokens {
        let Some(from) = step.context.from else { return 0 };
        let from = &self.steps[from as usize];
        match step.context.keep {
            Some(keep) => keep.min(from.prompt_tokens),
            None => from.prompt_tokens.saturating_add(from.output.carried()),
        }
    }
}
