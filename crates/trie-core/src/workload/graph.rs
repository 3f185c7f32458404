//! The step graph: what every workload row becomes.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::units::{Nanos, Tokens};

/// Number of a step inside its trace, from 0; a step only refers to lower numbers.
pub type StepId = u32;

/// Number of a lane (one agent) inside its trace, from 0; lane 0 is the root: the first step's.
pub type LaneId = u32;

/// One trace: a graph of requests in which every edge points backwards.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Trace {
    /// Identity, unique in the file; the row's number (from 0) where the file names none.
    pub id: String,
    /// What its row says beside the graph.
    pub about: About,
    /// Steps, each referring only to earlier ones. Never empty.
    pub steps: Vec<Step>,
}

/// What a row says about its trace as a whole.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct About {
    /// Traces of one session belong to one conversation: they share a routing key and run one after
    /// another.
    pub session: Option<String>,
    /// When the trace arrives, from the start of the workload.
    pub arrival: Option<Nanos>,
    /// How often it is drawn relative to others; more than 0.
    pub weight: Option<f64>,
    /// Fields and records of all its requests.
    pub extras: Extras,
}

/// What a row or a step says about its requests beside their lengths: JSON without spaces,
/// checked to be of its key's shape.
pub type Extras = BTreeMap<ExtraKey, String>;

/// A key of [`Extras`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraKey {
    /// Model name: a string that is not empty.
    Model,
    /// Fields merged into each body: an object.
    Sampling,
    /// Headers of each request: an object of strings.
    Headers,
    /// What the source recorded; never sent.
    Expect,
    /// Verbatim bodies.
    Literal,
}

impl ExtraKey {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Model, Self::Sampling, Self::Headers, Self::Expect, Self::Literal];

    /// As the file spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Sampling => "sampling",
            Self::Headers => "headers",
            Self::Expect => "expect",
            Self::Literal => "literal",
        }
    }
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
    /// What the file says of this request alone.
    pub extras: Extras,
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
    /// Ranges that are then cut out, in tokens of that step's prompt and carried answer: ascending,
    /// apart, none empty, none beyond what is kept.
    pub drop: Vec<Range<Tokens>>,
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
    /// Blocks of a source's cache, in a row.
    Blocks(Blocks),
    /// The opening prompt of a lane, of which the source says no more.
    Prompt,
    /// Instructions of this trace alone.
    System,
    /// An answer that another model gave.
    Assistant,
    /// Output of a tool.
    Tool,
    /// Something a person wrote, or a program in a person's place.
    User,
}

/// Blocks with ids in a row. All are of one length, but the last of them may be cut short.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Blocks {
    /// Where equal ids are equal text.
    pub scope: BlockScope,
    /// Id of the first block.
    pub first: u64,
    /// Tokens of a whole block; at least 1.
    pub size: Tokens,
}

/// Where equal block ids are equal text.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockScope {
    /// Inside one trace: `local` in the file.
    Trace,
    /// In all rows that name this scope.
    Named(String),
}

/// What the server is asked to generate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Output {
    /// Tokens to generate, at least 1 (a 0 in the file is planned as 1).
    pub tokens: Tokens,
    /// What of it later prompts take over.
    pub carry: Carry,
    /// Tokens at its start that are reasoning, where the source says so.
    pub reasoning: Option<Tokens>,
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

    /// Tokens a step takes over from its context: kept prompt plus carried answer, less what is cut
    /// out of them.
    #[must_use]
    pub fn context_tokens(&self, step: &Step) -> Tokens {
        step.context.tokens(&self.steps)
    }

    /// Tokens at the start of a step's prompt that stand at the start of its context's prompt and
    /// answer too: all that a cache of prefixes can hold of it. A cut moves what follows it.
    #[must_use]
    pub fn unmoved_context_tokens(&self, step: &Step) -> Tokens {
        let first_cut = step.context.drop.first().map(|range| range.start);
        first_cut.unwrap_or_else(|| step.context.kept_tokens(&self.steps))
    }
}

impl Context {
    /// Tokens taken over, given the steps before.
    pub(crate) fn tokens(&self, earlier: &[Step]) -> Tokens {
        let dropped: Tokens = self.drop.iter().map(|range| range.end - range.start).sum();
        self.kept_tokens(earlier) - dropped
    }

    /// Tokens taken over before ranges are cut out of them.
    fn kept_tokens(&self, earlier: &[Step]) -> Tokens {
        let Some(from) = self.from else { return 0 };
        let from = &earlier[from as usize];
        match self.keep {
            Some(keep) => keep.min(from.prompt_tokens),
            None => from.prompt_tokens + from.output.carried(),
        }
    }
}

impl Step {
    /// Tokens the step adds at the end of its context.
    #[must_use]
    pub fn new_tokens(&self) -> Tokens {
        self.new.iter().map(|segment| segment.tokens).sum()
    }
}

impl Segment {
    /// Lengths of the stretches of text it consists of: one, but one a block for blocks.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = Tokens> {
        let size = match &self.kind {
            SegmentKind::Blocks(blocks) => blocks.size,
            SegmentKind::Shared(_)
            | SegmentKind::Prompt
            | SegmentKind::System
            | SegmentKind::Assistant
            | SegmentKind::Tool
            | SegmentKind::User => self.tokens.max(1),
        };
        let tokens = self.tokens;
        (0..tokens.div_ceil(size)).map(move |block| size.min(tokens - block * size))
    }
}
