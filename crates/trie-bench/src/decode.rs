//! What a chunk costs, from the bytes of a stream to counted tokens.

use std::hint::black_box;

use anyhow::{Result, bail};
use trie_replay::wire::{Exchange, Intake, Keep, Parser, parse_event};

use crate::measure::{float, instructions_per_unit, ns_per_unit, say, say_head, say_row};
use crate::shapes::Shape;

/// Chunks of a stream.
const CHUNKS: usize = 512;

/// Streams that a round decodes.
const STREAMS: usize = 40;

/// Ways to decode a stream, as tasks are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Chunk JSON alone, by serde.
    Serde,
    /// Chunk JSON alone, by templates.
    Template,
    /// Scanner, parser and account.
    Intake,
}

impl Way {
    const ALL: [Self; 3] = [Self::Serde, Self::Template, Self::Intake];

    fn name(self) -> &'static str {
        match self {
            Self::Serde => "serde",
            Self::Template => "template",
            Self::Intake => "intake",
        }
    }

    fn decode(self, stream: &Stream) {
        match self {
            Self::Serde => stream.chunks.iter().for_each(|chunk| {
                black_box(parse_event(chunk.as_bytes()).expect("it is a chunk"));
            }),
            Self::Template => parse(stream),
            Self::Intake => take_in(stream),
        }
    }
}

/// A stream, as JSON and as it stands on the wire.
struct Stream {
    chunks: Vec<String>,
    events: Vec<Vec<u8>>,
}

impl Stream {
    fn new(shape: Shape) -> Self {
        let chunks = (0..CHUNKS).map(|n| shape.chunk(n)).collect();
        Self { chunks, events: (0..CHUNKS).map(|n| shape.event(n)).collect() }
    }
}

fn parse(stream: &Stream) {
    let mut parser = Parser::default();
    for chunk in &stream.chunks {
        black_box(parser.parse(chunk.as_bytes()).expect("it is a chunk"));
    }
}

/// Each event a read of its own, 20 ms apart.
fn take_in(stream: &Stream) {
    let mut seen = Exchange::default();
    let mut intake = Intake::new(&mut seen, Keep { text: false, ids: false }, &|_| ());
    for (read, event) in (1..).zip(&stream.events) {
        let done = intake.take_piece(event, (20_000_000 * read, read));
        black_box(done.expect("the stream is well formed"));
    }
    black_box(&seen);
}

/// Does a task under callgrind: `WAY SHAPE STREAMS`.
pub(crate) fn task(way: &str, shape: &str, streams: &str) -> Result<()> {
    let way = Way::ALL.into_iter().find(|known| known.name() == way);
    let (Some(way), Some(shape)) = (way, Shape::named(shape)) else { bail!("no such task") };
    let stream = Stream::new(shape);
    for _ in 0..streams.parse()? {
        way.decode(&stream);
    }
    Ok(())
}

/// Prints nanoseconds a chunk for each shape and way, and how many times as fast as serde alone.
pub(crate) fn nanoseconds() {
    say("Median ns a chunk of nine rounds (times as fast as serde alone):");
    table(|way, stream, _shape| {
        ns_per_unit(STREAMS * CHUNKS, || (0..STREAMS).for_each(|_| way.decode(stream)))
    });
}

/// Prints instructions a chunk for each shape and way.
pub(crate) fn instructions() -> Result<()> {
    say("Instructions a chunk (times as few as serde alone):");
    let mut failed = Ok(());
    table(|way, _stream, shape| {
        let task = ["task", way.name(), shape.name()];
        match instructions_per_unit(&task, STREAMS) {
            Ok(count) => count / float(CHUNKS as u128),
            Err(error) => {
                failed = Err(error);
                f64::NAN
            }
        }
    });
    failed
}

fn table(mut measure: impl FnMut(Way, &Stream, Shape) -> f64) {
    say_head(&["shape", "serde alone", "template", "intake"]);
    for shape in Shape::ALL {
        let stream = Stream::new(shape);
        let figures = Way::ALL.map(|way| measure(way, &stream, shape));
        let cells = figures.map(|figure| format!("{figure:.0} ({:.1})", figures[0] / figure));
        say_row(&[&[shape.name().to_owned()], &cells[..]].concat());
    }
}
