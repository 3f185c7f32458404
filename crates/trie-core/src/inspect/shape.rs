//! What a workload's traces look like.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::spread::{Spread, Values};
use crate::metrics::percent;
use crate::units::{Nanos, Tokens};
use crate::workload::{BlockScope, On, SegmentKind, Step, Trace, Wait};

/// Prefixes that are named one by one; the most shared come first.
const PREFIXES: usize = 10;

/// What a workload's traces look like, before anything is replayed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Shape {
    /// Traces.
    pub traces: u64,
    /// Sessions that rows name; rows of one run one after another.
    pub sessions: u64,
    /// Requests of all traces.
    pub requests: u64,
    /// Tokens of all prompts.
    pub prompt_tokens: Tokens,
    /// Tokens of all answers.
    pub completion_tokens: Tokens,
    /// How lengths and times are spread; a row that the workload has nothing of is left out.
    pub spreads: Vec<Figure>,
    /// Where one prompt begins like another.
    pub sharing: Sharing,
    /// Lanes of one trace, and how they hang together.
    pub lanes: Lanes,
    /// Histories that were cut: compaction, truncation, tool results that were cleared.
    pub breaks: Breaks,
    /// Answers of which less is carried on than was generated.
    pub answers_cut: u64,
}

/// A row of figures.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Figure {
    /// Its name in scripts.
    pub id: String,
    /// Its name in the report.
    pub title: String,
    /// `tok`, `s`, or nothing for counts.
    pub unit: String,
    /// The figures.
    pub spread: Spread,
}

/// Where one prompt begins like another.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sharing {
    /// Different shared prefixes.
    pub prefixes: u64,
    /// Those that most traces open with.
    pub most_shared: Vec<SharedPrefix>,
    /// Traces whose prompts are blocks with ids of a named scope.
    pub traces_of_blocks: u64,
    /// Prompt tokens that a step takes over from an earlier step of its trace, unmoved: what the cache
    /// of a server that forgets nothing holds of them, but for the newest token of each answer.
    pub own_tokens: Tokens,
    /// The same as a share of all prompt tokens, in percent.
    pub own_pct: Option<f64>,
}

/// A prefix that rows share.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SharedPrefix {
    /// Its id.
    pub id: String,
    /// Traces with it.
    pub traces: u64,
    /// The most tokens of it that a row takes.
    pub tokens: Tokens,
}

/// Lanes of one trace, and how they hang together.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lanes {
    /// Traces of more than one lane.
    pub traces: u64,
    /// Steps that go on from a step of another lane.
    pub forks: u64,
    /// Later steps that open with nothing of an earlier one.
    pub spawns: u64,
    /// Steps that wait for several others.
    pub joins: u64,
    /// Steps that do not wait for the end of another.
    pub pipelined: u64,
}

/// Histories that were cut.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Breaks {
    /// Requests that do not go on with the whole history.
    pub requests: u64,
    /// Traces that have one.
    pub traces: u64,
    /// Of them, requests whose prompt is shorter by 30 % or more than the one before it.
    pub compactions: u64,
}

/// Counts of traces that have gone by.
#[derive(Debug, Default)]
pub(super) struct Census {
    traces: u64,
    sessions: BTreeSet<String>,
    requests: u64,
    prompt_tokens: Tokens,
    completion_tokens: Tokens,
    own_tokens: Tokens,
    values: [Values; ROWS.len()],
    prefixes: BTreeMap<String, SharedPrefix>,
    traces_of_blocks: u64,
    lanes: Lanes,
    breaks: Breaks,
    answers_cut: u64,
}

/// A row of figures before it has any.
struct Row {
    id: &'static str,
    title: &'static str,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    Count,
    Tokens,
    Seconds,
}

const fn row(id: &'static str, title: &'static str, unit: Unit) -> Row {
    Row { id, title, unit }
}

