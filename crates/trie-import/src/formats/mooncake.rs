//! Mooncake rows, one a request; and rows with sessions, as `AIPerf` writes them.

use std::collections::BTreeMap;

use serde_json::Value;
use trie_core::units::Tokens;

use crate::content::{Measure, body, flat_text};
use crate::fidelity::Event;
use crate::format::{Context, Format, Head, Reader, Wrong};
use crate::import::MooncakeLengths;
use crate::links::Links;
use crate::model::{BlockShape, Lane, Request, Run, Session, Time, runs};
use crate::names::Salt;
use crate::session::{admit, arrive};
use crate::value::{list, text, time, tokens, whole};

/// Tokens of a block, as the release and its readers have it.
pub(crate) const BLOCK: Tokens = 512;

/// The largest id that a row may hold: behind it there is room for the ids of the longest prompt.
const LARGEST_ID: u64 = u64::MAX - (1 << 32);

/// What the ids of all rows are the names of.
pub(crate) const SCOPE: &str = "mooncake";

const SHAPE: BlockShape = BlockShape { size: BLOCK, scope: SCOPE };

const MILLIS: f64 = 1e-3;

/// Rows of whole prompts.
pub(crate) const FORMAT: Format = Format {
    name: "mooncake",
    title: "Mooncake's traces: a request a row, with ids of blocks of 512 tokens",
    known_by: "`input_length` and `output_length` beside `timestamp` or `hash_ids`, without a session",
    expresses: "every prompt as blocks, shared by all rows; arrivals; requests that go on with an \
                earlier one, as sessions",
    lost: "mooncake: no ends are recorded, so each request is a row of its own with its arrival, and \
           a session runs its rows one after another; with mooncake_join=True a session is one row \
           with waits from start to start",
    time_unit: "ms",
    page: "importing.md",
    recognise: |head| head.any(|record| is_row(record) && !has_session(record)),
    reader: || Box::new(Rows::default()),
};

/// Rows with sessions.
pub(crate) const SESSIONS: Format = Format {
    name: "mooncake-sessions",
    title: "AIPerf's Mooncake rows: a request a row, with a session",
    known_by: "`session_id` and `output_length` beside `input_length`, `text_input`, `messages` or `payload`",
    expresses: "sessions, their prompts' growth, delays between their requests",
    lost: "mooncake-sessions: input_length is what a request adds to its session, unless \
           mooncake_lengths=cumulative; how much of an answer stays is not recorded: all of it",
    time_unit: "ms",
    page: "importing.md",
    recognise: |head: &Head| head.any(|record| is_row(record) && has_session(record)),
    reader: || Box::new(Sessions::default()),
};

fn is_row(record: &Value) -> bool {
    let has = |key: &str| record.get(key).is_some();
    let foreign = ["chat_id", "request_id", "dependencies", "turns", "type"];
    let input = ["input_length", "text_input", "payload", "messages"];
    let placed = ["session_id", "hash_ids", "timestamp"];
    has("output_length")
        && input.iter().any(|key| has(key))
        && placed.iter().any(|key| has(key))
        && !foreign.iter().any(|key| has(key))
}

fn has_session(record: &Value) -> bool {
    record.get("session_id").is_some_and(|session| !session.is_null())
}

/// Ids as runs; an error unless there is one for each block, the last one perhaps left out.
pub(crate) fn ids(record: &Value, input: Tokens, size: Tokens) -> Result<Vec<Run>, Wrong> {
    let listed = list(record, &["hash_ids"]);
    let ids: Option<Vec<u64>> = listed.iter().map(whole).collect();
    let ids =
        ids.ok_or_else(|| wrong("hash_ids holds something else than whole numbers".into()))?;
    fitting(ids, input, size)
}

/// Ids of a prompt's blocks as runs; an error unless they are as many as it has blocks.
pub(crate) fn fitting(ids: Vec<u64>, input: Tokens, size: Tokens) -> Result<Vec<Run>, Wrong> {
    if let Some(id) = ids.iter().find(|id| **id > LARGEST_ID) {
        return Err(wrong(format!("id {id} in hash_ids: wanted at most {LARGEST_ID}")));
    }
    let (least, most) = (input / size, input.div_ceil(size));
    let count = ids.len() as u64;
    if count > 0 && !(least..=most).contains(&count) {
        let wanted = if least == most { least.to_string() } else { format!("{least} or {most}") };
        return Err(wrong(format!(
            "{count} ids for a prompt of {input} tokens: wanted {wanted}, as blocks of {size} tokens"
        )));
    }
    Ok(runs(ids))
}

fn wrong(what: String) -> Wrong {
    (what, "the file may be of another block size or format: from=NAME names one")
}

/// Reads rows of whole prompts.
#[derive(Default)]
struct Rows {
    links: Links,
    /// Rows of one moment, held until the next one where they are to be spread.
    burst: Vec<Request>,
}

