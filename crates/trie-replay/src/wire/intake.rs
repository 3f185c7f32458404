//! A body, piece by piece, into an exchange.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::Clock;

use super::carrier::Carrier;
use super::event::{Chunk, Event, Said, StreamError, parse_event};
use super::exchange::Exchange;
use super::failure::{Failure, FailureKind};
use super::request::{Keep, OnFirstToken};
use super::sse::Scanner;
use super::template::{Parser, Shapes};

/// How much of a bad event its failure quotes, bytes.
const QUOTE_LIMIT: usize = 200;

/// The socket read that carried a piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SocketRead {
    /// Its stamp, monotonic ns.
    pub ns: u64,
    /// Its number on the connection.
    pub number: u64,
    /// Whether it had brought content of another answer before (HTTP/2): the stamp, that of the last segment,
    /// may then be later than the piece.
    pub shared: bool,
}

impl SocketRead {
    /// Of a connection that carries one answer at a time.
    pub fn new(ns: u64, number: u64) -> Self {
        Self { ns, number, shared: false }
    }
}

/// Decodes a body into an exchange: scanner, parser and account, one after another.
pub struct Intake<'e> {
    scanner: Scanner,
    parser: Parser,
    events: Events<'e>,
}

/// Takes events in the order in which they complete.
struct Events<'e> {
    seen: &'e mut Exchange,
    keep: Keep,
    on_first_token: OnFirstToken<'e>,
    /// The read that brought the newest piece.
    newest: Option<u64>,
    /// The read in which the unfinished event began.
    begun: Option<SocketRead>,
    /// The read in which the last chunk with tokens began, and whether it was counted as merged.
    last_read: Option<(u64, bool)>,
    finished: bool,
    /// How the stream ended, once an event said so; what follows is ignored.
    verdict: Option<Result<u64, Failure>>,
}

impl<'e> Intake<'e> {
    /// At the start of a body. `seen` is what was seen of its exchange so far.
    pub fn new(seen: &'e mut Exchange, keep: Keep, on_first_token: OnFirstToken<'e>) -> Self {
        let events = Events {
            seen,
            keep,
            on_first_token,
            newest: None,
            begun: None,
            last_read: None,
            finished: false,
            verdict: None,
        };
        Self { scanner: Scanner::default(), parser: Parser::default(), events }
    }

    /// The same with what other streams have learned, which learn from this one.
    #[must_use]
    pub fn knowing(self, shapes: &Shapes) -> Self {
        Self { parser: shapes.parser(), ..self }
    }

    /// Takes the next piece of an event stream; returns the stamp of `[DONE]` once it came.
    pub fn take_piece(&mut self, bytes: &[u8], read: SocketRead) -> Result<Option<u64>, Failure> {
        let Self { scanner, parser, events } = self;
        if events.newest != Some(read.number) {
            events.newest = Some(read.number);
            events.seen.reads += 1;
        }
        let fed = scanner.feed(bytes, &mut |data| events.take(parser, data, read));
        if let Some(verdict) = events.verdict.take() {
            return verdict.map(Some);
        }
        fed.map_err(|error| Failure::new(FailureKind::BadSse, error.to_string()))?;
        events.begun = scanner.is_mid_event().then(|| events.begun.unwrap_or(read));
        Ok(None)
    }

    /// The body ended, without `[DONE]`, at `end`.
    pub fn end_of_body(mut self, end: u64) -> Result<u64, Failure> {
        let Self { scanner, parser, events } = &mut self;
        // Whatever is left was held since its read, which `begun` names.
        scanner.finish(&mut |data| events.take(parser, data, SocketRead::new(end, u64::MAX)));
        if let Some(verdict) = events.verdict.take() {
            return verdict.and_then(|_done| self.conclude(end));
        }
        if !events.finished {
            let message = "the stream ended without [DONE] and without a finish_reason";
            return Err(Failure::new(FailureKind::ClosedEarly, message));
        }
        self.conclude(end)
    }

    /// The stream is complete: brings the counts in line with the usage.
    pub fn conclude(mut self, end: u64) -> Result<u64, Failure> {
        self.events.conclude(end)
    }

    /// Takes the body of an answer that was not streamed, whose last byte came at `end`. All its
    /// tokens arrive then.
    pub(crate) fn take_whole(&mut self, body: &[u8], end: u64) -> Result<u64, Failure> {
        let events = &mut self.events;
        events.seen.first_event_ns = Some(end);
        match parse_event(body) {
            Ok(Event::Chunk(chunk)) if chunk.has_choices => {
                if events.seen.tally.add_whole(end, &chunk) > 0 {
                    (events.on_first_token)(end);
                }
                events.note(&chunk, end);
                events.conclude(end)
            }
            Ok(Event::Chunk(_) | Event::Done) => Err(bad_json("it holds no choices", body)),
            Ok(Event::Error(error)) => Err(stream_failure(error)),
            Err(error) => Err(bad_json(&error.to_string(), body)),
        }
    }
}

