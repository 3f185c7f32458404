//! A session before it is written: turns one after another, and subagents beside one of them.

use std::fmt::Write;

use crate::units::Tokens;
use crate::workload::{Carry, On, SegmentKind, Step, Trace, Wait};

/// A session whose lengths and waits are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Session {
    /// Shared segments that open the first prompt.
    pub(super) prefix: Vec<(String, Tokens)>,
    /// Tokens of the first prompt behind them.
    pub(super) own: Tokens,
    pub(super) turns: Vec<Turn>,
    /// Tokens of the last answer.
    pub(super) last: Tokens,
    /// Agents that work beside it.
    pub(super) fan: Option<Fan>,
}

/// An answer, and what comes back for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Turn {
    pub(super) answer: Tokens,
    /// Tokens of it that stay in the history.
    pub(super) carry: Tokens,
    /// What stays of the prompt where the history is cut; the answer is then not carried.
    pub(super) keep: Option<Tokens>,
    pub(super) input: Tokens,
    pub(super) from: From,
    /// How long that takes, in milliseconds.
    pub(super) wait_ms: u64,
}

/// Who an input is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum From {
    Tool,
    User,
    Unknown,
}

/// Agents that start together after a turn's answer and are waited for before the next request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fan {
    /// The turn, from 0.
    pub(super) at: usize,
    pub(super) agents: Vec<Session>,
}

impl Session {
    /// Tokens of the shared segments.
    pub(super) fn shared(&self) -> Tokens {
        self.prefix.iter().map(|(_, tokens)| tokens).sum()
    }

    /// Tokens of the first prompt.
    pub(super) fn prompt(&self) -> Tokens {
        self.shared() + self.own
    }

    /// A session of one lane without blocks; `None` of any other.
    pub(super) fn of(trace: &Trace) -> Option<Self> {
        let (first, rest) = trace.steps.split_first()?;
        let mut session = Self { last: trace.steps.last()?.output.tokens, ..Self::default() };
        for segment in &first.new {
            match &segment.kind {
                SegmentKind::Shared(id) if session.own == 0 => {
                    session.prefix.push((id.clone(), segment.tokens));
                }
                SegmentKind::Shared(_) | SegmentKind::Blocks(_) => return None,
                SegmentKind::Prompt
                | SegmentKind::System
                | SegmentKind::Assistant
                | SegmentKind::Tool
                | SegmentKind::User => session.own += segment.tokens,
            }
        }
        for (number, step) in (0..).zip(rest) {
            let before = &trace.steps[number as usize];
            session.turns.push(turn(before, number, step)?);
        }
        first.after.is_empty().then_some(session)
    }

    /// The session as a row of a workload, of version 2.
    pub(super) fn row(&self, id: &str) -> String {
        match &self.fan {
            Some(fan) => self.steps(id, fan),
            None => self.flat(id),
        }
    }

