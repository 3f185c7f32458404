//! `TraceLab`'s rounds of Claude Code and Codex: a line a request, with lengths and times only.
//!
//! `uw-syfi/TraceLab` says what a line holds (skills/coding-trace-normalize/SKILL.md and
//! `docs/prompt_cache_accounting.md` there).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Call, Kind, Lane, Request, Session, Time};
use crate::session::{admit, arrive, sort};
use crate::threads::since;
use crate::value::{at, iso, list, text, time, tokens};

const MILLIS: f64 = 1e-3;

/// Rounds of sessions.
pub(crate) const FORMAT: Format = Format {
    name: "tracelab",
    title: "TraceLab's rounds of Claude Code and Codex (JSONL)",
    known_by: "`round_index` beside `timing_events`, or beside `newly_append_tokens`",
    expresses: "lengths, reasoning and cached tokens of requests; parallel tool calls with their times; waits for \
                people",
    lost: "tracelab: a request is taken to start at its last input, or else when its answer began; of prompts only lengths and cached tokens are \
           known, so what sessions share is not, and results of one round are split by their characters; agents \
           that a session started are rows of their own",
    time_unit: "ISO 8601; ms (`tool_wall_latency_ms`)",
    page: "agents.md",
    recognise: |head| {
        head.has(&["round_index", "timing_events"])
            || head.has(&["round_index", "newly_append_tokens"])
    },
    reader: || Box::new(Rounds::default()),
};

/// Rounds read so far.
#[derive(Default)]
struct Rounds {
    sessions: BTreeMap<String, Vec<Round>>,
    seen: BTreeSet<u64>,
    held: usize,
}

/// One round.
struct Round {
    number: u64,
    request: Request,
    /// Names of the calls whose results are new in its prompt, and how long they took where the round
    /// before says so.
    results: Vec<u64>,
    took: Vec<(u64, Time)>,
}

impl Reader for Rounds {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let Some(session) = text(record, &["session_id"]) else {
            context.fidelity.count(Event::Other, 1);
            return Ok(());
        };
        // Sessions that were collected twice repeat their rounds.
        let key = text(record, &["trace_key"]).or_else(|| text(record, &["round_id"]));
        let key = key.map(|key| context.salt.hash(&[session.as_bytes(), key.as_bytes()]));
        if key.is_some_and(|key| !self.seen.insert(key)) {
            context.fidelity.count(Event::Repeated, 1);
            return Ok(());
        }
        let round = round(record, context);
        self.held += size_of::<Round>() + (round.results.len() + round.took.len()) * 40 + 64;
        self.sessions.entry(session.to_owned()).or_default().push(round);
        Ok(())
    }

    fn held(&self) -> usize {
        self.held + self.seen.len() * 16 + self.sessions.len() * 160
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        let sessions = self.sessions.into_iter().map(|(name, mut rounds)| {
            rounds.sort_by_key(|round| round.number);
            let lanes = vec![lane(rounds, context)];
            Session { name: Some(name), lanes, ..Session::default() }
        });
        let mut sessions: Vec<Session> = sessions.collect();
        arrive(&mut sessions);
        context.sessions.extend(sessions);
    }
}

fn lane(rounds: Vec<Round>, context: &mut Context<'_>) -> Lane {
    let took: BTreeMap<u64, Time> = rounds.iter().flat_map(|round| round.took.clone()).collect();
    let mut requests = Vec::with_capacity(rounds.len());
    for round in rounds {
        let mut request = round.request;
        for (call, name) in request.calls.iter_mut().zip(&round.results) {
            call.latency = took.get(name).copied().or(call.latency);
        }
        if admit(&request, context.fidelity) {
            requests.push(request);
        }
    }
    sort(&mut requests, context.fidelity);
    Lane { requests, ..Lane::default() }
}

fn round(record: &Value, context: &Context<'_>) -> Round {
    let name = |of: &Value| {
        let id = text(of, &["tool_call_id"]).unwrap_or_default();
        context.salt.hash(&[id.as_bytes()])
    };
    let count = |key: &str| tokens(record, &[key]);
    let both = count("prefix_tokens").zip(count("newly_append_tokens"));
    let input =
        count("input_tokens_total").or_else(|| both.map(|(old, new)| old.saturating_add(new)));
    let mut request = Request {
        input: input.unwrap_or(0),
        output: count("output_tokens").unwrap_or(0),
        reasoning: count("reasoning_output_tokens"),
        cached: count("prefix_tokens"),
        ..Request::default()
    };
    let (mut results, mut from_user, mut wrote) = (Vec::new(), false, None);
    for event in list(record, &["timing_events"]) {
        let when = at(event, &["timestamp"]).and_then(Value::as_str).and_then(iso);
        match text(event, &["event_type"]) {
            Some("user_message") => {
                from_user = true;
                request.start = request.start.max(when);
            }
            Some("tool_result") => {
                request.start = request.start.max(when);
                let size = tokens(event, &["result_chars"]).unwrap_or(0);
                request.calls.push(Call { size, latency: None });
                results.push(name(event));
            }
            // It is written after the answer.
            Some("usage_report") | None => {}
            Some(_) => {
                wrote = wrote.or(when);
                request.end = request.end.max(when);
            }
        }
    }
    request.start = request.start.or(wrote);
    request.kind = match (from_user, results.is_empty()) {
        (true, _) => Kind::User,
        (false, false) => Kind::Tool,
        (false, true) => Kind::Unknown,
    };
    let took = list(record, &["tools"]).iter().filter_map(|tool| {
        let moment = |key: &str| text(tool, &[key]).and_then(iso);
        let wall = time(tool, &["tool_wall_latency_ms"], MILLIS).filter(|took| *took >= 0);
        let took = wall.or_else(|| since(moment("emitted_at"), moment("result_at")))?;
        Some((name(tool), took))
    });
    let took = took.collect();
    Round { number: count("round_index").unwrap_or(u64::MAX), request, results, took }
}
