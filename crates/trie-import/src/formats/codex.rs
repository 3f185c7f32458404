//! Rollouts of the Codex CLI: a line an event.

use std::collections::BTreeMap;

use serde_json::Value;
use trie_core::units::Tokens;

use crate::content::{Measure, flat_text};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Call, Kind, Lane, Opened, Request, Session, Shared, Time};
use crate::session::{admit, arrive};
use crate::threads::since;
use crate::value::{at, moment, text, tokens};

/// Rollouts.
pub(crate) const FORMAT: Format = Format {
    name: "codex",
    title: "Codex CLI's rollouts (`~/.codex/sessions/.../rollout-*.jsonl`)",
    known_by: "`payload` beside `type`, one of session_meta, turn_context, response_item, event_msg",
    expresses: "lengths, reasoning and cached tokens of requests; parallel tool calls with their times; \
                waits for people; compactions; agents that another started, as lanes",
    lost: "codex: no start of a request is recorded: it is taken to start at its last input; the size of \
           the instructions is what the first message leaves of the first prompt, its text being counted",
    time_unit: "ISO 8601",
    page: "codex.md",
    recognise: |head| {
        head.any(|record| {
            let kinds = ["session_meta", "turn_context", "response_item", "event_msg", "compacted"];
            let kind = text(record, &["type"]).is_some_and(|kind| kinds.contains(&kind));
            kind && record.get("payload").is_some()
        })
    },
    reader: || Box::new(Rollouts::default()),
};

/// Rollouts read so far; each file is one.
#[derive(Default)]
struct Rollouts {
    done: Vec<Rollout>,
    open: Option<Rollout>,
    requests: usize,
}

/// One rollout.
#[derive(Default)]
struct Rollout {
    name: Option<String>,
    /// The rollout that started it.
    parent: Option<String>,
    /// What names its instructions.
    instructions: String,
    requests: Vec<Request>,
    /// The total that was reported last: reports repeat.
    total: Option<(Tokens, Tokens)>,
    inputs: Inputs,
    /// When calls were made that have no result yet.
    calls: BTreeMap<String, Option<Time>>,
    /// The last item that the model wrote since the last report.
    wrote: Option<Time>,
    first: Option<Tokens>,
}

/// What a next request will hold that is new.
#[derive(Default)]
struct Inputs {
    last: Option<Time>,
    calls: Vec<Call>,
    from_user: bool,
    compacted: bool,
    size: Tokens,
}

impl Reader for Rollouts {
    fn begin(&mut self) {
        self.done.extend(self.open.take());
    }

    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let when = at(record, &["timestamp"]).and_then(moment);
        let Some(payload) = at(record, &["payload"]) else { return Ok(()) };
        let kind = text(record, &["type"]).unwrap_or_default();
        if kind == "session_meta" {
            // Resumed rollouts repeat what they are.
            let id = text(payload, &["id"]);
            if self
                .open
                .as_ref()
                .is_some_and(|open| open.name.is_some() && open.name.as_deref() != id)
            {
                self.begin();
            }
        }
        let rollout = self.open.get_or_insert_default();
        let before = rollout.requests.len();
        match (kind, text(payload, &["type"])) {
            ("session_meta", _) => rollout.describe(payload, context),
            ("compacted", _) | (_, Some("compaction" | "context_compacted")) => {
                rollout.inputs.compacted = true;
            }
            ("response_item", Some(item)) => rollout.item(item, payload, when, context),
            ("event_msg", Some("token_count")) => rollout.report(payload, when, context),
            ("event_msg", Some("error" | "stream_error")) => {
                context.fidelity.count(Event::Errors, 1);
            }
            (_, _) => {}
        }
        self.requests += rollout.requests.len() - before;
        Ok(())
    }

    fn end(&mut self) {
        self.begin();
    }

    fn held(&self) -> usize {
        (self.requests + self.done.len()) * (size_of::<Request>() + 64)
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        let mut sessions = joined(self.done, context);
        arrive(&mut sessions);
        context.sessions.extend(sessions);
    }
}

impl Rollout {
    fn describe(&mut self, payload: &Value, context: &Context<'_>) {
        self.name = text(payload, &["id"]).map(str::to_owned);
        let mut parent = ["parent_thread_id", "parentThreadId"].iter();
        let spawn = at(payload, &["source", "subagent", "thread_spawn"]);
        let spawn = spawn.or_else(|| at(payload, &["source", "thread_spawn"])).unwrap_or(payload);
        self.parent = parent.find_map(|key| text(spawn, &[key])).map(str::to_owned);
        let words =
            ["originator", "cli_version"].map(|key| text(payload, &[key]).unwrap_or_default());
        let mut instructions = ["instructions", "base_instructions"].iter();
        let instructions = instructions.find_map(|key| at(payload, &[key])).map(flat_text);
        let all = format!("{}\n{}\n{}", words[0], words[1], instructions.unwrap_or_default());
        self.instructions = context.salt.name("codex", &all);
    }