impl Events<'_> {
    fn take(&mut self, parser: &mut Parser, data: &[u8], read: SocketRead) {
        let begun = self.begun.take().unwrap_or(read);
        if self.verdict.is_some() {
            return;
        }
        self.seen.first_event_ns.get_or_insert(begun.ns);
        match parser.parse(data) {
            Ok(Event::Chunk(chunk)) => self.take_chunk(&chunk, begun),
            Ok(Event::Done) => {
                self.seen.done = true;
                self.verdict = Some(Ok(read.ns));
            }
            Ok(Event::Error(error)) => self.verdict = Some(Err(stream_failure(error))),
            Err(error) => self.verdict = Some(Err(bad_json(&error.to_string(), data))),
        }
    }

    fn take_chunk(&mut self, chunk: &Chunk<'_>, read: SocketRead) {
        let ns = read.ns;
        if self.seen.tally.add(ns, chunk) > 0 {
            if self.seen.first_token_ns.is_none() {
                self.seen.first_token_ns = Some(ns);
                (self.on_first_token)(ns);
            }
            self.seen.last_token_ns = Some(ns);
            self.note_merged(read);
        }
        self.note(chunk, ns);
    }

    fn note_merged(&mut self, read: SocketRead) {
        let same = self.last_read.filter(|(last, _)| *last == read.number);
        self.seen.merged_chunks += u64::from(same.is_some() || read.shared);
        // The read itself counts once.
        let counted = same.is_some_and(|(_, counted)| counted);
        self.seen.merged_reads += u64::from(same.is_some() && !counted);
        self.last_read = Some((read.number, same.is_some()));
    }

    fn note(&mut self, chunk: &Chunk<'_>, ns: u64) {
        let seen = &mut *self.seen;
        if !chunk.text.is_empty() {
            seen.first_visible_ns.get_or_insert(ns);
        }
        if self.keep.text {
            seen.text.push_str(&chunk.text);
            seen.reasoning.push_str(&chunk.reasoning);
        }
        if self.keep.ids {
            seen.token_ids.extend_from_slice(chunk.token_ids.as_deref().unwrap_or_default());
        }
        if seen.id.is_none() {
            seen.id = chunk.id.as_deref().map(str::to_owned);
        }
        if let Some(reason) = &chunk.finish_reason {
            self.finished = true;
            seen.finish_reason = Some(reason.clone().into_owned());
        }
        note_usage(seen, chunk);
    }

    fn conclude(&mut self, end: u64) -> Result<u64, Failure> {
        let seen = &mut *self.seen;
        seen.tally.settle(seen.usage);
        seen.first_token_ns = seen.tally.chunks.first_ns();
        seen.last_token_ns = seen.tally.chunks.last_ns();
        if seen.tally.chunks.is_empty() {
            let message = "the answer is complete and holds no token; hint: is the prompt empty?";
            return Err(Failure::new(FailureKind::NoTokens, message));
        }
        Ok(end)
    }
}

/// The newest usage stands, but one that is silent about the cache does not unsay a number.
fn note_usage(seen: &mut Exchange, chunk: &Chunk<'_>) {
    let before = seen.usage.map(|usage| usage.cached_tokens).unwrap_or_default();
    if let Some(mut usage) = chunk.usage {
        if usage.cached_tokens == Said::Absent {
            usage.cached_tokens = before;
        }
        seen.usage = Some(usage);
    }
    if let (Some(cached), Some(usage)) = (chunk.timings_cached, &mut seen.usage) {
        usage.cached_tokens = Said::Value(usage.cached_tokens.value().unwrap_or(cached));
    }
}

fn stream_failure(error: StreamError) -> Failure {
    Failure { status: error.code, ..Failure::new(FailureKind::StreamError, error.message) }
}

fn bad_json(why: &str, data: &[u8]) -> Failure {
    let quote = String::from_utf8_lossy(&data[..data.len().min(QUOTE_LIMIT)]);
    Failure::new(FailureKind::BadJson, format!("cannot read what the server sent ({why}): {quote}"))
}

/// Collects a body of at most `limit` bytes; of a longer one the rest is left out.
pub(crate) async fn read_whole<C: Clock, Io>(
    carrier: &mut Carrier<C, Io>,
    limit: usize,
) -> Result<Vec<u8>, Failure>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut whole = Vec::new();
    let take = |piece: &[u8], _| {
        whole.extend_from_slice(&piece[..piece.len().min(limit - whole.len())]);
        (whole.len() == limit).then_some(())
    };
    carrier.receive(take).await?;
    Ok(whole)
}
