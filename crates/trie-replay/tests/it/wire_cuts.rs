//! Answers of real engines, cut anywhere: scanner, parser and account, without a socket.

use trie_replay::wire::{
    ChunkStamp, Exchange, Failure, Intake, Keep, SocketRead, TokenSource, Usage,
};

use crate::wire_transcripts::transcript;

/// Ways to cut, over all streams.
const SPLITS: usize = 100_000;

const STREAMS: [&str; 14] = [
    "vllm_completions",
    "vllm_token_ids",
    "vllm_running_usage",
    "vllm_stream_interval",
    "vllm_lone_bytes",
    "vllm_logprobs",
    "vllm_chat",
    "llamacpp_completions",
    "llamacpp_chat",
    "llamacpp_lone_bytes",
    "llamacpp_timings_per_token",
    "sglang_completions",
    "sglang_chat",
    "dialects",
];

/// Everything that an answer says.
#[derive(Debug, PartialEq)]
struct Facts {
    end: Result<u64, Failure>,
    chunks: Vec<ChunkStamp>,
    source: Option<TokenSource>,
    unseen: (u64, u64),
    stamps: [Option<u64>; 4],
    done: bool,
    words: [Option<String>; 4],
    ids: Vec<u32>,
    usage: Option<Usage>,
}

/// The facts of a body that arrives in `pieces`, all at one time.
fn facts<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Facts {
    let mut seen = Exchange::default();
    let end = decode(&mut seen, pieces);
    Facts {
        end,
        chunks: seen.chunks(),
        source: seen.token_source(),
        unseen: (seen.uncounted_tokens(), seen.excess_tokens()),
        stamps: [
            seen.first_event_ns,
            seen.first_token_ns,
            seen.first_visible_ns,
            seen.last_token_ns,
        ],
        done: seen.done,
        words: [seen.id, seen.finish_reason, Some(seen.text), Some(seen.reasoning)],
        ids: seen.token_ids,
        usage: seen.usage,
    }
}

fn decode<'p>(seen: &mut Exchange, pieces: impl Iterator<Item = &'p [u8]>) -> Result<u64, Failure> {
    let mut intake = Intake::new(seen, Keep { text: true, ids: true }, &|_| ());
    for piece in pieces {
        if let Some(end) = intake.take_piece(piece, SocketRead::new(1, 1))? {
            return intake.conclude(end);
        }
    }
    intake.end_of_body(1)
}

/// The body of an answer, without its head and chunk framing.
fn body(name: &str) -> Vec<u8> {
    let bytes = transcript(name);
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let (head, mut rest) = bytes.split_at(head);
    if !head.to_ascii_lowercase().windows(7).any(|word| word == b"chunked") {
        return rest.to_vec();
    }
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..][..size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

/// The same numbers every time.
struct Dice(u64);

impl Dice {
    /// A number from 0 to `below` - 1.
    fn roll(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

/// Where pieces end: a few places anywhere, or a run of small pieces somewhere.
fn ends(dice: &mut Dice, length: usize) -> Vec<usize> {
    let mut ends: Vec<usize> = if dice.roll(2) == 0 {
        (0..=dice.roll(8)).map(|_| dice.roll(length)).collect()
    } else {
        let (start, size) = (dice.roll(length), 1 + dice.roll(7));
        (0..20).map(|n| (start + n * size).min(length)).collect()
    };
    ends.push(length);
    ends.sort_unstable();
    ends.dedup();
    ends
}

#[test]
fn a_hundred_thousand_cuts_change_nothing() {
    let streams = STREAMS.map(body);
    let whole = streams.each_ref().map(|stream| facts(std::iter::once(&stream[..])));
    for (name, whole) in STREAMS.iter().zip(&whole) {
        assert!(whole.end.is_ok() && !whole.chunks.is_empty(), "{name}: {whole:?}");
    }
    let mut dice = Dice(5);
    for split in 0..SPLITS {
        let at = split % STREAMS.len();
        let stream = &streams[at];
        let ends = ends(&mut dice, stream.len());
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let pieces = starts.zip(&ends).map(|(start, end)| &stream[start..*end]);
        assert_eq!(facts(pieces), whole[at], "{} cut at {ends:?}", STREAMS[at]);
    }
}
