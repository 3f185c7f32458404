//! `AIPerf`'s bodies of requests: `raw_payload`, a body a line, and `inputs.json`, bodies by session.
//!
//! Both are as github.com/ai-dynamo/aiperf reads and writes them (src/aiperf/dataset/loader/, the files
//! `raw_payload.py` and `inputs_json.py`). It sends each body as it is; here they are conversations, in
//! which a body that opens with another's messages goes on with it.

use serde_json::Value;

use crate::bodies::{asked_length, prompt};
use crate::content::{Message, Role};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::threads::{Exchange, Threads};
use crate::value::{each, list, text};

/// Bodies with messages.
pub(crate) const FORMAT: Format = Format {
    name: "aiperf-payloads",
    title: "AIPerf's raw_payload (a body a line) and inputs.json (bodies by session)",
    known_by: "`messages` beside `max_tokens`, `max_completion_tokens` or `stream` without a response, or \
               `payloads` in `data`",
    expresses: "sessions as inputs.json names them, else conversations found by their messages; what they \
                share; parallel tool calls",
    lost: "aiperf-payloads: no time is recorded, so waits are 0 s; prompts are counted; an answer is taken to \
           be as long as the body allows (max_completion_tokens or max_tokens), else as the next body of its \
           session shows it, else as answer_length says; models and sampling are not kept",
    time_unit: "none",
    page: "importing.md",
    recognise: |head| {
        let sessions = |record: &Value| {
            list(record, &["data"]).iter().any(|session| session.get("payloads").is_some())
        };
        let limits = ["max_tokens", "max_completion_tokens", "stream"];
        let is_body = |record: &Value| {
            list(record, &["messages"]).iter().any(|message| message.get("role").is_some())
                && limits.iter().any(|key| record.get(key).is_some())
                && ["response", "request", "session_id"].iter().all(|key| record.get(key).is_none())
        };
        head.any(|record| sessions(record) || is_body(record))
    },
    reader: || Box::new(Bodies::default()),
};

#[derive(Default)]
struct Bodies(Threads);

impl Reader for Bodies {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        for record in each(record) {
            let sessions = list(record, &["data"]);
            if sessions.is_empty() {
                self.session(None, std::slice::from_ref(record), context);
            }
            for session in sessions {
                let name = text(session, &["session_id"]);
                self.session(name, list(session, &["payloads"]), context);
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

impl Bodies {
    fn session(&mut self, name: Option<&str>, bodies: &[Value], context: &mut Context<'_>) {
        let measure = context.measure();
        let mut next = bodies.first().map(|body| prompt(body, measure));
        for (at, body) in bodies.iter().enumerate() {
            let messages = next.take().unwrap_or_default();
            next = bodies.get(at + 1).map(|body| prompt(body, measure));
            let answer = next.as_deref().map(|next| answer(&messages, next)).unwrap_or_default();
            let output = asked_length(body, context);
            if output.is_none() && answer.is_empty() {
                context.fidelity.count(Event::NoLength, 1);
                continue;
            }
            let session = name.map(str::to_owned);
            self.0.add(
                Exchange { session, messages, answer, output, ..Exchange::default() },
                context,
            );
        }
    }
}

/// The answer to a prompt, where the next prompt goes on with it.
fn answer(prompt: &[Message], next: &[Message]) -> Vec<Message> {
    let more = next.strip_prefix(prompt).unwrap_or_default();
    more.first().filter(|message| message.role == Role::Assistant).copied().into_iter().collect()
}
