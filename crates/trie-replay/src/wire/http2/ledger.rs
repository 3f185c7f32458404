//! When each byte of an answer came and each request went, for all streams of a connection.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use super::super::intake::SocketRead;
use super::frames::{Frame, Frames, Kind, Part};

/// Bytes that may be under way to a peer that has said nothing else, on a stream and on all together.
const FIRST_WINDOW: i64 = 65_535;

/// The setting that says how many bytes may be under way on a stream.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// With what an answer of HTTP/1 begins.
const HTTP1: &[u8] = b"HTTP/";

/// What has passed on a connection.
#[derive(Debug)]
pub(super) struct Ledger {
    incoming: Frames,
    outgoing: Frames,
    seen: Seen,
}

/// What the frames have said.
#[derive(Debug)]
struct Seen {
    streams: BTreeMap<u32, Entry>,
    /// The first bytes that came, as many as [`HTTP1`] has.
    began: Vec<u8>,
    settled: bool,
    /// The last stream that a server which takes no further ones has taken.
    last_taken: Option<u32>,
    /// The newest read that brought content, and the first stream that it brought some for.
    newest: Option<(u64, u32)>,
    /// Bytes that may still be sent on all streams together; on a new one at first.
    window: i64,
    stream_window: i64,
}

/// What is known of one stream.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// The answer's head came, monotonic ns.
    pub(super) head_ns: Option<u64>,
    /// The answer's end came.
    pub(super) end_ns: Option<u64>,
    /// The newest content came.
    pub(super) content_ns: Option<u64>,
    /// The request's last byte went.
    pub(super) sent_ns: Option<u64>,
    /// Reads that brought content.
    pub(super) reads: u64,
    /// How long bytes of the request were held up by a full window.
    pub(super) window_wait_ns: Option<u64>,
    /// Since when they are.
    held_up_ns: Option<u64>,
    /// Content that came and was not handed on: so many bytes with each read.
    runs: VecDeque<(usize, SocketRead)>,
    /// The newest read that brought some.
    newest: Option<u64>,
    /// Bytes that may still be sent.
    window: i64,
    /// Who wants to know when the request has gone.
    waker: Option<Waker>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let seen = Seen {
            streams: BTreeMap::new(),
            began: Vec::new(),
            settled: false,
            last_taken: None,
            newest: None,
            window: FIRST_WINDOW,
            stream_window: FIRST_WINDOW,
        };
        Self { incoming: Frames::default(), outgoing: Frames::of_a_client(), seen }
    }

    /// Takes bytes that came, with their read's stamp and number.
    pub(super) fn came(&mut self, bytes: &[u8], (ns, number): (u64, u64)) {
        let Self { incoming, seen, .. } = self;
        let missing = HTTP1.len() - seen.began.len();
        seen.began.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        incoming.pass(bytes, &mut |part| match part {
            Part::Content { stream, bytes } => seen.content(stream, bytes, (ns, number)),
            Part::Frame(frame) => seen.frame(&frame, ns),
        });
    }

    /// Takes bytes that went at `ns`.
    pub(super) fn went(&mut self, bytes: &[u8], ns: u64) {
        let Self { outgoing, seen, .. } = self;
        outgoing.pass(bytes, &mut |part| match part {
            Part::Content { stream, bytes } => seen.sent_content(stream, bytes),
            Part::Frame(frame) => seen.sent_frame(&frame, ns),
        });
    }

    /// Whether the server has sent its settings: it speaks HTTP/2.
    pub(super) fn is_settled(&self) -> bool {
        self.seen.settled
    }

    /// Whether it speaks HTTP/1.
    pub(super) fn is_http1(&self) -> bool {
        self.seen.began == HTTP1
    }

    /// Whether the server takes no further streams.
    pub(super) fn is_closing(&self) -> bool {
        self.seen.last_taken.is_some()
    }

    /// Whether the server has said that it has not taken this stream.
    pub(super) fn is_left_out(&self, stream: u32) -> bool {
        self.seen.last_taken.is_some_and(|last| stream > last)
    }

    /// From now on, notes what passes for this stream.
    pub(super) fn open(&mut self, stream: u32) {
        let entry = Entry { window: self.seen.stream_window, ..Entry::default() };
        self.seen.streams.insert(stream, entry);
    }

    /// Forgets a stream.
    pub(super) fn close(&mut self, stream: u32) {
        self.seen.streams.remove(&stream);
    }

    /// What is known of a stream that is open.
    pub(super) fn stream(&self, stream: u32) -> &Entry {
        self.seen.streams.get(&stream).expect("it was opened and not closed")
    }

    /// The stamp of the request's last byte, and how long a full window held it up; whoever asks before it
    /// has gone is woken then.
    pub(super) fn going(&mut self, stream: u32, waker: &Waker) -> (Option<u64>, Option<u64>) {
        let entry = self.seen.streams.get_mut(&stream).expect("it was opened and not closed");
        if entry.sent_ns.is_none() {
            entry.waker = Some(waker.clone());
        }
        (entry.sent_ns, entry.window_wait_ns)
    }

    /// How many of a stream's next `most` bytes of content came with one read, and with which.
    pub(super) fn next_run(&mut self, stream: u32, most: usize) -> (usize, SocketRead) {
        let entry = self.seen.streams.get_mut(&stream).expect("it was opened and not closed");
        let (left, read) = entry.runs.front_mut().expect("content passes here before it is read");
        let (here, read) = (most.min(*left), *read);
        *left -= here;
        if *left == 0 {
            entry.runs.pop_front();
        }
        (here, read)
    }
}

