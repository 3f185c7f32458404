//! Lengths: of answers against what was asked for, of prompts against our own count.

use trie_core::record::{Finding, LengthFields, PreflightCheck as Check};
use trie_core::units::Tokens;

use crate::clock::Clock;
use crate::content::{BodyFields, StreamUsage};
use crate::wire::{Connector, Exchange, TokenSource};

use super::bodies::Bodies;
use super::finding::{note, ok, tokens, warn};
use super::request::{ANSWER, PROMPT, Taken, failure};
use super::way::Way;

/// Makes sure of the length of answers: `ignore_eos` alone, with `min_tokens`, or not at all. The
/// fields that hold from then on stand in `bodies`.
pub(super) async fn length<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &mut Bodies<'_>,
    first: &Taken,
) -> Finding {
    let refused = first.refused.contains(&"ignore_eos");
    let got = generated(&first.seen);
    if got > ANSWER {
        let found = format!("{} where {ANSWER} were asked for", tokens(got));
        let advice = "output metrics follow the server's count, which does not follow max_tokens";
        return warn(Check::Length, found, advice);
    }
    if got == ANSWER && !refused {
        return ok(Check::Length, format!("{got} of {ANSWER} tokens: ignore_eos is honoured"));
    }
    let without = bodies.fields.length;
    let found = if refused {
        "the server does not take ignore_eos".to_owned()
    } else {
        format!("ignore_eos does not hold: an answer of {ANSWER} tokens ended after {got}")
    };
    bodies.fields.length = if refused { LengthFields::MinTokens } else { LengthFields::Both };
    let body = bodies.body(&bodies.text(1, PROMPT), ANSWER);
    let seen = way.exchange("an answer with min_tokens", body, bodies.fields.stream).await;
    if failure(&seen).is_none() && generated(&seen) == ANSWER {
        return note(Check::Length, format!("{found}; the run sends min_tokens = max_tokens"));
    }
    bodies.fields.length = without;
    let advice = "lengths will not be fixed: answers may end early, and the run is not the \
                  workload's; use an engine that takes ignore_eos or min_tokens (vLLM, SGLang, \
                  TensorRT-LLM, llama.cpp)";
    warn(Check::Length, format!("{found}, and min_tokens does not help"), advice)
}

/// Whether the server counts the tokens of every chunk, if it is asked to.
pub(super) async fn running_usage<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &mut Bodies<'_>,
) -> bool {
    let BodyFields { stream, stream_usage, .. } = bodies.fields;
    if !stream || stream_usage == StreamUsage::NotAsked {
        return false;
    }
    bodies.fields.stream_usage = StreamUsage::Running;
    let body = bodies.body(&bodies.text(5, PROMPT), ANSWER);
    bodies.fields.stream_usage = stream_usage;
    let seen = way.exchange("an answer with running usage", body, stream).await;
    failure(&seen).is_none() && seen.token_source() == Some(TokenSource::RunningUsage)
}

/// Tokens of an answer, by the server's count where there is one.
fn generated(seen: &Exchange) -> Tokens {
    let said = seen.usage.and_then(|usage| usage.completion_tokens);
    said.unwrap_or_else(|| seen.tokens())
}

/// A prompt's length by the plan and by the server's count.
pub(super) type Counted = (Tokens, Tokens);

/// What counts of prompts come to.
pub(super) struct Counts {
    pub(super) findings: Vec<Finding>,
    pub(super) adds_bos: Option<bool>,
}

/// Compares counts of prompts that are text; `bos` says whether the tokenizer's own configuration
/// puts a token before them.
pub(super) fn prompts(counted: &[Counted], bos: bool) -> Counts {
    let off = |(planned, said): &Counted| i128::from(*said) - i128::from(*planned);
    let Some(first) = counted.first() else {
        let found = "the server does not say how many tokens it counts in a prompt";
        return Counts { findings: vec![note(Check::PromptCount, found)], adds_bos: None };
    };
    let by = off(first);
    if counted.iter().any(|count| off(count) != by) || !(by == 0 || by == lone(bos)) {
        let shown =
            counted.iter().map(|(planned, said)| format!("{said} in a prompt of {planned}"));
        let found = format!("the server counts {}", shown.collect::<Vec<_>>().join(", "));
        let advice = "tokenizer_model= does not fit the served model: name the tokenizer that the \
                      server loads";
        return Counts { findings: vec![warn(Check::PromptCount, found, advice)], adds_bos: None };
    }
    let adds = bos == (by == 0);
    let mut findings = vec![first_token(bos, adds)];
    if by == 0 {
        let shown: Vec<_> = counted.iter().map(|(planned, _)| planned.to_string()).collect();
        let found = format!("prompts of {} tokens count as planned", shown.join(" and "));
        findings.insert(0, ok(Check::PromptCount, found));
    }
    Counts { findings, adds_bos: Some(adds) }
}

/// By how much counts differ where only the first token is at odds with the tokenizer.
fn lone(bos: bool) -> i128 {
    if bos { -1 } else { 1 }
}

fn first_token(bos: bool, adds: bool) -> Finding {
    let advice = "every prompt is off by one token: name the tokenizer that the server loads, with \
                  its tokenizer_config.json";
    match (bos, adds) {
        (true, true) => ok(Check::Bos, "puts a first token before text, as the tokenizer says"),
        (false, false) => ok(Check::Bos, "puts no token before text, as the tokenizer says"),
        (true, false) => {
            warn(Check::Bos, "puts no token before text, though the tokenizer says so", advice)
        }
        (false, true) => {
            warn(Check::Bos, "puts a token before text that the tokenizer does not ask for", advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use trie_core::record::FindingStatus::{self, Note, Ok, Warn};

    use super::*;

    #[test]
    fn counts_tell_a_first_token_from_another_tokenizer() {
        let check = |counted: &[Counted],
                     bos: bool,
                     expected: &[(Check, FindingStatus)],
                     adds: Option<bool>| {
            let counts = prompts(counted, bos);
            let got: Vec<_> = counts.findings.iter().map(|f| (f.check, f.status)).collect();
            assert_eq!((got.as_slice(), counts.adds_bos), (expected, adds), "{counted:?} {bos}");
        };
        let good = [(Check::PromptCount, Ok), (Check::Bos, Ok)];
        check(&[(16, 16), (512, 512)], false, &good, Some(false));
        check(&[(16, 16), (512, 512)], true, &good, Some(true));
        check(&[(16, 17), (512, 513)], false, &[(Check::Bos, Warn)], Some(true));
        check(&[(16, 15), (512, 511)], true, &[(Check::Bos, Warn)], Some(false));
        check(&[(16, 17), (512, 530)], false, &[(Check::PromptCount, Warn)], None);
        check(&[(16, 15)], false, &[(Check::PromptCount, Warn)], None);
        check(&[(16, 17)], true, &[(Check::PromptCount, Warn)], None);
        check(&[], true, &[(Check::PromptCount, Note)], None);
    }
}
