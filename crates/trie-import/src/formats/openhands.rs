//! Events of `OpenHands`' software agent SDK: a line or a file an event, a list of them, or the results
//! of a benchmark with their histories.
//!
//! The events are those of openhands-sdk/openhands/sdk/event in OpenHands/software-agent-sdk; the state
//! beside them (`base_state.json`) has the tokens and latencies of each response
//! (openhands/sdk/llm/utils/metrics.py there).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::content::{Measure, Role, flat_text};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::Time;
use crate::talk::{Talk, Talks};
use crate::trail::Answer;
use crate::usage::{Usage, usage};
use crate::value::{at, list, moment, object, text};

/// Events.
pub(crate) const FORMAT: Format = Format {
    name: "openhands",
    title: "Events of OpenHands' SDK (`events/event-*.json` beside `base_state.json`), streams and lists of them",
    known_by: "`kind` that names an event of the SDK, alone or in a list, `events`, `items` or `history`; or \
               `stats` with `usage_to_metrics`",
    expresses: "lengths, reasoning and cached tokens by response, or from the totals as they grow; parallel tool \
                calls with their times; condensations out of the middle; waits for people; the shared system prompt",
    lost: "openhands: where no latency is recorded, a request is taken to start at its last input; times are \
           without a zone; the request that writes a summary is left out; agents that another one started are \
           rows of their own",
    time_unit: "ISO 8601 without a zone, in UTC; s (`latency`)",
    page: "agents.md",
    recognise: |head| {
        head.any(|record| {
            let events = ["events", "items", "history"].iter().flat_map(|key| list(record, &[key]));
            is_event(record) || is_state(record) || events.take(64).any(is_event)
        })
    },
    reader: || Box::new(Stream::default()),
};

#[derive(Default)]
struct Stream(Talks);

fn is_event(record: &Value) -> bool {
    let kind = text(record, &["kind"]).unwrap_or_default();
    let named = kind.ends_with("Event") || kind.ends_with("Observation");
    let known = named || kind == "Condensation" || kind == "CondensationRequest";
    known && (record.get("source").is_some() || record.get("id").is_some())
}

fn is_state(record: &Value) -> bool {
    object(record, &["stats", "usage_to_metrics"]).is_some()
}

impl Reader for Stream {
    fn begin(&mut self) {
        self.0.begin();
    }

    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        if let Some(events) = record.as_array() {
            for event in events {
                self.record(event, context)?;
            }
            return Ok(());
        }
        let talks = &mut self.0;
        let mut lists = ["events", "items", "history"].iter().map(|key| list(record, &[key]));
        if let Some(events) = lists.find(|events| !events.is_empty()) {
            talks.open(record, &["instance_id", "id", "conversation_id"]);
            talks.accounts.take(record.get("metrics").unwrap_or(&Value::Null), context);
            for event in events {
                take(talks, event, context);
            }
            talks.close();
        } else if let Some(models) = object(record, &["stats", "usage_to_metrics"]) {
            talks.open(record, &["id", "conversation_id", "instance_id"]);
            models.values().for_each(|metrics| talks.accounts.take(metrics, context));
        } else {
            talks.alone();
            take(talks, record, context);
        }
        Ok(())
    }

    fn end(&mut self) {
        self.0.end();
    }

    fn held(&self) -> usize {
        self.0.held()
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        self.0.finish(context);
    }
}

