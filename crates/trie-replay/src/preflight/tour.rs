//! What is tried, in which order.

use trie_core::record::{Capabilities, EngineKind, Finding, Preflight, PreflightCheck as Check};
use trie_core::units::{Nanos, Tokens};
use trie_tokens::Vocabulary;

use crate::clock::Clock;
use crate::content::{BodyFields, Chat, StreamUsage};
use crate::wire::{Connector, Pool, Target};

use super::bodies::Bodies;
use super::facts::{self, Facts};
use super::finding::{fail, note, ok};
use super::request::{self, PROMPT, Taken};
use super::way::Way;
use super::{advice, cache, chats, composition, counts, ids, limit, speed};

/// What a preflight needs to know of the run.
pub struct PreflightOptions<'a> {
    /// The fields of the run's own bodies.
    pub fields: BodyFields,
    /// The tokenizer that prompts are made with.
    pub vocabulary: &'a Vocabulary,
    /// What makes its messages, where its prompts are chats; the target then takes chats.
    pub chat: Option<&'a Chat>,
    /// Whether the run tells the server to generate nothing but the stable subset.
    pub limits_output: bool,
    /// How long a request of the run may take; one of the preflight has at most 30 s.
    pub timeout: Nanos,
    /// Names content that no trace holds.
    pub key: u128,
    /// Longest prompt and answer together of the workload, where there is one.
    pub longest: Option<Tokens>,
    /// Whether to find out how long the server takes for a request.
    pub timed: bool,
}

/// Tries what a run needs of a server, one short request after another. `waiting` is called with
/// what is waited for, when that takes longer than 2 s.
///
/// Never fails: what is wrong with the server is a finding.
pub async fn preflight<C: Clock, N: Connector<C>>(
    pool: &Pool<C, N>,
    target: &Target,
    options: PreflightOptions<'_>,
    waiting: &dyn Fn(&str),
) -> Preflight {
    let mut way = Way::new(pool, target, options.timeout, waiting);
    let mut preflight = tour(&mut way, options).await;
    blank(&mut preflight, target.secrets());
    preflight
}

async fn tour<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    options: PreflightOptions<'_>,
) -> Preflight {
    let mut preflight = Preflight::default();
    match way.open().await {
        Err(failure) => {
            preflight.findings.push(fail(Check::Reach, advice::told(&failure), None));
            return preflight;
        }
        Ok(took) => preflight.findings.push(reached(took)),
    }
    let facts = facts::gather(way).await;
    let PreflightOptions {
        fields,
        vocabulary,
        chat,
        limits_output,
        key,
        longest,
        timed,
        timeout: _,
    } = options;
    preflight.capabilities = said(&facts, &fields.model);
    preflight.findings.extend([engine(&preflight.capabilities), request::idle(facts.busy)]);
    let mut bodies = Bodies::new((vocabulary, chat), key, fields);
    let prompt = bodies.prompt(0, PROMPT);
    match request::send(way, &mut bodies, &prompt).await {
        Err(failure) => {
            let model = request::model(&facts, &bodies.fields.model, failure.status != Some(404));
            preflight.findings.extend([model, request::refused(&failure, &bodies.fields)]);
        }
        Ok(taken) => {
            try_all(way, &mut bodies, (&facts, &taken, longest), &mut preflight).await;
            if limits_output {
                preflight.findings.push(limit::limit(way, &bodies).await);
            }
            if timed {
                let limit = preflight.capabilities.context_limit;
                preflight.capabilities.speed = speed::speed(way, &bodies, limit).await;
            }
        }
    }
    let limit = preflight.capabilities.context_limit;
    preflight.findings.push(request::context(limit, longest));
    preflight.findings.push(cache::size(preflight.capabilities.cache_tokens));
    preflight
}

/// All that is tried once the run's own request was taken.
async fn try_all<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &mut Bodies<'_>,
    (facts, first, longest): (&Facts, &Taken, Option<Tokens>),
    Preflight { findings, capabilities }: &mut Preflight,
) {
    let stays_open = way.stays_open().await;
    capabilities.keeps_connection = stays_open.unwrap_or(true);
    capabilities.usage = first.seen.usage.is_some();
    findings.push(request::model(facts, &bodies.fields.model, true));
    findings.push(request::taken(&first.refused));
    findings.push(request::streaming(&first.seen, bodies.fields.stream));
    findings.push(counts::length(way, bodies, first).await);
    findings.push(request::usage(&first.seen));
    let cached = cache::cache(way, bodies, capabilities).await;
    let said = first.seen.usage.and_then(|usage| usage.prompt_tokens);
    let counted: Vec<_> =
        said.map(|said| (first.sent, said)).into_iter().chain(cached.counted).collect();
    if let Some(chat) = bodies.chat() {
        findings.extend(chats::counts(way, bodies, chat, counted).await);
    } else {
        let counts = counts::prompts(&counted, bodies.bos().is_some());
        capabilities.adds_bos = counts.adds_bos;
        findings.extend(counts.findings);
        findings.extend(ids::ids(way, bodies, capabilities, longest).await);
    }
    findings.extend(composition::composition(way, bodies, capabilities).await);
    capabilities.running_usage = counts::running_usage(way, bodies).await;
    findings.extend(cached.findings);
    findings.extend(cache::switched_off(facts.cache_off));
    findings.extend(request::keep_alive(stays_open, facts.keep_alive.as_deref()));
    let BodyFields { special_tokens, stream_usage, length, .. } = bodies.fields;
    capabilities.special_tokens = special_tokens;
    capabilities.stream_options = stream_usage != StreamUsage::NotAsked;
    capabilities.length = length;
}

/// What a server says about itself, as capabilities.
fn said(facts: &Facts, model: &str) -> Capabilities {
    let models = facts.models.iter().flatten();
    let own = models.filter(|listed| listed.id == model).find_map(|listed| listed.context_limit);
    Capabilities {
        engine: facts.engine,
        engine_version: facts.version.clone(),
        block_size: facts.block_size,
        cache_tokens: facts.cache_tokens,
        context_limit: own.or(facts.context_limit),
        ..Capabilities::default()
    }
}

fn reached(took: Nanos) -> Finding {
    let tenths = took.0 / 100_000;
    ok(Check::Reach, format!("connected in {}.{} ms", tenths / 10, tenths % 10))
}

fn engine(capabilities: &Capabilities) -> Finding {
    let version = capabilities.engine_version.as_ref();
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    let found = format!("{}{version}", capabilities.engine.title());
    match capabilities.engine {
        EngineKind::Unknown => note(Check::Engine, found),
        EngineKind::Vllm
        | EngineKind::Sglang
        | EngineKind::TensorrtLlm
        | EngineKind::LlamaCpp
        | EngineKind::Simulated => ok(Check::Engine, found),
    }
}

/// Blanks secrets that a server gave back.
fn blank(preflight: &mut Preflight, secrets: &[String]) {
    let version = preflight.capabilities.engine_version.as_mut();
    let texts = preflight.findings.iter_mut().flat_map(|finding| {
        [Some(&mut finding.found), finding.advice.as_mut()].into_iter().flatten()
    });
    for text in texts.chain(version) {
        for secret in secrets {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), "***");
            }
        }
    }
}
