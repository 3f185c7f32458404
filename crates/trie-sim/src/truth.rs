//! What an engine did with each request: the truth that a client's measurements are held against.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::{Deserialize, Serialize};
use trie_core::units::Nanos;

use crate::engine::{Event, FinishReason, RequestId};

/// One request, written as a line of JSON when it is over. All times are since the engine's start: of the
/// server's, or of the virtual clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthRow {
    /// Its name: of a server the `id` of the answer, of a forecast `TRACE/STEP/ATTEMPT` as in
    /// `requests.jsonl`.
    pub request: String,
    /// Which engine behind the router, from 0.
    pub replica: u32,
    /// Length of the prompt in tokens.
    pub prompt_tokens: u64,
    /// When it reached the engine.
    pub arrived_ns: Nanos,
    /// When it first left the queue; null where it never did.
    pub admitted_ns: Option<Nanos>,
    /// Prompt tokens that needed no work then.
    pub cached_tokens: Option<u64>,
    /// Each time that it lost its place for want of room.
    pub preempted_ns: Vec<Nanos>,
    /// When each token of the answer was there, the first token first.
    pub token_ns: Vec<Nanos>,
    /// The engine's step that made each of them.
    pub token_step: Vec<u64>,
    /// How it ended.
    pub end: TruthEnd,
    /// When.
    pub end_ns: Nanos,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TruthEnd {
    /// At its limit of tokens.
    Length,
    /// The model ended it.
    Stop,
    /// The client did not want it any more.
    Cancelled,
    /// It was in work when a forecast ended.
    Unfinished,
}

/// The rows of requests that are not over.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    open: BTreeMap<RequestId, TruthRow>,
}

/// What is known of a request when it arrives.
pub(crate) struct Arrival {
    pub(crate) request: String,
    pub(crate) replica: u32,
    pub(crate) prompt_tokens: usize,
    pub(crate) at: Nanos,
}

impl Ledger {
    pub(crate) fn arrived(&mut self, id: RequestId, arrival: Arrival) {
        let Arrival { request, replica, prompt_tokens, at } = arrival;
        let row = TruthRow {
            request,
            replica,
            prompt_tokens: wide(prompt_tokens),
            arrived_ns: at,
            admitted_ns: None,
            cached_tokens: None,
            preempted_ns: vec![],
            token_ns: vec![],
            token_step: vec![],
            end: TruthEnd::Unfinished,
            end_ns: at,
        };
        self.open.insert(id, row);
    }

    /// Notes an event; gives the row of a request that is over with it.
    pub(crate) fn note(&mut self, event: &Event) -> Option<TruthRow> {
        let row = self.open.get_mut(&event.id())?;
        match *event {
            Event::Admitted { at, cached_tokens, .. } => {
                row.admitted_ns = Some(at);
                row.cached_tokens = Some(wide(cached_tokens));
                None
            }
            Event::Preempted { at, .. } => {
                row.preempted_ns.push(at);
                None
            }
            Event::Token { id, at, tokens, step, finish, .. } => {
                let all = row.token_ns.len() + tokens;
                row.token_ns.resize(all, at);
                row.token_step.resize(all, step);
                finish.and_then(|why| self.end(id, why.into(), at))
            }
        }
    }

    /// A request is over; gives its row, unless it had been over before.
    pub(crate) fn end(&mut self, id: RequestId, end: TruthEnd, at: Nanos) -> Option<TruthRow> {
        self.open.remove(&id).map(|row| TruthRow { end, end_ns: at, ..row })
    }

    /// The rows of all that are in work at the end.
    pub(crate) fn unfinished(self, at: Nanos) -> impl Iterator<Item = TruthRow> {
        self.open.into_values().map(move |row| TruthRow { end_ns: at, ..row })
    }
}

impl From<FinishReason> for TruthEnd {
    fn from(why: FinishReason) -> Self {
        match why {
            FinishReason::Length => Self::Length,
            FinishReason::Stop => Self::Stop,
        }
    }
}

/// Writes a row in one piece, so that whoever reads the file meanwhile sees whole lines.
pub(crate) fn write(row: &TruthRow, file: &mut dyn Write) -> io::Result<()> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    file.write_all(&line)
}

fn wide(tokens: usize) -> u64 {
    u64::try_from(tokens).expect("a length in memory fits in 64 bits")
}
