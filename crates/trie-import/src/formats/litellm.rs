//! Logs of the gateway `LiteLLM`: its `StandardLoggingPayload`, a request a record.
//!
//! The fields are those of its documentation (docs.litellm.ai, the page about the logging payload's
//! specification): times are floats of seconds since 1970 in camel case, `prompt_tokens` is the whole
//! prompt whatever the provider's own count leaves out, and where messages are not to be logged one of
//! a fixed text stands in for them.

use serde_json::Value;

use crate::bodies::{logged_answer, logged_prompt};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::Request;
use crate::spans::{Is, Span, Spans};
use crate::usage::usage;
use crate::value::{at, each, moment, on, text, tokens};

/// Requests that went through the gateway.
pub(crate) const FORMAT: Format = Format {
    name: "litellm",
    title: "LiteLLM's logs: a StandardLoggingPayload a request",
    known_by: "`call_type` beside `startTime` and `prompt_tokens`, alone or in `standard_logging_object`",
    expresses: "recorded lengths, reasoning and cached tokens; starts, ends and first tokens; \
                conversations by session_id, else by their messages; shared system prompts; parallel tool calls",
    lost: "litellm: failed attempts are left out, and so are answers from the gateway's own cache, which no \
           server gave; where messages were taken out of the log, requests of one session_id (else one \
           trace_id) are taken to go on with each other",
    time_unit: "s",
    page: "gateways.md",
    recognise: |head| {
        head.any(|record| {
            let payload = payload(record);
            ["call_type", "startTime", "prompt_tokens"].iter().all(|key| payload.get(key).is_some())
        })
    },
    reader: || Box::new(Log::default()),
};

/// The payload, which callbacks hand out inside of their arguments.
fn payload(record: &Value) -> &Value {
    at(record, &["standard_logging_object"]).unwrap_or(record)
}

#[derive(Default)]
struct Log(Spans);

impl Reader for Log {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        for record in each(record) {
            let payload = payload(record);
            let kind = text(payload, &["call_type"]).unwrap_or_default();
            if !is_chat(kind) {
                context.fidelity.count(Event::Other, 1);
            } else if on(payload, &["cache_hit"]) {
                context.fidelity.count(Event::Answered, 1);
            } else {
                let span = request(payload, context);
                self.0.add(span, context);
            }
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.0.held()
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        self.0.finish(context);
    }
}

/// Whether a call asks a model for text: completions of both kinds, and the other APIs for it.
fn is_chat(kind: &str) -> bool {
    let words = ["completion", "responses", "messages", "generate_content"];
    kind.is_empty() || words.iter().any(|word| kind.contains(word))
}

fn request(payload: &Value, context: &Context<'_>) -> Span {
    let measure = context.measure();
    let word = |paths: &[&[&str]]| paths.iter().find_map(|path| text(payload, path));
    let failed = text(payload, &["status"]) == Some("failure");
    let usage = at(payload, &["metadata", "usage_object"])
        .or_else(|| at(payload, &["response", "usage"]))
        .map(usage)
        .unwrap_or_default();
    let time = |key: &str| at(payload, &[key]).and_then(moment);
    let (start, end) = (time("startTime"), time("endTime"));
    // Without a stream the first token is said to come with the end.
    let first = time("completionStartTime").filter(|first| Some(*first) < end);
    let sessions: [&[&str]; 3] = [
        &["session_id"],
        &["metadata", "session_id"],
        &["metadata", "requester_metadata", "session_id"],
    ];
    let id = word(&[&["id"]]).unwrap_or_default();
    Span {
        // An attempt that failed may have the name of the one that did not.
        id: if failed { String::new() } else { id.to_owned() },
        parent: String::new(),
        trace: word(&[&["trace_id"], &["id"]]).unwrap_or_default().to_owned(),
        conversation: word(&sessions).filter(|name| !name.is_empty()).map(str::to_owned),
        loose: true,
        is: Is::Request,
        failed,
        input: tokens(payload, &["prompt_tokens"]).filter(|tokens| *tokens > 0),
        output: tokens(payload, &["completion_tokens"]),
        messages: logged_prompt(
            payload.get("messages"),
            at(payload, &["model_parameters", "tools"]),
            measure,
        ),
        answer: logged_answer(payload.get("response"), measure),
        request: Request {
            start,
            end,
            ttft: first.zip(start).map(|(first, start)| first.saturating_sub(start)),
            reasoning: usage.reasoning,
            cached: usage.cached,
            ..Request::default()
        },
        size: None,
    }
}
