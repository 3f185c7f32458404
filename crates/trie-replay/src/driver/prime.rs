//! Before the clock starts: the server gets the histories of the traces that are entered in the middle of
//! their life.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use tokio::task::JoinSet;
use trie_core::record::Priming;
use trie_core::session::CacheBounds;
use trie_core::units::{Nanos, Tokens};

use crate::clock::Clock;
use crate::content;
use crate::maker::Source;
use crate::wire::{Connector, Exchange, Keep, Outcome, Pool, Post, ROUTING_KEY, Target, exchange};

use super::options::{ReplayError, ReplayOptions, Shutdown};
use super::run::asked;

/// Histories that are sent at the same time: enough for a server to work on them in one batch, few enough
/// for their bodies to fit in memory.
const AT_ONCE: usize = 16;

/// A history on its way.
struct History {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    tokens: Tokens,
}

/// Sends every history with a limit of one token, and waits until the server has computed them, at most
/// `prime_timeout` long. `None` where no trace is entered.
pub(super) async fn prime<C: Clock, N: Connector<C> + Clone + 'static>(
    source: &mut Source,
    (pool, target): (&Pool<C, N>, &Target),
    (options, cache): (ReplayOptions, &mut CacheBounds),
    shutdown: &mut Shutdown,
) -> Result<Option<Priming>, ReplayError> {
    let entries = source.plan.entries().len() as u64;
    if entries == 0 {
        return Ok(None);
    }
    let begun = pool.clock().now();
    let end = Nanos(begun).plus(options.prime_timeout);
    let mut priming = Priming::default();
    let mut under_way = JoinSet::new();
    for number in 0..entries {
        let (trace, answers) = source.entered(number)?;
        for step in trace.opening() {
            let Some(body) = source.content.history_body(&trace, step, &answers) else { continue };
            let tokens = trace.trace.context_tokens(&trace.trace.steps[step as usize]);
            priming.requests += 1;
            priming.tokens += tokens;
            cache.prime(&trace, step);
            let mut headers = content::headers(&trace, step);
            headers.push((ROUTING_KEY, HeaderValue::from(trace.routing_key())));
            let history = History { headers, body, tokens };
            let (pool, target) = (pool.sibling(), target.clone());
            crate::spawn::task(&mut under_way, send(pool, target, history, (options, end)));
            while under_way.len() >= AT_ONCE {
                tokio::select! {
                    biased;
                    () = asked(shutdown) => return Err(ReplayError::Interrupted),
                    missed = under_way.join_next() => count(&mut priming, missed),
                }
            }
        }
    }
    while !under_way.is_empty() {
        tokio::select! {
            biased;
            () = asked(shutdown) => return Err(ReplayError::Interrupted),
            missed = under_way.join_next() => count(&mut priming, missed),
        }
    }
    priming.took_ns = Nanos(pool.clock().now() - begun);
    Ok(Some(priming))
}

/// Adds what a request left out, if it did.
fn count(priming: &mut Priming, missed: Option<Result<Option<Tokens>, tokio::task::JoinError>>) {
    let missed = missed.expect("there is one under way");
    if let Some(tokens) = missed.expect("tasks of a run are not cancelled and do not panic") {
        priming.missed_requests += 1;
        priming.missed_tokens += tokens;
    }
}

/// Sends a history; its tokens where the server did not compute it in time.
async fn send<C: Clock, N: Connector<C>>(
    pool: Pool<C, N>,
    target: Target,
    history: History,
    (options, end): (ReplayOptions, Nanos),
) -> Option<Tokens> {
    let now = Nanos(pool.clock().now());
    let History { headers, body, tokens } = history;
    if now >= end {
        return Some(tokens);
    }
    let post = Post {
        target: &target,
        headers: &headers,
        body,
        stream: options.stream,
        deadline_ns: now.plus(options.timeout).min(end).0,
        keep: Keep::default(),
        on_first_token: &|_| (),
    };
    let (mut link, mut seen) = (pool.link(), Exchange::default());
    exchange(&pool, &mut link, &post, &mut seen).await;
    (seen.outcome != Some(Outcome::Ok)).then_some(tokens)
}
