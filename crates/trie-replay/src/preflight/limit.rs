//! Answers limited to the stable subset.

use trie_core::record::{Finding, PreflightCheck as Check};
use trie_core::units::Tokens;

use crate::clock::Clock;
use crate::wire::{Connector, Route, server_message};

use super::advice;
use super::answer::{self, Answer};
use super::bodies::Bodies;
use super::finding::{fail, ok};
use super::way::Way;

/// Tokens of the prompt and of the answer.
const TOKENS: Tokens = 16;

/// Tries whether the server generates nothing but what it is allowed to, which a run with
/// `history=stable` stands on.
pub(super) async fn limit<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &Bodies<'_>,
) -> Finding {
    let body = bodies.limited(5, TOKENS, TOKENS);
    let stream = bodies.fields.stream;
    let route = Route::Api("/completions");
    match way.answer("an answer of allowed_token_ids", route, body).await {
        Ok(page) if page.status == 200 => judge(&answer::read(&page.body, stream), bodies),
        Ok(page) => refused(&format!("status {}: {}", page.status, server_message(&page.body))),
        Err(failure) => refused(&advice::told(&failure)),
    }
}

fn judge(answer: &Answer, bodies: &Bodies<'_>) -> Finding {
    let said = answer.completion_tokens.unwrap_or(TOKENS);
    match bodies.stable_tokens(&answer.text) {
        Some(found) if found == said && found > 0 => ok(
            Check::OutputLimit,
            format!("{said} tokens under allowed_token_ids were {said} of the stable subset"),
        ),
        Some(found) => refused(&format!("{said} tokens under it were {found} of ours")),
        None => refused("it was taken, and the answer holds other tokens all the same"),
    }
}

fn refused(why: &str) -> Finding {
    fail(
        Check::OutputLimit,
        format!("answers cannot be limited by allowed_token_ids: {why}"),
        Some("take another history: history=auto finds the best that this server can".to_owned()),
    )
}
