//! Spans of requests, tools and agents into conversations, by their times and parents.

use std::collections::{BTreeMap, BTreeSet};

use trie_core::units::Tokens;

use crate::content::Message;
use crate::fidelity::Event;
use crate::format::Context;
use crate::model::{Call, Kind, Lane, Opened, Request, Session, Time};
use crate::session::{admit, arrive};
use crate::threads::{Exchange, Threads, since};

/// How many parents of a span are looked at: deeper ones belong to no agent.
const MOST_PARENTS: usize = 64;

/// What a span is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Is {
    Request,
    Tool,
    Agent,
    Other,
}

/// A span as far as it matters.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) id: String,
    pub(crate) parent: String,
    /// The trace; its conversation too where none is named, unless `loose`.
    pub(crate) trace: String,
    pub(crate) conversation: Option<String>,
    /// Its trace is less than a conversation: messages say which one it belongs to.
    pub(crate) loose: bool,
    pub(crate) is: Is,
    pub(crate) failed: bool,
    pub(crate) input: Option<Tokens>,
    pub(crate) output: Option<Tokens>,
    pub(crate) messages: Vec<Message>,
    pub(crate) answer: Vec<Message>,
    pub(crate) request: Request,
    /// Tokens of a tool's result, where they are known.
    pub(crate) size: Option<Tokens>,
}

/// A tool that ran: from when, until when, and how long its result is, where that is known.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Ran {
    pub(crate) start: Time,
    pub(crate) end: Time,
    pub(crate) size: Option<Tokens>,
}

/// Spans read so far.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    all: Vec<Span>,
    seen: BTreeSet<u64>,
    messages: usize,
}

impl Spans {
    /// Bytes held, about.
    pub(crate) fn held(&self) -> usize {
        let messages = self.messages * size_of::<Message>();
        self.all.len() * (size_of::<Span>() + 160) + messages + self.seen.len() * 16
    }

    /// Takes a span; one that was exported before is counted and left out.
    pub(crate) fn add(&mut self, span: Span, context: &mut Context<'_>) {
        let hash = context.salt.hash(&[span.trace.as_bytes(), span.id.as_bytes()]);
        if !span.id.is_empty() && !self.seen.insert(hash) {
            context.fidelity.count(Event::Repeated, 1);
            return;
        }
        self.messages += span.messages.len() + span.answer.len();
        self.all.push(span);
    }

    /// Groups spans into conversations and hands them out.
    pub(crate) fn finish(self, context: &mut Context<'_>) {
        let family = Family::of(&self.all);
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (at, span) in self.all.iter().enumerate() {
            let group = groups.entry(family.conversation(span)).or_default();
            match span.is {
                Is::Request if span.failed => context.fidelity.count(Event::Errors, 1),
                Is::Request => group.requests.push(at),
                Is::Tool => group.tools.push(at),
                Is::Agent => {}
                Is::Other => context.fidelity.count(Event::Other, 1),
            }
        }
        let mut threads = Threads::default();
        let mut sessions = Vec::new();
        let mut tools: BTreeMap<String, Vec<Ran>> = BTreeMap::new();
        for (name, group) in groups {
            let with_messages = |at: &usize| !self.all[*at].messages.is_empty();
            if !group.requests.is_empty() && group.requests.iter().all(with_messages) {
                tools.insert(name.clone(), group.times_of_tools(&self.all, |_| true));
                for at in group.requests {
                    let span = &self.all[at];
                    let named = span.conversation.is_some() || !span.loose;
                    threads.add(exchange(span, named.then(|| name.clone())), context);
                }
            } else {
                sessions.push(by_length(&self.all, &family, name, &group, context));
            }
        }
        let before = context.sessions.len();
        threads.finish(context);
        let linked = context.sessions.split_off(before);
        for mut session in linked {
            let calls = session.name.as_ref().and_then(|name| tools.get(name));
            // Times alone do not say which of several agents a tool worked for.
            if let (Some(calls), [lane]) = (calls, &mut session.lanes[..]) {
                add_calls(&mut lane.requests, calls);
            }
            sessions.push(session);
        }
        arrive(&mut sessions);
        context.sessions.extend(sessions);
    }
}

fn exchange(span: &Span, session: Option<String>) -> Exchange {
    Exchange {
        session,
        messages: span.messages.clone(),
        answer: span.answer.clone(),
        input: span.input,
        output: span.output,
        request: span.request.clone(),
    }
}

/// Spans of one conversation.
#[derive(Default)]
struct Group {
    requests: Vec<usize>,
    tools: Vec<usize>,
}

