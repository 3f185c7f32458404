//! `AIPerf`'s `dag_jsonl`: conversations that fork and spawn others, one a line.
//!
//! The fields and what they mean are those of github.com/ai-dynamo/aiperf, docs/benchmark-modes/dag.md
//! and src/aiperf/dataset/loader/, the file `dag_jsonl_models.py`: a fork goes on with the whole context
//! of the turn that names it, a spawn has a context of its own, `join_at` is the turn of the parent that
//! waits for it, and delays are milliseconds before a turn.

use std::collections::BTreeSet;

use serde_json::Value;
use trie_core::units::Tokens;

use crate::bodies::asked_length;
use crate::branches::{Conversation, Round, Spawn, Turn, rows};
use crate::content::{Message, Role};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Request, Time};
use crate::threads::{describe, shared};
use crate::value::{at, each, list, on, text, time, tokens, whole};

const MILLIS: f64 = 1e-3;

/// Graphs of conversations.
pub(crate) const FORMAT: Format = Format {
    name: "aiperf-dag",
    title: "AIPerf's dag_jsonl: conversations that fork and spawn others, one a line",
    known_by: "`session_id` beside `turns` with `messages`, or beside `orchestrator`",
    expresses: "a root with all that it starts as one row: forks with the context they go on with, spawns, \
                joins, background branches, rounds of an orchestrator; delays; system prompts as shared prefixes",
    lost: "aiperf-dag: messages are counted; an answer is as long as max_tokens (else answer_length), and \
           all of it stays in the history; think times that are drawn are their median; models, sampling and \
           keys that the format does not have are not kept",
    time_unit: "ms",
    page: "importing.md",
    recognise: |head| {
        head.any(|record| {
            let turns = list(record, &["turns"]);
            record.get("session_id").is_some()
                && (turns.iter().any(|turn| turn.get("messages").is_some())
                    || on(record, &["orchestrator"]))
        })
    },
    reader: || Box::new(Graph::default()),
};

/// Keys of a conversation and of a turn; `AIPerf` refuses others.
const KEYS: [&str; 11] = [
    "session_id",
    "turns",
    "orchestrator",
    "spawns",
    "rounds",
    "think_time_ms",
    "think_time_sigma",
    "think_time_min_ms",
    "think_time_max_ms",
    "context_mode",
    "pre_session_spawns",
];
const TURN_KEYS: [&str; 8] =
    ["messages", "model", "max_tokens", "tools", "extra", "forks", "spawns", "delay"];

#[derive(Default)]
struct Graph {
    all: Vec<Conversation>,
    names: BTreeSet<String>,
    held: usize,
}

impl Reader for Graph {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        for record in each(record) {
            let name = text(record, &["session_id"]).unwrap_or_default();
            if name.is_empty() {
                context.fidelity.count(Event::Other, 1);
                continue;
            }
            if !self.names.insert(name.to_owned()) {
                let what = "a second conversation of one session_id: wanted one".to_owned();
                return Err((what, "AIPerf takes each session_id once in a file"));
            }
            unknown(record, &KEYS, context);
            let conversation = conversation(name, record, context);
            self.held += conversation.held();
            self.all.push(conversation);
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.held
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        rows(&self.all, context);
    }
}

fn unknown(value: &Value, known: &[&str], context: &mut Context<'_>) {
    let keys = value.as_object().into_iter().flat_map(serde_json::Map::keys);
    let unknown = keys.filter(|key| !known.contains(&key.as_str())).count();
    context.fidelity.count(Event::UnknownKeys, unknown as u64);
}

