//! Trajectories of `OpenHands` up to version 0: a list of events, a line an event, or the results of a
//! benchmark with their histories.
//!
//! The events are those of openhands/events in All-Hands-AI/OpenHands before its SDK: serialization/event.py
//! says how they are written, openhands/llm/metrics.py what `metrics` holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::content::{Measure, Message, Role, flat_text};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::Time;
use crate::talk::{Talk, Talks};
use crate::trail::Answer;
use crate::usage::usage;
use crate::value::{at, list, moment, text, whole};

/// Events.
pub(crate) const FORMAT: Format = Format {
    name: "openhands-v0",
    title: "Trajectories of OpenHands before its SDK, and `output.jsonl` of its benchmarks",
    known_by: "`source` beside `action` or `observation`, alone, in a list or in `history`",
    expresses: "lengths, reasoning and cached tokens by response; parallel tool calls with their times; \
                condensations out of the middle; waits for people; the shared system prompt",
    lost: "openhands-v0: where no latency is recorded, a request is taken to start at its last input; times are \
           without a zone; what was recalled into a prompt is not in its text, so lengths that are counted lack \
           it; agents that another one started are not told apart from it",
    time_unit: "ISO 8601 without a zone, in UTC; s (`latency`)",
    page: "agents.md",
    recognise: |head| {
        head.any(|record| is_event(record) || flat(list(record, &["history"])).any(is_event))
    },
    reader: || Box::new(Stream::default()),
};

#[derive(Default)]
struct Stream {
    talks: Talks,
    /// Names of the open conversation's events by number, for ranges of them.
    numbers: BTreeMap<u64, u64>,
}

fn is_event(record: &Value) -> bool {
    let what = text(record, &["action"]).or_else(|| text(record, &["observation"]));
    what.is_some() && text(record, &["source"]).is_some()
}

/// Events in a row: older histories have them in pairs.
fn flat(history: &[Value]) -> impl Iterator<Item = &Value> {
    history.iter().flat_map(|entry| match entry.as_array() {
        Some(pair) => pair.as_slice(),
        None => std::slice::from_ref(entry),
    })
}

impl Reader for Stream {
    fn begin(&mut self) {
        self.talks.begin();
    }

    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let history = Some(list(record, &["history"])).filter(|history| !history.is_empty());
        if let Some(events) = record.as_array().map(Vec::as_slice).or(history) {
            self.numbers.clear();
            self.talks.open(record, &["instance_id", "id"]);
            let metrics = record.get("metrics").unwrap_or(&Value::Null);
            self.talks.accounts.take(metrics, context);
            for event in flat(events) {
                self.event(event, context);
            }
            self.talks.close();
        } else {
            self.talks.alone();
            self.event(record, context);
        }
        Ok(())
    }

    fn end(&mut self) {
        self.talks.end();
    }

    fn held(&self) -> usize {
        self.talks.held() + self.numbers.len() * 48
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        self.talks.finish(context);
    }
}

impl Stream {
    fn event(&mut self, event: &Value, context: &mut Context<'_>) {
        let id = event.get("id").map(flat_text).unwrap_or_default();
        let name = context.salt.hash(&[id.as_bytes()]);
        let number = event.get("id").and_then(whole);
        let when = at(event, &["timestamp"]).and_then(moment);
        let action = text(event, &["action"]);
        // The system prompt is the first event of its conversation, and the first one is number 0.
        let first = action == Some("system") || number == Some(0);
        if first && self.talks.current().trail.requests() > 0 {
            self.numbers.clear();
            self.talks.close();
        }
        self.numbers.extend(number.map(|number| (number, name)));
        let talk = self.talks.current();
        let from_agent = text(event, &["source"]) == Some("agent");
        let measure = Measure { salt: context.salt, count: context.count };
        match (action, text(event, &["observation"])) {
            (Some("system"), _) => {
                if let Some(tools) = measure.opening(at(event, &["args", "tools"])) {
                    talk.trail.given(name, tools, None);
                }
                let said = at(event, &["args", "content"]).map(flat_text).unwrap_or_default();
                talk.trail.given(name, measure.made(Role::System, &said, ""), when);
            }
            (Some("condensation"), _) => {
                let forgotten = forgotten(event, &self.numbers, context);
                let summary =
                    text(event, &["args", "summary"]).filter(|summary| !summary.is_empty());
                let summary = summary.map(|summary| measure.made(Role::User, summary, ""));
                talk.condensed(name, &forgotten, summary, context);
            }
            // Nothing of these is said to the model.
            (Some("recall" | "null" | "change_agent_state" | "condensation_request"), _)
            | (None, Some("recall" | "null" | "agent_state_changed" | "condense") | None) => {
                context.fidelity.count(Event::Other, 1);
            }
            (Some("message"), _) if !from_agent => {
                let said = at(event, &["args", "content"]).map(flat_text).unwrap_or_default();
                talk.trail.given(name, measure.made(Role::User, &said, ""), when);
            }
            (Some(_), _) if from_agent => answer(talk, name, event, when, context),
            (Some(_), _) => context.fidelity.count(Event::Other, 1),
            (None, Some(_)) => {
                let said = event.get("content").map(flat_text).unwrap_or_default();
                let call = call(event, context);
                talk.result(name, call, measure.made(Role::Tool, &said, ""), when);
            }
        }
    }
}

