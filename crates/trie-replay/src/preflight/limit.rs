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
        Ok(page) if page.status == 200 => judge(&answer::read(&page.body, stream)),
        Ok(page) => refused(&format!("status {}: {}", page.status, server_message(&page.body))),
        Err(failure) => refused(&advice::told(&failure)),
    }
}

fn judge(answer: &Answer) -> Finding {
    let wanted = answer.completion_tokens.unwrap_or(TOKENS);
    match words(&answer.text) {
        Some(found) if found == wanted => ok(
            Check::OutputLimit,
            format!("{wanted} tokens under allowed_token_ids were {wanted} stable words"),
        ),
        Some(found) => refused(&format!("{wanted} tokens under it were {found} words")),
        None => refused("it was taken, and the answer holds other tokens all the same"),
    }
}

/// How many words a text is made of; `None` where anything but a space and small letters is in it,
/// as in no member of a stable subset.
fn words(text: &str) -> Option<Tokens> {
    let mut words = text.split(' ');
    if !words.next().is_some_and(str::is_empty) {
        return None;
    }
    let plain = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let (good, bad): (Vec<_>, Vec<_>) = words.partition(|word| plain(word));
    bad.is_empty().then_some(good.len() as Tokens)
}

fn refused(why: &str) -> Finding {
    fail(
        Check::OutputLimit,
        format!("answers cannot be limited by allowed_token_ids: {why}"),
        Some("take another history: history=auto finds the best that this server can".to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_space_and_small_letters_each() {
        let check =
            |text: &str, expected: Option<Tokens>| assert_eq!(words(text), expected, "{text:?}");
        check(" a stone is", Some(3));
        check("a stone", None);
        check(" a  stone", None);
        check(" Stone", None);
        check(" stone.", None);
        check("", Some(0));
    }
}
