//! Recorded answers of real engines, cut anywhere.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, DuplexStream};
use trie_replay::clock::Clock;
use trie_replay::wire::{Exchange, FailureKind, Outcome, Reuse, Said, TokenSource};

use crate::wire_server::{Client, MS, failure};

pub(crate) fn transcript(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/transcripts");
    fs::read(folder.join(format!("{name}.http"))).unwrap()
}

/// The exchange that `pieces` make, each piece a read of its own.
async fn receive(stream: bool, pieces: &[&[u8]]) -> Exchange {
    let (mut client, mut accepted) = Client::start(Reuse::Conversation);
    client.stream = stream;
    let clock = client.clock;
    let serve = async {
        let mut socket: DuplexStream = accepted.recv().await.unwrap();
        for piece in pieces {
            socket.write_all(piece).await.unwrap();
            // A paused clock moves once everyone waits: the client has read this piece by then.
            clock.sleep_until(clock.now() + MS).await;
        }
        socket.shutdown().await.unwrap();
        socket
    };
    let mut link = client.pool.link();
    let mut seen = Exchange::default();
    let ((), _socket) = tokio::join!(client.send(&mut link, &mut seen), serve);
    seen
}

/// What must not depend on where reads end.
fn facts(seen: &Exchange) -> String {
    let tokens: Vec<_> = seen.chunks().iter().map(|c| (c.tokens, c.visible)).collect();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {}",
        seen.outcome,
        seen.status,
        seen.id,
        seen.finish_reason,
        seen.usage,
        tokens,
        seen.token_source(),
        seen.token_ids,
        seen.text,
        seen.uncounted_tokens(),
    )
}

const STREAMS: &[&str] = &[
    "llamacpp_completions",
    "llamacpp_chat",
    "llamacpp_held_utf8",
    "llamacpp_lone_bytes",
    "llamacpp_timings_per_token",
    "llamacpp_bad_id",
    "vllm_completions",
    "vllm_token_ids",
    "vllm_running_usage",
    "vllm_stream_interval",
    "vllm_lone_bytes",
    "vllm_logprobs",
    "vllm_chat",
    "vllm_no_model",
    "vllm_too_many",
    "sglang_completions",
    "sglang_chat",
    "hf_serve_chat",
    "hf_serve_refused",
    "dialects",
];

