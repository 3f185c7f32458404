//! Each fault: what a client sees, and that the next request is well unless it is struck too.

use std::time::Duration;

use serde_json::Value;
use trie_sim::server::Ended;

use crate::wire::{Fixture, start};

const STREAM: &str = r#"{"prompt":"hello","max_tokens":5,"ignore_eos":true,"stream":true,
    "stream_options":{"include_usage":true}}"#;

async fn well(server: &Fixture) {
    let answer = server.complete(STREAM).await;
    assert_eq!((answer.status(), answer.whole, answer.choice_ms().len()), (200, true, 5));
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_status_strikes_every_nth_request() {
    let server = start(&[("status", "429"), ("status_every", "2"), ("retry_after_s", "7")]);
    for _ in 0..2 {
        well(&server).await;
        let answer = server.complete(STREAM).await;
        assert_eq!(answer.status(), 429);
        assert!(answer.head.contains("retry-after: 7"), "{}", answer.head);
        assert_eq!(answer.json()["error"]["code"], 429);
    }
    let answer = start(&[("status", "503")]).complete(STREAM).await;
    assert_eq!((answer.status(), answer.head.contains("retry-after")), (503, false));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_before_headers() {
    let server = start(&[("reset_before_headers", "2")]);
    well(&server).await;
    let answer = server.complete(STREAM).await;
    assert_eq!((answer.head.as_str(), answer.whole), ("", false));
    well(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_in_the_middle_of_a_stream() {
    let server = start(&[("reset_mid_stream", "2"), ("fault_tokens", "2")]);
    well(&server).await;
    let from = server.elapsed_ms();
    let answer = server.complete(STREAM).await;
    // Two tokens reach the client; the third would have come 40 ms after the first.
    assert_eq!((answer.status(), answer.whole, answer.choice_ms().len()), (200, false, 2));
    assert_eq!(answer.end_ms - from, 290);
    well(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_request_says_nothing() {
    let server = start(&[("stall_before_headers", "1")]);
    let silent = tokio::time::timeout(Duration::from_hours(1), server.complete(STREAM)).await;
    assert!(silent.is_err());
    let server = start(&[("stall_mid_stream", "1"), ("fault_tokens", "0")]);
    let mut socket = server.connect().await;
    let request = crate::wire::request("POST", "/v1/completions", "", STREAM);
    tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 4096];
    let count = tokio::io::AsyncReadExt::read(&mut socket, &mut bytes).await.unwrap();
    let head = String::from_utf8_lossy(&bytes[..count]).into_owned();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
    let more = tokio::io::AsyncReadExt::read(&mut socket, &mut bytes);
    assert!(tokio::time::timeout(Duration::from_hours(1), more).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_page_of_html_comes_instead() {
    let answer = start(&[("html_page", "1")]).complete(STREAM).await;
    assert_eq!(answer.status(), 200);
    assert!(
        answer.head.contains("content-type: text/html")
            && answer.text().starts_with("<!DOCTYPE html>")
    );
}

#[tokio::test(start_paused = true)]
async fn json_ends_in_the_middle() {
    let server = start(&[("truncated_json", "1"), ("fault_tokens", "1")]);
    let answer = server.complete(STREAM).await;
    assert!(answer.whole);
    let parsed: Vec<bool> = answer
        .events()
        .iter()
        .map(|(_, data)| serde_json::from_str::<Value>(data).is_ok())
        .collect();
    assert_eq!(parsed, [true, false]);
    let answer = server.complete(r#"{"prompt":"a"}"#).await;
    assert!(answer.whole && serde_json::from_slice::<Value>(&answer.body).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_chunk_comes_twice() {
    let answer = start(&[("duplicate_chunk", "1"), ("fault_tokens", "1")]).complete(STREAM).await;
    let events = answer.events();
    assert_eq!(answer.choice_ms().len(), 6);
    assert_eq!(events[1].1, events[2].1);
    assert_eq!(answer.usage()["completion_tokens"], 5);
}

#[tokio::test(start_paused = true)]
async fn usage_miscounts() {
    let server = start(&[("wrong_token_count", "1")]);
    assert_eq!(server.complete(STREAM).await.usage()["completion_tokens"], 6);
    let whole = server.complete(r#"{"prompt":"a","max_tokens":1}"#).await;
    assert_eq!(whole.usage()["completion_tokens"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_as_it_is_accepted() {
    let server = start(&[("accept_then_close", "2")]);
    well(&server).await;
    let mut socket = server.connect().await;
    let answer = server.read(&mut socket).await;
    assert_eq!((answer.head.as_str(), answer.whole), ("", false));
    well(&server).await;
}

#[tokio::test(start_paused = true)]
async fn headers_come_late_while_the_engine_works() {
    let answer = start(&[("slow_headers_ms", "260")]).complete(STREAM).await;
    assert_eq!((answer.head_ms, answer.choice_ms()), (260, vec![260, 270, 290, 310, 330]));
}

#[tokio::test(start_paused = true)]
async fn a_crash_closes_everything_at_its_time() {
    let mut server = start(&[("crash_at_s", "0.3")]);
    let answer = server.complete(STREAM).await;
    assert_eq!(
        (answer.whole, answer.choice_ms(), answer.end_ms),
        (false, vec![250, 270, 290], 300)
    );
    assert_eq!(server.server.join_next().await.unwrap().unwrap(), Ended::Crashed);
}

#[tokio::test(start_paused = true)]
async fn a_restart_closes_everything_and_empties_the_cache() {
    let server = start(&[("restart_at_s", "1")]);
    let body = format!(r#"{{"prompt":"{}","max_tokens":2,"ignore_eos":true}}"#, "a".repeat(64));
    let cached = async || {
        let usage = server.complete(&body).await.usage();
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap()
    };
    assert_eq!(cached().await, 0);
    assert_eq!(cached().await, 48);
    let broken = server.complete(&STREAM.replace("\"max_tokens\":5", "\"max_tokens\":90")).await;
    assert_eq!((broken.whole, broken.end_ms), (false, 1_000));
    assert_eq!(cached().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_pauses_for_a_spike() {
    let answer = start(&[("spike_every", "1"), ("spike_ms", "500"), ("fault_tokens", "2")]);
    assert_eq!(answer.complete(STREAM).await.choice_ms(), [250, 270, 790, 790, 790]);
}

#[tokio::test(start_paused = true)]
async fn options_may_come_with_the_address_or_a_header_of_a_request() {
    let server = start(&[("no_done", "True")]);
    let ask = async |path: &str, headers: &str| {
        let headers = format!("Connection: close\r\n{headers}");
        server.ask_with("POST", path, &headers, STREAM).await
    };
    let status = async |path: &str, headers: &str| ask(path, headers).await.status();
    let busy = "/with/status=503,status_every=2/v1/completions";
    assert_eq!(status(busy, "").await, 200);
    assert_eq!(status("/v1/completions", "").await, 200);
    // The second one at this address, and the third of the server.
    assert_eq!(status(busy, "").await, 503);
    assert_eq!(status("/v1/completions", "X-Trie-With: status=429\r\n").await, 429);
    assert_eq!(status("/with/itl_ms=1/v1/completions", "").await, 400);

    // Both, on top of what the server was started with.
    let both = ask("/with/crlf=True/v1/completions", "x-trie-with: chunk_tokens=5\r\n").await;
    assert_eq!(both.choice_ms().len(), 1);
    assert!(both.text().contains("\r\n\r\n") && !both.text().contains("[DONE]"));

    let models = server.ask("GET", "/with/model=other/v1/models", "").await;
    assert_eq!(models.json()["data"][0]["id"], "other");
    // Names of answers stay apart.
    let first = ask("/with/status_every=1/v1/completions", "").await;
    let second = ask("/with/status_every=2/v1/completions", "").await;
    assert_ne!(first.chunks()[0].1["id"], second.chunks()[0].1["id"]);
}
