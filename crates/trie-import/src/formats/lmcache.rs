//! Traces of agents that `LMCache` collects from dashboards of APIs: a line a request, its prompt as
//! one text.
//!
//! LMCache/lmcache-agent-trace has the traces, and in `prefix_analysis.py` how they are read. Prompts of
//! several agents stand under one session, out of order, and most of them without what the agents
//! themselves wrote.

use std::collections::BTreeMap;

use serde_json::Value;
use trie_core::units::Tokens;

use crate::content::{Measure, Message, Role};
use crate::count::scaled;
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Kind, Lane, Opened, Place, Request, Session, Time};
use crate::session::{admit, arrive};
use crate::tree::Tree;
use crate::value::{at, iso, number, seconds, text, tokens};

/// Traces.
pub(crate) const FORMAT: Format = Format {
    name: "lmcache",
    title: "LMCache's traces of agents, from dashboards of APIs (JSONL)",
    known_by: "`input` and `output` as texts beside `timestamp` and `session_id`",
    expresses: "what prompts share, and so the agents of a session and where a history was cut; \
                lengths, where they are recorded",
    lost: "lmcache: prompts are texts without roles: requests are one agent's where one prompt opens with \
           another, or with half of it; lengths are counted from the texts unless recorded; no end is \
           recorded, so waits are from start to start",
    time_unit: "us since 1970 (ms, s and ISO 8601 are known by their size)",
    page: "agents.md",
    recognise: |head| {
        head.any(|record| {
            let texts = ["input", "output", "session_id"];
            texts.iter().all(|key| text(record, &[key]).is_some())
                && record.get("timestamp").is_some()
        })
    },
    reader: || Box::new(Dashboard::default()),
};

/// Requests read so far.
#[derive(Default)]
struct Dashboard {
    /// Prompts, line by line.
    tree: Tree,
    sessions: BTreeMap<String, Vec<Seen>>,
    requests: usize,
}

/// A request.
struct Seen {
    /// The last line of its prompt.
    tip: u32,
    /// The first line of its answer that is not empty.
    said: Option<u64>,
    /// Lengths of prompt and answer are recorded.
    recorded: bool,
    request: Request,
}

/// Where an agent has got to.
struct Tip {
    /// The last line of its last prompt.
    at: u32,
    said: Option<u64>,
    recorded: bool,
    /// Tokens of answers that its prompts are recorded without.
    put_back: Tokens,
}

impl Reader for Dashboard {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let (Some(input), Some(output)) = (text(record, &["input"]), text(record, &["output"]))
        else {
            context.fidelity.count(Event::Other, 1);
            return Ok(());
        };
        let measure = Measure { salt: context.salt, count: context.count };
        let session = text(record, &["session_id"]).unwrap_or_default();
        let hash = context.salt.hash(&[b"conversation", session.as_bytes()]);
        let mut tip = self.tree.child(0, Message { role: Role::System, hash, size: 0 });
        for line in input.split('\n') {
            tip = self.tree.child(tip, measure.made(Role::User, line, ""));
        }
        let lengths = tokens(record, &["input_tokens"]).zip(tokens(record, &["output_tokens"]));
        // Lines are counted one by one: where a count is of whole texts, it is more exact.
        let counted = || (measure.size(input), measure.size(output));
        let (input, output_tokens) = lengths.unwrap_or_else(counted);
        let (start, end) = (moment(record, "timestamp"), moment(record, "end_time"));
        let first = output.split('\n').find(|line| !line.trim().is_empty());
        let said = first.map(|line| measure.made(Role::User, line, "").hash);
        let request = Request { start, end, input, output: output_tokens, ..Request::default() };
        if admit_later(&request) {
            self.requests += 1;
            let seen = Seen { tip, said, recorded: lengths.is_some(), request };
            self.sessions.entry(session.to_owned()).or_default().push(seen);
        } else {
            // It is counted as what it lacks.
            admit(&request, context.fidelity);
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.tree.held() + self.requests * (size_of::<Seen>() + 64) + self.sessions.len() * 160
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        let Self { tree, sessions, .. } = *self;
        let mut marks = vec![None; tree.len()];
        let sessions = sessions.into_iter().map(|(name, seen)| {
            let lanes = lanes(&tree, seen, &mut marks, context);
            let name = Some(name).filter(|name| !name.is_empty());
            Session { name, lanes, ..Session::default() }
        });
        let mut sessions: Vec<Session> = sessions.collect();
        arrive(&mut sessions);
        context.sessions.extend(sessions);
    }
}

