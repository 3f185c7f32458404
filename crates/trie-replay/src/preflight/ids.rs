//! Ids in and ids back.

use trie_core::record::{Capabilities, EngineKind, Finding, IdsBack, PreflightCheck as Check};
use trie_core::units::Tokens;

use crate::clock::Clock;
use crate::wire::{Connector, Failure, Fetched, Route, server_message};

use super::advice;
use super::answer::{self, Answer};
use super::bodies::Bodies;
use super::finding::{note, ok};
use super::way::Way;

/// Tokens of a prompt of ids.
const PROMPT: Tokens = 32;

/// Up to requests of so many tokens the repeated ids of a prompt are not worth avoiding: what 10,000
/// cost vLLM could not be told from noise, 100,000 (0.6 MB) cost some 50 ms
/// (docs/benchmarks/price-of-ids.md).
const LONG: Tokens = 32_768;

/// Tokens of its answer.
const ANSWER: Tokens = 4;

const COMPLETIONS: Route = Route::Api("/completions");
const NATIVE: Route = Route::Root("/completion");

/// What became of a request.
enum Reply {
    Taken(Answer),
    /// A status that says no, and the server's words.
    Refused(String),
    Failed(Failure),
}

/// Tries a prompt of ids, and the ways to get the generated ids back. A server that takes no ids
/// is spoken to in text.
pub(super) async fn ids<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &Bodies<'_>,
    capabilities: &mut Capabilities,
    longest: Option<Tokens>,
) -> Vec<Finding> {
    let prompt = bodies.ids(2, PROMPT);
    let stream = bodies.fields.stream;
    let asking = bodies.asking_for_ids(&prompt, ANSWER);
    let mut reply = reply(way.answer("an answer with its ids", COMPLETIONS, asking).await, stream);
    let mut refused = None;
    if let Reply::Refused(words) = reply {
        refused = Some(words);
        let plain = bodies.body_of_ids(&prompt, ANSWER);
        reply = self::reply(way.answer("a prompt of ids", COMPLETIONS, plain).await, stream);
    }
    let taken = match reply {
        Reply::Taken(answer) => answer,
        Reply::Refused(words) => return vec![no_ids(&words)],
        Reply::Failed(failure) => return vec![no_ids(&advice::told(&failure))],
    };
    let (finding, ids_in) = ids_in(&taken);
    capabilities.ids_in = ids_in;
    let mut findings = vec![finding];
    if ids_in {
        capabilities.echoes_prompt_ids = taken.echoes;
        capabilities.ids_back = complete(&taken).then_some(IdsBack::ReturnTokenIds);
        if taken.echoes && longest.is_some_and(|longest| longest > LONG) {
            let better = logprobs(way, bodies).await;
            capabilities.ids_back = better.or(capabilities.ids_back);
        }
        if capabilities.ids_back.is_none() && capabilities.engine == EngineKind::LlamaCpp {
            capabilities.ids_back = native(way, bodies).await;
        }
        findings.push(ids_back(capabilities, &taken, refused.as_deref()));
    }
    findings
}

/// Tries the ids of log probabilities, which come without the prompt's.
async fn logprobs<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &Bodies<'_>,
) -> Option<IdsBack> {
    let body = bodies.asking_for_logprobs(&bodies.ids(4, PROMPT), ANSWER);
    let answer = way.answer("an answer with logprobs", COMPLETIONS, body).await;
    match reply(answer, bodies.fields.stream) {
        Reply::Taken(answer) if complete(&answer) && !answer.echoes => Some(IdsBack::Logprobs),
        Reply::Taken(_) | Reply::Refused(_) | Reply::Failed(_) => None,
    }
}

/// Tries llama.cpp's own route.
async fn native<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &Bodies<'_>,
) -> Option<IdsBack> {
    let body = bodies.native(&bodies.ids(3, PROMPT), ANSWER);
    match reply(way.answer("POST /completion", NATIVE, body).await, bodies.fields.stream) {
        Reply::Taken(answer) if complete(&answer) => Some(IdsBack::NativeCompletion),
        Reply::Taken(_) | Reply::Refused(_) | Reply::Failed(_) => None,
    }
}

fn reply(fetched: Result<Fetched, Failure>, stream: bool) -> Reply {
    match fetched {
        Err(failure) => Reply::Failed(failure),
        Ok(page) if page.status == 200 => Reply::Taken(answer::read(&page.body, stream)),
        Ok(page) => {
            Reply::Refused(format!("status {}: {}", page.status, server_message(&page.body)))
        }
    }
}

/// Whether every generated token has its id.
fn complete(answer: &Answer) -> bool {
    let wanted = answer.completion_tokens.unwrap_or(ANSWER);
    wanted > 0 && answer.ids.len() as u64 == wanted
}

fn no_ids(why: &str) -> Finding {
    note(Check::IdsIn, format!("takes no prompt of ids, so prompts are text ({why})"))
}

fn ids_in(taken: &Answer) -> (Finding, bool) {
    match taken.prompt_tokens {
        Some(PROMPT) => {
            (ok(Check::IdsIn, format!("takes a prompt of {PROMPT} ids and counts {PROMPT}")), true)
        }
        None => (note(Check::IdsIn, "takes a prompt of ids and does not say its count"), true),
        Some(said) => {
            let found =
                format!("counts {said} tokens in a prompt of {PROMPT} ids, so prompts are text");
            (note(Check::IdsIn, found), false)
        }
    }
}

fn ids_back(capabilities: &Capabilities, taken: &Answer, refused: Option<&str>) -> Finding {
    let echo = if capabilities.echoes_prompt_ids {
        "; the first chunk repeats all ids of the prompt, which costs time with long ones"
    } else {
        ""
    };
    match capabilities.ids_back {
        Some(IdsBack::ReturnTokenIds) => {
            ok(Check::IdsBack, format!("return_token_ids names every generated id{echo}"))
        }
        Some(IdsBack::Logprobs) => ok(
            Check::IdsBack,
            "logprobs with return_tokens_as_token_ids name every generated id, without repeating \
             the prompt's",
        ),
        Some(IdsBack::NativeCompletion) => {
            ok(Check::IdsBack, "its own /completion with return_tokens names every generated id")
        }
        None => {
            let why = match (refused, taken.ids.len()) {
                (Some(words), _) => format!("does not take return_token_ids ({words})"),
                (None, 0) => "does not name the ids that it generates".to_owned(),
                (None, some) => format!(
                    "names {some} ids for {} generated tokens",
                    taken.completion_tokens.unwrap_or(ANSWER)
                ),
            };
            note(Check::IdsBack, format!("{why}: answers go into later prompts as text"))
        }
    }
}
