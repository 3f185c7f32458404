//! What a chunk costs, from the bytes of a stream to counted tokens.

use std::hint::black_box;

use anyhow::{Result, bail};
use trie_replay::wire::{Exchange, Intake, Keep, Parser, SocketRead, parse_event};

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

fn take_in(stream: &Stream) {
    let mut seen = Exchange::default();
    let mut intake = Intake::new(&mut seen, Keep { text: false, ids: false }, &|_| ());
    take_reads(&mut intake, &stream.events, 1);
    black_box(&seen);
}

/// Each event a read of its own, 20 ms apart, the first of which is number `first`.
fn take_reads(intake: &mut Intake<'_>, events: &[Vec<u8>], first: u64) {
    for (read, event) in (first..).zip(events) {
        let done = intake.take_piece(event, SocketRead::new(20_000_000 * read, read));
        black_box(done.expect("the stream is well formed"));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocations::during;

    /// Allocations of 10,000 chunks of a stream that has begun.
    fn check(shape: Shape, expected: u64) {
        let mut seen = Exchange::default();
        let mut intake = Intake::new(&mut seen, Keep { text: false, ids: false }, &|_| ());
        let events: Vec<_> = (0..10_064).map(|n| shape.event(n)).collect();
        let (begun, rest) = events.split_at(64);
        take_reads(&mut intake, begun, 1);
        assert_eq!(during(|| take_reads(&mut intake, rest, 65)), expected, "{}", shape.name());
        assert_eq!(seen.chunks().len(), events.len());
    }

    #[test]
    fn a_chunk_of_a_known_shape_is_not_allocated_for() {
        // 10,064 chunks of 5 bytes: their buffer of 512 bytes is doubled 7 times, to 65,536.
        check(Shape::Plain, 7);
        check(Shape::Ids, 7);
        check(Shape::RunningUsage, 7);
        check(Shape::Timings, 7);
    }

    #[test]
    fn an_allocation_is_counted() {
        assert_eq!(during(|| drop(black_box(Box::new(7)))), 1);
    }
}
