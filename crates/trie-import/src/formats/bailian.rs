//! Qwen-Bailian's anonymous traces: a request a row, linked to the one it goes on with.

use std::collections::BTreeMap;

use serde_json::Value;
use trie_core::units::Tokens;

use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{BlockShape, Kind, Lane, Request, Session};
use crate::session::{admit, arrive, sort};
use crate::value::{at, number, time, tokens};

use super::mooncake::ids;

/// Tokens of a block.
const BLOCK: Tokens = 16;

/// Conversations by links.
pub(crate) const FORMAT: Format = Format {
    name: "bailian",
    title: "Qwen-Bailian's anonymous traces: a request a row, with its parent",
    known_by: "`chat_id` and `parent_chat_id`",
    expresses: "conversations by their links; every prompt as blocks of 16 tokens, shared by all rows; arrivals",
    lost: "bailian: no ends are recorded, so waits are from start to start, and all are a person's; a \
           chat whose parent is not in the file begins a conversation",
    time_unit: "s",
    page: "importing.md",
    recognise: |head| head.has(&["chat_id", "parent_chat_id", "input_length"]),
    reader: || Box::new(Chats::default()),
};

#[derive(Default)]
struct Chats {
    /// The session of each chat.
    roots: BTreeMap<u64, usize>,
    sessions: Vec<Session>,
    requests: usize,
    runs: usize,
}

impl Reader for Chats {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let lengths = (tokens(record, &["input_length"]), tokens(record, &["output_length"]));
        let (Some(input), Some(output)) = lengths else {
            context.fidelity.count(Event::NoLength, 1);
            return Ok(());
        };
        let ids = ids(record, input, BLOCK)?;
        let start = time(record, &["timestamp"], 1.0);
        let request = Request { start, input, output, ids, kind: Kind::User, ..Request::default() };
        let chat = tokens(record, &["chat_id"]);
        // A root's parent is -1.
        let parent =
            at(record, &["parent_chat_id"]).and_then(number).filter(|parent| *parent >= 0.0);
        let known =
            tokens(record, &["parent_chat_id"]).and_then(|parent| self.roots.get(&parent)).copied();
        context.fidelity.count(Event::Orphans, u64::from(parent.is_some() && known.is_none()));
        let session = known.unwrap_or_else(|| {
            let name = chat.map(|chat| chat.to_string());
            let lanes = vec![Lane::default()];
            self.sessions.push(Session { name, lanes, ..Session::default() });
            self.sessions.len() - 1
        });
        if let Some(chat) = chat {
            self.roots.insert(chat, session);
        }
        if admit(&request, context.fidelity) {
            self.requests += 1;
            self.runs += request.ids.len();
            self.sessions[session].lanes[0].requests.push(request);
        }
        Ok(())
    }

    fn held(&self) -> usize {
        let requests = self.requests * size_of::<Request>() + self.runs * 16;
        requests + self.sessions.len() * 256 + self.roots.len() * 32
    }

    fn finish(mut self: Box<Self>, context: &mut Context<'_>) {
        for session in &mut self.sessions {
            let lane = &mut session.lanes[0];
            sort(&mut lane.requests, context.fidelity);
            let named = lane.requests.iter().all(|of| !of.ids.is_empty() || of.input < BLOCK);
            session.blocks = named.then_some(BlockShape { size: BLOCK, scope: "bailian" });
        }
        arrive(&mut self.sessions);
        context.sessions.append(&mut self.sessions);
    }
}