/// What the agent did. Several actions may be of one response, which each of them and each of
/// their observations repeats.
fn answer(
    talk: &mut Talk,
    name: u64,
    event: &Value,
    when: Option<Time>,
    context: &mut Context<'_>,
) {
    let measure = Measure { salt: context.salt, count: context.count };
    let response = at(event, &["tool_call_metadata", "model_response"]).unwrap_or(&Value::Null);
    let id = text(response, &["id"]).filter(|id| !id.is_empty());
    let id = id.map(|id| context.salt.hash(&[id.as_bytes()]));
    let used = usage(response.get("usage").unwrap_or(&Value::Null));
    let message = list(response, &["choices"]).first().and_then(|choice| choice.get("message"));
    let thought = message.and_then(|message| text(message, &["reasoning_content"]));
    let thought = measure.size(thought.unwrap_or_default());
    let said = match message {
        // All calls of the response are in it, so that later actions add nothing.
        Some(message) => measure.as_role(Role::Assistant, message),
        None => own_words(event, measure),
    };
    if id.is_some_and(|id| talk.knows(id)) {
        let answer = Answer { end: when, ..Answer::default() };
        talk.answered(name, id, Message { size: 0, ..said }, answer);
    } else {
        talk.answered(name, id, said, Answer { usage: used, thought, start: None, end: when });
        let total = at(event, &["llm_metrics", "accumulated_token_usage"]).map(usage);
        match total {
            Some(total) if used.input.is_some() => talk.total_beside(total),
            // A condenser has an account of its own.
            Some(total) => talk.total(total, true),
            None => {}
        }
    }
    if let Some(call) = call(event, context) {
        talk.called(call, when);
    }
}

/// What an action says of itself, where the response is not kept.
fn own_words(event: &Value, measure: Measure<'_>) -> Message {
    let word = |key: &str| at(event, &["args", key]).map(flat_text).unwrap_or_default();
    let said = ["thought", "content", "final_thought"].map(word).concat();
    let call = ["command", "code", "path", "file_text", "old_str", "new_str"].map(word).concat();
    measure.made(Role::Assistant, &said, &call)
}

/// What pairs a result with its call: the call's name, else the number of its action.
fn call(event: &Value, context: &Context<'_>) -> Option<u64> {
    let id = text(event, &["tool_call_metadata", "tool_call_id"]).map(str::to_owned);
    let action = || {
        let cause = event.get("cause").or_else(|| event.get("id"));
        cause.filter(|cause| !cause.is_null()).map(|cause| format!("event {cause}"))
    };
    Some(context.salt.hash(&[id.or_else(action)?.as_bytes()]))
}

/// Events that a condensation takes out: named, or from one to another.
fn forgotten(event: &Value, numbers: &BTreeMap<u64, u64>, context: &Context<'_>) -> BTreeSet<u64> {
    let number = |key: &str| at(event, &["args", key]).and_then(whole);
    let names = list(event, &["args", "forgotten_event_ids"]).iter();
    let mut forgotten: BTreeSet<u64> =
        names.map(|id| context.salt.hash(&[flat_text(id).as_bytes()])).collect();
    let ends = (number("forgotten_events_start_id"), number("forgotten_events_end_id"));
    if let (Some(first), Some(last)) = ends
        && first <= last
    {
        forgotten.extend(numbers.range(first..=last).map(|(_, name)| *name));
    }
    forgotten
}
