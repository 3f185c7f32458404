//! Sessions of Claude Code: a line a record, with subagents in the same file or beside it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trie_core::units::Tokens;

use crate::content::{Measure, flat_text};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Call, Kind, Lane, Opened, Place, Request, Session, Shared, Time};
use crate::session::{admit, arrive};
use crate::usage::usage;
use crate::value::{at, list, on, text, time};

const MILLIS: f64 = 1e-3;

/// Transcripts of sessions.
pub(crate) const FORMAT: Format = Format {
    name: "claude-code",
    title: "Claude Code's session files, with subagents (`~/.claude/projects/.../*.jsonl`)",
    known_by: "`sessionId` beside `type`, and `message` or `uuid`",
    expresses: "lengths and cached tokens of requests; parallel tool calls with their times; waits for \
                people; compactions; subagents as lanes with their joins; the system prompt's size",
    lost: "claude-code: no start of a request is recorded: it is taken to start at its last input; what \
           stays of an answer is taken from the next prompt's length; the size of the system prompt \
           is what the first message leaves of the first prompt, its text being counted",
    time_unit: "ISO 8601",
    page: "claude-code.md",
    recognise: |head| {
        head.any(|record| {
            let kind = text(record, &["type"]).is_some();
            let body = record.get("message").is_some() || record.get("uuid").is_some();
            kind && body && text(record, &["sessionId"]).is_some()
        })
    },
    reader: || Box::new(Transcripts::default()),
};

/// Sessions read so far.
#[derive(Default)]
struct Transcripts {
    /// Records that were read, by their hashed names: forks and resumed sessions repeat them.
    seen: BTreeSet<u64>,
    sessions: BTreeMap<String, Talk>,
    /// The lane of every record of a sidechain that is in its session's own file.
    chains: BTreeMap<u64, usize>,
    requests: usize,
}

/// One session.
#[derive(Default)]
struct Talk {
    /// The session's own lane, and those of its agents in the order in which they begin.
    agents: Vec<Agent>,
    by_agent: BTreeMap<String, usize>,
    /// Which agent's result a tool call is, and where that call was made.
    calls: BTreeMap<String, (usize, usize)>,
    results: Vec<(String, Place)>,
}

/// A lane while it is read.
#[derive(Default)]
struct Agent {
    requests: Vec<Request>,
    by_message: BTreeMap<String, usize>,
    /// What came in since the last request began.
    pending: Pending,
    /// Tokens of the first message, by count, and what names the system prompt.
    first: Option<(Tokens, String)>,
    failed: BTreeSet<String>,
}

/// What a next request will hold that is new.
#[derive(Default)]
struct Pending {
    last: Option<Time>,
    calls: Vec<Call>,
    from_user: bool,
    compacted: bool,
    /// Agents whose results are among it.
    agents: Vec<String>,
    size: Tokens,
}