/// Whether it has lengths at all; what is put back into its prompt comes later.
fn admit_later(request: &Request) -> bool {
    request.input > 0 && request.output > 0
}

/// A time in the unit that its size tells: of a time since 1970, microseconds have 16 digits.
fn moment(record: &Value, key: &str) -> Option<Time> {
    let value = at(record, &[key])?;
    if let Some(time) = value.as_str().and_then(iso) {
        return Some(time);
    }
    let time = number(value)?;
    let unit = match time.abs() {
        micros if micros >= 1e14 => 1e-6,
        millis if millis >= 1e11 => 1e-3,
        _ => 1.0,
    };
    seconds(time * unit)
}

/// A session's requests by agent, in the order of their times. `marks` says of a line which agent was
/// there last.
fn lanes(
    tree: &Tree,
    mut seen: Vec<Seen>,
    marks: &mut [Option<usize>],
    context: &mut Context<'_>,
) -> Vec<Lane> {
    if seen.iter().all(|seen| seen.request.start.is_some()) {
        let late = seen.windows(2).filter(|pair| pair[1].request.start < pair[0].request.start);
        context.fidelity.count(Event::Unsorted, late.count() as u64);
        seen.sort_by_key(|seen| seen.request.start);
    }
    let mut lanes: Vec<Lane> = Vec::new();
    let mut tips: Vec<Tip> = Vec::new();
    for Seen { tip, said, recorded, mut request } in seen {
        request.kind = Kind::Unknown;
        // The agent whose prompts have most in common with this one.
        let lines = || {
            std::iter::successors(Some(tip), |at| Some(tree.node(*at).before).filter(|at| *at != 0))
        };
        let nearest = lines().find_map(|line| marks[line as usize]);
        let nearest = nearest.map(|lane: usize| (tree.common(tips[lane].at, tip), lane));
        let own =
            nearest.filter(|(common, lane)| common * 2 >= tree.node(tips[*lane].at).size.max(1));
        let again = own.is_some_and(|(_, lane)| tips[lane].at == tip);
        let put_back = match own {
            Some((_, lane)) => goes_on(tree, &tips[lane], tip, &lanes[lane], &mut request),
            None => 0,
        };
        request.input = request.input.saturating_add(put_back);
        if !admit(&request, context.fidelity) {
            continue;
        }
        context.fidelity.count(Event::Counted, u64::from(!recorded));
        context.fidelity.count(Event::Retries, u64::from(again));
        let was = own.map_or(0, |(_, lane)| tips[lane].put_back);
        context.fidelity.count(Event::PutBack, u64::from(put_back > was));
        let now = Tip { at: tip, said, recorded, put_back };
        let lane = own.map_or(lanes.len(), |(_, lane)| lane);
        lines().for_each(|line| marks[line as usize] = Some(lane));
        if own.is_some() {
            lanes[lane].requests.push(request);
            tips[lane] = now;
        } else {
            let shared = nearest.filter(|(common, _)| *common > 0);
            let opened = shared.map_or(Opened::AfterAny, |(common, lane)| {
                let request = lanes[lane].requests.len() - 1;
                let of = &lanes[lane].requests[request];
                let keep = scaled(of.input, common, tree.node(tips[lane].at).size);
                Opened::Fork(Place { lane, request }, Some(keep))
            });
            lanes.push(Lane { requests: vec![request], opened, ..Lane::default() });
            tips.push(now);
        }
    }
    lanes
}

/// Says how a prompt goes on with its agent's last one. How many tokens of answers are to be put back
/// into it.
///
/// A prompt that opens with the whole one before it, and does not hold its answer, is recorded without
/// what the agent wrote: it was sent with all of it.
fn goes_on(tree: &Tree, before: &Tip, tip: u32, lane: &Lane, request: &mut Request) -> Tokens {
    let Some(last) = lane.requests.last() else { return 0 };
    let fork = tree.fork(before.at, tip);
    if fork != before.at {
        let common = tree.node(fork).size;
        request.keep = Some(scaled(last.input, common, tree.node(before.at).size));
        return 0;
    }
    let new = tree.between(tip, before.at);
    if new.is_empty() {
        // Sent again.
        request.keep = Some(last.input);
        return before.put_back;
    }
    let holds = before.said.is_some_and(|said| new.iter().any(|node| node.hash == said));
    if holds || before.recorded {
        return before.put_back;
    }
    before.put_back.saturating_add(last.output)
}
