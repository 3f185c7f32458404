//! What an agent was given and what it answered, in the order in which it happened, as a lane.
//!
//! A trail knows its next prompt part by part. What is taken out of it is a cut of the prompt
//! before: where it is taken out of the middle, the rest stays.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use trie_core::units::Tokens;

use crate::content::{Message, Role};
use crate::count::scaled;
use crate::fidelity::Event;
use crate::format::Context;
use crate::model::{Call, Kind, Lane, Request, Shared, Time};
use crate::session::admit;
use crate::threads::shared;
use crate::usage::Usage;

/// Sizes of system prompts, as they were met first: one text, one length.
pub(crate) type Openings = BTreeMap<u64, Tokens>;

/// An agent's prompts and answers so far.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// What the next prompt holds.
    view: Vec<Part>,
    asked: Vec<Asked>,
    inputs: Inputs,
    /// What was taken out of the last prompt, where it stood in it.
    cuts: Vec<Range<Tokens>>,
    /// The last answer was taken out.
    forgot_answer: bool,
}

/// A message of a prompt.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// What the source calls it, hashed.
    name: u64,
    message: Message,
    /// Where it starts in the last prompt, if it was in it.
    at: Option<Tokens>,
}

/// A request. Lengths are by count until they are known.
#[derive(Debug, Default)]
struct Asked {
    request: Request,
    usage: Usage,
    /// Of the prompt, of its system prompt, of the answer and of the thoughts before it, by count.
    size: Tokens,
    system: Tokens,
    answer: Tokens,
    thought: Tokens,
    /// Of the system prompt's text.
    hash: u64,
    cut: Option<Vec<Range<Tokens>>>,
}

/// What is new in the next prompt.
#[derive(Debug, Default)]
struct Inputs {
    last: Option<Time>,
    calls: Vec<Call>,
    from_user: bool,
    compacted: bool,
}

/// What is known of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) usage: Usage,
    /// Of what the model thought, by count.
    pub(crate) thought: Tokens,
    /// When its request was sent: with the last input, where it is not known.
    pub(crate) start: Option<Time>,
    pub(crate) end: Option<Time>,
}

impl Trail {
    /// Bytes held, about.
    pub(crate) fn held(&self) -> usize {
        self.view.len() * size_of::<Part>() + self.asked.len() * (size_of::<Asked>() + 96)
    }