    fn flat(&self, id: &str) -> String {
        let mut text = format!(r#"{{"trace_id":"{id}","num_turns":{}"#, self.turns.len());
        let turns = || self.turns.iter();
        let mut add =
            |key: &str, value: String| put(&mut text, format_args!(r#","{key}":{value}"#));
        add("input_prompt_length", self.prompt().to_string());
        add("assistant_response_length", list(turns().map(|turn| turn.answer.to_string())));
        add("tool_call_output_length", list(turns().map(|turn| turn.input.to_string())));
        add("tool_call_latency", list(turns().map(|turn| seconds(turn.wait_ms))));
        add("final_assistant_response_length", self.last.to_string());
        if !self.prefix.is_empty() {
            add("prefix", prefix(&self.prefix));
        }
        if turns().any(|turn| turn.from != From::Tool) {
            let kinds: String = turns().map(|turn| turn.from.letter()).collect();
            add("input_kind", format!("\"{kinds}\""));
        }
        let carried = |turn: &Turn| if turn.keep.is_some() { 0 } else { turn.carry };
        if turns().any(|turn| turn.keep.is_none() && turn.carry < turn.answer) {
            add("carry_length", list(turns().map(|turn| carried(turn).to_string())));
        }
        let cuts = turns().zip(1..).filter_map(|(turn, before): (&Turn, u64)| {
            turn.keep.map(|keep| format!(r#"{{"before":{before},"keep":{keep}}}"#))
        });
        let cuts: Vec<String> = cuts.collect();
        if !cuts.is_empty() {
            add("context", list(cuts.into_iter()));
        }
        text + "}"
    }

    fn steps(&self, id: &str, fan: &Fan) -> String {
        let mut steps = self.lane("main", None);
        let after = format!(r#"[{{"id":"main.{}"}}]"#, fan.at);
        let mut waited = vec![format!(
            r#"{{"id":"main.{}","delay":{}}}"#,
            fan.at,
            seconds(self.turns[fan.at].wait_ms)
        )];
        for (number, agent) in fan.agents.iter().enumerate() {
            let lane = format!("agent{number}");
            waited.push(format!(r#"{{"id":"{lane}.{}"}}"#, agent.turns.len()));
            steps.extend(agent.lane(&lane, Some(&after)));
        }
        // The request behind the turn waits for the agents as well as for its tool.
        let join = &self.turns[fan.at];
        steps[fan.at + 1] = self.later("main", fan.at, join, &list(waited.into_iter()));
        format!(r#"{{"trace_id":"{id}","steps":{}}}"#, list(steps.into_iter()))
    }

    /// The steps of a lane; `after` says what lets a lane go that is not the first.
    fn lane(&self, lane: &str, after: Option<&str>) -> Vec<String> {
        let mut first = format!(r#"{{"id":"{lane}.0","lane":"{lane}""#);
        if let Some(after) = after {
            put(&mut first, format_args!(r#","after":{after}"#));
        }
        let shared = prefix(&self.prefix);
        put(&mut first, format_args!(r#","context":{{"from":null,"prefix":{shared}}}"#));
        put(&mut first, format_args!(r#","new":[{{"role":"user","tokens":{}}}]"#, self.own));
        put(&mut first, format_args!(r#","output":{}}}"#, self.output(0)));
        let mut steps = vec![first];
        for (number, turn) in self.turns.iter().enumerate() {
            let delay = seconds(turn.wait_ms);
            let after = format!(r#"[{{"id":"{lane}.{number}","delay":{delay}}}]"#);
            steps.push(self.later(lane, number, turn, &after));
        }
        steps
    }

    /// The step behind a turn.
    fn later(&self, lane: &str, number: usize, turn: &Turn, after: &str) -> String {
        let mut step = format!(r#"{{"id":"{lane}.{}","lane":"{lane}","after":{after}"#, number + 1);
        if let Some(keep) = turn.keep {
            put(
                &mut step,
                format_args!(r#","context":{{"from":"{lane}.{number}","keep":{keep}}}"#),
            );
        }
        let (role, kind) = match turn.from {
            From::Tool => ("tool", ""),
            From::User => ("user", ""),
            From::Unknown => ("tool", r#","kind":"unknown""#),
        };
        put(
            &mut step,
            format_args!(r#","new":[{{"role":"{role}","tokens":{}{kind}}}]"#, turn.input),
        );
        put(&mut step, format_args!(r#","output":{}}}"#, self.output(number + 1)));
        step
    }

    fn output(&self, request: usize) -> String {
        match self.turns.get(request) {
            Some(turn) if turn.keep.is_none() && turn.carry < turn.answer => {
                format!(r#"{{"tokens":{},"carry":{}}}"#, turn.answer, turn.carry)
            }
            Some(turn) => format!(r#"{{"tokens":{}}}"#, turn.answer),
            None => format!(r#"{{"tokens":{}}}"#, self.last),
        }
    }
}

impl From {
    fn letter(self) -> char {
        match self {
            Self::Tool => 't',
            Self::User => 'u',
            Self::Unknown => '?',
        }
    }
}

/// What lies between a step and the next of its lane.
fn turn(before: &Step, number: u32, step: &Step) -> Option<Turn> {
    let [edge] = &step.after[..] else { return None };
    let context = &step.context;
    let goes_on = context.from == Some(number) && context.drop.is_empty() && step.lane == 0;
    let plain = edge.step == number && edge.on == On::End && goes_on;
    let own = |segment: &crate::workload::Segment| {
        !matches!(segment.kind, SegmentKind::Shared(_) | SegmentKind::Blocks(_))
    };
    (plain && step.new.iter().all(own)).then(|| Turn {
        answer: before.output.tokens,
        carry: match before.output.carry {
            Carry::All => before.output.tokens,
            Carry::Last(tokens) => tokens,
        },
        keep: context.keep,
        input: step.new_tokens(),
        from: match edge.wait {
            Wait::Tool => From::Tool,
            Wait::User => From::User,
            Wait::Unknown => From::Unknown,
        },
        wait_ms: edge.delay.0 / 1_000_000,
    })
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn prefix(segments: &[(String, Tokens)]) -> String {
    let segment = |(id, tokens): &(String, Tokens)| {
        let id = serde_json::to_string(id).expect("a string is JSON");
        format!(r#"{{"id":{id},"tokens":{tokens}}}"#)
    };
    list(segments.iter().map(segment))
}

/// Milliseconds as seconds, without zeros at the end.
fn seconds(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a string does not fail");
}
