//! Preflights of the simulated engine over a pipe, under a paused clock: one quirk at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Map;
use tokio::sync::oneshot;
use trie_core::record::FindingStatus::{self, Fail, Note, Ok, Warn};
use trie_core::record::{
    Capabilities, EngineKind, IdsBack, LengthFields, Preflight, PreflightCheck as Check, Speed,
};
use trie_core::units::{Nanos, Tokens};
use trie_replay::clock::{Clock, PausedClock};
use trie_replay::wire::{Api, Endpoint, Pool, Reuse, Target, pipe};
use trie_replay::{BodyFields, Chat, PreflightOptions, StreamUsage, preflight};
use trie_sim::config::Config;
use trie_sim::server::serve;
use trie_tokens::{ChatOptions, ChatTemplate, Vocabulary};

use crate::driver::Far;

/// A preflight of `engine`, what it said while it waited, and how long it took.
struct Tried {
    found: Preflight,
    waited_for: Vec<String>,
    seconds: u64,
}

async fn look(engine: &[(&str, &str)], stream: bool, longest: Option<Tokens>) -> Tried {
    look_with(None, engine, (stream, false), longest).await
}

/// With a template: a preflight of chats. Then whether answers are streamed, and limited.
async fn look_with(
    template: Option<ChatTemplate>,
    engine: &[(&str, &str)],
    (stream, limits_output): (bool, bool),
    longest: Option<Tokens>,
) -> Tried {
    look_timed(template, engine, (stream, limits_output, false), longest).await
}

