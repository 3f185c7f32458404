//! Dynamo's agentic Mooncake, version 2: a graph of requests, a request a row.

use std::collections::BTreeMap;

use serde_json::Value;
use trie_core::units::Tokens;

use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{After, BlockShape, Lane, Place, Request, Session};
use crate::session::admit;
use crate::value::{list, text, time, tokens};

use super::mooncake::{BLOCK, ids};

const MILLIS: f64 = 1e-3;

/// Graphs of requests.
pub(crate) const FORMAT: Format = Format {
    name: "dynamo",
    title: "Dynamo's agentic Mooncake, version 2: a graph of requests",
    known_by: "`request_id` beside `dependencies`, or the header `dynamo.agentic_mooncake`",
    expresses: "plays as rows, sessions as lanes, dependencies with their delays; every prompt as blocks",
    lost: "dynamo: models are not kept; a request may wait for earlier lines only",
    time_unit: "ms",
    page: "importing.md",
    recognise: |head| {
        head.has(&["request_id", "dependencies"])
            || head.any(|record| text(record, &["schema"]) == Some("dynamo.agentic_mooncake"))
    },
    reader: || Box::new(Plays::default()),
};

#[derive(Default)]
struct Plays {
    size: Option<Tokens>,
    local: bool,
    all: Vec<Play>,
    by_name: BTreeMap<String, usize>,
    held: usize,
}

/// One play: what becomes one row.
#[derive(Default)]
struct Play {
    session: Session,
    lanes: BTreeMap<String, usize>,
    places: BTreeMap<String, Place>,
}

impl Reader for Plays {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        if text(record, &["schema"]).is_some() {
            let version = tokens(record, &["version"]).unwrap_or(2);
            if version != 2 {
                let what = format!("version {version} of the format: wanted 2");
                return Err((what, "only version 2 is read"));
            }
            self.size = tokens(record, &["block_size"]).filter(|size| *size > 0);
            self.local = text(record, &["hash_id_scope"]) == Some("local");
            return Ok(());
        }
        let lengths = (tokens(record, &["input_length"]), tokens(record, &["output_length"]));
        let (Some(input), Some(output)) = lengths else {
            context.fidelity.count(Event::NoLength, 1);
            return Ok(());
        };
        let size = self.size.unwrap_or(BLOCK);
        let ids = ids(record, input, size)?;
        let name = text(record, &["play_id"])
            .or_else(|| text(record, &["session_id"]))
            .unwrap_or_default();
        let next = self.all.len();
        let at = *self.by_name.entry(name.to_owned()).or_insert(next);
        if at == next {
            let session = Session {
                name: Some(name.to_owned()).filter(|name| !name.is_empty()),
                arrival: time(record, &["not_before_ms"], MILLIS),
                explicit: true,
                ..Session::default()
            };
            self.all.push(Play { session, ..Play::default() });
        }
        let mut request = Request { input, output, ids, ..Request::default() };
        if !admit(&request, context.fidelity) {
            return Ok(());
        }
        let play = &mut self.all[at];
        request.after = play.after(record, context);
        self.held += size_of::<Request>() + 300 + request.ids.len() * 16;
        play.add(record, request);
        Ok(())
    }

    fn held(&self) -> usize {
        self.held
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        let scope = if self.local { "local" } else { "dynamo" };
        let size = self.size.unwrap_or(BLOCK);
        for Play { mut session, .. } in self.all {
            let requests = session.lanes.iter().flat_map(|lane| &lane.requests);
            let named = requests.clone().all(|of| !of.ids.is_empty() || of.input < size);
            session.blocks = named.then_some(BlockShape { size, scope });
            context.sessions.push(session);
        }
    }
}

impl Play {
    /// What a request waits for; requests of later lines, and those that were left out, are none.
    fn after(&self, record: &Value, context: &mut Context<'_>) -> Vec<After> {
        let mut after = Vec::new();
        for dependency in list(record, &["dependencies"]) {
            let place = text(dependency, &["request_id"]).and_then(|id| self.places.get(id));
            match place {
                Some(place) => after.push(After {
                    place: *place,
                    on_start: text(dependency, &["trigger"]) == Some("dispatch"),
                    delay: time(dependency, &["delay_ms"], MILLIS).unwrap_or(0).max(0),
                }),
                None => context.fidelity.count(Event::Orphans, 1),
            }
        }
        after
    }

    fn add(&mut self, record: &Value, request: Request) {
        let lane = text(record, &["session_id"]).unwrap_or_default();
        let next = self.session.lanes.len();
        let lane = *self.lanes.entry(lane.to_owned()).or_insert(next);
        if lane == next {
            self.session.lanes.push(Lane::default());
        }
        let requests = &mut self.session.lanes[lane].requests;
        let place = Place { lane, request: requests.len() };
        requests.push(request);
        if let Some(id) = text(record, &["request_id"]) {
            self.places.insert(id.to_owned(), place);
        }
    }
}
