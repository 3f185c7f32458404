//! One request of a trace, from its content to its row.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderValue;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use trie_core::plan::PlannedTrace;
use trie_core::record::{Release, RequestRow};
use trie_core::session::Held;
use trie_core::units::Nanos;
use trie_core::workload::StepId;

use crate::clock::Clock;
use crate::content::{self, Answer, Answers};
use crate::quiet::quiet;
use crate::recorder::Row;
use crate::row::Planned;
use crate::wire::{Connector, Exchange, Failure, Link, Outcome, Post, ROUTING_KEY, exchange};

use super::options::NextConnection;
use super::shard::Shard;

/// How long before a request is due its connection is looked at and, where the server closed it
/// in the meantime, opened anew.
const OPEN_AHEAD: Nanos = Nanos::from_millis(200);

/// A request to be sent.
pub(super) struct Request {
    pub(super) trace: Arc<PlannedTrace>,
    pub(super) step: StepId,
    pub(super) attempt: u32,
    pub(super) intent: Nanos,
    pub(super) release: Release,
    pub(super) body: Body,
    /// Is told of the first token while the answer still streams.
    pub(super) first_tokens: mpsc::Sender<FirstToken>,
    /// What a cache can hold of it; known when it is sent.
    pub(super) held: Cell<Option<Held>>,
}

/// The first token of a step's answer.
pub(super) struct FirstToken {
    pub(super) step: StepId,
    pub(super) at: Nanos,
}

/// Its body.
pub(super) enum Body {
    /// Made ahead.
    Ready(Bytes),
    /// To be made from the answers so far.
    Make(Answers),
}

/// A request that ended, and what it gives back.
pub(super) struct Done<C: Clock, N: Connector<C>> {
    pub(super) step: StepId,
    pub(super) link: Link<C, N::Io>,
    /// When it ended.
    pub(super) at: Nanos,
    /// What later prompts take of its answer.
    pub(super) answer: Answer,
    pub(super) outcome: StepOutcome,
}

/// How it ended.
pub(super) enum StepOutcome {
    Answered,
    Failed(Failure),
    CutOff,
}

/// Waits for the request's time, sends it, and hands in its row.
pub(super) async fn run<C: Clock, N: Connector<C>>(
    shard: Rc<Shard<C, N>>,
    mut request: Request,
    mut link: Link<C, N::Io>,
    mut cancelled: watch::Receiver<bool>,
) -> Done<C, N> {
    let mut seen = Exchange::default();
    let cut_at = tokio::select! {
        biased;
        at = quiet(shard.shared.stopped()) => Some(at),
        _ = quiet(cancelled.wait_for(|cancelled| *cancelled)) => Some(Nanos(shard.shared.clock.now())),
        () = send(&shard, &mut request, &mut link, &mut seen) => None,
    };
    let at = seen.end_ns.map(Nanos).or(cut_at);
    let at = at.expect("an exchange that was not cut off has an end");
    let answer = Answer::new(std::mem::take(&mut seen.text), std::mem::take(&mut seen.token_ids))
        .with_reasoning(std::mem::take(&mut seen.reasoning));
    let outcome = match &seen.outcome {
        None => StepOutcome::CutOff,
        Some(Outcome::Ok) => StepOutcome::Answered,
        Some(Outcome::Failed(failure)) => StepOutcome::Failed(failure.clone()),
    };
    // A request that was cut off before its time was never one.
    if seen.start_ns.is_some() {
        note(&shard, &request, &seen);
        let planned = planned(&shard, &request);
        shard.shared.recorder.send(Row::Request(Box::new((planned, seen, at)))).await;
    }
    Done { step: request.step, link, at, answer, outcome }
}

