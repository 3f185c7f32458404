//! Dynamo's request trace, version 1: requests and tools as they end, with sessions and their parents.
//!
//! The records are those of github.com/ai-dynamo/dynamo (the page "Request Replay Tracing" of its
//! documentation, and `types.rs` in lib/llm/src), also inside of `event`, as its sinks wrap them. A session's requests follow each other by their starts; a child session is launched by a
//! request of its parent and joined by a later one, as the page "Trace replay" there describes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trie_core::units::Tokens;

use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::links::Links;
use crate::model::{BlockShape, Kind, Lane, Opened, Place, Request, Run, Session, Time};
use crate::session::{admit, arrive, sort};
use crate::spans::{Ran, add_calls};
use crate::value::{at, list, text, time, tokens, whole};

use super::mooncake::fitting;

const MILLIS: f64 = 1e-3;

/// Requests of sessions and of none.
pub(crate) const FORMAT: Format = Format {
    name: "dynamo-requests",
    title: "Dynamo's request trace, version 1: requests and tools as they end",
    known_by: "`schema` with `dynamo.request.trace` or `dynamo.agent.trace`, alone or in `event`",
    expresses: "sessions with their children as lanes; lengths, cached tokens, starts and ends; tools as \
                parallel calls; every prompt as blocks, shared by all rows",
    lost: "dynamo-requests: who launches and who joins a child session is taken from times where no tool \
           says it; requests without a session are rows of their own with their arrival (mooncake_join=True \
           joins those that go on with each other); bodies in request_payload are not read",
    time_unit: "ms",
    page: "importing.md",
    recognise: |head| head.any(|record| schema(event(record)).is_some()),
    reader: || Box::new(Log::default()),
};

/// The record, which sinks wrap.
fn event(record: &Value) -> &Value {
    at(record, &["event"]).filter(|event| schema(event).is_some()).unwrap_or(record)
}

/// Which of the two schemas a record is of, with its version.
fn schema(record: &Value) -> Option<&str> {
    let names = ["dynamo.request.trace.", "dynamo.agent.trace."];
    text(record, &["schema"]).filter(|schema| names.iter().any(|name| schema.starts_with(name)))
}

#[derive(Default)]
struct Log {
    size: Option<Tokens>,
    /// Hashes of blocks, numbered as they come.
    ids: BTreeMap<u64, u64>,
    agents: Vec<Agent>,
    by_name: BTreeMap<String, usize>,
    /// Requests of no session.
    free: Vec<Request>,
    held: usize,
}

/// One session of the source: what becomes one lane.
#[derive(Default)]
struct Agent {
    name: String,
    parent: Option<String>,
    requests: Vec<Named>,
    tools: Vec<Ran>,
    links: Vec<Link>,
}

/// A request and what is said of it beside its lengths and times.
struct Named {
    names: [String; 2],
    /// The answer ended the turn: a person asks next.
    stopped: bool,
    request: Request,
}

/// What a tool says of the child session that it was.
struct Link {
    child: String,
    source: String,
    consumer: Option<String>,
}

impl Reader for Log {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let event = event(record);
        if let Some(schema) = schema(event).filter(|schema| schema.rsplit('.').next() != Some("v1"))
        {
            let what = format!("schema {schema}: wanted version 1, as dynamo.request.trace.v1");
            return Err((what, "only version 1 is read"));
        }
        match text(event, &["event_type"]) {
            Some("request_end") => self.request(event, context)?,
            Some("tool_end" | "tool_error") => self.tool(event),
            Some(_) | None => context.fidelity.count(Event::Other, 1),
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.held
    }

    fn finish(mut self: Box<Self>, context: &mut Context<'_>) {
        let size = self.size.unwrap_or(1);
        let shape = BlockShape { size, scope: "dynamo" };
        let mut links = Links::default();
        sort(&mut self.free, context.fidelity);
        for request in std::mem::take(&mut self.free) {
            links.take(request, shape.clone(), context);
        }
        links.finish(context);
        let mut sessions = self.sessions(context);
        for session in &mut sessions {
            let requests = session.lanes.iter().flat_map(|lane| &lane.requests);
            let named = requests.clone().all(|of| !of.ids.is_empty() || of.input < size);
            session.blocks = named.then(|| shape.clone());
        }
        arrive(&mut sessions);
        context.sessions.append(&mut sessions);
    }
}