impl Seen {
    fn content(&mut self, stream: u32, bytes: usize, (ns, number): (u64, u64)) {
        let first = match self.newest {
            Some((newest, first)) if newest == number => first,
            Some(_) | None => stream,
        };
        self.newest = Some((number, first));
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        entry.content_ns = Some(ns);
        if entry.newest != Some(number) {
            entry.newest = Some(number);
            entry.reads += 1;
        }
        let read = SocketRead { ns, number, shared: first != stream };
        match entry.runs.back_mut() {
            Some((run, last)) if last.number == number => *run += bytes,
            Some(_) | None => entry.runs.push_back((bytes, read)),
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, ns: u64) {
        match frame.kind {
            Kind::Headers | Kind::Continuation | Kind::Data | Kind::Other => {
                self.stream_frame(frame, ns);
            }
            Kind::Settings if frame.is_ack() => {}
            Kind::Settings => self.settings(frame.payload),
            Kind::GoAway => {
                // A second one may only name an earlier stream.
                self.last_taken = frame.number(0).map(|last| last & (u32::MAX >> 1));
            }
            Kind::WindowUpdate => {
                let more = i64::from(frame.number(0).unwrap_or_default());
                match (frame.stream, self.streams.get_mut(&frame.stream)) {
                    (0, _) => self.window += more,
                    (_, Some(entry)) => entry.window += more,
                    (_, None) => {}
                }
            }
        }
    }

    fn stream_frame(&mut self, frame: &Frame<'_>, ns: u64) {
        let Some(entry) = self.streams.get_mut(&frame.stream) else { return };
        let heads = matches!(frame.kind, Kind::Headers | Kind::Continuation);
        // Those after the content are trailers.
        if heads && entry.content_ns.is_none() {
            entry.head_ns = Some(ns);
        }
        if frame.ends_stream() {
            entry.end_ns = Some(ns);
        }
    }

    fn settings(&mut self, payload: &[u8]) {
        self.settled = true;
        for setting in payload.chunks_exact(6) {
            let (name, value) = setting.split_at(2);
            if u16::from_be_bytes([name[0], name[1]]) == INITIAL_WINDOW_SIZE {
                let value = u32::from_be_bytes(value.try_into().expect("these are four bytes"));
                let more = i64::from(value) - self.stream_window;
                self.stream_window += more;
                self.streams.values_mut().for_each(|entry| entry.window += more);
            }
        }
    }

    fn sent_content(&mut self, stream: u32, bytes: usize) {
        let bytes = i64::try_from(bytes).expect("a frame has 24 bits of length");
        self.window -= bytes;
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.window -= bytes;
        }
    }