/// All rows of figures, in the order of the report.
const ROWS: [Row; 15] = [
    row("requests_per_trace", "requests a trace", Unit::Count),
    row("first_prompt", "first prompt", Unit::Tokens),
    row("last_prompt", "last prompt", Unit::Tokens),
    row("peak_context", "peak context", Unit::Tokens),
    row("new_input", "new input a later request", Unit::Tokens),
    row("output", "answer", Unit::Tokens),
    row("final_output", "final answer", Unit::Tokens),
    row("tool_wait", "wait for a tool", Unit::Seconds),
    row("user_wait", "wait for a person", Unit::Seconds),
    row("unknown_wait", "wait of unknown kind", Unit::Seconds),
    row("waits_per_trace", "waits of a trace, summed", Unit::Seconds),
    row("critical_path", "trace on an instant server", Unit::Seconds),
    row("requests_per_user_turn", "requests a human turn", Unit::Count),
    row("shared_prefix", "shared prefix", Unit::Tokens),
    row("kept_at_break", "kept where history is cut", Unit::Tokens),
];

#[derive(Clone, Copy)]
enum Of {
    Requests,
    FirstPrompt,
    LastPrompt,
    PeakContext,
    NewInput,
    Output,
    FinalOutput,
    ToolWait,
    UserWait,
    UnknownWait,
    Waits,
    CriticalPath,
    RequestsPerUserTurn,
    SharedPrefix,
    KeptAtBreak,
}

impl Census {
    pub(super) fn add(&mut self, trace: &Trace) {
        self.traces += 1;
        self.sessions.extend(trace.about.session.clone());
        self.lanes.traces += u64::from(trace.steps.iter().any(|step| step.lane > 0));
        self.put(Of::Requests, trace.steps.len() as u64);
        self.put(Of::FirstPrompt, trace.steps[0].prompt_tokens);
        let last = &trace.steps[trace.final_step() as usize];
        self.put(Of::LastPrompt, last.prompt_tokens);
        self.put(Of::FinalOutput, last.output.tokens);
        let contexts = trace.steps.iter().map(|step| step.prompt_tokens + step.output.tokens);
        self.put(Of::PeakContext, contexts.max().unwrap_or_default());
        for (index, step) in trace.steps.iter().enumerate() {
            self.step(trace, index, step);
        }
        let waits = trace.steps.iter().flat_map(|step| &step.after).map(|edge| edge.delay.0);
        self.put(Of::Waits, waits.sum());
        self.put(Of::CriticalPath, critical_path(trace).0);
        self.user_turns(trace);
        self.shared(trace);
        let cut = |step: &Step| step.context.keep.is_some() || !step.context.drop.is_empty();
        self.breaks.traces += u64::from(trace.steps.iter().any(cut));
    }

    fn put(&mut self, of: Of, value: u64) {
        self.values[of as usize].add(value);
    }

    fn step(&mut self, trace: &Trace, index: usize, step: &Step) {
        self.requests += 1;
        self.prompt_tokens += step.prompt_tokens;
        self.completion_tokens += step.output.tokens;
        self.own_tokens += trace.unmoved_context_tokens(step);
        self.put(Of::Output, step.output.tokens);
        self.answers_cut += u64::from(step.output.carried() < step.output.tokens);
        if index > 0 {
            self.put(Of::NewInput, step.new_tokens());
        }
        for edge in &step.after {
            let wait = match edge.wait {
                Wait::Tool => Of::ToolWait,
                Wait::User => Of::UserWait,
                Wait::Unknown => Of::UnknownWait,
            };
            self.put(wait, edge.delay.0);
        }
        self.lanes.joins += u64::from(step.after.len() > 1);
        let early = step.after.iter().any(|edge| edge.on != On::End);
        self.lanes.pipelined += u64::from(early);
        let Some(from) = step.context.from else {
            self.lanes.spawns += u64::from(index > 0);
            return;
        };
        let from = &trace.steps[from as usize];
        self.lanes.forks += u64::from(from.lane != step.lane);
        if step.context.keep.is_some() || !step.context.drop.is_empty() {
            self.breaks.requests += 1;
            self.breaks.compactions +=
                u64::from(step.prompt_tokens.saturating_mul(10) <= from.prompt_tokens * 7);
            self.put(Of::KeptAtBreak, trace.unmoved_context_tokens(step));
        }
    }

