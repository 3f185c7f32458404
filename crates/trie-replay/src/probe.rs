//! One request before the clock starts: what can be known early is known early.

use crate::clock::Clock;
use crate::content::Content;
use crate::driver::ReplayOptions;
use crate::wire::{
    Connector, Exchange, Failure, Keep, Outcome, Pool, Post, Said, Target, exchange,
};

/// Prompt tokens of the probe.
const PROMPT_TOKENS: u64 = 16;

/// What the probe found out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Probed {
    /// Prompt length by the plan.
    pub planned_tokens: u64,
    /// Prompt length by the server's count, where it reports usage.
    pub prompt_tokens: Option<u64>,
    /// Whether usage says how much came from the cache. Some servers leave the field out when it
    /// would be 0: then only later answers tell.
    pub reports_cache: bool,
}

/// Sends one request with the run's own fields and `max_tokens` 1, its content made from `key`.
///
/// # Errors
///
/// What the server, or the way to it, has against such requests.
pub async fn probe<C: Clock, N: Connector<C>>(
    pool: &Pool<C, N>,
    target: &Target,
    content: &Content,
    options: &ReplayOptions,
    key: u128,
) -> Result<Probed, Failure> {
    let mut seen = Exchange::default();
    let post = Post {
        target,
        headers: &[],
        body: content.probe(key, PROMPT_TOKENS),
        stream: options.stream,
        deadline_ns: pool.clock().now().saturating_add(options.timeout.0),
        keep: Keep::default(),
    };
    exchange(pool, &mut pool.link(), &post, &mut seen).await;
    match seen.outcome.expect("an exchange that ran to its end has an outcome") {
        Outcome::Failed(failure) => Err(failure),
        Outcome::Ok => {
            let usage = seen.usage.unwrap_or_default();
            Ok(Probed {
                planned_tokens: PROMPT_TOKENS,
                prompt_tokens: usage.prompt_tokens,
                reports_cache: matches!(usage.cached_tokens, Said::Value(_)),
            })
        }
    }
}