    /// Whether nothing was given or answered yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.view.is_empty() && self.asked.is_empty()
    }

    /// How many requests there are.
    pub(crate) fn requests(&self) -> usize {
        self.asked.len()
    }

    /// A message that is in the next prompt, whoever wrote it.
    pub(crate) fn given(&mut self, name: u64, message: Message, when: Option<Time>) {
        self.inputs.last = self.inputs.last.max(when);
        self.inputs.from_user |= message.role == Role::User;
        self.view.push(Part { name, message, at: None });
    }

    /// The result of a tool call.
    pub(crate) fn result(
        &mut self,
        name: u64,
        message: Message,
        latency: Option<Time>,
        when: Option<Time>,
    ) {
        self.inputs.last = self.inputs.last.max(when);
        self.inputs.calls.push(Call { size: message.size, latency });
        self.view.push(Part { name, message, at: None });
    }

    /// An answer to all that was given: a request. Its number.
    pub(crate) fn answered(&mut self, name: u64, said: Message, answer: Answer) -> usize {
        let Inputs { last, calls, from_user, compacted } = std::mem::take(&mut self.inputs);
        let kind = match (compacted, from_user, calls.is_empty()) {
            (true, _, _) => Kind::Summary,
            (false, true, _) => Kind::User,
            (false, false, false) => Kind::Tool,
            (false, false, true) => Kind::Unknown,
        };
        let carry = std::mem::take(&mut self.forgot_answer).then_some(0);
        let (start, end) = (answer.start.or(last), answer.end);
        let mut asked = Asked {
            request: Request { start, end, kind, calls, carry, ..Request::default() },
            usage: answer.usage,
            answer: said.size,
            thought: answer.thought,
            cut: Some(std::mem::take(&mut self.cuts)).filter(|cuts| !cuts.is_empty()),
            ..Asked::default()
        };
        let mut opening = true;
        for part in &mut self.view {
            part.at = Some(asked.size);
            asked.size = asked.size.saturating_add(part.message.size);
            opening &= part.message.role == Role::System;
            if opening {
                asked.system = asked.size;
                asked.hash = asked.hash.rotate_left(5) ^ part.message.hash;
            }
        }
        self.view.push(Part { name, message: said, at: None });
        self.asked.push(asked);
        self.asked.len() - 1
    }

    /// The last answer goes on: with another call, which may be told of when it is made.
    pub(crate) fn more(&mut self, size: Tokens) {
        let mut parts = self.view.iter_mut().rev();
        let part = parts.find(|part| part.message.role == Role::Assistant);
        if let (Some(asked), Some(part)) = (self.asked.last_mut(), part) {
            asked.answer = asked.answer.saturating_add(size);
            part.message.size = part.message.size.saturating_add(size);
        }
    }

    /// When the last request ended.
    pub(crate) fn last_end(&self) -> Option<Time> {
        self.asked.last()?.request.end
    }

    /// What is recorded of a request's tokens.
    pub(crate) fn recorded(&mut self, number: usize, usage: Usage) {
        if let Some(asked) = self.asked.get_mut(number) {
            asked.usage = usage;
        }
    }

    /// How long a request took, until its end.
    pub(crate) fn took(&mut self, number: usize, length: Time) {
        if let Some(asked) = self.asked.get_mut(number) {
            asked.request.start = asked.request.end.and_then(|end| end.checked_sub(length));
        }
    }

    /// Takes messages of these names out of the next prompt.
    pub(crate) fn forget(&mut self, names: &BTreeSet<u64>) {
        self.forget_if(|part| names.contains(&part.name));
    }

    /// Takes all but the system prompt out of the next prompt.
    pub(crate) fn start_anew(&mut self) {
        let opening = self.view.iter().take_while(|part| part.message.role == Role::System);
        let opening: BTreeSet<u64> = opening.map(|part| part.name).collect();
        self.forget_if(|part| !opening.contains(&part.name));
    }

    /// The next prompt holds a summary of what was taken out.
    pub(crate) fn compacted(&mut self) {
        self.inputs.compacted = true;
    }

    fn forget_if(&mut self, is: impl Fn(&Part) -> bool) {
        let (cuts, answers) = (&mut self.cuts, &mut self.forgot_answer);
        self.view.retain(|part| {
            let forgotten = is(part);
            match part.at {
                Some(at) if forgotten && part.message.size > 0 => {
                    cuts.push(at..at.saturating_add(part.message.size));
                }
                None if forgotten => *answers |= part.message.role == Role::Assistant,
                Some(_) | None => {}
            }
            !forgotten
        });
    }

    /// The lane, and the new numbers of its requests: some are left out.
    pub(crate) fn into_lane(
        self,
        openings: &mut Openings,
        context: &mut Context<'_>,
    ) -> (Lane, Vec<Option<usize>>) {
        context.fidelity.count(Event::LastCompactions, u64::from(self.inputs.compacted));
        let mut lane = Lane::default();
        let mut moved = Vec::with_capacity(self.asked.len());
        // Recorded and counted length of the prompt before.
        let mut before: Option<(Tokens, Tokens)> = None;
        for asked in self.asked {
            let counted = asked.usage.input.is_none() || asked.usage.output.is_none();
            let (system, hash, size) = (asked.system, asked.hash, asked.size);
            let mut request = asked.into_request(before);
            before = Some((request.input, size));
            let kept = admit(&request, context.fidelity);
            moved.push(kept.then_some(lane.requests.len()));
            if !kept {
                continue;
            }
            context.fidelity.count(Event::Counted, u64::from(counted));
            match lane.requests.last() {
                None => lane.prefix = prefix(openings, hash, scaled(request.input, system, size)),
                Some(last) => {
                    let from = last.end.filter(|_| request.start.is_none());
                    request.wait =
                        from.zip(request.end).map(|(from, end)| end.saturating_sub(from));
                    context.fidelity.count(Event::NoStart, u64::from(request.wait.is_some()));
                }
            }
            lane.requests.push(request);
        }
        (lane, moved)
    }
}

impl Asked {
    fn into_request(self, before: Option<(Tokens, Tokens)>) -> Request {
        let Self { mut request, usage, size, answer, thought, cut, .. } = self;
        request.input = usage.input.unwrap_or(size);
        request.output = usage.output.unwrap_or(answer.saturating_add(thought));
        let thought = Some(thought).filter(|_| usage.output.is_none());
        request.reasoning = usage.reasoning.or(thought).filter(|tokens| *tokens > 0);
        request.cached = usage.cached;
        if let (Some(cuts), Some((input, counted))) = (cut, before) {
            let place = |at: Tokens| scaled(input, at, counted);
            let ranges = merged(cuts).into_iter().map(|cut| place(cut.start)..place(cut.end));
            request.drop = ranges.filter(|range| range.start < range.end).collect();
            request.keep = Some(input);
            // What is cut off at the end is not kept.
            if let Some(last) = request.drop.pop_if(|last| last.end >= input) {
                request.keep = Some(last.start);
            }
        }
        request
    }
}

/// Ranges in order, those that touch as one.
fn merged(mut ranges: Vec<Range<Tokens>>) -> Vec<Range<Tokens>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<Tokens>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => merged.push(range),
        }
    }
    merged
}

fn prefix(openings: &mut Openings, hash: u64, tokens: Tokens) -> Vec<Shared> {
    if tokens == 0 {
        return Vec::new();
    }
    let tokens = *openings.entry(hash).or_insert(tokens);
    vec![shared(hash, tokens)]
}