/// The same, perhaps with the times of single requests.
async fn look_timed(
    template: Option<ChatTemplate>,
    engine: &[(&str, &str)],
    (stream, limits_output, timed): (bool, bool, bool),
    longest: Option<Tokens>,
) -> Tried {
    let chat = template.map(|template| {
        Chat::new(Vocabulary::builtin(), template, ChatOptions::default()).unwrap()
    });
    let api = if chat.is_some() { Api::Chat } else { Api::Completions };
    let (connector, far) = pipe();
    let mut config = Config::default();
    for (key, value) in engine {
        config.set(key, value).unwrap();
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let server = async {
        let shutdown = async { drop(stopped.await) };
        serve(Far(far), config, Vocabulary::builtin(), shutdown).await.unwrap();
    };
    let client = async {
        let clock = PausedClock::start();
        let pool = Pool::new(connector, clock, Reuse::Conversation, 10_000_000_000);
        let endpoint = Endpoint::parse("http://localhost:1/v1").unwrap();
        let target = Target::new(&endpoint, None, api, None, &[]).unwrap();
        let vocabulary = Vocabulary::builtin();
        let options = PreflightOptions {
            fields: BodyFields {
                model: "m".to_owned(),
                stream,
                special_tokens: true,
                stream_usage: StreamUsage::Final,
                length: LengthFields::default(),
                sampling: Map::new(),
            },
            vocabulary: &vocabulary,
            chat: chat.as_ref(),
            limits_output,
            timeout: Nanos::from_secs(600),
            key: 7,
            longest,
            timed,
        };
        let waited_for = RefCell::new(vec![]);
        let waiting = |what: &str| waited_for.borrow_mut().push(what.to_owned());
        let found = preflight(&pool, &target, options, &waiting).await;
        drop(stop);
        Tried { found, waited_for: waited_for.take(), seconds: clock.now() / 1_000_000_000 }
    };
    tokio::join!(client, server).0
}

/// Expects these findings among all that an engine with these options gives.
async fn check(engine: &[(&str, &str)], expected: &[(Check, FindingStatus, &str)]) -> Capabilities {
    let found = look(engine, true, None).await.found;
    for (check, status, text) in expected {
        let finding = found.findings.iter().find(|finding| finding.check == *check);
        let finding = finding.unwrap_or_else(|| panic!("{check:?}: {found:#?}"));
        assert_eq!(finding.status, *status, "{engine:?}: {finding:?}");
        assert!(finding.found.contains(text), "{engine:?}: {finding:?}");
    }
    let failed = expected.iter().any(|(_, status, _)| *status == Fail);
    assert_eq!(found.can_run(), !failed, "{engine:?}: {found:#?}");
    found.capabilities
}

#[tokio::test(start_paused = true)]
async fn a_server_that_can_do_everything_is_found_to_do_so() {
    let found = look(&[("model", "m")], true, Some(1000)).await.found;
    assert_eq!(found.count(Ok), found.findings.len(), "{found:#?}");
    let expected = Capabilities {
        engine: EngineKind::Simulated,
        engine_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        length: LengthFields::IgnoreEos,
        special_tokens: true,
        stream_options: true,
        usage: true,
        running_usage: true,
        cached_tokens: true,
        omits_cached_zero: false,
        ids_in: true,
        ids_back: Some(IdsBack::ReturnTokenIds),
        echoes_prompt_ids: true,
        composes: None,
        adds_bos: Some(false),
        block_size: Some(16),
        cache_tokens: Some(400_000),
        context_limit: Some(131_072),
        keeps_connection: true,
        speed: None,
    };
    assert_eq!(found.capabilities, expected);
    let checks: Vec<_> = found.findings.iter().map(|finding| finding.check.as_str()).collect();
    let order = "reach engine idle model request streaming length usage prompt_count bos ids_in \
                 ids_back cached_tokens block_size keep_alive context kv_cache";
    assert_eq!(checks.join(" "), order);
}

#[tokio::test(start_paused = true)]
async fn the_times_of_a_scripted_engine_are_found() {
    let engine = [("ttft_ms", "100"), ("itl_ms", "8"), ("prefill_us_per_token", "125")];
    let speed = async |stream| {
        let found = look_timed(None, &engine, (stream, false, true), None).await.found;
        found.capabilities.speed.unwrap()
    };
    let expected = Speed { request_ns: 100_000_000, prefill_ns: 125_000, decode_ns: 8_000_000 };
    assert_eq!(speed(true).await, expected);
    let failing = [("status", "500")];
    let found = look_timed(None, &failing, (true, false, true), None).await.found;
    assert_eq!(found.capabilities.speed, None);
}

#[tokio::test(start_paused = true)]
async fn long_prompts_are_not_repeated_where_the_server_can_name_ids_without_them() {
    let back = async |engine: &[(&str, &str)], longest| {
        look(engine, true, longest).await.found.capabilities.ids_back
    };
    assert_eq!(back(&[], Some(32_769)).await, Some(IdsBack::Logprobs));
    assert_eq!(back(&[], Some(32_768)).await, Some(IdsBack::ReturnTokenIds));
    assert_eq!(back(&[], None).await, Some(IdsBack::ReturnTokenIds));
    assert_eq!(back(&[("no_token_ids", "True")], Some(32_769)).await, None);
}

#[tokio::test(start_paused = true)]
async fn answers_are_limited_or_no_run_goes_ahead() {
    let check =
        async |engine: &[(&str, &str)], stream: bool, expected: FindingStatus, words: &str| {
            let found = look_with(None, engine, (stream, true), None).await.found;
            let limit = found.findings.iter().find(|finding| finding.check == Check::OutputLimit);
            let limit = limit.unwrap();
            assert_eq!(limit.status, expected, "{engine:?}: {limit:?}");
            assert!(limit.found.contains(words), "{}", limit.found);
            assert_eq!(found.can_run(), expected == Ok);
        };
    check(&[], true, Ok, "16 tokens under allowed_token_ids were 16 of the stable subset").await;
    check(&[], false, Ok, "were 16 of the stable subset").await;
    check(&[("strict_fields", "True")], true, Fail, "status 400").await;
    check(&[("wrong_token_count", "1")], true, Fail, "17 tokens under it were 16 of ours").await;
}

#[tokio::test(start_paused = true)]
async fn lengths_are_fixed_by_whatever_holds() {
    let length = async |engine: &[(&str, &str)], status, text: &str| {
        check(engine, &[(Check::Length, status, text)]).await.length
    };
    let yes = "True";
    let deaf = ("no_ignore_eos", yes);
    let refuses = ("refuse_ignore_eos", yes);
    let no_min = ("no_min_tokens", yes);
    assert_eq!(length(&[no_min], Ok, "16 of 16").await, LengthFields::IgnoreEos);
    assert_eq!(length(&[deaf], Note, "sends min_tokens").await, LengthFields::Both);
    assert_eq!(length(&[refuses], Note, "does not take ignore_eos").await, LengthFields::MinTokens);
    let end = "min_tokens does not help";
    assert_eq!(length(&[deaf, no_min], Warn, end).await, LengthFields::IgnoreEos);
    assert_eq!(length(&[refuses, no_min], Warn, end).await, LengthFields::Neither);
    length(&[("wrong_token_count", "1")], Warn, "17 tokens where 16").await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_extra_is_a_finding_and_no_failure() {
    let strict = [("strict_fields", "True")];
    let refused = "does not take return_token_ids (status 400";
    let found = check(&strict, &[(Check::IdsIn, Ok, ""), (Check::IdsBack, Note, refused)]).await;
    assert_eq!((found.ids_in, found.ids_back), (true, None));
    let deaf = [("no_token_ids", "True")];
    let found = check(&deaf, &[(Check::IdsBack, Note, "does not name the ids")]).await;
    assert_eq!((found.ids_in, found.ids_back), (true, None));
    let refuses = [("refuse_ids", "True")];
    let words = "status 400: prompt must be a string.";
    let found = check(&refuses, &[(Check::IdsIn, Note, words)]).await;
    assert_eq!((found.ids_in, found.ids_back), (false, None));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_measured_is_said() {
    let silent = "usage does not hold cached_tokens";
    for quirk in ["absent", "null", "absent_in_streams"] {
        let engine = [("cached_tokens", quirk)];
        let found = check(&engine, &[(Check::CachedTokens, Warn, silent)]).await;
        assert!(!found.cached_tokens, "{quirk}");
    }
    let late = [("cached_tokens", "omitted_at_zero")];
    let found = check(&late, &[(Check::CachedTokens, Ok, "496 of 512")]).await;
    assert!(found.cached_tokens && found.omits_cached_zero);
    check(&[("cache_tokens", "0")], &[(Check::CachedTokens, Warn, "0 of 512")]).await;
    let no_usage = [
        (Check::Usage, Warn, "reports no usage"),
        (Check::PromptCount, Note, "does not say"),
        (Check::IdsIn, Note, "does not say its count"),
        (Check::CachedTokens, Warn, silent),
    ];
    let found = check(&[("no_usage", "True")], &no_usage).await;
    assert!(!found.usage && found.ids_in && found.adds_bos.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_first_token_that_nobody_asked_for_is_told_from_a_wrong_tokenizer() {
    let found = check(&[("add_bos", "True")], &[(Check::Bos, Warn, "does not ask for")]).await;
    assert_eq!((found.adds_bos, found.ids_in), (Some(true), true));
}

#[tokio::test(start_paused = true)]
async fn the_block_size_is_measured_where_nobody_tells() {
    for (block, expected) in [("1", 1), ("16", 16), ("64", 64), ("256", 256)] {
        let engine = [("bare", "True"), ("block", block)];
        let found = check(&engine, &[(Check::BlockSize, Ok, "")]).await;
        assert_eq!(found.block_size, Some(expected));
    }
    let told = [("block", "1024")];
    let found = check(&told, &[(Check::BlockSize, Ok, "as the server says")]).await;
    assert_eq!(found.block_size, Some(1024));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_pages_can_be_run_against() {
    let bare = [
        (Check::Engine, Note, "does not say what it is"),
        (Check::Idle, Note, "no /metrics"),
        (Check::Model, Note, "no list of models"),
        (Check::Context, Note, "does not say"),
        (Check::IdsBack, Ok, ""),
    ];
    check(&[("bare", "True")], &bare).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_run_needs_fails_it() {
    let missing = [
        (Check::Model, Fail, "does not list `m`; it lists `org/m-chat`"),
        (Check::Request, Fail, "status 404 (status) The model `m` does not exist."),
    ];
    check(&[("model", "org/m-chat")], &missing).await;
    check(&[("api_key", "sk")], &[(Check::Request, Fail, "status 401")]).await;
    check(&[("html_page", "1")], &[(Check::Request, Fail, "(not_sse)")]).await;
    let short = look(&[("max_model_len", "100")], true, Some(101)).await.found;
    assert!(!short.can_run());
    let finding = short.findings.iter().find(|finding| finding.check == Check::Context).unwrap();
    assert_eq!(
        (finding.status, finding.found.as_str()),
        (Fail, "the longest request has 101 tokens, 100 are allowed",)
    );
    assert!(finding.advice.as_ref().unwrap().contains("max_context=100"));
}

#[tokio::test(start_paused = true)]
async fn streams_are_looked_at_closely() {
    check(&[("no_done", "True")], &[(Check::Streaming, Note, "without [DONE]")]).await;
    check(&[("chunk_tokens", "16")], &[(Check::Streaming, Warn, "in one chunk")]).await;
    let whole = look(&[], false, None).await.found;
    let streaming = whole.findings.iter().find(|finding| finding.check == Check::Streaming);
    assert_eq!(streaming.unwrap().status, Note);
    assert_eq!(whole.capabilities.ids_back, Some(IdsBack::ReturnTokenIds));
    assert!(whole.can_run());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_after_each_answer_is_noticed() {
    let closes = [("keep_alive_requests", "1")];
    let found = check(&closes, &[(Check::KeepAlive, Note, "closes each")]).await;
    assert!(!found.keeps_connection);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_costs_half_a_minute_and_says_so_after_2_s() {
    let tried = look(&[("stall_before_headers", "1")], true, None).await;
    assert_eq!(tried.waited_for, ["the run's own request"]);
    assert_eq!(tried.seconds, 30);
    let failed = tried.found.findings.iter().find(|finding| finding.status == Fail).unwrap();
    assert_eq!(failed.found, "(timeout) no complete answer within 30 s");
}

/// Statuses of the findings about the length of prompts, and the first one's words.
async fn counts_of_chats(template: ChatTemplate) -> (Vec<FindingStatus>, String) {
    let found = look_with(Some(template), &[], (true, false), None).await.found;
    assert!(found.can_run(), "{found:#?}");
    let counts = found.findings.iter().filter(|finding| finding.check == Check::PromptCount);
    let counts: Vec<_> = counts.collect();
    (counts.iter().map(|finding| finding.status).collect(), counts[0].found.clone())
}

#[tokio::test(start_paused = true)]
async fn chats_are_counted_by_the_template_or_told_to_be_of_another() {
    let own = Vocabulary::builtin().chat_template().unwrap().unwrap();
    let (statuses, words) = counts_of_chats(own).await;
    assert_eq!(statuses, [Ok, Ok]);
    assert!(words.ends_with("and 512 tokens count as planned"), "{words}");
    let text = "{% for message in messages %}{{ message.role + message.content }} {% endfor %}";
    let other = ChatTemplate::parse("other.jinja", text, BTreeMap::new()).unwrap();
    let (statuses, words) = counts_of_chats(other).await;
    assert_eq!(statuses, [Warn, Warn]);
    assert!(words.contains("by other.jinja"), "{words}");
}
