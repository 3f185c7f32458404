//! One request from its sending to its row.

use std::ops::Range;

use trie_core::{
    plan::{Piece, PlannedTrace},
    record::{Arrivals, ErrorRow, Outcome, RequestRow, StampSource, TokenSource},
    units::{Nanos, Tokens},
};

use super::slot::LiveTrace;
use crate::engine::{FinishReason, Request, RequestId, Sequence, Span};

/// A request on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) slot: u32,
    pub(super) replica: usize,
    /// What is known when it is sent.
    pub(super) row: RequestRow,
    pub(super) arrivals: Arrivals,
    pub(super) cached: Option<usize>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    TimedOut,
    /// Prompt and answer are more than the engine has room for.
    TooLong,
    CutOff,
}

impl End {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Answered | Self::CutOff => "",
            Self::TimedOut => "timeout",
            Self::TooLong => "status",
        }
    }
}

impl Flight {
    /// The row of a request that ended at `at`. Without a stream the tokens of an answer have no times.
    pub(super) fn row(self, end: End, at: Nanos, stream: bool) -> RequestRow {
        let Self { mut row, arrivals, cached, .. } = self;
        let answered = end == End::Answered;
        if answered || (stream && arrivals.first().is_some()) {
            row.prompt_tokens = Some(row.planned_prompt_tokens);
            row.cached_tokens = cached.map(tokens);
        }
        row.token_source = (arrivals.first().is_some() && stream).then_some(TokenSource::TokenIds);
        if stream {
            arrivals.fill(&mut row);
        } else if answered {
            let mut whole = arrivals.without_times();
            whole.add_credit(at, row.planned_completion_tokens);
            whole.fill(&mut row);
            row.token_source = Some(TokenSource::Usage);
        }
        row.completion_tokens = answered.then_some(row.planned_completion_tokens);
        row.end_ns = Some(at);
        row.stamp_source = Some(StampSource::Virtual);
        (row.outcome, row.error) = outcome(end, row.planned_prompt_tokens);
        row
    }
}

fn outcome(end: End, prompt: Tokens) -> (Outcome, Option<ErrorRow>) {
    let error = |status, message| ErrorRow { kind: end.kind().to_owned(), status, message };
    match end {
        End::Answered => (Outcome::Ok, None),
        End::CutOff => (Outcome::CutOff, None),
        End::TimedOut => (Outcome::Failed, Some(error(None, "no end within timeout=".to_owned()))),
        End::TooLong => {
            let message = format!(
                "a prompt of {prompt} tokens and its answer do not fit the KV cache of the simulated engine"
            );
            (Outcome::Failed, Some(error(Some(400), message)))
        }
    }
}

/// What the plan says of a request.
pub(super) fn planned(live: &LiveTrace, step: u32, attempt: u32, now: Nanos) -> RequestRow {
    let release = live.session.release(step);
    RequestRow {
        start_ns: Some(now),
        connected_ns: Some(now),
        sent_ns: Some(now),
        headers_ns: Some(now),
        ..live.planned.request_row(step, attempt, now, release)
    }
}

/// A step's request as the engine sees it. Where answers are not fed back, what later prompts hold of one
/// is other text than what was generated.
pub(super) fn request(live: &LiveTrace, step: u32, id: RequestId, feeds_back: bool) -> Request {
    let mut content = text(&live.planned, live.planned.prompt(step));
    let prompt_tokens = content.len();
    let output = live.planned.trace.steps[step as usize].output.tokens;
    let answer = live.planned.answer_key(step).0;
    let key = if feeds_back { answer } else { !answer };
    content.push(Span { key, from: 0, tokens: size(output) });
    let finish = FinishReason::Length;
    Request { id, prompt_tokens, output_tokens: size(output), finish, content }
}

/// Pieces of a trace's prompts as the engine sees them.
pub(super) fn text(planned: &PlannedTrace, pieces: Vec<Piece>) -> Sequence {
    let span = |key, tokens: Range<Tokens>| Span {
        key,
        from: tokens.start,
        tokens: size(tokens.end - tokens.start),
    };
    let spans = pieces.into_iter().map(|piece| match piece {
        Piece::Segment { key, tokens, of: _ } => span(key.0, tokens),
        Piece::Carried { step, tokens } => span(planned.answer_key(step).0, tokens),
    });
    spans.collect()
}

fn size(tokens: Tokens) -> usize {
    usize::try_from(tokens).expect("a plan's requests are under 2^32 tokens")
}

fn tokens(size: usize) -> Tokens {
    Tokens::try_from(size).expect("a length in memory fits in 64 bits")
}
