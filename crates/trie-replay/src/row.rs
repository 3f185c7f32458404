//! From an exchange, as it was seen, to its row in `requests.jsonl`.

use trie_core::record::{
    Credit, ErrorRow, Histogram, Outcome, RequestRow, StampSource, TokenSource,
};
use trie_core::units::{Nanos, Tokens};

use crate::wire::{self, ChunkStamp, Exchange};

/// What the plan says about a request; the part of its row that is known before it is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planned {
    /// The row with everything the plan knows filled in.
    pub(crate) row: RequestRow,
    /// Run start.
    pub(crate) start: Nanos,
    /// End of the window; what arrives later is credited apart.
    pub(crate) deadline: Nanos,
    /// Whether the answer was to be streamed: only then its tokens have times.
    pub(crate) stream: bool,
    /// Whether to keep every chunk.
    pub(crate) chunks: bool,
}

/// Completes a planned row with what was seen. `cut_at` is when a request that has no outcome
/// was cut off.
pub(crate) fn request_row(planned: Planned, seen: Exchange, cut_at: Nanos) -> RequestRow {
    let Planned { row, start, deadline, stream, chunks: keep } = planned;
    let usage = seen.usage.unwrap_or_default();
    let (outcome, error) = judge(&seen);
    let chunks = if stream { seen.chunks() } else { &[] };
    let token_time = |at: Option<u64>| at.filter(|_| stream).map(Nanos);
    let row = RequestRow {
        start_ns: seen.start_ns.map(Nanos),
        connected_ns: seen.connected_ns.map(Nanos),
        sent_ns: seen.sent_ns.map(Nanos),
        headers_ns: seen.headers_ns.map(Nanos),
        first_event_ns: token_time(seen.first_event_ns),
        first_token_ns: token_time(seen.first_token_ns),
        first_visible_ns: token_time(seen.first_visible_ns),
        last_token_ns: token_time(seen.last_token_ns),
        end_ns: Some(seen.end_ns.map_or(cut_at, Nanos)),
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        cached_tokens: usage.cached_tokens.value(),
        chunks: chunks.len() as u64,
        first_chunk_tokens: chunks.first().map(|chunk| u64::from(chunk.tokens)),
        token_source: seen.token_source().map(token_source),
        stall_ns: gaps(chunks).map(|(gap, _)| Nanos(gap)).max(),
        itl: latencies(chunks.iter()),
        visible_itl: visible_itl(chunks),
        credit: credit(&seen, start, deadline),
        connection: seen.connection,
        connect_ns: seen.connect_ns.filter(|_| seen.connected_late).map(Nanos),
        stale_resend: seen.stale_resend,
        stamp_source: Some(stamp_source(seen.stamp_source)),
        late_chunks: seen.merged_chunks,
        uncounted_tokens: seen.uncounted_tokens(),
        excess_tokens: seen.excess_tokens(),
        outcome,
        error,
        chunk_ns: keep.then(|| since_start(&seen, chunks)),
        chunk_tokens: keep.then(|| chunks.iter().map(|chunk| chunk.tokens.into()).collect()),
        ..row
    };
    RequestRow { id: seen.id, ..row }
}

fn judge(seen: &Exchange) -> (Outcome, Option<ErrorRow>) {
    match &seen.outcome {
        None => (Outcome::CutOff, None),
        Some(wire::Outcome::Ok) => (Outcome::Ok, None),
        Some(wire::Outcome::Failed(failure)) => {
            let error = ErrorRow {
                kind: failure.kind.as_str().to_owned(),
                status: failure.status,
                message: failure.message.clone(),
            };
            (Outcome::Failed, Some(error))
        }
    }
}

fn token_source(source: wire::TokenSource) -> TokenSource {
    match source {
        wire::TokenSource::TokenIds => TokenSource::TokenIds,
        wire::TokenSource::RunningUsage => TokenSource::RunningUsage,
        wire::TokenSource::FinalUsage => TokenSource::Usage,
        wire::TokenSource::Timings => TokenSource::Timings,
        wire::TokenSource::Logprobs => TokenSource::Logprobs,
        wire::TokenSource::Assumed => TokenSource::Assumed,
    }
}

fn stamp_source(source: wire::StampSource) -> StampSource {
    match source {
        wire::StampSource::Read => StampSource::User,
        wire::StampSource::Kernel => StampSource::Kernel,
    }
}

/// `(gap, tokens)` of every chunk but the first.
fn gaps(chunks: &[ChunkStamp]) -> impl Iterator<Item = (u64, u64)> + '_ {
    chunks.windows(2).map(|pair| (pair[1].ns.saturating_sub(pair[0].ns), pair[1].tokens.into()))
}

