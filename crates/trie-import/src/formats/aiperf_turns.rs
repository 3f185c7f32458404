//! `AIPerf`'s texts by turn: `multi_turn`, a conversation a line, and `single_turn` and `random_pool`,
//! a request a line.
//!
//! The fields are those of github.com/ai-dynamo/aiperf, src/aiperf/dataset/loader/models.py: times are
//! milliseconds; turns of a conversation are what each adds to it, and the answers that the server gives
//! go between them; requests of one session that are a line each hold no history.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trie_core::units::Tokens;

use crate::bodies::asked_length;
use crate::content::Measure;
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Call, Kind, Lane, Request, Session};
use crate::session::{admit, arrive};
use crate::threads::shared;
use crate::value::{at, each, list, text, time};

const MILLIS: f64 = 1e-3;

/// Texts with times and lengths of answers.
pub(crate) const FORMAT: Format = Format {
    name: "aiperf-turns",
    title: "AIPerf's multi_turn (a conversation a line), single_turn and random_pool (a request a line)",
    known_by: "`turns` with `text` or `texts`, or one of these beside `output_length`, `delay`, `timestamp` or \
               `session_id`",
    expresses: "sessions and their growth; delays, or arrivals and starts; a leading system turn as a shared \
                prefix; texts of a tool's turn as parallel calls",
    lost: "aiperf-turns: texts are counted, images, audio and video count nothing; an answer without \
           output_length is as long as answer_length says, else its request is left out; the whole answer \
           stays in the history; what random_pool draws is each row once",
    time_unit: "ms",
    page: "importing.md",
    recognise: |head| {
        let of_turn = ["output_length", "delay", "timestamp", "session_id"];
        head.any(|record| {
            list(record, &["turns"]).iter().any(has_text)
                || (has_text(record) && of_turn.iter().any(|key| record.get(key).is_some()))
        })
    },
    reader: || Box::new(Turns::default()),
};

fn has_text(value: &Value) -> bool {
    text(value, &["text"]).is_some() || at(value, &["texts"]).is_some_and(Value::is_array)
}

#[derive(Default)]
struct Turns {
    all: Vec<Session>,
    by_name: BTreeMap<String, usize>,
    /// Tokens of turns whose answer is of unknown length, by session: the next prompt holds them.
    left: BTreeMap<usize, Tokens>,
    requests: usize,
}

impl Reader for Turns {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        for record in each(record) {
            let session = self.session(text(record, &["session_id"]));
            match record.get("turns").and_then(Value::as_array) {
                Some(turns) => {
                    for turn in turns {
                        self.turn(session, turn, true, context)?;
                    }
                }
                None => self.turn(session, record, false, context)?,
            }
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.requests * size_of::<Request>() + self.all.len() * 300
    }

    fn finish(mut self: Box<Self>, context: &mut Context<'_>) {
        arrive(&mut self.all);
        context.sessions.append(&mut self.all);
    }
}

impl Turns {
    fn session(&mut self, name: Option<&str>) -> usize {
        let next = self.all.len();
        let at = name.map_or(next, |name| *self.by_name.entry(name.to_owned()).or_insert(next));
        if at == next {
            let (name, lanes) = (name.map(str::to_owned), vec![Lane::default()]);
            self.all.push(Session { name, lanes, ..Session::default() });
        }
        at
    }

    fn turn(
        &mut self,
        session: usize,
        turn: &Value,
        grows: bool,
        context: &mut Context<'_>,
    ) -> Result<(), Wrong> {
        let (start, wait) = (time(turn, &["timestamp"], MILLIS), time(turn, &["delay"], MILLIS));
        if start.is_some_and(|start| start != 0) && wait.is_some_and(|wait| wait != 0) {
            let what = "timestamp and delay in one turn: wanted one of them".to_owned();
            return Err((what, "AIPerf takes either the time of a turn or the wait before it"));
        }
        let texts = texts(turn);
        let measure = context.measure();
        let sizes: Vec<Tokens> = texts.iter().map(|text| measure.size(text)).collect();
        let new: Tokens = sizes.iter().sum();
        let lane = &mut self.all[session].lanes[0];
        let held = self.left.get(&session).copied().unwrap_or(0);
        if grows && is_system(turn, lane) {
            lane.prefix.push(shared(hash(&texts.concat(), measure), new));
            self.left.insert(session, held.saturating_add(new));
            return Ok(());
        }
        let Some(output) = asked_length(turn, context) else {
            context.fidelity.count(Event::NoLength, 1);
            if grows {
                self.left.insert(session, held.saturating_add(new));
            }
            return Ok(());
        };
        let history = lane.requests.last().map(|last| last.input.saturating_add(last.output));
        let of_tool = text(turn, &["role"]) == Some("tool");
        let calls = sizes.into_iter().map(|size| Call { size, latency: None });
        let request = Request {
            start,
            wait: wait.map(|wait| wait.max(0)),
            input: if grows { history.unwrap_or(0) + held + new } else { new },
            output,
            keep: (!grows && history.is_some()).then_some(0),
            kind: if of_tool { Kind::Tool } else { Kind::User },
            calls: calls.filter(|_| of_tool).collect(),
            ..Request::default()
        };
        if admit(&request, context.fidelity) {
            context.fidelity.count(Event::Counted, 1);
            lane.requests.push(request);
            self.requests += 1;
            self.left.remove(&session);
        }
        Ok(())
    }
}

/// Whether a turn is the system prompt of its conversation: the first one, with text and nothing else.
fn is_system(turn: &Value, lane: &Lane) -> bool {
    let others =
        ["timestamp", "delay", "output_length", "extra", "image", "images", "audio", "video"];
    text(turn, &["role"]) == Some("system")
        && lane.requests.is_empty()
        && lane.prefix.is_empty()
        && others.iter().all(|key| at(turn, &[key]).is_none())
}

/// The hash of a system prompt, as other formats have it.
fn hash(text: &str, measure: Measure<'_>) -> u64 {
    let message = measure.messages(&json!({"role": "system", "content": text}));
    message.first().map_or(0, |message| message.hash)
}

/// The texts of a turn: one, or a list of texts, or of lists with a name.
fn texts(turn: &Value) -> Vec<String> {
    let own = text(turn, &["text"]).map(str::to_owned);
    let named = |item: &Value| {
        let contents = list(item, &["contents"]).iter().filter_map(Value::as_str);
        contents.collect::<Vec<&str>>().join("\n")
    };
    let more = list(turn, &["texts"]).iter();
    let more = more.map(|item| item.as_str().map_or_else(|| named(item), str::to_owned));
    own.into_iter().chain(more).collect()
}
