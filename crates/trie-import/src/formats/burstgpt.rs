//! `BurstGPT`: a request a line of CSV, of conversations or of an API.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Kind, Lane, Request, Session};
use crate::session::{admit, arrive, sort};
use crate::value::{text, time, tokens};

/// Requests with lengths and, in newer files, sessions.
pub(crate) const FORMAT: Format = Format {
    name: "burstgpt",
    title: "BurstGPT (CSV)",
    known_by: "columns `Timestamp`, `Request tokens`, `Response tokens`",
    expresses: "lengths, arrivals and, where a session is named, conversations",
    lost: "burstgpt: nothing shared is recorded; where the requests of a session do not grow, \
           `Request tokens` is taken for what each adds to it",
    time_unit: "s",
    page: "importing.md",
    recognise: |head| head.has(&["Timestamp", "Request tokens", "Response tokens"]),
    reader: || Box::new(Log::default()),
};

#[derive(Default)]
struct Log {
    sessions: Vec<Session>,
    by_name: BTreeMap<String, usize>,
    requests: usize,
}

impl Reader for Log {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let lengths = (tokens(record, &["Request tokens"]), tokens(record, &["Response tokens"]));
        let (Some(input), Some(output)) = lengths else {
            context.fidelity.count(Event::NoLength, 1);
            return Ok(());
        };
        if output == 0 || input == 0 {
            // What it marks as failed.
            context.fidelity.count(Event::NoAnswer, 1);
            return Ok(());
        }
        let start = time(record, &["Timestamp"], 1.0);
        let length = time(record, &["Elapsed time"], 1.0);
        let end = start.zip(length).map(|(start, length)| start.saturating_add(length));
        let request = Request { start, end, input, output, kind: Kind::User, ..Request::default() };
        let conversation =
            text(record, &["Log Type"]).is_none_or(|kind| kind.contains("Conversation"));
        let name =
            text(record, &["Session ID"]).filter(|name| conversation && !name.trim().is_empty());
        let next = self.sessions.len();
        let at = name.map_or(next, |name| *self.by_name.entry(name.to_owned()).or_insert(next));
        if at == next {
            let (name, lanes) = (name.map(str::to_owned), vec![Lane::default()]);
            self.sessions.push(Session { name, lanes, ..Session::default() });
        }
        self.sessions[at].lanes[0].requests.push(request);
        self.requests += 1;
        Ok(())
    }

    fn held(&self) -> usize {
        self.requests * size_of::<Request>() + self.sessions.len() * 256
    }

    fn finish(mut self: Box<Self>, context: &mut Context<'_>) {
        for session in &mut self.sessions {
            let requests = &mut session.lanes[0].requests;
            sort(requests, context.fidelity);
            if requests.windows(2).any(|pair| pair[1].input <= pair[0].input) {
                accumulate(requests);
            }
            requests.retain(|request| admit(request, context.fidelity));
        }
        arrive(&mut self.sessions);
        context.sessions.append(&mut self.sessions);
    }
}

/// Lengths of messages into lengths of prompts.
fn accumulate(requests: &mut [Request]) {
    let mut history = 0_u64;
    for request in requests {
        request.input = request.input.saturating_add(history);
        history = request.input.saturating_add(request.output);
    }
}