fn conversation(name: &str, record: &Value, context: &mut Context<'_>) -> Conversation {
    let apart = text(record, &["context_mode"]) == Some("message_array_with_responses");
    let mut made = Conversation {
        name: name.to_owned(),
        before: names(record, "pre_session_spawns"),
        rounds: rounds(record),
        ..Conversation::default()
    };
    let (mut before, mut left): (Vec<Message>, Tokens) = (Vec::new(), 0);
    // The number of each turn of the source among those that are kept.
    let mut numbers = Vec::new();
    let turns = list(record, &["turns"]);
    for source in turns {
        unknown(source, &TURN_KEYS, context);
        numbers.push(made.turns.len());
        let messages: Vec<Message> = list(source, &["messages"])
            .iter()
            .flat_map(|message| context.measure().messages(message))
            .collect();
        let size: Tokens = messages.iter().map(|message| message.size).sum();
        let asks = size + left > 0 || (!apart && !made.turns.is_empty());
        let Some(output) = asked_length(source, context).filter(|_| asks) else {
            context.fidelity.count(Event::NoLength, 1);
            left = if apart { 0 } else { left.saturating_add(size) };
            continue;
        };
        let common = before.iter().zip(&messages).take_while(|(one, other)| one == other);
        let common = common.map(|(message, _)| message.size).sum();
        let mut turn = turn(source, &messages, output, context);
        if apart {
            turn.whole = true;
            turn.new = size.saturating_add(turn.tools);
            turn.keep = (!made.turns.is_empty()).then_some(turn.tools.saturating_add(common));
        } else {
            turn.new = size.saturating_add(left);
        }
        made.turns.push(turn);
        (before, left) = (messages, 0);
    }
    numbers.push(made.turns.len());
    for (at, source) in turns.iter().enumerate() {
        // What a turn that is left out starts, the one before it starts.
        let kept = numbers[at + 1].saturating_sub(1);
        if let Some(turn) = made.turns.get_mut(kept) {
            turn.spawns.extend(spawns(source, at, &numbers));
            turn.forks.extend(forks(source));
        }
    }
    made
}

/// A turn, but for how its prompt comes about and for what it starts.
fn turn(source: &Value, messages: &[Message], output: Tokens, context: &Context<'_>) -> Turn {
    let mut asked = Request::default();
    describe(messages.iter().map(|message| (message.role, message.size)), &mut asked);
    let tools = context.measure().opening(at(source, &["tools"]));
    let system = messages.iter().take_while(|message| message.role == Role::System);
    let opening = tools.iter().chain(system).fold((0_u64, 0), |(hash, size), message| {
        (hash.rotate_left(5) ^ message.hash, size + message.size)
    });
    Turn {
        tools: tools.map_or(0, |tools| tools.size),
        prefix: (opening.1 > 0).then(|| shared(opening.0, opening.1)),
        output,
        delay: millis(source, "delay").unwrap_or(0),
        kind: asked.kind,
        calls: asked.calls,
        ..Turn::default()
    }
}

/// The children that a turn spawns; each with the turn, among those that are kept, that waits for it.
fn spawns(turn: &Value, number: usize, numbers: &[usize]) -> Vec<Spawn> {
    let mut made = Vec::new();
    for spawn in list(turn, &["spawns"]) {
        let joined = tokens(spawn, &["join_at"]).and_then(|at| usize::try_from(at).ok());
        let join = numbers.get(joined.unwrap_or(number + 1)).copied();
        let children = match spawn.as_str() {
            Some(child) => vec![child.to_owned()],
            None => names(spawn, "children"),
        };
        made.extend(children.into_iter().map(|child| Spawn { child, join }));
    }
    made
}

/// The children that go on with a turn's context. Whether the parent goes on too says the parent.
fn forks(turn: &Value) -> Vec<String> {
    let forks = list(turn, &["forks"]).iter();
    let names = forks.filter_map(|fork| fork.as_str().or_else(|| text(fork, &["child"])));
    names.map(str::to_owned).collect()
}

/// The rounds of an orchestrator; one without an end where it has none.
fn rounds(record: &Value) -> Vec<Round> {
    if !on(record, &["orchestrator"]) {
        return Vec::new();
    }
    let think = |of: &Value| {
        let think = millis(of, "think_time_ms").or_else(|| millis(record, "think_time_ms"));
        let least = millis(record, "think_time_min_ms").unwrap_or(0);
        let most = millis(record, "think_time_max_ms").unwrap_or(Time::MAX);
        think.unwrap_or(0).max(least).min(most.max(least))
    };
    let round = |of: &Value| Round { spawns: names(of, "spawns"), think: think(of), times: 1 };
    match record.get("rounds") {
        Some(Value::Array(rounds)) => rounds.iter().map(round).collect(),
        Some(times) => {
            vec![Round { times: whole(times).unwrap_or(1), ..round(record) }]
        }
        None => vec![round(record)],
    }
}

fn names(value: &Value, key: &str) -> Vec<String> {
    list(value, &[key]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn millis(value: &Value, key: &str) -> Option<Time> {
    time(value, &[key], MILLIS).map(|time| time.max(0))
}