    fn sent_frame(&mut self, frame: &Frame<'_>, ns: u64) {
        if !matches!(frame.kind, Kind::Headers | Kind::Data) {
            return;
        }
        let Some(entry) = self.streams.get_mut(&frame.stream) else { return };
        if let Some(since) = entry.held_up_ns.take() {
            *entry.window_wait_ns.get_or_insert(0) += ns.saturating_sub(since);
        }
        if frame.ends_stream() {
            entry.sent_ns = Some(ns);
            if let Some(waker) = entry.waker.take() {
                waker.wake();
            }
        } else if entry.window <= 0 || self.window <= 0 {
            entry.held_up_ns = Some(ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        [&head, payload].concat()
    }

    fn opened(streams: &[u32]) -> Ledger {
        let mut ledger = Ledger::new();
        ledger.went(super::super::frames::PREFACE, 1);
        for stream in streams {
            ledger.open(*stream);
        }
        ledger
    }

    #[test]
    fn bytes_have_the_stamp_of_the_read_that_brought_them() {
        let mut ledger = opened(&[1]);
        let data = frame(0, 0, 1, b"abcdefgh");
        ledger.came(&data[..12], (10, 1));
        ledger.came(&[&data[12..], &frame(0, 1, 1, b"xyz")[..]].concat(), (20, 2));
        let read = |ns, number| SocketRead { ns, number, shared: false };
        assert_eq!(ledger.next_run(1, 8), (3, read(10, 1)));
        assert_eq!(ledger.next_run(1, 5), (5, read(20, 2)));
        assert_eq!(ledger.next_run(1, 9), (3, read(20, 2)));
        let entry = ledger.stream(1);
        assert_eq!((entry.reads, entry.content_ns, entry.end_ns), (2, Some(20), Some(20)));
    }

    #[test]
    fn a_read_for_several_streams_is_shared_by_all_but_the_first() {
        let mut ledger = opened(&[1, 3]);
        let both = [frame(0, 0, 3, b"c"), frame(0, 0, 1, b"a"), frame(0, 0, 3, b"d")].concat();
        ledger.came(&both, (10, 1));
        ledger.came(&frame(0, 0, 1, b"b"), (20, 2));
        let read = |ns, number, shared| SocketRead { ns, number, shared };
        assert_eq!(ledger.next_run(3, 9), (2, read(10, 1, false)));
        assert_eq!(ledger.next_run(1, 9), (1, read(10, 1, true)));
        assert_eq!(ledger.next_run(1, 9), (1, read(20, 2, false)));
    }

    #[test]
    fn a_head_is_what_comes_before_content() {
        let mut ledger = opened(&[1]);
        ledger.came(&frame(1, 0, 1, b"100"), (10, 1));
        ledger.came(&frame(1, 0, 1, b"200"), (20, 2));
        ledger.came(&frame(9, 4, 1, b"more"), (30, 3));
        ledger.came(&frame(0, 0, 1, b"x"), (40, 4));
        ledger.came(&frame(1, 5, 1, b"trailers"), (50, 5));
        assert_eq!((ledger.stream(1).head_ns, ledger.stream(1).end_ns), (Some(30), Some(50)));
    }

    #[test]
    fn a_server_that_goes_away_says_what_it_has_not_taken() {
        let mut ledger = opened(&[1, 3]);
        assert!(!ledger.is_closing() && !ledger.is_left_out(3));
        ledger.came(&frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]), (1, 1));
        assert!(ledger.is_closing() && ledger.is_left_out(3) && !ledger.is_left_out(1));
    }

    #[test]
    fn what_a_full_window_holds_up_is_timed() {
        let mut ledger = opened(&[1, 3]);
        let settings = [0, 4, 0, 0, 0, 4];
        ledger.came(&frame(4, 0, 0, &settings), (1, 1));
        assert!(ledger.is_settled());
        ledger.went(&frame(1, 4, 1, b"heads"), 10);
        ledger.went(&frame(0, 0, 1, b"1234"), 20);
        ledger.came(&frame(8, 0, 1, &[0, 0, 0, 2]), (30, 2));
        ledger.went(&frame(0, 0, 1, b"56"), 50);
        ledger.came(&frame(8, 0, 1, &[0, 0, 0, 9]), (60, 3));
        ledger.went(&frame(0, 1, 1, b"789"), 65);
        let entry = ledger.stream(1);
        assert_eq!((entry.window_wait_ns, entry.sent_ns), (Some(30 + 15), Some(65)));
        // One that fits has waited for nothing.
        ledger.went(&frame(1, 4, 3, b"heads"), 70);
        ledger.went(&frame(0, 1, 3, b"abcd"), 80);
        assert_eq!((ledger.stream(3).window_wait_ns, ledger.stream(3).sent_ns), (None, Some(80)));
    }

    #[test]
    fn the_window_of_the_connection_counts_for_all_streams() {
        let mut ledger = opened(&[1, 3]);
        ledger.came(&frame(4, 0, 0, &[0, 4, 0, 1, 0, 0]), (1, 1));
        ledger.went(&frame(0, 1, 1, &vec![0; 65_535]), 10);
        ledger.went(&frame(1, 4, 3, b"heads"), 20);
        ledger.came(&frame(8, 0, 0, &[0, 0, 1, 0]), (30, 2));
        ledger.went(&frame(0, 1, 3, b"abcd"), 40);
        let waits = [ledger.stream(1).window_wait_ns, ledger.stream(3).window_wait_ns];
        assert_eq!(waits, [None, Some(20)]);
    }

    #[test]
    fn a_server_of_http_1_is_known_by_its_first_bytes() {
        let mut ledger = opened(&[]);
        ledger.came(b"HTT", (1, 1));
        assert!(!ledger.is_http1());
        ledger.came(b"P/1.1 400 Bad Request\r\n", (2, 2));
        assert!(ledger.is_http1() && !ledger.is_settled());
    }
}