impl Log {
    fn request(&mut self, event: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let of = at(event, &["request"]).unwrap_or(&Value::Null);
        let input = tokens(of, &["replay", "input_length"]);
        let input = input.or_else(|| tokens(of, &["input_tokens"]));
        let (Some(input), Some(output)) = (input, tokens(of, &["output_tokens"])) else {
            context.fidelity.count(Event::NoLength, 1);
            return Ok(());
        };
        let ids = self.blocks(of, input)?;
        let took = time(of, &["total_time_ms"], MILLIS);
        let ended = time(event, &["event_time_unix_ms"], MILLIS);
        let start = time(of, &["request_received_ms"], MILLIS);
        let start = start.or_else(|| ended?.checked_sub(took?));
        let request = Request {
            start,
            end: start.zip(took).and_then(|(start, took)| start.checked_add(took)).or(ended),
            ttft: time(of, &["ttft_ms"], MILLIS),
            input,
            output,
            cached: tokens(of, &["cached_tokens"]),
            ids,
            ..Request::default()
        };
        if !admit(&request, context.fidelity) {
            return Ok(());
        }
        self.held += size_of::<Named>() + 160 + request.ids.len() * 16;
        let Some(agent) = self.agent(event) else {
            self.free.push(request);
            return Ok(());
        };
        let name = |key| text(of, &[key]).unwrap_or_default().to_owned();
        let names = [name("request_id"), name("x_request_id")];
        let stopped = text(of, &["finish_reason_metadata", "finish_reason"]) == Some("stop");
        self.agents[agent].requests.push(Named { names, stopped, request });
        Ok(())
    }

    /// The ids of a prompt's blocks. All files of one trace have blocks of one size.
    fn blocks(&mut self, of: &Value, input: Tokens) -> Result<Vec<Run>, Wrong> {
        let hashes = list(of, &["replay", "input_sequence_hashes"]);
        let size = tokens(of, &["replay", "trace_block_size"]).filter(|size| *size > 0);
        let Some(size) = size.filter(|_| !hashes.is_empty()) else { return Ok(Vec::new()) };
        let known = *self.size.get_or_insert(size);
        if known != size {
            let what = format!("blocks of {size} tokens: wanted {known}, as in the records before");
            return Err((what, "convert traces with blocks of other sizes apart"));
        }
        let hashes: Option<Vec<u64>> = hashes.iter().map(whole).collect();
        let Some(hashes) = hashes else {
            let what = "input_sequence_hashes holds something else than whole numbers".to_owned();
            return Err((what, "a trace of Dynamo has 64-bit hashes there"));
        };
        let ids = hashes.into_iter().map(|hash| {
            let next = self.ids.len() as u64;
            *self.ids.entry(hash).or_insert(next)
        });
        let ids: Vec<u64> = ids.collect();
        self.held += ids.len() * 8;
        fitting(ids, input, size)
    }

    /// The session that a record is of, where it names one.
    fn agent(&mut self, event: &Value) -> Option<usize> {
        let word = |keys: [&str; 2]| {
            let of = |key| text(event, &["agent_context", key]).or_else(|| text(event, &[key]));
            keys.into_iter().find_map(of).filter(|name| !name.is_empty())
        };
        let name = word(["trajectory_id", "session_id"])?;
        let parent = word(["parent_trajectory_id", "parent_session_id"]);
        let next = self.agents.len();
        let agent = *self.by_name.entry(name.to_owned()).or_insert(next);
        if agent == next {
            self.held += size_of::<Agent>() + 128;
            self.agents.push(Agent { name: name.to_owned(), ..Agent::default() });
        }
        let known = &mut self.agents[agent].parent;
        *known = known.take().or(parent.map(str::to_owned));
        Some(agent)
    }

    fn tool(&mut self, event: &Value) {
        let of = at(event, &["tool"]).unwrap_or(&Value::Null);
        let ended = time(of, &["ended_at_unix_ms"], MILLIS);
        let ended = ended.or_else(|| time(event, &["event_time_unix_ms"], MILLIS));
        let took = time(of, &["duration_ms"], MILLIS);
        let start = time(of, &["started_at_unix_ms"], MILLIS);
        let start = start.or_else(|| ended?.checked_sub(took?));
        let Some(agent) = self.agent(event) else { return };
        let agent = &mut self.agents[agent];
        if let (Some(start), Some(end)) = (start, ended) {
            agent.tools.push(Ran { start, end, size: tokens(of, &["output_tokens"]) });
        }
        let link = |key| text(of, &["claude", key]);
        if let (Some(child), Some(source)) = (link("child_session_id"), link("source_request_id")) {
            let waits = link("execution_mode").is_none_or(|mode| !mode.contains("background"));
            let consumer = link("consumer_request_id").filter(|_| waits).map(str::to_owned);
            agent.links.push(Link { child: child.to_owned(), source: source.to_owned(), consumer });
        }
        self.held += size_of::<Ran>() + size_of::<Link>();
    }

