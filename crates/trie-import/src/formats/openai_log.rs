//! Logs of requests and responses of OpenAI's APIs, or of Anthropic's: pairs, or the two files of
//! a batch.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::bodies::{answer, prompt};
use crate::content::{Message, body};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::Request;
use crate::threads::{Exchange, Threads};
use crate::usage::usage;
use crate::value::{at, each, moment, number, seconds, text, time};

const MILLIS: f64 = 1e-3;

/// Request and response.
pub(crate) const FORMAT: Format = Format {
    name: "openai-log",
    title: "Request and response logs of OpenAI-compatible servers, batches, Anthropic's messages",
    known_by: "`request` or `body` with `messages` or `input`, beside `response`",
    expresses: "recorded lengths, reasoning and cached tokens; conversations found by their messages; \
                shared system prompts; parallel tool calls; where the history was cut",
    lost: "openai-log: `created` is whole seconds and no end, so waits are from start to start unless \
           `duration_ms`, `latency_ms` or `end_time` stands beside it; images count nothing",
    time_unit: "s (`created`), ISO 8601 or ms beside it",
    page: "importing.md",
    recognise: |head| {
        head.any(|record| {
            let asked = asked(record).and_then(body);
            let answered =
                ["response", "response_body", "error"].iter().any(|key| record.get(key).is_some());
            asked.is_some_and(|asked| is_request(&asked))
                && (answered || record.get("custom_id").is_some())
        }) || head.any(|record| {
            record.get("custom_id").is_some() && at(record, &["response", "body"]).is_some()
        })
    },
    reader: || Box::new(Log::default()),
};

/// The body of a request, wherever it stands.
fn asked(record: &Value) -> Option<&Value> {
    let inner = at(record, &["request", "body"]);
    let others = ["request", "request_body", "body"];
    inner.or_else(|| others.iter().find_map(|key| at(record, &[key])))
}

fn is_request(body: &Value) -> bool {
    body.get("messages").is_some_and(Value::is_array) || body.get("input").is_some()
}

/// Conversations read so far, and halves of batches.
#[derive(Default)]
struct Log {
    threads: Threads,
    /// Requests of a batch whose response was not met yet, or the other way round.
    halves: BTreeMap<String, (Exchange, bool)>,
    responses: BTreeSet<u64>,
}

impl Reader for Log {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        for record in each(record) {
            self.take(record, context);
        }
        Ok(())
    }

    fn held(&self) -> usize {
        let halves =
            self.halves.values().map(|(half, _)| half.messages.len() * size_of::<Message>() + 400);
        self.threads.held() + self.responses.len() * 16 + halves.sum::<usize>()
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        context.fidelity.count(Event::NoAnswer, self.halves.len() as u64);
        self.threads.finish(context);
    }
}

impl Log {
    fn take(&mut self, record: &Value, context: &mut Context<'_>) {
        let asked = asked(record).and_then(body).filter(is_request);
        let response = ["response", "response_body"].iter().find_map(|key| at(record, &[key]));
        let status =
            at(record, &["response", "status_code"]).or_else(|| at(record, &["status_code"]));
        let response =
            response.map(|response| at(response, &["body"]).unwrap_or(response)).and_then(body);
        let error = at(record, &["error"]).or_else(|| at(response.as_ref()?, &["error"]));
        if error.is_some() || status.and_then(number).is_some_and(|status| status >= 400.0) {
            context.fidelity.count(Event::Errors, 1);
            return;
        }
        if let Some(id) = response.as_ref().and_then(|response| text(response, &["id"]))
            && !self.responses.insert(context.salt.hash(&[id.as_bytes()]))
        {
            context.fidelity.count(Event::Repeated, 1);
            return;
        }
        let halves = (asked.is_some(), response.is_some());
        let exchange = exchange(record, asked.as_ref(), response.as_ref(), context);
        let name = text(record, &["custom_id"]);
        match (halves, name) {
            ((true, true), _) => self.threads.add(exchange, context),
            ((true, false) | (false, true), Some(name)) => {
                self.half(name, exchange, halves.0, context);
            }
            ((true, false), None) => context.fidelity.count(Event::NoAnswer, 1),
            ((false, _), _) => context.fidelity.count(Event::Other, 1),
        }
    }

    /// One half of a request of a batch; the other may have been met already.
    fn half(&mut self, name: &str, half: Exchange, asked: bool, context: &mut Context<'_>) {
        let Some((other, other_asked)) = self.halves.remove(name) else {
            self.halves.insert(name.to_owned(), (half, asked));
            return;
        };
        if other_asked == asked {
            context.fidelity.count(Event::Repeated, 1);
            self.halves.insert(name.to_owned(), (half, asked));
            return;
        }
        let (question, answer) = if asked { (half, other) } else { (other, half) };
        let whole = Exchange { session: question.session, messages: question.messages, ..answer };
        self.threads.add(whole, context);
    }
}

fn exchange(
    record: &Value,
    asked: Option<&Value>,
    response: Option<&Value>,
    context: &Context<'_>,
) -> Exchange {
    let measure = context.measure();
    let null = Value::Null;
    let (asked, response) = (asked.unwrap_or(&null), response.unwrap_or(&null));
    let usage = usage(response.get("usage").unwrap_or(&null));
    let mut start = ["start_time", "timestamp", "startTime"].iter();
    let start = start.find_map(|key| at(record, &[key]).and_then(moment));
    let created = at(record, &["created"]).or_else(|| at(response, &["created"]));
    let created = created.or_else(|| at(response, &["created_at"])).and_then(moment);
    let start = start.or(created);
    let length = ["duration_ms", "latency_ms"].iter().find_map(|key| time(record, &[key], MILLIS));
    let ended = ["end_time", "endTime"].iter().find_map(|key| at(record, &[key]).and_then(moment));
    let ended = ended.or_else(|| start?.checked_add(length?));
    let names = [&["session_id"][..], &["metadata", "session_id"], &["conversation_id"]];
    let named = |of: &Value| names.iter().find_map(|path| text(of, path).map(str::to_owned));
    Exchange {
        session: named(record).or_else(|| named(asked)),
        messages: prompt(asked, measure),
        answer: answer(response, measure),
        input: usage.input,
        output: usage.output,
        request: Request {
            start,
            end: ended,
            ttft: at(record, &["ttft"]).and_then(number).and_then(seconds),
            reasoning: usage.reasoning,
            cached: usage.cached,
            ..Request::default()
        },
    }
}