    /// Something that the model wrote, or that was given to it.
    fn item(&mut self, item: &str, payload: &Value, when: Option<Time>, context: &Context<'_>) {
        let measure = Measure { salt: context.salt, count: context.count };
        let from_model = text(payload, &["role"]) == Some("assistant");
        match item {
            "message" if from_model => self.wrote = self.wrote.max(when),
            "message" => {
                let text = payload.get("content").map(flat_text).unwrap_or_default();
                self.given(when, measure.size(&text));
                self.inputs.from_user = true;
            }
            "reasoning" => self.wrote = self.wrote.max(when),
            _ if item.ends_with("_output") => {
                let output = payload.get("output").map(flat_text).unwrap_or_default();
                let made =
                    text(payload, &["call_id"]).and_then(|id| self.calls.remove(id)).flatten();
                // A call begins when the answer that holds it has ended.
                let made = made.max(self.requests.last().and_then(|last| last.end));
                self.given(when, 0);
                let latency = since(made, when);
                self.inputs.calls.push(Call { size: measure.size(&output), latency });
            }
            _ => {
                self.wrote = self.wrote.max(when);
                if let Some(id) = text(payload, &["call_id"]) {
                    self.calls.insert(id.to_owned(), when);
                }
            }
        }
    }

    fn given(&mut self, when: Option<Time>, size: Tokens) {
        self.inputs.last = self.inputs.last.max(when);
        self.inputs.size = self.inputs.size.saturating_add(size);
    }

    /// A report of tokens: a request ended. One that says what the last one said is a repetition.
    fn report(&mut self, payload: &Value, when: Option<Time>, context: &mut Context<'_>) {
        let Some(info) = at(payload, &["info"]) else { return };
        let both = |of: &str| {
            let count = |key: &str| tokens(info, &[of, key]);
            count("input_tokens").zip(count("output_tokens"))
        };
        let (last, total) = (both("last_token_usage"), both("total_token_usage"));
        if total.is_some() && total == self.total {
            context.fidelity.count(Event::Repeated, 1);
            return;
        }
        let before = std::mem::replace(&mut self.total, total).unwrap_or_default();
        let difference = || {
            let (input, output) = total?;
            Some((input.checked_sub(before.0)?, output.checked_sub(before.1)?))
        };
        let Some((input, output)) = last.or_else(difference) else {
            context.fidelity.count(Event::NoLength, 1);
            return;
        };
        let inputs = std::mem::take(&mut self.inputs);
        if self.requests.is_empty() {
            self.first = Some(inputs.size);
        }
        let kind = match (inputs.compacted, inputs.from_user, inputs.calls.is_empty()) {
            (true, _, _) => Kind::Summary,
            (false, true, _) => Kind::User,
            (false, false, false) => Kind::Tool,
            (false, false, true) => Kind::Unknown,
        };
        let end = self.wrote.take().or(when);
        self.requests.push(Request {
            start: inputs.last.or_else(|| self.requests.last().and_then(|last| last.end)).or(end),
            end,
            input,
            output,
            reasoning: tokens(info, &["last_token_usage", "reasoning_output_tokens"]),
            cached: tokens(info, &["last_token_usage", "cached_input_tokens"]),
            kind,
            calls: inputs.calls,
            ..Request::default()
        });
    }

    fn into_lane(self, context: &mut Context<'_>) -> Lane {
        context.fidelity.count(Event::LastCompactions, u64::from(self.inputs.compacted));
        let mut lane = Lane { requests: self.requests, ..Lane::default() };
        lane.requests.retain(|request| admit(request, context.fidelity));
        if let (Some(size), Some(first)) = (self.first, lane.requests.first()) {
            let tokens = first.input.saturating_sub(size);
            if size > 0 && tokens > 0 && !self.instructions.is_empty() {
                lane.prefix = vec![Shared { id: self.instructions, tokens }];
            }
        }
        lane
    }
}

/// Rollouts with those that they started as one session each.
fn joined(rollouts: Vec<Rollout>, context: &mut Context<'_>) -> Vec<Session> {
    let names: BTreeMap<String, usize> =
        rollouts.iter().enumerate().filter_map(|(at, of)| Some((of.name.clone()?, at))).collect();
    let parents: Vec<Option<usize>> =
        rollouts.iter().map(|of| names.get(of.parent.as_ref()?).copied()).collect();
    let root = |mut at: usize| {
        // No rollout has more ancestors than there are rollouts.
        for _ in 0..parents.len() {
            match parents[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        at
    };
    let mut families: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in 0..rollouts.len() {
        families.entry(root(at)).or_default().push(at);
    }
    let orphans =
        rollouts.iter().zip(&parents).filter(|(of, found)| of.parent.is_some() && found.is_none());
    context.fidelity.count(Event::Orphans, orphans.count() as u64);
    let mut rollouts: Vec<Option<Rollout>> = rollouts.into_iter().map(Some).collect();
    let mut sessions = Vec::new();
    for (root, mut members) in families {
        members.sort_by_key(|at| (*at != root, *at));
        let mut name = None;
        let mut lanes = Vec::new();
        for at in members {
            let Some(rollout) = rollouts[at].take() else { continue };
            name = name.or_else(|| rollout.name.clone());
            let mut lane = rollout.into_lane(context);
            lane.opened = Opened::AfterRoot;
            lanes.push(lane);
        }
        sessions.push(Session { name, lanes, ..Session::default() });
    }
    sessions
}