/// Takes an event. That of the system prompt is the first of its conversation.
fn take(talks: &mut Talks, event: &Value, context: &mut Context<'_>) {
    let kind = text(event, &["kind"]).unwrap_or_default();
    if kind == "SystemPromptEvent" && !talks.current().trail.is_empty() {
        talks.close();
    }
    let talk = talks.current();
    let measure = Measure { salt: context.salt, count: context.count };
    let hash = |text: &str| context.salt.hash(&[text.as_bytes()]);
    let name = hash(text(event, &["id"]).unwrap_or_default());
    let when = at(event, &["timestamp"]).and_then(moment);
    let response = text(event, &["llm_response_id"]).filter(|id| !id.is_empty()).map(hash);
    let call = text(event, &["tool_call_id"]).map(hash);
    match kind {
        "SystemPromptEvent" => {
            if let Some(tools) = measure.opening(event.get("tools")) {
                talk.trail.given(name, tools, None);
            }
            let said = ["system_prompt", "dynamic_context"].map(|key| part(event, key));
            talk.trail.given(name, measure.made(Role::System, &said.concat(), ""), when);
        }
        "MessageEvent" => message(talk, (name, response), event, when, measure),
        "ActionEvent" => {
            let thought = text(event, &["reasoning_content"]).unwrap_or_default();
            let calls = event.get("tool_call").unwrap_or(&Value::Null);
            let calls =
                ["name", "arguments"].map(|key| calls.get(key).map(flat_text).unwrap_or_default());
            let said = measure.made(Role::Assistant, &part(event, "thought"), &calls.join(" "));
            let thought = measure.size(thought);
            talk.answered(name, response, said, Answer { thought, end: when, ..Answer::default() });
            if let Some(call) = call {
                talk.called(call, when);
            }
        }
        "Condensation" => {
            let forgotten = list(event, &["forgotten_event_ids"]).iter().filter_map(Value::as_str);
            let forgotten: BTreeSet<u64> = forgotten.map(hash).collect();
            let summary = text(event, &["summary"]).filter(|summary| !summary.is_empty());
            let summary = summary.map(|summary| measure.made(Role::User, summary, ""));
            talk.condensed(name, &forgotten, summary, context);
        }
        "ConversationStateUpdateEvent" => {
            if let Some((total, summaries_apart)) = total(event) {
                talk.total(total, summaries_apart);
            }
        }
        "ConversationErrorEvent" => {
            let of_model = text(event, &["code"]).is_some_and(|code| code.starts_with("LLM"));
            context.fidelity.count(Event::Errors, u64::from(of_model));
        }
        _ if call.is_some() => {
            let parts = ["observation", "error", "rejection_reason", "extended_content"];
            let said = parts.map(|key| result(event, key)).concat();
            talk.result(name, call, measure.made(Role::Tool, &said, ""), when);
        }
        _ => context.fidelity.count(Event::Other, 1),
    }
}

/// A message of a person, or an answer without a call.
fn message(
    talk: &mut Talk,
    (name, response): (u64, Option<u64>),
    event: &Value,
    when: Option<Time>,
    measure: Measure<'_>,
) {
    let said = event.get("llm_message").unwrap_or(&Value::Null);
    let from_agent = text(said, &["role"]) == Some("assistant") || response.is_some();
    if from_agent {
        let thought = measure.size(text(said, &["reasoning_content"]).unwrap_or_default());
        let said = measure.as_role(Role::Assistant, said);
        talk.answered(name, response, said, Answer { thought, end: when, ..Answer::default() });
    } else {
        talk.trail.given(name, measure.as_role(Role::User, said), when);
        let added = part(event, "extended_content");
        if !added.is_empty() {
            talk.trail.given(name, measure.made(Role::User, &added, ""), when);
        }
    }
}

/// Text of a member: a string, a part with its text, or a list of such.
fn part(event: &Value, key: &str) -> String {
    let Some(value) = event.get(key) else { return String::new() };
    text(value, &["text"]).map_or_else(|| flat_text(value), str::to_owned)
}

/// What a tool answered: the content of its observation, or what older ones call their output.
fn result(event: &Value, key: &str) -> String {
    let Some(value) = event.get(key) else { return String::new() };
    let inner = ["content", "output"].iter().find_map(|key| value.get(key));
    inner.map_or_else(|| part(event, key), flat_text)
}

/// Tokens of all of the agent's requests so far, and whether those that write summaries have an account
/// of their own. `None` where accounts do not say which of them is the agent's.
fn total(event: &Value) -> Option<(Usage, bool)> {
    let stats = at(event, &["value", "stats"]).or_else(|| at(event, &["value"]))?;
    let accounts = object(stats, &["usage_to_metrics"])?;
    let of_summaries = |name: &str| name.contains("condens");
    let mut others = accounts.iter().filter(|(name, _)| !of_summaries(name));
    let own = accounts.get("agent").or_else(|| accounts.get("default")).or_else(|| {
        let only = others.next()?.1;
        others.next().is_none().then_some(only)
    });
    let total = usage(own?.get("accumulated_token_usage")?);
    Some((total, accounts.keys().any(|name| of_summaries(name))))
}