#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_changes_nothing() {
    for name in STREAMS {
        let bytes = transcript(name);
        let whole = facts(&receive(true, &[&bytes]).await);
        for cut in 1..bytes.len() {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(facts(&receive(true, &[left, right]).await), whole, "{name} cut at {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reads_of_any_size_change_nothing() {
    for name in STREAMS {
        let bytes = transcript(name);
        let whole = facts(&receive(true, &[&bytes]).await);
        for size in [1, 2, 3, 5, 6, 7, 64, 1_000] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(facts(&receive(true, &pieces).await), whole, "{name} by {size}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_piece_is_a_read_of_its_own() {
    let bytes = transcript("llamacpp_completions");
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    let seen = receive(true, &pieces).await;
    let end = bytes.len() - "\r\n0\r\n\r\n".len();
    assert_eq!(seen.reads, (end - head) as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn many_cuts_change_nothing(
        name in prop::sample::select(STREAMS),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let bytes = transcript(name);
        let mut ends: Vec<usize> = cuts.drain(..).map(|cut| cut.index(bytes.len())).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut begin = 0;
        let pieces: Vec<&[u8]> = ends
            .iter()
            .map(|end| &bytes[std::mem::replace(&mut begin, *end)..*end])
            .filter(|piece| !piece.is_empty())
            .collect();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (cut, whole) = runtime.unwrap().block_on(async {
            (receive(true, &pieces).await, receive(true, &[&bytes]).await)
        });
        prop_assert_eq!(facts(&cut), facts(&whole));
    }
}

/// Tokens per chunk, the weakest source, prompt, completion and cached tokens, uncounted ones.
async fn check(
    name: &str,
    tokens: &[u32],
    source: TokenSource,
    usage: (u64, u64, Said<u64>),
    uncounted: u64,
) -> Exchange {
    let seen = receive(true, &[&transcript(name)]).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok), "{name}");
    let got: Vec<_> = seen.chunks().iter().map(|chunk| chunk.tokens).collect();
    assert_eq!((&got[..], seen.token_source()), (tokens, Some(source)), "{name}");
    let said = seen.usage.unwrap();
    let said = (said.prompt_tokens.unwrap(), said.completion_tokens.unwrap(), said.cached_tokens);
    assert_eq!((said, seen.uncounted_tokens()), (usage, uncounted), "{name}");
    seen
}

#[tokio::test(start_paused = true)]
async fn llamacpp_is_counted_by_chunk_and_held_to_its_usage() {
    use Said::Value;
    use TokenSource::{Assumed, RunningUsage, Timings};
    check("llamacpp_completions", &[1; 12], Assumed, (6, 12, Value(0)), 0).await;
    let chat = check("llamacpp_chat", &[1; 10], Assumed, (9, 10, Value(0)), 0).await;
    assert_eq!(chat.finish_reason.as_deref(), Some("length"));
    let held = check("llamacpp_held_utf8", &[1; 24], Assumed, (3, 24, Value(2)), 0).await;
    assert_eq!(held.chunks().iter().filter(|chunk| chunk.visible).count(), 23);
    let lone = check("llamacpp_lone_bytes", &[8], RunningUsage, (3, 8, Value(0)), 0).await;
    assert_eq!((lone.first_visible_ns, lone.text.as_str()), (None, ""));
    check("llamacpp_timings_per_token", &[1; 4], Timings, (4, 4, Value(3)), 0).await;
}

#[tokio::test(start_paused = true)]
async fn vllm_is_counted_by_the_best_source_it_names() {
    use Said::Value;
    use TokenSource::{Assumed, Logprobs, RunningUsage, TokenIds};
    check("vllm_completions", &[1; 12], Assumed, (6, 12, Value(0)), 0).await;
    let chat = check("vllm_chat", &[1; 10], Assumed, (9, 10, Value(0)), 0).await;
    assert!(chat.first_event_ns.unwrap() <= chat.first_token_ns.unwrap());
    let ids = check("vllm_token_ids", &[1; 8], TokenIds, (6, 8, Value(0)), 0).await;
    assert_eq!(ids.token_ids.len(), 8);
    assert_eq!(ids.token_ids[..2], [63_749, 57_471]);
    check("vllm_running_usage", &[1; 8], RunningUsage, (6, 8, Value(0)), 0).await;
    check("vllm_stream_interval", &[1, 4, 4, 3], TokenIds, (6, 12, Value(0)), 0).await;
    check("vllm_logprobs", &[1, 4], Logprobs, (3, 5, Value(0)), 0).await;
    // The last of six text-less chunks carries the finish_reason: a token, as the usage tells.
    let lone = check("vllm_lone_bytes", &[1; 6], Assumed, (3, 6, Value(0)), 0).await;
    assert_eq!(lone.first_visible_ns, None);
}

#[tokio::test(start_paused = true)]
async fn sglang_is_counted_by_chunk_and_held_to_its_usage() {
    let usage = (6, 6, Said::Value(4));
    let seen = check("sglang_completions", &[1; 6], TokenSource::Assumed, usage, 0).await;
    assert_eq!(seen.text, " the größte北京 said:\n\"x\" end");
    let chat = check("sglang_chat", &[1; 6], TokenSource::Assumed, usage, 0).await;
    assert_eq!((chat.text.as_str(), chat.reasoning.as_str()), ("läng🙂", "hm…so"));
    assert_eq!(chat.chunks().iter().filter(|chunk| chunk.visible).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_done_is_complete_by_its_finish_reason() {
    let usage = (9, 4, Said::Absent);
    let seen = check("hf_serve_chat", &[1; 4], TokenSource::Assumed, usage, 0).await;
    assert_eq!(
        (seen.text.as_str(), seen.finish_reason.as_deref()),
        (" the größte北京", Some("length"))
    );
}

#[tokio::test(start_paused = true)]
async fn channels_and_dialects_are_understood() {
    let seen = receive(true, &[&transcript("dialects")]).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok));
    let visible: Vec<_> = seen.chunks().iter().map(|chunk| chunk.visible).collect();
    assert_eq!(visible, [false, true, false]);
    assert_eq!(seen.text, "läng \"q\"");
}

#[tokio::test(start_paused = true)]
async fn whole_answers_are_read() {
    let seen = receive(false, &[&transcript("llamacpp_whole")]).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok));
    assert_eq!((seen.tokens(), seen.token_source()), (5, Some(TokenSource::FinalUsage)));
    assert_eq!(seen.usage.unwrap().cached_tokens, Said::Value(3));
    let chat = receive(false, &[&transcript("vllm_whole_chat")]).await;
    assert_eq!((chat.tokens(), chat.text.is_empty()), (5, false));
}

#[tokio::test(start_paused = true)]
async fn refusals_keep_the_servers_words() {
    for (name, status, words) in [
        ("llamacpp_bad_id", 400, "Prompt contains invalid tokens"),
        ("vllm_no_model", 404, "The model `nope` does not exist. Valid aliases: tiny-qwen3."),
        ("hf_serve_refused", 422, "Unexpected fields in the request: {'ignore_eos'}"),
    ] {
        let seen = receive(true, &[&transcript(name)]).await;
        let failure = failure(&seen);
        assert_eq!((failure.kind, failure.status), (FailureKind::Status, Some(status)));
        assert_eq!(failure.message, words);
    }
}
