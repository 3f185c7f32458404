//! Weka's traces of agents (kv-cache-tester, AgentX): a document a session.

use serde_json::Value;
use trie_core::units::Tokens;

use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{BlockShape, Kind, Lane, Opened, Request, Session, Shared, Time, common, count};
use crate::session::{admit, sort};
use crate::value::{list, text, time, tokens};

use super::mooncake::ids;

/// Tokens of a block where the file does not say.
const BLOCK: Tokens = 64;

/// Sessions of agents.
pub(crate) const FORMAT: Format = Format {
    name: "weka",
    title: "Weka, kv-cache-tester and AgentX: a document a session, with subagents and ids of blocks",
    known_by: "`requests` beside `block_size`, `hash_id_scope` or `tool_tokens`",
    expresses: "every prompt as blocks; subagents as lanes; waits for tools and people; where the \
                history was cut; with blocks=False lengths, with tools and system as a shared prefix",
    lost: "weka: times are whole seconds at the source, so no wait is shorter than that; blocks are \
           named for one session only, so sessions share nothing (blocks=False shares tools and system)",
    time_unit: "s",
    page: "importing.md",
    recognise: |head| {
        let keys = ["block_size", "hash_id_scope", "tool_tokens"];
        head.any(|record| {
            record.get("requests").is_some_and(Value::is_array)
                && keys.iter().any(|key| record.get(key).is_some())
        })
    },
    reader: || Box::new(Weka),
};

struct Weka;

impl Reader for Weka {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let documents = record.as_array().map_or(std::slice::from_ref(record), Vec::as_slice);
        for document in documents {
            let session = session(document, context)?;
            context.sessions.push(session);
        }
        Ok(())
    }
}

fn session(document: &Value, context: &mut Context<'_>) -> Result<Session, Wrong> {
    let size = tokens(document, &["block_size"]).filter(|size| *size > 0).unwrap_or(BLOCK);
    let mut lanes = vec![Lane { prefix: prefix(document), ..Lane::default() }];
    for entry in list(document, &["requests"]) {
        if entry.get("requests").is_some_and(Value::is_array) {
            let start = time(entry, &["t"], 1.0).unwrap_or(0);
            let requests = list(entry, &["requests"]).iter();
            let requests = requests.map(|of| request(of, size, start, context));
            let requests = requests.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            let opened = Opened::AfterRoot;
            lanes.push(Lane { requests, prefix: prefix(entry), opened, joined: None });
        } else if let Some(request) = request(entry, size, 0, context)? {
            lanes[0].requests.push(request);
        }
    }
    for lane in &mut lanes {
        sort(&mut lane.requests, context.fidelity);
        if !context.blocks {
            cut(&mut lane.requests, size);
        }
    }
    // Lanes are numbered as they begin.
    lanes[1..].sort_by_key(|lane| lane.requests.first().and_then(|first| first.start));
    let named = lanes
        .iter()
        .flat_map(|lane| &lane.requests)
        .all(|of| !of.ids.is_empty() || of.input < size);
    let blocks = named.then_some(BlockShape { size, scope: "local" });
    let name = text(document, &["id"]).map(str::to_owned);
    Ok(Session { name, lanes, blocks, ..Session::default() })
}

fn request(
    entry: &Value,
    size: Tokens,
    origin: Time,
    context: &mut Context<'_>,
) -> Result<Option<Request>, Wrong> {
    let lengths = (tokens(entry, &["in"]), tokens(entry, &["out"]));
    let (Some(input), Some(output)) = lengths else {
        context.fidelity.count(Event::NoLength, 1);
        return Ok(None);
    };
    let start = time(entry, &["t"], 1.0).map(|t| t.saturating_add(origin));
    let length = time(entry, &["api_time"], 1.0);
    let request = Request {
        start,
        end: start.zip(length).map(|(start, length)| start.saturating_add(length)),
        ttft: time(entry, &["ttft"], 1.0),
        input,
        output,
        wait: time(entry, &["think_time"], 1.0),
        kind: kind(entry),
        ids: ids(entry, input, size)?,
        ..Request::default()
    };
    Ok(admit(&request, context.fidelity).then_some(request))
}

fn kind(entry: &Value) -> Kind {
    let types = list(entry, &["input_types"]);
    let has = |name: &str| types.iter().any(|of| of.as_str() == Some(name));
    match (has("tool_result"), has("text")) {
        (true, _) => Kind::Tool,
        (false, true) => Kind::User,
        (false, false) => Kind::Unknown,
    }
}

/// Where ids are not kept, says where prompts do not open with all whole blocks before them.
fn cut(requests: &mut [Request], size: Tokens) {
    for at in 1..requests.len() {
        let (before, this) = (&requests[at - 1], &requests[at]);
        let alike = common(&before.ids, &this.ids);
        if alike < (before.input / size).min(count(&before.ids)) {
            requests[at].keep = Some(alike * size);
        }
    }
}

/// Tools and system prompt, which sessions with as many of them have in common, as it seems.
fn prefix(of: &Value) -> Vec<Shared> {
    let parts = ["tool_tokens", "system_tokens"].map(|key| {
        let tokens = tokens(of, &[key]).unwrap_or(0);
        Shared { id: format!("{}-{tokens}", key.trim_end_matches("_tokens")), tokens }
    });
    parts.into_iter().filter(|shared| shared.tokens > 0).collect()
}