impl Reader for Rows {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let lengths = (tokens(record, &["input_length"]), tokens(record, &["output_length"]));
        let (Some(input), Some(output)) = lengths else {
            context.fidelity.count(Event::NoLength, 1);
            return Ok(());
        };
        let start = time(record, &["timestamp"], MILLIS);
        let ids = ids(record, input, BLOCK)?;
        let request = Request { start, input, output, ids, ..Request::default() };
        // A row is a request here, and stays one: without an answer it is replayed as 1 token.
        let planned = Request { output: output.max(1), ..Request::default() };
        if !admit(&Request { input, ..planned }, context.fidelity) {
            return Ok(());
        }
        if output == 0 {
            context.fidelity.recorded.answer_tokens -= 1;
            context.fidelity.count(Event::EmptyKept, 1);
        }
        if context.mooncake_spread.is_none() {
            self.links.take(request, SHAPE, context);
            return Ok(());
        }
        if self.burst.first().is_some_and(|first| first.start != start) {
            self.spread(start, context);
        }
        self.burst.push(request);
        Ok(())
    }

    fn held(&self) -> usize {
        let ids = self.burst.iter().map(|request| request.ids.len() * 16);
        self.links.held() + self.burst.len() * size_of::<Request>() + ids.sum::<usize>()
    }

    fn finish(mut self: Box<Self>, context: &mut Context<'_>) {
        self.spread(None, context);
        self.links.finish(context);
    }
}

impl Rows {
    /// Spreads rows of one moment over the time in which they came, at most up to the next moment, and
    /// takes them.
    fn spread(&mut self, next: Option<Time>, context: &mut Context<'_>) {
        let burst = std::mem::take(&mut self.burst);
        let start = burst.first().and_then(|first| first.start);
        let until_next =
            next.zip(start).map_or(Time::MAX, |(next, start)| next.saturating_sub(start));
        let width = context.mooncake_spread.unwrap_or(0).min(until_next).max(0);
        let places = places(start.unwrap_or(0), burst.len(), width);
        for (request, place) in burst.into_iter().zip(places) {
            context.fidelity.count(Event::Spread, u64::from(request.start.is_some() && place > 0));
            let start = request.start.map(|start| start.saturating_add(place));
            self.links.take(Request { start, ..request }, SHAPE, context);
        }
    }
}

/// Moments of a time, drawn uniformly and in order: the same ones each time.
fn places(seed: Time, count: usize, width: Time) -> Vec<Time> {
    let salt = Salt(seed.unsigned_abs());
    let drawn = (0..count as u64).map(|index| {
        let share = u128::from(salt.hash(&[b"place", &index.to_le_bytes()]));
        let place = (share * u128::from(width.unsigned_abs())) >> 64;
        Time::try_from(place).expect("a part of a time is a time")
    });
    let mut places: Vec<Time> = drawn.collect();
    places.sort_unstable();
    places
}

/// Reads rows with sessions.
#[derive(Default)]
struct Sessions {
    all: Vec<Session>,
    by_name: BTreeMap<String, usize>,
    requests: usize,
}

impl Reader for Sessions {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let name = match record.get("session_id") {
            Some(Value::String(name)) => name.clone(),
            Some(other) if !other.is_null() => other.to_string(),
            Some(_) | None => format!("row {}", self.all.len()),
        };
        let recorded = tokens(record, &["input_length"]);
        let added = recorded.or_else(|| {
            context.fidelity.count(Event::Counted, 1);
            counted(record, context)
        });
        let output = tokens(record, &["output_length"]);
        let (Some(added), Some(output)) = (added, output) else {
            context.fidelity.count(Event::NoLength, 1);
            return Ok(());
        };
        let next = self.all.len();
        let at = *self.by_name.entry(name.clone()).or_insert(next);
        if at == next {
            let lanes = vec![Lane::default()];
            self.all.push(Session { name: Some(name), lanes, ..Session::default() });
        }
        let requests = &mut self.all[at].lanes[0].requests;
        let history = requests.last().map_or(0, |last| last.input.saturating_add(last.output));
        let whole = context.mooncake_lengths == MooncakeLengths::Cumulative;
        let input = if whole { added } else { history.saturating_add(added) };
        let request = Request {
            start: time(record, &["timestamp"], MILLIS),
            wait: time(record, &["delay"], MILLIS),
            input,
            output,
            ..Request::default()
        };
        if admit(&request, context.fidelity) {
            requests.push(request);
            self.requests += 1;
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.requests * size_of::<Request>() + self.all.len() * 256
    }

    fn finish(mut self: Box<Self>, context: &mut Context<'_>) {
        arrive(&mut self.all);
        context.sessions.append(&mut self.all);
    }
}

/// Tokens of the text of a row that has no length.
fn counted(record: &Value, context: &Context<'_>) -> Option<Tokens> {
    let measure = Measure { salt: context.salt, count: context.count };
    if let Some(text) = text(record, &["text_input"]) {
        return Some(measure.size(text));
    }
    let payload = record.get("payload").and_then(body);
    let messages = record.get("messages").or_else(|| payload.as_ref()?.get("messages"))?;
    let messages = messages.as_array()?.iter();
    Some(
        messages
            .map(|message| measure.size(&message.get("content").map(flat_text).unwrap_or_default()))
            .sum(),
    )
}
