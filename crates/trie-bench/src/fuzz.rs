//! Fuzz targets: mutated streams and chunks, for as long as asked.
//!
//! Two readings of the same bytes have to agree: `chunk` compares templates with serde, `sse` a
//! stream that arrives in pieces with the same stream in one. Inputs grow from what servers send:
//! streams that are still read, and chunks of which a template took one, join those that are
//! mutated next.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use trie_replay::wire::{Event, Exchange, Intake, Keep, Parser, Scanner, SocketRead, parse_event};

use crate::dice::Dice;
use crate::measure::say;
use crate::shapes::Shape;

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Event streams, cut anywhere.
    Sse,
    /// The JSON of chunks, one after another through one parser.
    Chunk,
}

/// Inputs that are mutated next, at most.
const POOL: usize = 2_048;

/// Cases between looks at the clock.
const BATCH: u64 = 1_000;

/// What happened in a campaign.
#[derive(Default)]
struct Count {
    cases: u64,
    events: u64,
    /// Chunks that a template took.
    by_template: u64,
    /// Events that were no JSON that we read, or a stream that failed.
    refused: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, events, by_template, refused } = self;
        write!(out, "{cases} cases, {events} events, {by_template} by template, {refused} refused")
    }
}

/// Fuzzes `target` for `seconds`. An error if two readings differ, or one panics.
pub(crate) fn run(target: Target, seconds: u64, seed: u64) -> Result<()> {
    let mut dice = Dice::new(seed);
    let mut pool = seeds(target);
    let mut count = Count::default();
    let end = now() + Duration::from_secs(seconds);
    loop {
        for _ in 0..BATCH {
            let case = case(target, &pool, &mut dice);
            let agrees = catch_unwind(AssertUnwindSafe(|| agree(target, &case, &mut count)));
            match agrees {
                Ok(Ok(true)) => keep(&mut pool, case, &mut dice),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => bail!("{error:#}\n{}", shown(&case)),
                Err(_panic) => bail!("it panicked\n{}", shown(&case)),
            }
        }
        if now() >= end {
            say(format_args!("{target:?}, seed {seed}, {seconds} s: {count}; no difference"));
            return Ok(());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long to go on, nothing else hangs on it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Pieces of a stream, or chunks one after another.
type Case = Vec<Vec<u8>>;

fn shown(case: &Case) -> String {
    let pieces = case.iter().map(|piece| format!("b\"{}\"", piece.escape_ascii()));
    format!("in: [{}]", pieces.collect::<Vec<_>>().join(", "))
}

/// Whether to keep the case for more of its kind.
fn agree(target: Target, case: &Case, count: &mut Count) -> Result<bool> {
    count.cases += 1;
    match target {
        Target::Chunk => chunks_agree(case, count),
        Target::Sse => pieces_agree(case, count),
    }
}

fn chunks_agree(chunks: &Case, count: &mut Count) -> Result<bool> {
    let mut parser = Parser::default();
    let (mut all_read, before) = (true, count.by_template);
    for chunk in chunks {
        count.events += 1;
        let theirs = parse_event(chunk);
        let misses = parser.misses();
        match (parser.parse(chunk), theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => {
                all_read &= matches!(ours, Event::Chunk(_));
            }
            (Err(ours), Err(theirs)) if ours.to_string() == theirs.to_string() => {
                count.refused += 1;
                all_read = false;
            }
            (ours, theirs) => bail!("the parser reads {ours:?}, serde {theirs:?}"),
        }
        count.by_template += u64::from(parser.misses() == misses);
    }
    // Of inputs that teach nothing more and more would come.
    Ok(all_read && count.by_template > before)
}

fn pieces_agree(pieces: &Case, count: &mut Count) -> Result<bool> {
    let whole = vec![pieces.concat()];
    let (cut, uncut) = (events(pieces), events(&whole));
    if cut != uncut {
        bail!("in pieces the events are {cut:?}, in one {uncut:?}");
    }
    count.events += uncut.len() as u64;
    let (cut, uncut) = (facts(pieces), facts(&whole));
    if cut != uncut {
        bail!("in pieces it says {cut}, in one {uncut}");
    }
    let well = uncut.starts_with("Ok");
    count.refused += u64::from(!well);
    Ok(well)
}

/// What the scanner makes of a stream.
fn events(pieces: &Case) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    let mut scanner = Scanner::default();
    let mut push = |data: &[u8]| events.push(data.to_vec());
    for piece in pieces {
        scanner.feed(piece, &mut push).expect("no stream here is as long as the limit");
    }
    scanner.finish(&mut push);
    events
}

/// All that the stream says, arriving at one time.
fn facts(pieces: &Case) -> String {
    let mut seen = Exchange::default();
    let mut intake = Intake::new(&mut seen, Keep { text: true, ids: true }, &|_| ());
    let mut done = None;
    for piece in pieces {
        match intake.take_piece(piece, SocketRead::new(1, 1)) {
            Ok(None) => {}
            other => {
                done = Some(other);
                break;
            }
        }
    }
    let end = match done {
        Some(Ok(end)) => intake.conclude(end.unwrap_or_default()),
        Some(Err(failure)) => Err(failure),
        None => intake.end_of_body(1),
    };
    format!("{end:?} {seen:?}")
}

fn seeds(target: Target) -> Vec<Case> {
    let chat = [
        r#"{"created":17,"choices":[{"delta":{"role":"assistant","content":"","reasoning_content":null}}]}"#,
        r#"{"created":18,"choices":[{"delta":{"role":null,"content":null,"reasoning_content":"hm"}}]}"#,
        r#"{"created":19,"choices":[{"delta":{"role":null,"content":" a","reasoning_content":null}}]}"#,
        r#"{"created":19,"choices":[{"delta":{"content":" b","tool_calls":[{"index":0}]},"finish_reason":"stop"}]}"#,
    ];
    let native = [
        r#"{"content":" a","tokens":[7],"stop":false,"tokens_predicted":1,"tokens_evaluated":9}"#,
        r#"{"content":" b","tokens":[8,9],"stop":false,"tokens_predicted":3,"tokens_evaluated":9}"#,
        r#"{"content":"","tokens":[],"stop":true,"stop_type":"limit","tokens_predicted":3}"#,
    ];
    let shapes = Shape::ALL.map(|shape| (0..3).map(|n| shape.chunk(n)).collect::<Vec<_>>());
    let by_hand =
        [&chat[..], &native[..]].map(|chunks| chunks.iter().map(|&it| it.to_owned()).collect());
    let streams = shapes.into_iter().chain(by_hand);
    match target {
        Target::Chunk => {
            streams.map(|chunks| chunks.into_iter().map(String::into_bytes).collect()).collect()
        }
        Target::Sse => ["\n", "\r\n", "\r"]
            .iter()
            .flat_map(|end| streams.clone().map(|chunks| vec![on_the_wire(&chunks, end)]))
            .collect(),
    }
}

fn on_the_wire(chunks: &[String], line_end: &str) -> Vec<u8> {
    let comment = format!("\u{feff}: hi{line_end}{line_end}");
    let event = |chunk| format!("event: x{line_end}data: {chunk}{line_end}{line_end}");
    let events: String = chunks.iter().map(event).collect();
    format!("{comment}{events}data: [DONE]{line_end}{line_end}").into_bytes()
}

fn case(target: Target, pool: &[Case], dice: &mut Dice) -> Case {
    let chosen = dice.choose(pool).clone();
    match target {
        Target::Chunk => {
            // One that teaches, and others of its shape behind it: as it is, or damaged a little.
            let base = dice.choose(&chosen).clone();
            let mut chunks = vec![base; 4];
            for chunk in &mut chunks[1..] {
                (0..dice.below(3)).for_each(|_| mutate(chunk, pool, dice));
            }
            chunks
        }
        Target::Sse => {
            let mut stream = chosen.concat();
            (0..dice.below(4)).for_each(|_| mutate(&mut stream, pool, dice));
            stream.truncate(4_096);
            cut(&stream, dice)
        }
    }
}

fn cut(stream: &[u8], dice: &mut Dice) -> Case {
    let mut rest = stream;
    let mut pieces = vec![];
    let most = [3, 30, 300][dice.below(3)];
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(dice.below(most).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = tail;
    }
    pieces
}

/// Words that mean something to one of the readers.
const WORDS: [&str; 36] = [
    "\"",
    "\\",
    "\\n",
    "\\u00e9",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "0",
    "-0",
    "01",
    "1e3",
    "1.5",
    "4294967296",
    "1099511627776",
    "1099511627777",
    "99999999999999999999",
    " ",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "data:",
    "data: ",
    ": ",
    "[DONE]",
    "\u{feff}",
    "\"text\":",
    "\"token_ids\":",
    "\"finish_reason\":",
    "é",
];

/// Changes a few bytes at one place.
pub(crate) fn mutate(bytes: &mut Vec<u8>, pool: &[Case], dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let span = at..(at + dice.below(12)).min(bytes.len());
    match dice.below(6) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.byte();
            }
        }
        1 => {
            bytes.splice(at..at, dice.choose(&WORDS).bytes());
        }
        2 => {
            bytes.splice(span, dice.choose(&WORDS).bytes());
        }
        3 => {
            bytes.drain(span);
        }
        // Digits and letters stay what they are: most such inputs can still be read.
        4 => {
            let (low, count) = if dice.below(2) == 0 { (b'0', 10) } else { (b'a', 26) };
            let alike = |byte: &u8| (low..low + count).contains(byte);
            let other = low + dice.byte() % count;
            if let Some(byte) = bytes[at..].iter_mut().find(|byte| alike(byte)) {
                *byte = other;
            }
        }
        _ => {
            let other = {
                let case = dice.choose(pool);
                dice.choose(case)
            };
            let from = dice.below(other.len() + 1);
            let to = (from + dice.below(40)).min(other.len());
            bytes.splice(span, other[from..to].iter().copied());
        }
    }
}

fn keep(pool: &mut Vec<Case>, case: Case, dice: &mut Dice) {
    if pool.len() < POOL {
        pool.push(case);
    } else {
        let at = dice.below(POOL);
        pool[at] = case;
    }
}
