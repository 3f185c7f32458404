//! Conversations of `OpenHands` while their events are read, in either of its notations.
//!
//! Lengths come from the account of each response, where it is there, else from the growth of the
//! totals, which are reported after requests or before their events.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::content::Message;
use crate::fidelity::Event;
use crate::format::Context;
use crate::model::{Session, Time};
use crate::session::arrive;
use crate::threads::since;
use crate::trail::{Answer, Openings, Trail};
use crate::usage::{Usage, usage};
use crate::value::{list, text, time};

/// What a source says of its responses, by their hashed names.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    usages: BTreeMap<u64, Usage>,
    lengths: BTreeMap<u64, Time>,
}

/// Conversations of a source, or of several.
#[derive(Debug, Default)]
pub(crate) struct Talks {
    done: Vec<Talk>,
    open: Option<Talk>,
    pub(crate) accounts: Accounts,
    /// Events of the source that stand in it one by one.
    events: usize,
    held: usize,
}

/// A conversation.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    name: Option<String>,
    pub(crate) trail: Trail,
    /// Requests by the hashed names of their responses.
    responses: BTreeMap<u64, usize>,
    /// When calls were made.
    calls: BTreeMap<u64, Option<Time>>,
    totals: Totals,
}

/// Reports of what all requests took together.
#[derive(Debug, Default)]
struct Totals {
    last: Usage,
    /// What was reported before the request it is of.
    ahead: Option<Usage>,
    /// Requests that nothing was reported of; `None` for one that is left out.
    waiting: Vec<Option<usize>>,
    /// Requests that write summaries are none of these.
    summaries_apart: bool,
}

impl Accounts {
    fn held(&self) -> usize {
        self.usages.len() * (size_of::<Usage>() + 40) + self.lengths.len() * 40
    }

    /// Takes lists of tokens and latencies by response.
    pub(crate) fn take(&mut self, metrics: &Value, context: &Context<'_>) {
        let id = |entry: &Value| {
            let id = text(entry, &["response_id"]).filter(|id| !id.is_empty())?;
            Some(context.salt.hash(&[id.as_bytes()]))
        };
        for entry in list(metrics, &["token_usages"]) {
            if let Some(id) = id(entry) {
                self.usages.insert(id, usage(entry));
            }
        }
        for entry in list(metrics, &["response_latencies"]) {
            let length = time(entry, &["latency"], 1.0).filter(|length| *length >= 0);
            if let (Some(id), Some(length)) = (id(entry), length) {
                self.lengths.insert(id, length);
            }
        }
    }
}

impl Talks {
    /// A source begins.
    pub(crate) fn begin(&mut self) {
        self.events = 0;
    }

    /// A source ended. One of a single event is one of many of its conversation; one of several holds
    /// all of it.
    pub(crate) fn end(&mut self) {
        if self.events > 1 {
            self.close();
        }
    }

    /// Bytes held, about.
    pub(crate) fn held(&self) -> usize {
        self.held + self.accounts.held() + self.open.as_ref().map_or(0, Talk::held)
    }

    /// An event that stands in the source by itself comes.
    pub(crate) fn alone(&mut self) {
        self.events += 1;
    }

    /// A conversation begins that has the first of these members for a name.
    pub(crate) fn open(&mut self, record: &Value, names: &[&str]) {
        self.close();
        let name = names.iter().find_map(|key| text(record, &[key])).map(str::to_owned);
        self.open = Some(Talk { name, ..Talk::default() });
    }

    /// The conversation that is being read.
    pub(crate) fn current(&mut self) -> &mut Talk {
        self.open.get_or_insert_default()
    }

    /// The conversation that is being read has ended.
    pub(crate) fn close(&mut self) {
        if let Some(talk) = self.open.take() {
            self.held += talk.held();
            self.done.push(talk);
        }
    }

    /// All conversations as sessions.
    pub(crate) fn finish(mut self, context: &mut Context<'_>) {
        self.close();
        let mut openings = Openings::new();
        let talks = self.done.into_iter();
        let sessions = talks.map(|talk| talk.into_session(&self.accounts, &mut openings, context));
        let mut sessions: Vec<Session> = sessions.collect();
        arrive(&mut sessions);
        context.sessions.extend(sessions);
    }
}

