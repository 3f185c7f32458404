//! The run's own request: whether the server takes it, and what its answer shows.

use serde_json::Value;
use trie_core::record::{Finding, LengthFields, PreflightCheck as Check};
use trie_core::units::Tokens;

use crate::clock::Clock;
use crate::content::{BodyFields, StreamUsage};
use crate::wire::{Connector, Exchange, Failure, Outcome};

use super::advice::{self, OPTIONAL};
use super::bodies::Bodies;
use super::facts::Facts;
use super::finding::{fail, note, ok, tokens, warn};
use super::way::Way;

/// Tokens of a probe's answer: a model that may end it rarely reaches so many by chance, and they
/// take a fraction of a second.
pub(super) const ANSWER: Tokens = 16;

/// Tokens of its prompt.
pub(super) const PROMPT: Tokens = 16;

/// An answer that takes longer and arrives in one read was held back by something; a shorter one
/// may have waited for this machine, ns.
const BUFFERED_NS: u64 = 100_000_000;

/// An answer, and the fields that had to be left out for it.
pub(super) struct Taken {
    pub(super) seen: Exchange,
    pub(super) refused: Vec<&'static str>,
}

/// Sends the run's own request. A field that the server refuses by name, and that a run can do
/// without, is left out from then on.
pub(super) async fn send<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &mut Bodies<'_>,
    prompt: &Value,
) -> Result<Taken, Failure> {
    let mut refused = vec![];
    loop {
        let body = bodies.body(prompt, ANSWER);
        let seen = way.exchange("the run's own request", body, bodies.fields.stream).await;
        let Some(failure) = failure(&seen) else { return Ok(Taken { seen, refused }) };
        let named = leave_out(&mut bodies.fields, failure);
        if named.is_empty() {
            return Err(failure.clone());
        }
        refused.extend(named);
    }
}

/// How an exchange failed, if it did.
pub(super) fn failure(seen: &Exchange) -> Option<&Failure> {
    match seen.outcome.as_ref().expect("an exchange that ran to its end has an outcome") {
        Outcome::Ok => None,
        Outcome::Failed(failure) => Some(failure),
    }
}

/// Takes the fields out that a failure names, and returns their names.
fn leave_out(fields: &mut BodyFields, failure: &Failure) -> Vec<&'static str> {
    let mut named = vec![];
    for name in OPTIONAL {
        if advice::refuses_body(failure.status)
            && advice::names(&failure.message, name)
            && take_out(fields, name)
        {
            named.push(name);
        }
    }
    named
}

/// Whether the field was there. One that `sampling=` holds is the user's and stays.
fn take_out(fields: &mut BodyFields, name: &str) -> bool {
    if fields.sampling.contains_key(name) {
        return false;
    }
    match name {
        "ignore_eos" if fields.length.ignore_eos() => {
            let rest = fields.length.min_tokens();
            fields.length = if rest { LengthFields::MinTokens } else { LengthFields::Neither };
            true
        }
        "min_tokens" if fields.length.min_tokens() => {
            let rest = fields.length.ignore_eos();
            fields.length = if rest { LengthFields::IgnoreEos } else { LengthFields::Neither };
            true
        }
        "skip_special_tokens" => std::mem::take(&mut fields.special_tokens),
        "stream_options" => {
            let before = std::mem::replace(&mut fields.stream_usage, StreamUsage::NotAsked);
            fields.stream && before != StreamUsage::NotAsked
        }
        _ => false,
    }
}

/// The request was taken.
pub(super) fn taken(refused: &[&str]) -> Finding {
    let prices = refused.iter().filter_map(|name| match *name {
        "skip_special_tokens" => {
            Some("`skip_special_tokens` (a generated end token is missing from the next prompt)")
        }
        "stream_options" => Some("`stream_options` (usage may be missing)"),
        // The length of answers has a line of its own.
        _ => None,
    });
    let prices: Vec<_> = prices.collect();
    if prices.is_empty() {
        return ok(Check::Request, "taken and answered");
    }
    note(Check::Request, format!("taken without {}", prices.join(" and without ")))
}

/// The request was not taken: no run can go ahead.
pub(super) fn refused(failure: &Failure, fields: &BodyFields) -> Finding {
    let names = fields.body(&Value::Null, ANSWER);
    let advice = advice::about(failure, names.keys());
    fail(Check::Request, advice::told(failure), advice)
}