    /// Families of sessions: each a session with lanes, parents before their children.
    fn sessions(&mut self, context: &mut Context<'_>) -> Vec<Session> {
        for agent in &mut self.agents {
            agent.requests.sort_by_key(|named| named.request.start);
            agent.tools.sort_unstable();
        }
        let parents: Vec<Option<usize>> = self.agents.iter().map(|of| self.parent(of)).collect();
        let lost = self.agents.iter().zip(&parents);
        let lost = lost.filter(|(of, parent)| of.parent.is_some() && parent.is_none()).count();
        context.fidelity.count(Event::Orphans, lost as u64);
        let mut families: BTreeMap<usize, Vec<(usize, Option<Time>, usize)>> = BTreeMap::new();
        let roots = roots(&parents);
        for (agent, (root, depth)) in roots.into_iter().enumerate() {
            let first = self.agents[agent].requests.first().and_then(|first| first.request.start);
            families.entry(root).or_default().push((depth, first, agent));
        }
        let families = families.into_iter().map(|(root, mut members)| {
            members.sort_unstable();
            let members: Vec<usize> = members.into_iter().map(|(_, _, agent)| agent).collect();
            let name = Some(self.agents[root].name.clone());
            Session { name, lanes: self.lanes(&members, &parents), ..Session::default() }
        });
        families.filter(|session| session.lanes.iter().any(|of| !of.requests.is_empty())).collect()
    }

    fn parent(&self, agent: &Agent) -> Option<usize> {
        self.by_name.get(agent.parent.as_deref()?).copied()
    }

    fn lanes(&self, members: &[usize], parents: &[Option<usize>]) -> Vec<Lane> {
        let lanes = members.iter().map(|member| {
            let agent = &self.agents[*member];
            let mut requests: Vec<Request> =
                agent.requests.iter().map(|named| named.request.clone()).collect();
            for (request, before) in requests.iter_mut().skip(1).zip(&agent.requests) {
                request.kind = if before.stopped { Kind::User } else { Kind::Tool };
            }
            add_calls(&mut requests, &agent.tools);
            let parent = parents[*member];
            let lane = parent.and_then(|parent| members.iter().position(|of| *of == parent));
            let (opened, joined) = match parent.zip(lane) {
                Some((parent, lane)) => launched(&self.agents[parent], lane, agent),
                None => (Opened::AfterRoot, None),
            };
            Lane { requests, opened, joined, ..Lane::default() }
        });
        lanes.collect()
    }
}

/// Who launched a child session and who waits for its end: what a tool says, else the last request of
/// the parent that had ended when the child began, and the first that began when the child had ended.
fn launched(parent: &Agent, lane: usize, child: &Agent) -> (Opened, Option<Place>) {
    let named =
        |name: &str| parent.requests.iter().position(|of| of.names.iter().any(|it| it == name));
    let link = parent.links.iter().find(|link| link.child == child.name);
    let starts = child.requests.first().and_then(|first| first.request.start);
    let ends = child.requests.iter().filter_map(|of| of.request.end.or(of.request.start)).max();
    let last =
        |is: &dyn Fn(&Request) -> bool| parent.requests.iter().rposition(|of| is(&of.request));
    let by_time = || {
        let ended =
            |of: &Request| of.end.or(of.start).zip(starts).is_some_and(|(end, at)| end <= at);
        let begun = |of: &Request| of.start.zip(starts).is_some_and(|(start, at)| start <= at);
        last(&ended).or_else(|| last(&begun)).unwrap_or(0)
    };
    let source = link.and_then(|link| named(&link.source)).unwrap_or_else(by_time);
    let later = parent.requests.iter().enumerate().skip(source + 1);
    let joined = match link {
        Some(link) => link.consumer.as_deref().and_then(named),
        None => ends.and_then(|end| {
            let mut later = later;
            later
                .find(|(_, of)| of.request.start.is_some_and(|start| start >= end))
                .map(|(at, _)| at)
        }),
    };
    if parent.requests.is_empty() {
        return (Opened::AfterRoot, None);
    }
    let place = |request| Place { lane, request };
    (Opened::By(place(source)), joined.map(place))
}

/// The root of each session's family, and how far it is away. Sessions that are their own ancestors
/// are roots.
fn roots(parents: &[Option<usize>]) -> Vec<(usize, usize)> {
    let mut found: Vec<Option<(usize, usize)>> = vec![None; parents.len()];
    for agent in 0..parents.len() {
        let (mut path, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next = Some(agent);
        let (mut root, mut depth) = (agent, 0);
        while let Some(at) = next {
            if let Some((known, away)) = found[at] {
                (root, depth) = (known, away + 1);
                break;
            }
            if !seen.insert(at) {
                (root, depth) = (at, 0);
                break;
            }
            (root, depth) = (at, 0);
            path.push(at);
            next = parents[at];
        }
        for (away, at) in path.iter().rev().enumerate() {
            found[*at] = Some((root, depth + away));
        }
    }
    found.into_iter().enumerate().map(|(at, found)| found.unwrap_or((at, 0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_one_root_each() {
        let check = |parents: &[Option<usize>], expected: &[(usize, usize)]| {
            assert_eq!(roots(parents), expected, "{parents:?}");
        };
        check(&[None, Some(0), Some(1), None], &[(0, 0), (0, 1), (0, 2), (3, 0)]);
        check(&[Some(1), Some(2), None], &[(2, 2), (2, 1), (2, 0)]);
        // A circle: the first of it that is met again is the root.
        check(&[Some(1), Some(0)], &[(0, 1), (0, 0)]);
        check(&[Some(0)], &[(0, 0)]);
    }
}