impl Talk {
    fn held(&self) -> usize {
        self.trail.held() + (self.responses.len() + self.calls.len()) * 48
    }

    /// A part of an answer; the first one of its response is a request.
    pub(crate) fn answered(
        &mut self,
        name: u64,
        response: Option<u64>,
        said: Message,
        answer: Answer,
    ) {
        if response.is_some_and(|response| self.knows(response)) {
            self.trail.more(said.size);
            return;
        }
        let number = self.trail.answered(name, said, answer);
        if let Some(response) = response {
            self.responses.insert(response, number);
        }
        if answer.usage.input.is_none() {
            self.reported_of(Some(number));
        }
    }

    /// Whether a response was met before.
    pub(crate) fn knows(&self, response: u64) -> bool {
        self.responses.contains_key(&response)
    }

    /// A call was made.
    pub(crate) fn called(&mut self, call: u64, when: Option<Time>) {
        self.calls.insert(call, when);
    }

    /// The result of a call.
    pub(crate) fn result(
        &mut self,
        name: u64,
        call: Option<u64>,
        said: Message,
        when: Option<Time>,
    ) {
        let made = call.and_then(|call| self.calls.get(&call)).copied().flatten();
        let latency = since(made.max(self.trail.last_end()), when);
        self.trail.result(name, said, latency, when);
    }

    /// Events are taken out of the history, and a summary is put in their place.
    pub(crate) fn condensed(
        &mut self,
        name: u64,
        forgotten: &BTreeSet<u64>,
        summary: Option<Message>,
        context: &mut Context<'_>,
    ) {
        self.trail.forget(forgotten);
        self.trail.compacted();
        if let Some(summary) = summary {
            self.trail.given(name, summary, None);
            context.fidelity.count(Event::Summaries, 1);
            if !self.totals.summaries_apart {
                self.reported_of(None);
            }
        }
    }

    /// The totals of all requests so far, with or without those that write summaries.
    pub(crate) fn total(&mut self, total: Usage, summaries_apart: bool) {
        self.totals.summaries_apart |= summaries_apart;
        let last = self.totals.last;
        let grown = |now: Option<u64>, before: Option<u64>| now?.checked_sub(before.unwrap_or(0));
        let usage = Usage {
            input: grown(total.input, last.input),
            output: grown(total.output, last.output),
            cached: grown(total.cached, last.cached),
            reasoning: grown(total.reasoning, last.reasoning),
        };
        self.totals.last = total;
        if usage.input.is_some_and(|input| input > 0) {
            self.report(usage);
        }
    }

    /// The totals after a request whose tokens are recorded with it.
    pub(crate) fn total_beside(&mut self, total: Usage) {
        self.totals.last = total;
    }

    fn report(&mut self, usage: Usage) {
        match std::mem::take(&mut self.totals.waiting)[..] {
            [] => self.totals.ahead = Some(usage),
            [number] => number.into_iter().for_each(|number| self.trail.recorded(number, usage)),
            // It is of several, and nothing says what of which: they stay counted.
            [..] => {}
        }
    }

    fn reported_of(&mut self, number: Option<usize>) {
        match (self.totals.ahead.take(), number) {
            (Some(usage), Some(number)) => self.trail.recorded(number, usage),
            (Some(_), None) => {}
            (None, number) => self.totals.waiting.push(number),
        }
    }

    fn into_session(
        mut self,
        accounts: &Accounts,
        openings: &mut Openings,
        context: &mut Context<'_>,
    ) -> Session {
        for (response, number) in &self.responses {
            if let Some(usage) = accounts.usages.get(response) {
                self.trail.recorded(*number, *usage);
            }
            if let Some(length) = accounts.lengths.get(response) {
                self.trail.took(*number, *length);
            }
        }
        let (lane, _) = self.trail.into_lane(openings, context);
        Session { name: self.name, lanes: vec![lane], ..Session::default() }
    }
}
