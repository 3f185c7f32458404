//! Each quirk, against the behaviour without it.

use std::{io::Read, time::Duration};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::{Answer, request, start};

const STREAM: &str = r#"{"prompt":"hello","max_tokens":5,"ignore_eos":true,"stream":true,
    "stream_options":{"include_usage":true}}"#;

async fn stream(options: &[(&str, &str)]) -> Answer {
    start(options).complete(STREAM).await
}

#[tokio::test(start_paused = true)]
async fn strict_fields_take_only_what_tensorrt_llm_knows() {
    let server = start(&[("strict_fields", "True")]);
    assert_eq!(server.complete(STREAM).await.status(), 200);
    let answer = server.complete(r#"{"prompt":"a","return_token_ids":true}"#).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("body.return_token_ids: Extra inputs are not permitted"));
    assert_eq!(
        server.chat(r#"{"messages":[{"role":"user","content":"a"}],"tools":[]}"#).await.status(),
        200
    );
    assert_eq!(
        server.chat(r#"{"messages":[{"role":"user","content":"a"}],"prompt":"a"}"#).await.status(),
        400
    );
}

#[tokio::test(start_paused = true)]
async fn ignore_eos_is_refused_in_the_shape_of_hugging_face() {
    let server = start(&[("refuse_ignore_eos", "True")]);
    let answer = server.complete(STREAM).await;
    assert_eq!(answer.status(), 422);
    assert_eq!(
        answer.json(),
        json!({"detail": "Unexpected fields in the request: {'ignore_eos'}"})
    );
    assert_eq!(server.complete(r#"{"prompt":"a"}"#).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn fields_may_be_taken_and_do_nothing() {
    let body = |more: &str| format!(r#"{{"prompt":"hello","max_tokens":64,{more}}}"#);
    let tokens = async |quirk: &str, more: &str| {
        let answer = start(&[(quirk, "True")]).complete(&body(more)).await;
        answer.usage()["completion_tokens"].as_u64().unwrap()
    };
    let (eos, min) = (r#""ignore_eos":true"#, r#""min_tokens":64"#);
    assert_eq!(tokens("no_ignore_eos", min).await, 64);
    assert!(tokens("no_ignore_eos", eos).await < 64);
    assert_eq!(tokens("no_min_tokens", eos).await, 64);
    assert!(tokens("no_min_tokens", min).await < 64);
    let ids =
        start(&[("no_token_ids", "True")]).complete(&body(r#""return_token_ids":true"#)).await;
    assert_eq!(ids.json()["choices"][0]["token_ids"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn prompts_of_ids_are_refused_where_asked_for() {
    let server = start(&[("refuse_ids", "True")]);
    let answer = server.complete(r#"{"prompt":[300,301]}"#).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json()["error"]["message"], "prompt must be a string.");
    assert_eq!(server.complete(r#"{"prompt":"a"}"#).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_put_before_text_and_not_before_ids() {
    let server = start(&[("add_bos", "True")]);
    let check = async |prompt: &str, expected: u64| {
        let answer = server.complete(&format!(r#"{{"prompt":{prompt}}}"#)).await;
        assert_eq!(answer.usage()["prompt_tokens"], expected, "{prompt}");
    };
    check(r#""abc""#, 4).await;
    check("[300,301]", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_bare_server_has_two_routes() {
    let server = start(&[("bare", "True")]);
    for path in ["/v1/models", "/version", "/metrics", "/health"] {
        assert_eq!(server.ask("GET", path, "").await.status(), 404, "{path}");
    }
    assert_eq!(server.complete(r#"{"prompt":"a"}"#).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_api_key_is_required_where_one_is_set() {
    let server = start(&[("api_key", "secret")]);
    let check = async |headers: &str, expected| {
        let headers = format!("Connection: close\r\n{headers}");
        let answer = server.ask_with("POST", "/v1/completions", &headers, STREAM).await;
        assert_eq!(answer.status(), expected);
        let models = server.ask_with("GET", "/v1/models", &headers, "").await;
        assert_eq!(models.status(), expected);
    };
    check("", 401).await;
    check("Authorization: Bearer wrong\r\n", 401).await;
    check("Authorization: Bearer secret\r\n", 200).await;
    assert_eq!(server.ask("GET", "/health", "").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn cached_tokens_are_given_as_asked_for() {
    let check = async |quirk: &str, body: &str, expected: Option<Value>| {
        let usage = start(&[("cached_tokens", quirk)]).complete(body).await.usage();
        assert_eq!(usage.get("prompt_tokens_details").cloned(), expected, "{quirk}");
    };
    let whole = r#"{"prompt":"a"}"#;
    check("present", STREAM, Some(json!({"cached_tokens": 0}))).await;
    check("absent", STREAM, None).await;
    check("null", STREAM, Some(Value::Null)).await;
    check("omitted_at_zero", STREAM, None).await;
    check("absent_in_streams", STREAM, None).await;
    check("absent_in_streams", whole, Some(json!({"cached_tokens": 0}))).await;
}

#[tokio::test(start_paused = true)]
async fn usage_and_the_end_mark_can_be_missing() {
    let answer = stream(&[("no_usage", "True")]).await;
    assert_eq!((answer.chunks().len(), answer.usage()), (5, Value::Null));
    assert!(start(&[("no_usage", "True")]).complete(r#"{"prompt":"a"}"#).await.usage().is_null());
    let answer = stream(&[("no_done", "True")]).await;
    assert!(answer.whole && !answer.text().contains("[DONE]"));
}

#[tokio::test(start_paused = true)]
async fn usage_can_ride_on_a_text_less_choice() {
    let answer = start(&[("usage_with_choices", "True")])
        .complete(r#"{"prompt":"a","max_tokens":2,"ignore_eos":true,"stream":true}"#)
        .await;
    let chunks = answer.chunks();
    let reasons: Vec<_> =
        chunks.iter().map(|chunk| chunk.1["choices"][0]["finish_reason"].clone()).collect();
    assert_eq!(reasons, [Value::Null, Value::Null, json!("length")]);
    assert_eq!(chunks[2].1["choices"][0]["text"], "");
    assert_eq!(chunks[2].1["usage"]["completion_tokens"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_can_hold_several_tokens() {
    let one = stream(&[]).await;
    let answer = stream(&[("chunk_tokens", "2")]).await;
    assert_eq!(one.choice_ms(), [250, 270, 290, 310, 330]);
    assert_eq!(answer.choice_ms(), [270, 310, 330]);
    assert_eq!(texts(&answer).concat(), texts(&one).concat());
}

#[tokio::test(start_paused = true)]
async fn the_first_chunk_can_be_empty() {
    let plain = texts(&stream(&[]).await);
    let answer = stream(&[("empty_first_chunk", "True")]).await;
    assert_eq!(answer.choice_ms(), [250, 270, 290, 310, 330]);
    let texts = texts(&answer);
    assert_eq!((texts[0].as_str(), &texts[1]), ("", &[plain[0].as_str(), &plain[1]].concat()));
    assert_eq!(texts.concat(), plain.concat());
}

#[tokio::test(start_paused = true)]
async fn the_role_can_come_before_prefill_is_done() {
    let body = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 2,
        "ignore_eos": true, "stream": true});
    let answer = start(&[("early_role", "True")]).chat(&body.to_string()).await;
    assert_eq!(answer.choice_ms(), [0, 250, 270]);
    assert_eq!(answer.chunks()[0].1["choices"][0]["delta"]["role"], "assistant");
}

#[tokio::test(start_paused = true)]
async fn headers_can_wait_for_the_first_token() {
    let answer = stream(&[("late_headers", "True")]).await;
    assert_eq!((answer.head_ms, answer.choice_ms()), (250, vec![250, 270, 290, 310, 330]));
    assert_eq!(answer.usage()["prompt_tokens_details"]["cached_tokens"], 0);
}

#[tokio::test(start_paused = true)]
async fn lines_can_end_in_cr_lf() {
    let plain = stream(&[]).await;
    let answer = stream(&[("crlf", "True")]).await;
    assert!(answer.text().ends_with("data: [DONE]\r\n\r\n"));
    assert_eq!(answer.text().matches('\n').count(), answer.text().matches("\r\n").count());
    assert!(!plain.text().contains('\r'));
}

#[tokio::test(start_paused = true)]
async fn comments_fill_the_silence() {
    let answer = stream(&[("comments_ms", "100")]).await;
    assert!(
        answer.text().starts_with(": keep-alive\n\n: keep-alive\n\ndata: "),
        "{}",
        answer.text()
    );
    assert_eq!(answer.text().matches(": keep-alive").count(), 2);
    assert_eq!(answer.choice_ms(), [250, 270, 290, 310, 330]);
}

#[tokio::test(start_paused = true)]
async fn answers_can_be_compressed_unasked() {
    let inflate = |answer: &Answer| {
        assert!(answer.head.contains("content-encoding: gzip"), "{}", answer.head);
        let mut text = String::new();
        flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_string(&mut text).unwrap();
        text
    };
    let plain = stream(&[]).await;
    let mask = |text: &str| {
        text.split("\"created\":")
            .map(|part| part.trim_start_matches(char::is_numeric).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(mask(&inflate(&stream(&[("gzip", "True")]).await)), mask(plain.text()));
    let whole = start(&[("gzip", "True")]).complete(r#"{"prompt":"a"}"#).await;
    assert!(inflate(&whole).contains("\"usage\""));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_in_time() {
    let server = start(&[("keep_alive_s", "5")]);
    let mut socket = server.connect().await;
    let health = request("GET", "/health", "", "");
    let mut bytes = [0; 4096];
    tokio::time::sleep(Duration::from_secs(4)).await;
    socket.write_all(request("POST", "/v1/completions", "", STREAM).as_bytes()).await.unwrap();
    let answer = server.read(&mut socket).await;
    // Ends 5 s after the last token, not 5 s after the connection or the request began.
    assert_eq!((answer.whole, answer.end_ms), (true, 4_000 + 330 + 5_000));
    assert_eq!(answer.status(), 200);
    let mut socket = server.connect().await;
    socket.write_all(health.as_bytes()).await.unwrap();
    assert!(socket.read(&mut bytes).await.unwrap() > 0);
    let asked = server.elapsed_ms();
    assert_eq!(socket.read(&mut bytes).await.unwrap(), 0);
    assert_eq!(server.elapsed_ms() - asked, 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_carried_nothing_is_not_idle() {
    let server = start(&[("keep_alive_s", "0.005")]);
    let mut socket = server.connect().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    socket.write_all(request("GET", "/health", "", "").as_bytes()).await.unwrap();
    let answer = server.read(&mut socket).await;
    assert_eq!((answer.status(), answer.end_ms), (200, 1_005));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_after_its_last_request() {
    let server = start(&[("keep_alive_requests", "2")]);
    let mut socket = server.connect().await;
    let health = request("GET", "/health", "", "");
    let mut bytes = [0; 4096];
    socket.write_all(health.as_bytes()).await.unwrap();
    let count = socket.read(&mut bytes).await.unwrap();
    assert!(!String::from_utf8_lossy(&bytes[..count]).contains("connection: close"));
    socket.write_all(health.as_bytes()).await.unwrap();
    let answer = server.read(&mut socket).await;
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
}

fn texts(answer: &Answer) -> Vec<String> {
    let chunks = answer.chunks().into_iter();
    chunks.filter_map(|chunk| chunk.1["choices"][0]["text"].as_str().map(str::to_owned)).collect()
}