/// Whether the model is there; `answered` says whether requests for it are.
pub(super) fn model(facts: &Facts, asked: &str, answered: bool) -> Finding {
    let Some(models) = &facts.models else {
        return note(Check::Model, "the server has no list of models (GET /v1/models)");
    };
    let listed: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    let shown = listed.iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let shown = shown.join(", ") + if listed.len() > 5 { ", ..." } else { "" };
    if listed.contains(&asked) {
        return ok(Check::Model, format!("serves `{asked}`"));
    }
    if answered {
        let found = format!("answers to `{asked}` though it lists {shown}");
        return note(Check::Model, found);
    }
    let meant = advice::meant(asked, &listed);
    let advice = meant.map(|name| format!("did you mean model={name} ?"));
    fail(Check::Model, format!("does not list `{asked}`; it lists {shown}"), advice)
}

/// Whether the answer came in pieces.
pub(super) fn streaming(seen: &Exchange, stream: bool) -> Finding {
    if !stream {
        return note(Check::Streaming, "stream=False: no first token will be timed");
    }
    let (chunks, count) = (seen.chunks().len(), tokens(seen.tokens()));
    let done = if seen.done { "" } else { ", without [DONE] at the end" };
    if chunks < 2 && seen.tokens() > 1 {
        let advice = "time to first token is then that of the whole answer: look for a proxy that \
                      buffers, or an engine option such as stream_interval";
        return warn(Check::Streaming, format!("{count} came in one chunk{done}"), advice);
    }
    let found = format!("{count} in {chunks} chunks{done}");
    if seen.reads < 2 {
        let found = format!("{found}, all at one moment");
        return if took(seen) < BUFFERED_NS {
            note(Check::Streaming, found)
        } else {
            let advice = "times between tokens are then those of a buffer: look for a proxy that \
                          buffers";
            warn(Check::Streaming, found, advice)
        };
    }
    if seen.done { ok(Check::Streaming, found) } else { note(Check::Streaming, found) }
}

/// From the request's last byte to the answer's end, ns.
fn took(seen: &Exchange) -> u64 {
    seen.end_ns.unwrap_or_default().saturating_sub(seen.sent_ns.unwrap_or_default())
}

/// Whether usage came.
pub(super) fn usage(seen: &Exchange) -> Finding {
    let usage = seen.usage.unwrap_or_default();
    match (usage.prompt_tokens, usage.completion_tokens) {
        (Some(prompt), Some(completion)) => {
            ok(Check::Usage, format!("reports prompt ({prompt}) and answer ({completion}) tokens"))
        }
        (prompt, completion) => {
            let missing = match (prompt, completion) {
                (None, None) => "reports no usage",
                (None, Some(_)) => "reports no prompt tokens",
                (Some(_), _) => "reports no answer tokens",
            };
            let advice = "prompt, answer and cache metrics will rest on the plan: use a server that \
                          takes stream_options.include_usage";
            warn(Check::Usage, missing, advice)
        }
    }
}

/// Whether connections are kept; `None` where none is meant to be.
pub(super) fn keep_alive(stays_open: Option<bool>, header: Option<&str>) -> Option<Finding> {
    let said = header.map(|header| format!(" (Keep-Alive: {header})")).unwrap_or_default();
    if stays_open? {
        let found = format!("connections stay open after an answer{said}");
        return Some(ok(Check::KeepAlive, found));
    }
    let found = "closes each connection after its answer: the next one is opened while an answer \
                 streams";
    Some(note(Check::KeepAlive, format!("{found}{said}")))
}

/// Whether nothing else is at work there.
pub(super) fn idle(busy: Option<u64>) -> Finding {
    match busy {
        None => note(Check::Idle, "the server does not say whether it is at work (no /metrics)"),
        Some(0) => ok(Check::Idle, "no request in work"),
        Some(busy) => {
            let other = if busy == 1 { "request" } else { "requests" };
            let advice =
                "what is measured is then shared with others: wait until the server is idle";
            warn(Check::Idle, format!("{busy} other {other} in work or waiting"), advice)
        }
    }
}

/// Whether the workload's longest request fits.
pub(super) fn context(limit: Option<Tokens>, longest: Option<Tokens>) -> Finding {
    match (limit, longest) {
        (None, None) => note(Check::Context, "the server does not say how long a request may be"),
        (None, Some(longest)) => {
            let longest = tokens(longest);
            let found = format!("not said by the server; the longest request has {longest}");
            note(Check::Context, found)
        }
        (Some(limit), None) => ok(Check::Context, format!("requests of up to {}", tokens(limit))),
        (Some(limit), Some(longest)) if longest <= limit => {
            let found = format!("the longest request has {} of {limit}", tokens(longest));
            ok(Check::Context, found)
        }
        (Some(limit), Some(longest)) => {
            let found = format!("the longest request has {longest} tokens, {limit} are allowed");
            let advice = format!(
                "max_context={limit} ends traces before such a request, token_scale= shortens them, \
                 and the server may take a longer context (vLLM: --max-model-len, SGLang: \
                 --context-length, llama.cpp: -c)"
            );
            fail(Check::Context, found, Some(advice))
        }
    }
}
