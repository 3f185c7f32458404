//! The prefix cache: whether it is reported, and how much it keeps or drops together.

use trie_core::record::{Capabilities, EngineKind, Finding, PreflightCheck as Check};
use trie_core::units::Tokens;

use crate::clock::Clock;
use crate::wire::{Connector, Exchange, Said};

use super::advice;
use super::bodies::Bodies;
use super::counts::Counted;
use super::finding::{note, ok, tokens, warn};
use super::request::failure;
use super::way::Way;

/// Tokens of the prompt that is sent twice. All but its last token can be cached, 511, whose bits
/// are all set: rounded down to whole blocks it is another number for every power of two.
const PROMPT: Tokens = 512;

/// What the two answers came to.
pub(super) struct Cached {
    pub(super) findings: Vec<Finding>,
    /// The prompt's length, planned and counted.
    pub(super) counted: Option<Counted>,
}

/// Sends one prompt twice.
pub(super) async fn cache<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &Bodies<'_>,
    capabilities: &mut Capabilities,
) -> Cached {
    if let Some(limit) = capabilities.context_limit.filter(|limit| *limit <= PROMPT) {
        let found = format!("not tried: the context of {limit} tokens is too short for it");
        return Cached { findings: vec![note(Check::CachedTokens, found)], counted: None };
    }
    let prompt = bodies.prompt(4, PROMPT);
    let body = bodies.body(&prompt, 1);
    let stream = bodies.fields.stream;
    let first = way.exchange("a prompt of 512 tokens", body.clone(), stream).await;
    let silent = first.usage.is_some_and(|usage| usage.cached_tokens.value().is_none());
    let again = match failure(&first) {
        None => way.exchange("the same prompt again", body, stream).await,
        Some(_) => first,
    };
    if let Some(failure) = failure(&again) {
        let found = format!("a prompt of {PROMPT} tokens failed: {}", advice::told(failure));
        let advice = "longer prompts fail where shorter ones do not: see the server's log";
        return Cached { findings: vec![warn(Check::CachedTokens, found, advice)], counted: None };
    }
    let mut findings = judge(&again, capabilities);
    capabilities.omits_cached_zero = silent && capabilities.cached_tokens;
    if capabilities.omits_cached_zero {
        let found = "usage leaves cached_tokens out where it would be 0, and is read that way";
        findings.push(note(Check::CachedTokens, found));
    }
    let said = again.usage.and_then(|usage| usage.prompt_tokens);
    Cached { findings, counted: said.map(|said| (prompt.tokens, said)) }
}

/// Said where the server says so itself, since its usage may be silent.
pub(super) fn switched_off(off: bool) -> Option<Finding> {
    let advice = "no later turn will find its context in the cache: start vLLM with \
                  --enable-prefix-caching, SGLang without --disable-radix-cache";
    let found = "the server says that its prefix cache is switched off";
    off.then(|| warn(Check::CachedTokens, found, advice))
}

/// What the server says of the size of its KV cache.
pub(super) fn size(told: Option<Tokens>) -> Finding {
    match told {
        Some(told) => ok(Check::KvCache, format!("{}, as the server says", tokens(told))),
        None => note(
            Check::KvCache,
            "the server does not say how much context it can keep: with cache_tokens= the report says how much \
             of it a run fills",
        ),
    }
}

fn judge(again: &Exchange, capabilities: &mut Capabilities) -> Vec<Finding> {
    let usage = again.usage.unwrap_or_default();
    let prompt = usage.prompt_tokens.unwrap_or(PROMPT);
    let cached = usage.cached_tokens.value();
    capabilities.cached_tokens = matches!(usage.cached_tokens, Said::Value(_));
    let measured = cached.and_then(|cached| block_size(prompt, cached));
    let told = capabilities.block_size;
    capabilities.block_size = measured.or(told);
    let mut findings = vec![reported(capabilities.engine, prompt, cached)];
    findings.extend(block(measured, told));
    findings
}

fn reported(engine: EngineKind, prompt: Tokens, cached: Option<Tokens>) -> Finding {
    match cached {
        Some(0) => warn(
            Check::CachedTokens,
            format!("0 of {prompt} tokens of a prompt sent twice came from the cache"),
            "the prefix cache is off, or holds nothing this short: start vLLM with \
             --enable-prefix-caching, SGLang without --disable-radix-cache",
        ),
        Some(cached) => ok(
            Check::CachedTokens,
            format!("{cached} of {prompt} tokens of a prompt sent twice came from the cache"),
        ),
        None => warn(Check::CachedTokens, "usage does not hold cached_tokens", flag(engine)),
    }
}

/// What makes an engine report cached tokens.
fn flag(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Vllm => {
            "no cache metric can be measured: start vLLM with --enable-prompt-tokens-details"
        }
        EngineKind::Sglang => {
            "no cache metric can be measured: start SGLang with --enable-cache-report"
        }
        EngineKind::TensorrtLlm
        | EngineKind::LlamaCpp
        | EngineKind::Simulated
        | EngineKind::Unknown => {
            "no cache metric can be measured: start vLLM with --enable-prompt-tokens-details, \
             SGLang with --enable-cache-report"
        }
    }
}

fn block(measured: Option<Tokens>, told: Option<Tokens>) -> Option<Finding> {
    let found = match (measured, told) {
        (None, None) => return None,
        (None, Some(told)) => format!("{}, as the server says", tokens(told)),
        (Some(1), _) => "1 token: the cache is exact".to_owned(),
        (Some(measured), Some(told)) if measured != told => {
            let found =
                format!("{} by the cached prompt, {told} as the server says", tokens(measured));
            return Some(note(Check::BlockSize, found));
        }
        (Some(measured), _) => format!("{}, by the cached prompt", tokens(measured)),
    };
    Some(ok(Check::BlockSize, found))
}

/// The power of two of which `cached` is the most whole blocks in a prompt less its last token;
/// `None` where none or several fit.
fn block_size(prompt: Tokens, cached: Tokens) -> Option<Tokens> {
    let most = prompt.checked_sub(1).filter(|_| cached > 0)?;
    let mut fits = (0..u64::BITS)
        .map(|bit| 1 << bit)
        .take_while(|size| *size <= most)
        .filter(|size| most / size * size == cached);
    let size = fits.next()?;
    fits.next().is_none().then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_size_is_told_where_only_one_fits() {
        let check = |prompt: Tokens, cached: Tokens, expected: Option<Tokens>| {
            assert_eq!(block_size(prompt, cached), expected, "{cached} of {prompt}");
        };
        for bit in 0..9 {
            let size = 1 << bit;
            check(512, 511 / size * size, Some(size));
        }
        check(512, 0, None);
        check(512, 512, None);
        check(512, 300, None);
        check(513, 512, None);
        check(0, 0, None);
    }
}