impl Group {
    /// When tools ran, by start.
    fn times_of_tools(&self, spans: &[Span], is: impl Fn(&Span) -> bool) -> Vec<Ran> {
        let tools = self.tools.iter().map(|at| &spans[*at]).filter(|span| is(span));
        let ran = |span: &Span| {
            Some(Ran { start: span.request.start?, end: span.request.end?, size: span.size })
        };
        let mut times: Vec<Ran> = tools.filter_map(ran).collect();
        times.sort_unstable();
        times
    }
}

/// Spans by their names, to find the agent that each belongs to.
struct Family<'s> {
    by_id: BTreeMap<(&'s str, &'s str), &'s Span>,
}

impl<'s> Family<'s> {
    fn of(spans: &'s [Span]) -> Self {
        let by_id = spans.iter().map(|span| ((span.trace.as_str(), span.id.as_str()), span));
        Self { by_id: by_id.collect() }
    }

    fn parents(&self, span: &Span) -> impl Iterator<Item = &'s Span> {
        let parent =
            |span: &Span| self.by_id.get(&(span.trace.as_str(), span.parent.as_str())).copied();
        std::iter::successors(parent(span), move |span| parent(span)).take(MOST_PARENTS)
    }

    /// The conversation of a span: its own, or that of the nearest parent that names one, or the
    /// trace.
    fn conversation(&self, span: &Span) -> String {
        let parents = self.parents(span).find_map(|parent| parent.conversation.clone());
        span.conversation.clone().or(parents).unwrap_or_else(|| span.trace.clone())
    }

    /// The agent that a span belongs to; empty for none.
    fn agent(&self, span: &Span) -> &'s str {
        let agent = self.parents(span).find(|parent| parent.is == Is::Agent);
        agent.map_or("", |agent| agent.id.as_str())
    }
}

/// A conversation of which only lengths are known: a lane for each agent, and one more for each
/// request that overlaps those of its agent.
fn by_length(
    spans: &[Span],
    family: &Family<'_>,
    name: String,
    group: &Group,
    context: &mut Context<'_>,
) -> Session {
    let mut sorted: Vec<&Span> = group.requests.iter().map(|at| &spans[*at]).collect();
    sorted.sort_by_key(|span| span.request.start);
    let mut lanes: Vec<(&str, Lane)> = Vec::new();
    for span in sorted {
        let mut request = span.request.clone();
        let counted = |messages: &[Message]| messages.iter().map(|message| message.size).sum();
        let recorded = span.input.is_some() && span.output.is_some();
        request.input = span.input.unwrap_or_else(|| counted(&span.messages));
        request.output = span.output.unwrap_or_else(|| counted(&span.answer));
        if !admit(&request, context.fidelity) {
            continue;
        }
        context.fidelity.count(Event::Counted, u64::from(!recorded));
        let agent = family.agent(span);
        let free = |lane: &Lane| {
            let end = lane.requests.last().and_then(|last| last.end);
            end.zip(request.start).is_none_or(|(end, start)| end <= start)
        };
        let lane = lanes.iter().position(|(of, lane)| *of == agent && free(lane));
        let lane = lane.unwrap_or_else(|| {
            lanes.push((agent, Lane { opened: Opened::AfterRoot, ..Lane::default() }));
            lanes.len() - 1
        });
        lanes[lane].1.requests.push(request);
    }
    for (agent, lane) in &mut lanes {
        let calls = group.times_of_tools(spans, |tool| family.agent(tool) == *agent);
        add_calls(&mut lane.requests, &calls);
    }
    let lanes = lanes.into_iter().map(|(_, lane)| lane).collect();
    Session { name: Some(name), lanes, ..Session::default() }
}

/// Gives requests the tool calls that ran between them and the one before.
pub(crate) fn add_calls(requests: &mut [Request], tools: &[Ran]) {
    for at in 1..requests.len() {
        let (Some(from), Some(until)) = (requests[at - 1].end, requests[at].start) else {
            continue;
        };
        let first = tools.partition_point(|ran| ran.start < from);
        let between = tools[first..].iter().take_while(|ran| ran.start <= until);
        let between: Vec<&Ran> =
            between.filter(|ran| ran.end <= until && ran.end >= ran.start).collect();
        // Where a result's length is not known, all are taken to be alike.
        let known = between.iter().all(|ran| ran.size.is_some());
        let calls = between.into_iter().map(|ran| Call {
            size: ran.size.filter(|_| known).unwrap_or(1),
            latency: since(Some(ran.start), Some(ran.end)),
        });
        let calls: Vec<Call> = calls.collect();
        let request = &mut requests[at];
        if calls.is_empty() {
            continue;
        }
        if request.calls.len() == calls.len() {
            for (call, ran) in request.calls.iter_mut().zip(calls) {
                call.latency = ran.latency;
            }
        } else if request.calls.is_empty() && request.kind != Kind::User {
            request.kind = Kind::Tool;
            request.calls = calls;
        }
    }
}
