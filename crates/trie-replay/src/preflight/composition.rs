//! Letters and their accents: one character, or two.

use trie_core::record::{Capabilities, Finding, PreflightCheck as Check};
use trie_core::units::Tokens;

use crate::clock::Clock;
use crate::wire::Connector;

use super::bodies::Bodies;
use super::finding::{note, ok};
use super::way::Way;

/// The same words, their last letter written as one character and as two.
const COMPOSED: &str = " caf\u{e9} caf\u{e9} caf\u{e9} caf\u{e9}";
const APART: &str = " cafe\u{301} cafe\u{301} cafe\u{301} cafe\u{301}";

/// Finds out whether the server composes Unicode (NFC) where the tokenizer's file asks for it:
/// answers of a model hold such letters, and one that does not counts other tokens in them.
/// Nothing where the file does not ask, or the server does not say its counts.
pub(super) async fn composition<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &Bodies<'_>,
    capabilities: &mut Capabilities,
) -> Option<Finding> {
    bodies.composes().then_some(())?;
    let composed = counted(way, bodies, COMPOSED).await?;
    let apart = counted(way, bodies, APART).await?;
    capabilities.composes = Some(composed == apart);
    Some(if composed == apart {
        ok(Check::Composition, "composes letters and accents (NFC), as the tokenizer says")
    } else {
        let found = "does not compose letters and accents (NFC), though the tokenizer says so: \
                     answers are counted as they stand";
        note(Check::Composition, found)
    })
}

/// The server's count of a prompt that holds `text`.
async fn counted<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &Bodies<'_>,
    text: &str,
) -> Option<Tokens> {
    let body = bodies.saying(text, 1);
    let seen = way.exchange("the count of letters and accents", body, bodies.fields.stream).await;
    seen.usage?.prompt_tokens
}