impl Reader for Transcripts {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        if let Some(uuid) = text(record, &["uuid"])
            && !self.seen.insert(context.salt.hash(&[uuid.as_bytes()]))
        {
            context.fidelity.count(Event::Repeated, 1);
            return Ok(());
        }
        let Some(session) = text(record, &["sessionId"]) else { return Ok(()) };
        let lane = self.lane(session, record, context);
        let talk = self.sessions.entry(session.to_owned()).or_default();
        match text(record, &["type"]) {
            Some("assistant") => self.requests += usize::from(talk.answer(lane, record, context)),
            Some("user") => talk.input(lane, record, context),
            Some("system") if text(record, &["subtype"]) == Some("compact_boundary") => {
                talk.agents[lane].pending.compacted = true;
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn held(&self) -> usize {
        (self.seen.len() + self.chains.len()) * 32 + self.requests * (size_of::<Request>() + 160)
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        let sessions = self.sessions.into_iter();
        let mut sessions: Vec<Session> =
            sessions.map(|(name, talk)| talk.into_session(name, context)).collect();
        arrive(&mut sessions);
        context.sessions.extend(sessions);
    }
}

impl Transcripts {
    /// The lane of a record: the session's own, or that of an agent.
    fn lane(&mut self, session: &str, record: &Value, context: &Context<'_>) -> usize {
        let talk = self.sessions.entry(session.to_owned()).or_default();
        if talk.agents.is_empty() {
            talk.agents.push(Agent::default());
        }
        if !on(record, &["isSidechain"]) {
            return 0;
        }
        let hash = |key: &str| {
            let id = text(record, &[key])?;
            Some(context.salt.hash(&[session.as_bytes(), id.as_bytes()]))
        };
        let (own, parent) = (hash("uuid"), hash("parentUuid"));
        let lane = match text(record, &["agentId"]) {
            Some(agent) => talk.agent(agent),
            // A chain of records: the lane of the one before.
            None => {
                parent.and_then(|parent| self.chains.get(&parent)).copied().unwrap_or_else(|| {
                    talk.agents.push(Agent::default());
                    talk.agents.len() - 1
                })
            }
        };
        if let Some(own) = own {
            self.chains.insert(own, lane);
        }
        lane
    }
}

impl Talk {
    /// The lane of an agent of this name.
    fn agent(&mut self, name: &str) -> usize {
        let next = self.agents.len();
        let lane = *self.by_agent.entry(name.to_owned()).or_insert(next);
        if lane == next {
            self.agents.push(Agent::default());
        }
        lane
    }

    /// A record of an answer, of which there may be several that all repeat its usage. Whether it
    /// is the first.
    fn answer(&mut self, lane: usize, record: &Value, context: &mut Context<'_>) -> bool {
        let Some(message) = at(record, &["message"]) else { return false };
        let id = text(message, &["id"]).unwrap_or_default().to_owned();
        let agent = &mut self.agents[lane];
        let synthetic = text(message, &["model"]) == Some("<synthetic>");
        if synthetic || on(record, &["isApiErrorMessage"]) {
            let first = agent.failed.insert(id);
            context.fidelity.count(Event::Errors, u64::from(first));
            return false;
        }
        let when = at(record, &["timestamp"]).and_then(crate::value::moment);
        let used = usage(message.get("usage").unwrap_or(&Value::Null));
        let known = agent.by_message.get(&id).copied();
        let new = known.is_none();
        let request = known.unwrap_or_else(|| agent.begin(id, when));
        let this = &mut agent.requests[request];
        this.end = this.end.max(when);
        this.input = used.input.unwrap_or(this.input);
        this.output = used.output.unwrap_or(this.output);
        this.cached = used.cached.or(this.cached);
        if new {
            for name in std::mem::take(&mut agent.pending.agents) {
                self.results.push((name, Place { lane, request }));
            }
        }
        for part in list(message, &["content"]) {
            if let (Some("tool_use"), Some(id)) = (text(part, &["type"]), text(part, &["id"])) {
                self.calls.insert(id.to_owned(), (lane, request));
            }
        }
        new
    }

    /// What a person or a tool wrote.
    fn input(&mut self, lane: usize, record: &Value, context: &Context<'_>) {
        let measure = Measure { salt: context.salt, count: context.count };
        let when = at(record, &["timestamp"]).and_then(crate::value::moment);
        let content = at(record, &["message", "content"]).unwrap_or(&Value::Null);
        let results = content.as_array().map_or(&[][..], Vec::as_slice).iter();
        let results = results.filter(|part| text(part, &["type"]) == Some("tool_result"));
        let mut calls = Vec::new();
        for result in results {
            let size = measure.size(&result.get("content").map(flat_text).unwrap_or_default());
            let made = text(result, &["tool_use_id"]).and_then(|id| self.calls.get(id));
            let made = made.and_then(|(lane, request)| self.agents[*lane].requests[*request].end);
            calls.push(Call { size, latency: took(record).or(crate::threads::since(made, when)) });
        }
        let pending = &mut self.agents[lane].pending;
        pending.last = pending.last.max(when);
        if let Some(agent) = text(record, &["toolUseResult", "agentId"]) {
            pending.agents.push(agent.to_owned());
        }
        if calls.is_empty() {
            pending.from_user |= !on(record, &["isMeta"]) && !on(record, &["isCompactSummary"]);
            pending.compacted |= on(record, &["isCompactSummary"]);
            pending.size = pending.size.saturating_add(measure.size(&flat_text(content)));
        }
        pending.calls.extend(calls);
        let version = text(record, &["version"]).unwrap_or_default();
        let agent = &mut self.agents[lane];
        if agent.requests.is_empty() {
            agent.first = Some((agent.pending.size, version.to_owned()));
        }
    }

    fn into_session(self, name: String, context: &mut Context<'_>) -> Session {
        let Talk { agents, by_agent, calls: _, results } = self;
        let mut lanes: Vec<Lane> = Vec::new();
        // Requests are numbered anew where some are left out.
        let mut places: Vec<Vec<Option<usize>>> = Vec::new();
        for (number, agent) in agents.into_iter().enumerate() {
            let (lane, moved) = agent.into_lane(number, context);
            lanes.push(lane);
            places.push(moved);
        }
        for (agent, place) in results {
            let Some(lane) = by_agent.get(&agent).copied().filter(|lane| *lane != place.lane)
            else {
                continue;
            };
            let Some(request) = places[place.lane].get(place.request).copied().flatten() else {
                continue;
            };
            // The answer before the one that holds the result made the call.
            if let Some(caller) = request.checked_sub(1) {
                lanes[lane].opened = Opened::By(Place { lane: place.lane, request: caller });
                lanes[lane].joined = Some(Place { lane: place.lane, request });
            }
        }
        Session { name: Some(name), lanes, ..Session::default() }
    }
}

impl Agent {
    /// A request begins: all that came in before is in its prompt.
    fn begin(&mut self, id: String, when: Option<Time>) -> usize {
        let pending = &mut self.pending;
        let kind = match (pending.compacted, pending.from_user) {
            (true, _) => Kind::Summary,
            (false, true) => Kind::User,
            (false, false) if pending.calls.is_empty() => Kind::Unknown,
            (false, false) => Kind::Tool,
        };
        let calls = std::mem::take(&mut pending.calls);
        let start = pending.last.take().or(when);
        (pending.from_user, pending.compacted) = (false, false);
        let number = self.requests.len();
        self.requests.push(Request { start, end: when, kind, calls, ..Request::default() });
        self.by_message.insert(id, number);
        number
    }

    /// The lane, and the new numbers of its requests.
    fn into_lane(self, number: usize, context: &mut Context<'_>) -> (Lane, Vec<Option<usize>>) {
        context.fidelity.count(Event::LastCompactions, u64::from(self.pending.compacted));
        let mut lane = Lane::default();
        let mut moved = Vec::with_capacity(self.requests.len());
        for request in self.requests {
            let kept = admit(&request, context.fidelity);
            moved.push(kept.then_some(lane.requests.len()));
            if kept {
                lane.requests.push(request);
            }
        }
        if let (Some((size, version)), Some(first)) = (self.first, lane.requests.first()) {
            let tokens = first.input.saturating_sub(size);
            if size > 0 && tokens > 0 && !version.is_empty() {
                let kind = if number == 0 { "claude-code" } else { "claude-code-agent" };
                lane.prefix = vec![Shared { id: context.salt.name(kind, &version), tokens }];
            }
        }
        (lane, moved)
    }
}

/// How long a tool says that it took.
fn took(record: &Value) -> Option<Time> {
    let mut millis = ["durationMs", "totalDurationMs"].iter();
    let millis = millis.find_map(|key| time(record, &["toolUseResult", key], MILLIS));
    let took = millis.or_else(|| time(record, &["toolUseResult", "durationSeconds"], 1.0));
    took.filter(|took| *took >= 0)
}