    /// Requests between two that a person's input opens, in the root lane.
    fn user_turns(&mut self, trace: &Trace) {
        let root = || trace.steps.iter().filter(|step| step.lane == 0);
        let by_user = |step: &Step| step.after.iter().any(|edge| edge.wait == Wait::User);
        if !root().any(by_user) {
            return;
        }
        let mut requests = 0;
        for step in root() {
            if by_user(step) {
                self.put(Of::RequestsPerUserTurn, requests);
                requests = 0;
            }
            requests += 1;
        }
        self.put(Of::RequestsPerUserTurn, requests);
    }

    fn shared(&mut self, trace: &Trace) {
        let mut ids = BTreeSet::new();
        for segment in trace.steps.iter().flat_map(|step| &step.new) {
            if let SegmentKind::Shared(id) = &segment.kind {
                let known = self.prefixes.entry(id.clone()).or_default();
                known.traces += u64::from(ids.insert(id));
                known.tokens = known.tokens.max(segment.tokens);
            }
        }
        let opening = trace.steps[0].new.iter();
        let shared = opening.take_while(|segment| matches!(segment.kind, SegmentKind::Shared(_)));
        let shared: Tokens = shared.map(|segment| segment.tokens).sum();
        if shared > 0 {
            self.put(Of::SharedPrefix, shared);
        }
        let named = trace.steps.iter().flat_map(|step| &step.new).any(|segment| {
            matches!(&segment.kind, SegmentKind::Blocks(blocks) if blocks.scope != BlockScope::Trace)
        });
        self.traces_of_blocks += u64::from(named);
    }

    pub(super) fn into_shape(self) -> Shape {
        let figure = |(row, values): (&Row, &Values)| {
            let (unit, scale) = match row.unit {
                Unit::Count => ("", 1.0),
                Unit::Tokens => ("tok", 1.0),
                Unit::Seconds => ("s", 1e-9),
            };
            let spread = values.spread(scale)?;
            let (id, title, unit) = (row.id.to_owned(), row.title.to_owned(), unit.to_owned());
            Some(Figure { id, title, unit, spread })
        };
        let prefixes = self.prefixes.len() as u64;
        let named = self.prefixes.into_iter().map(|(id, prefix)| SharedPrefix { id, ..prefix });
        let mut most_shared: Vec<SharedPrefix> = named.collect();
        most_shared.sort_by_key(|prefix| std::cmp::Reverse((prefix.traces, prefix.tokens)));
        most_shared.truncate(PREFIXES);
        Shape {
            traces: self.traces,
            sessions: self.sessions.len() as u64,
            requests: self.requests,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            spreads: ROWS.iter().zip(&self.values).filter_map(figure).collect(),
            sharing: Sharing {
                prefixes,
                most_shared,
                traces_of_blocks: self.traces_of_blocks,
                own_tokens: self.own_tokens,
                own_pct: percent(self.own_tokens, self.prompt_tokens),
            },
            lanes: self.lanes,
            breaks: self.breaks,
            answers_cut: self.answers_cut,
        }
    }
}

/// How long a trace takes on a server that answers at once: its waits along the longest path.
fn critical_path(trace: &Trace) -> Nanos {
    let mut starts: Vec<Nanos> = Vec::with_capacity(trace.steps.len());
    for step in &trace.steps {
        let ready = step.after.iter().map(|edge| starts[edge.step as usize].plus(edge.delay));
        starts.push(ready.max().unwrap_or_default());
    }
    starts.into_iter().max().unwrap_or_default()
}