/// A chunk of k tokens enters k times at gap/k; the first chunk never. Tokens that only the final
/// usage told of do not enter: nobody knows when they came.
fn latencies<'c>(chunks: impl Iterator<Item = &'c ChunkStamp>) -> Histogram {
    let mut histogram = Histogram::default();
    let mut before: Option<u64> = None;
    for chunk in chunks {
        let tokens = u64::from(chunk.on_arrival);
        if let Some(before) = before.filter(|_| tokens > 0) {
            histogram.add(chunk.ns.saturating_sub(before) / tokens, tokens);
        }
        before = Some(chunk.ns);
    }
    histogram
}

fn visible_itl(chunks: &[ChunkStamp]) -> Option<Histogram> {
    let differs = chunks.iter().any(|chunk| !chunk.visible);
    differs.then(|| latencies(chunks.iter().filter(|chunk| chunk.visible)))
}

/// Answer tokens by the second in which they arrived; an answer that was not streamed arrives whole
/// at its end.
fn credit(seen: &Exchange, start: Nanos, deadline: Nanos) -> Vec<Credit> {
    let mut credit: Vec<Credit> = vec![];
    for chunk in seen.chunks() {
        let second = second_of(Nanos(chunk.ns), start, deadline);
        let tokens = Tokens::from(chunk.tokens);
        match credit.last_mut() {
            Some(last) if last.0.total_cmp(&second).is_eq() => last.1 += tokens,
            _ => credit.push(Credit(second, tokens)),
        }
    }
    credit
}

/// The second from the run's start; behind a deadline inside a second, the deadline itself.
fn second_of(at: Nanos, start: Nanos, deadline: Nanos) -> f64 {
    let second = at.since(start).unwrap_or_default().0 / Nanos::SECOND.0;
    let whole = Nanos(second * Nanos::SECOND.0);
    let window = deadline.since(start).unwrap_or_default();
    if at >= deadline && whole < window { window.as_secs_f64() } else { whole.as_secs_f64() }
}

fn since_start(seen: &Exchange, chunks: &[ChunkStamp]) -> Vec<u64> {
    let start = seen.start_ns.unwrap_or_default();
    chunks.iter().map(|chunk| chunk.ns.saturating_sub(start)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn chunk(ms: u64, tokens: u32, visible: bool) -> ChunkStamp {
        ChunkStamp { ns: ms * MS, tokens, on_arrival: tokens, visible }
    }

    #[test]
    fn a_chunk_of_several_tokens_enters_once_per_token() {
        let chunks = [chunk(100, 3, true), chunk(120, 1, true), chunk(180, 2, true)];
        let itl: Vec<_> = latencies(chunks.iter()).iter().collect();
        assert_eq!(itl, [(20 * MS, 1), (30 * MS, 2)]);
        assert_eq!(visible_itl(&chunks), None);
    }

    #[test]
    fn tokens_credited_at_the_end_make_no_latencies() {
        let credited = ChunkStamp { tokens: 81, ..chunk(140, 1, true) };
        let closing = ChunkStamp { on_arrival: 0, ..chunk(150, 7, false) };
        let chunks = [chunk(100, 1, true), chunk(120, 1, true), credited, closing];
        let itl: Vec<_> = latencies(chunks.iter()).iter().collect();
        assert_eq!(itl, [(20 * MS, 2)]);
    }

    #[test]
    fn chunks_without_text_are_left_out_of_the_visible_latencies_only() {
        let chunks =
            [chunk(100, 1, false), chunk(110, 1, true), chunk(120, 1, false), chunk(140, 1, true)];
        let all: Vec<_> = latencies(chunks.iter()).iter().collect();
        let visible: Vec<_> = visible_itl(&chunks).unwrap().iter().collect();
        assert_eq!(all, [(10 * MS, 2), (20 * MS, 1)]);
        assert_eq!(visible, [(30 * MS, 1)]);
    }

    #[test]
    fn the_second_that_holds_the_deadline_is_split_at_it() {
        let check = |at_ms: u64, deadline_ms: u64, expected: f64| {
            let second = second_of(
                Nanos::from_millis(5000 + at_ms),
                Nanos::from_millis(5000),
                Nanos::from_millis(5000 + deadline_ms),
            );
            assert!((second - expected).abs() < 1e-12, "{at_ms}: {second}");
        };
        check(999, 30_500, 0.0);
        check(30_400, 30_500, 30.0);
        check(30_500, 30_500, 30.5);
        check(30_900, 30_500, 30.5);
        check(31_000, 30_500, 31.0);
        check(30_000, 30_000, 30.0);
    }
}
