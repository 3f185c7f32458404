//! From an exchange, as it was seen, to its row in `requests.jsonl`.

use trie_core::record::{
    Arrival, Arrivals, ErrorRow, Outcome, RequestRow, StampSource, TokenSource,
};
use trie_core::units::Nanos;

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
    let stream = planned.stream;
    let arrivals = arrivals(&planned, &seen);
    let mut row = RequestRow { start_ns: seen.start_ns.map(Nanos), ..planned.row };
    arrivals.fill(&mut row);
    let usage = seen.usage.unwrap_or_default();
    let (outcome, error) = judge(&seen);
    let token_time = |at: Option<u64>| at.filter(|_| stream).map(Nanos);
    RequestRow {
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
        token_source: seen.token_source().map(token_source),
        connection: seen.connection,
        connect_ns: seen.connect_ns.filter(|_| seen.connected_late).map(Nanos),
        stale_resend: seen.stale_resend,
        stamp_source: Some(stamp_source(seen.stamp_source)),
        late_chunks: seen.merged_chunks,
        shared_with: seen.shared_with,
        window_wait_ns: seen.window_wait_ns.map(Nanos),
        uncounted_tokens: seen.uncounted_tokens(),
        excess_tokens: seen.excess_tokens(),
        outcome,
        error,
        id: seen.id,
        ..row
    }
}

/// When the answer's tokens arrived; one that was not streamed arrives whole at its end, and its
/// tokens have no times.
fn arrivals(planned: &Planned, seen: &Exchange) -> Arrivals {
    let mut arrivals = Arrivals::new(planned.start, planned.deadline, planned.chunks);
    for chunk in seen.chunks() {
        let chunk = arrival(chunk);
        if planned.stream {
            arrivals.add_chunk(&chunk);
        } else {
            arrivals.add_credit(chunk.at, chunk.tokens);
        }
    }
    arrivals
}

fn arrival(chunk: ChunkStamp) -> Arrival {
    let ChunkStamp { ns, tokens, on_arrival, visible } = chunk;
    Arrival { at: Nanos(ns), tokens: tokens.into(), timed: on_arrival.into(), visible }
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
