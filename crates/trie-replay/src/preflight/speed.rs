//! How fast a server is for a request that is alone.

use trie_core::record::Speed;
use trie_core::units::Tokens;

use crate::clock::Clock;
use crate::wire::{Connector, Exchange};

use super::bodies::Bodies;
use super::request::{PROMPT, failure};
use super::way::Way;

/// Tokens of the long prompt: prefill of so many stands out from what any request takes.
const LONG: Tokens = 2_048;

/// Tokens of the answer that decoding is timed with.
const ANSWER: Tokens = 64;

/// Numbers of prompts that nothing else in a preflight has.
const PROMPTS: [u32; 2] = [40, 41];

/// Times a short prompt with an answer and a long prompt without one; `None` where one of them fails, or
/// where the server's context is too short to tell them apart. `limit` is the longest prompt and answer.
pub(super) async fn speed<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &Bodies<'_>,
    limit: Option<Tokens>,
) -> Option<Speed> {
    let long = limit.map_or(LONG, |limit| LONG.min(limit / 2));
    let (short, long) = (bodies.prompt(PROMPTS[0], PROMPT), bodies.prompt(PROMPTS[1], long));
    let more = long.tokens.checked_sub(short.tokens).filter(|more| *more > 0)?;
    let stream = bodies.fields.stream;
    let body = bodies.body(&short, ANSWER);
    let answered = way.exchange("an answer to be timed", body, stream).await;
    let body = bodies.body(&long, 1);
    let prefilled = way.exchange("a long prompt to be timed", body, stream).await;
    if failure(&answered).is_some() || failure(&prefilled).is_some() {
        return None;
    }
    let (first, last) = (answered.first_token_ns, answered.last_token_ns);
    let decode_ns = match (first, last) {
        (Some(first), Some(last)) if last > first => (last - first) / (ANSWER - 1),
        // All at once, or not streamed: what it took in all is shared out.
        _ => waited(&answered)? / ANSWER,
    };
    let (short_ns, long_ns) = (waited(&answered)?, waited(&prefilled)?);
    let prefill_ns = long_ns.saturating_sub(short_ns) / more;
    let request_ns = short_ns.saturating_sub(prefill_ns * short.tokens);
    Some(Speed { request_ns, prefill_ns, decode_ns })
}

/// From the start of a request to its first token, or to its end where that is not known.
fn waited(seen: &Exchange) -> Option<u64> {
    seen.first_token_ns.or(seen.end_ns)?.checked_sub(seen.start_ns?)
}