async fn send<C: Clock, N: Connector<C>>(
    shard: &Shard<C, N>,
    request: &mut Request,
    link: &mut Link<C, N::Io>,
    seen: &mut Exchange,
) {
    let body = match std::mem::replace(&mut request.body, Body::Ready(Bytes::new())) {
        Body::Ready(body) => body,
        Body::Make(answers) => shard.shared.maker.body(&request.trace, request.step, answers).await,
    };
    let mut headers = content::headers(&request.trace, request.step);
    headers.push((ROUTING_KEY, HeaderValue::from(request.trace.routing_key())));
    wait(shard, request.intent, link, seen).await;
    let turn = shard.line.acquire().await.expect("the semaphore is never closed");
    let request = &*request;
    let on_first_token = |ns| told(shard, request, Nanos(ns));
    let post = Post {
        target: &shard.shared.target,
        headers: &headers,
        body,
        stream: shard.shared.options.stream,
        deadline_ns: Nanos(shard.shared.clock.now()).plus(shard.shared.options.timeout).0,
        keep: shard.shared.history.keep(),
        on_first_token: &on_first_token,
    };
    let _in_flight = InFlight::new(shard);
    // The first poll of an exchange with an open connection writes the request: what can be looked up a
    // moment later does not hold it up.
    let account = async {
        request.held.set(Some(shard.shared.cache().sent(&request.trace, request.step)));
        // What has arrived meanwhile is read before the next request goes out.
        yield_now().await;
        drop(turn);
    };
    tokio::join!(biased; answered(shard, link, &post, seen), account);
}

/// The exchange; with a connection for each request, the next one is opened meanwhile.
async fn answered<C: Clock, N: Connector<C>>(
    shard: &Shard<C, N>,
    link: &mut Link<C, N::Io>,
    post: &Post<'_>,
    seen: &mut Exchange,
) {
    if shard.shared.options.next_connection == NextConnection::Spare {
        let mut spare = shard.pool.link();
        // What fails, or is not open when the answer ends, is opened by the next request itself.
        let opened = {
            let mut open = pin!(shard.pool.open_ahead(&mut spare));
            let mut answered = pin!(exchange(&shard.pool, link, post, seen));
            tokio::select! {
                biased;
                () = &mut answered => false,
                opened = &mut open => {
                    answered.await;
                    opened.is_ok()
                }
            }
        };
        if opened {
            *link = spare;
        }
    } else {
        exchange(&shard.pool, link, post, seen).await;
    }
}

/// The server holds the prompt by now, and other steps may wait for this.
fn told<C: Clock, N: Connector<C>>(shard: &Shard<C, N>, request: &Request, at: Nanos) {
    shard.shared.cache().first_token(&request.trace, request.step);
    let told = request.first_tokens.try_send(FirstToken { step: request.step, at });
    // A trace that is over has nobody left to tell.
    let full = matches!(told, Err(mpsc::error::TrySendError::Full(_)));
    assert!(!full, "there is room for the first token of every attempt in flight");
}

/// Waits for the request's time with an open connection in hand.
async fn wait<C: Clock, N: Connector<C>>(
    shard: &Shard<C, N>,
    intent: Nanos,
    link: &mut Link<C, N::Io>,
    seen: &mut Exchange,
) {
    if intent.0 <= shard.shared.clock.now() {
        return;
    }
    shard.shared.clock.sleep_until(intent.0.saturating_sub(OPEN_AHEAD.0)).await;
    // A failure to connect is met again, and recorded, by the request itself.
    let opened = shard.pool.open_ahead(link).await;
    // What took longer than there was time is inside TTFT.
    seen.connected_late = opened == Ok(true) && intent.0 < shard.shared.clock.now();
    shard.shared.clock.sleep_until(intent.0).await;
}

/// Counts a request as in flight as long as it lives.
struct InFlight<'r>(&'r std::cell::Cell<u64>);

impl<'r> InFlight<'r> {
    fn new<C: Clock, N: Connector<C>>(shard: &'r Shard<C, N>) -> Self {
        shard.in_flight.set(shard.in_flight.get() + 1);
        Self(&shard.in_flight)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Adds the request to the client's own account of this second.
fn note<C: Clock, N: Connector<C>>(shard: &Shard<C, N>, request: &Request, seen: &Exchange) {
    let mut account = shard.account.borrow_mut();
    if let Some(sent) = seen.sent_ns {
        account.send_lateness.add(sent.saturating_sub(request.intent.0), 1);
    }
    account.reads += seen.reads;
    account.merged_reads += seen.merged_reads;
}

/// What the plan says about a request.
fn planned<C: Clock, N: Connector<C>>(shard: &Shard<C, N>, request: &Request) -> Planned {
    let Request { trace, step, attempt, intent, release, held, .. } = request;
    let row = RequestRow {
        expected_cached_tokens: held.get().map(|held| held.expected),
        shown_cached_tokens: held.get().map(|held| held.shown),
        ..trace.request_row(*step, *attempt, *intent, *release)
    };
    Planned {
        row,
        start: shard.shared.start,
        deadline: shard.shared.deadline,
        stream: shard.shared.options.stream,
        chunks: shard.shared.options.chunks,
    }
}
