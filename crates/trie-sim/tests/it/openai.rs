//! The API as vLLM serves it.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use trie_tokens::Vocabulary;

use crate::wire::{Answer, request, start};

/// A streamed completion of exactly three tokens with usage.
const STREAM: &str = r#"{"model":"m","prompt":"hello","max_tokens":3,"ignore_eos":true,
    "stream":true,"stream_options":{"include_usage":true}}"#;

#[tokio::test(start_paused = true)]
async fn a_stream_has_the_shape_and_the_times_of_the_schedule() {
    let server = start(&[]);
    let answer = server.complete(STREAM).await;
    assert_eq!(answer.status(), 200);
    assert!(
        answer.head.contains("content-type: text/event-stream; charset=utf-8"),
        "{}",
        answer.head
    );
    assert!(answer.head.contains("transfer-encoding: chunked"));
    // Headers come at once, the first token after 250 ms, then one each 20 ms.
    assert_eq!(answer.head_ms, 0);
    assert!(answer.whole);
    let events = answer.events();
    assert_eq!(events.iter().map(|event| event.0).collect::<Vec<_>>(), [250, 270, 290, 290, 290]);
    assert_eq!(events[4].1, "[DONE]");
    let chunks = answer.chunks();
    for (index, (_, chunk)) in chunks[..3].iter().enumerate() {
        let mut expected = chunks[0].1.clone();
        expected["choices"][0]["text"] = chunk["choices"][0]["text"].clone();
        let finish = if index == 2 { json!("length") } else { Value::Null };
        expected["choices"][0]["finish_reason"] = finish;
        assert_eq!(*chunk, expected);
    }
    let first = &chunks[0].1;
    assert_eq!((&first["object"], &first["model"]), (&json!("text_completion"), &json!("m")));
    assert!(first["id"].as_str().unwrap().starts_with("cmpl-"));
    assert!(first["created"].as_u64().unwrap() > 1_600_000_000);
    let keys: Vec<_> = first["choices"][0].as_object().unwrap().keys().cloned().collect();
    let expected = [
        "finish_reason",
        "index",
        "logprobs",
        "prompt_token_ids",
        "stop_reason",
        "text",
        "token_ids",
    ];
    assert_eq!(keys, expected);
    let last = &chunks[3].1;
    assert_eq!(last["choices"], json!([]));
    let details = json!({"cached_tokens": 0});
    let usage = json!({"prompt_tokens": 5, "total_tokens": 8, "completion_tokens": 3,
        "prompt_tokens_details": details});
    assert_eq!(last["usage"], usage);
}

#[tokio::test(start_paused = true)]
async fn without_being_asked_for_a_stream_has_no_usage() {
    let server = start(&[]);
    let answer = server.complete(r#"{"prompt":"a","max_tokens":1,"stream":true}"#).await;
    assert_eq!((answer.chunks().len(), answer.usage()), (1, Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_comes_with_its_last_token() {
    let server = start(&[]);
    let answer = server.complete(r#"{"prompt":"hello","max_tokens":3,"ignore_eos":true}"#).await;
    assert_eq!((answer.head_ms, answer.whole), (290, true));
    let body = answer.json();
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"]["completion_tokens"], 3);
    assert_eq!(body["choices"][0]["token_ids"], Value::Null);
    assert_eq!(Vocabulary::builtin().count(body["choices"][0]["text"].as_str().unwrap()), 3);
}

#[tokio::test(start_paused = true)]
async fn every_form_of_a_prompt_gets_the_same_answer() {
    let server = start(&[]);
    let ids = Vocabulary::builtin().encode("some text");
    let mut texts = Vec::new();
    for prompt in [json!("some text"), json!(["some text"]), json!(ids), json!([ids])] {
        let body = json!({"prompt": prompt, "max_tokens": 8, "ignore_eos": true});
        let answer = server.complete(&body.to_string()).await.json();
        assert_eq!(answer["usage"]["prompt_tokens"], ids.len());
        texts.push(answer["choices"][0]["text"].clone());
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    let other = json!({"prompt": "some text", "max_tokens": 8, "ignore_eos": true, "seed": 1});
    assert_ne!(server.complete(&other.to_string()).await.json()["choices"][0]["text"], texts[0]);
}

#[tokio::test(start_paused = true)]
async fn token_ids_are_returned_when_asked_for() {
    let server = start(&[]);
    let body = json!({"prompt": [5, 6, 7], "max_tokens": 4, "ignore_eos": true,
        "return_token_ids": true});
    let whole = server.complete(&body.to_string()).await.json();
    let choice = &whole["choices"][0];
    assert_eq!(choice["prompt_token_ids"], json!([5, 6, 7]));
    // The default output re-tokenizes to the very tokens it was made of.
    assert_eq!(
        json!(Vocabulary::builtin().encode(choice["text"].as_str().unwrap())),
        choice["token_ids"]
    );
    let mut body = body;
    body["stream"] = json!(true);
    let chunks = server.complete(&body.to_string()).await.chunks();
    assert_eq!(chunks[0].1["choices"][0]["prompt_token_ids"], json!([5, 6, 7]));
    assert_eq!(chunks[1].1["choices"][0]["prompt_token_ids"], Value::Null);
    let ids: Vec<Value> = chunks
        .iter()
        .flat_map(|chunk| chunk.1["choices"][0]["token_ids"].as_array().unwrap().clone())
        .collect();
    assert_eq!(Value::Array(ids), choice["token_ids"]);
}

#[tokio::test(start_paused = true)]
async fn running_usage_counts_the_tokens_of_every_chunk() {
    let server = start(&[]);
    let body = STREAM.replace(
        "\"include_usage\":true",
        "\"include_usage\":true,\"continuous_usage_stats\":true",
    );
    let chunks = server.complete(&body).await.chunks();
    let counts: Vec<_> =
        chunks.iter().map(|chunk| chunk.1["usage"]["completion_tokens"].clone()).collect();
    assert_eq!(counts, [1, 2, 3, 3]);
    assert_eq!(chunks[0].1["usage"].get("prompt_tokens_details"), None);
    assert_eq!(chunks[3].1["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
}

#[tokio::test(start_paused = true)]
async fn answers_end_early_unless_told_otherwise() {
    let server = start(&[("engine", "instant")]);
    let mut lengths = Vec::new();
    for seed in 0..20 {
        let body = json!({"prompt": "a", "max_tokens": 40, "min_tokens": 10, "seed": seed});
        let answer = server.complete(&body.to_string()).await.json();
        let length = answer["usage"]["completion_tokens"].as_u64().unwrap();
        let reason = if length < 40 { "stop" } else { "length" };
        assert_eq!(answer["choices"][0]["finish_reason"], reason);
        lengths.push(length);
    }
    assert!(lengths.iter().all(|length| (10..=40).contains(length)), "{lengths:?}");
    assert!(lengths.iter().any(|length| *length < 40), "{lengths:?}");
    let body = json!({"prompt": "a", "max_tokens": 40, "ignore_eos": true});
    assert_eq!(server.complete(&body.to_string()).await.usage()["completion_tokens"], 40);
}

#[tokio::test(start_paused = true)]
async fn later_turns_find_earlier_ones_in_the_cache() {
    let server = start(&[("prefill_us_per_token", "1000")]);
    let vocabulary = Vocabulary::builtin();
    let mut prompt = String::new();
    vocabulary.stable().fill_text(1, 0..100, &mut prompt);
    let mut cached = Vec::new();
    for turn in 0..3 {
        let body = json!({"prompt": prompt, "max_tokens": 20, "ignore_eos": true});
        let answer = server.complete(&body.to_string()).await.json();
        let tokens = 100 + turn * 50;
        assert_eq!(answer["usage"]["prompt_tokens"], tokens);
        cached.push(answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap());
        prompt += answer["choices"][0]["text"].as_str().unwrap();
        vocabulary.stable().fill_text(2, turn * 30..(turn + 1) * 30, &mut prompt);
    }
    // 119 and 169 tokens were computed: 7 and 10 blocks of 16.
    assert_eq!(cached, [0, 112, 160]);
    // 250 + 19 * 20 ms each, and 1 ms for each of 100, 38 and 40 uncached tokens.
    assert_eq!(server.elapsed_ms(), 3 * 630 + 178);
    assert_eq!(server.ask("POST", "/reset_prefix_cache", "").await.status(), 200);
    let body = json!({"prompt": prompt, "max_tokens": 1});
    let details = server.complete(&body.to_string()).await.usage()["prompt_tokens_details"].clone();
    assert_eq!(details["cached_tokens"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_chat_stream_opens_with_the_role_when_prefill_is_done() {
    let server = start(&[]);
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2,
        "ignore_eos": true, "stream": true, "stream_options": {"include_usage": true}});
    let answer = server.chat(&body.to_string()).await;
    let chunks = answer.chunks();
    assert_eq!(chunks.iter().map(|chunk| chunk.0).collect::<Vec<_>>(), [250, 250, 270, 270]);
    assert_eq!(chunks[0].1["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(chunks[0].1["object"], "chat.completion.chunk");
    assert!(chunks[1].1["choices"][0]["delta"]["content"].as_str().unwrap().starts_with(' '));
    assert_eq!(chunks[2].1["choices"][0]["finish_reason"], "length");
    assert_eq!(chunks[3].1["usage"]["completion_tokens"], 2);
    let whole =
        server.chat(r#"{"messages":[{"role":"user","content":"hi"}],"max_completion_tokens":2}"#);
    let whole = whole.await.json();
    assert_eq!(
        (&whole["object"], &whole["choices"][0]["message"]["role"]),
        (&json!("chat.completion"), &json!("assistant"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_served_is_refused_before_any_stream() {
    let server = start(&[("model", "m"), ("max_model_len", "100")]);
    let check = |answer: Answer, status, expected: &str| {
        assert_eq!(answer.status(), status, "{}", answer.text());
        let error = &answer.json()["error"];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
        assert_eq!(error["code"], status);
    };
    for (body, status, expected) in [
        (r#"{"model":"x","prompt":"a","stream":true}"#, 404, "model `x` does not exist"),
        (r#"{"model":"m","prompt":"a","max_tokens":0,"stream":true}"#, 400, "at least 1, got 0"),
        (r#"{"model":"m","prompt":""}"#, 400, "cannot be empty"),
        (r#"{"model":"m","prompt":[]}"#, 400, "cannot be empty"),
        (r#"{"model":"m","prompt":[999999]}"#, 400, "999999 is out of vocabulary"),
        (
            r#"{"model":"m","prompt":"a","max_tokens":100}"#,
            400,
            "maximum context length is 100 tokens",
        ),
        (r#"{"model":"m","prompt":"a","max_tokens":2,"min_tokens":3}"#, 400, "min_tokens"),
        ("not json", 400, "invalid body"),
    ] {
        check(server.complete(body).await, status, expected);
    }
    check(server.chat(r#"{"model":"m","messages":[]}"#).await, 400, "at least one message");
    check(server.ask("POST", "/v1/complete", "{}").await, 404, "Not Found");
    check(server.ask("GET", "/v1/completions", "").await, 405, "Method Not Allowed");
    assert_eq!(server.elapsed_ms(), 0);
}

#[tokio::test(start_paused = true)]
async fn over_the_limit_of_sequences_requests_wait_their_turn() {
    let server = start(&[("max_num_seqs", "1")]);
    let (a, b) = tokio::join!(server.complete(STREAM), server.complete(STREAM));
    assert_eq!(a.choice_ms(), [250, 270, 290]);
    assert_eq!(b.choice_ms(), [540, 560, 580]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_its_request() {
    let whole = r#"{"prompt":"hello","max_tokens":3,"ignore_eos":true}"#;
    for (options, body) in [
        (&[("itl_ms", "20")], STREAM),
        (&[("itl_ms", "20")], whole),
        (&[("stall_mid_stream", "1")], STREAM),
    ] {
        let server = start(options);
        let mut socket = server.connect().await;
        socket.write_all(request("POST", "/v1/completions", "", body).as_bytes()).await.unwrap();
        let running = async |expected: &str| {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            let page = server.ask("GET", "/metrics", "").await;
            let name = "vllm:num_requests_running{engine=\"0\",model_name=\"trie-sim\"}";
            let line = page.text().lines().find(|line| line.starts_with(name)).unwrap().to_owned();
            assert_eq!(line, format!("{name} {expected}"), "{options:?} {body}");
        };
        running("1").await;
        drop(socket);
        running("0").await;
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_have_the_names_of_vllm() {
    let server = start(&[("model", "a\"b")]);
    server.complete(&STREAM.replace("\"m\"", r#""a\"b""#)).await;
    let answer = server.ask("GET", "/metrics", "").await;
    let label = r#"engine="0",model_name="a\"b""#;
    for expected in [
        "# TYPE vllm:num_requests_running gauge".to_owned(),
        format!("vllm:num_requests_waiting{{{label}}} 0"),
        format!("vllm:prefix_cache_queries_total{{{label}}} 5"),
        format!("vllm:prefix_cache_hits_total{{{label}}} 0"),
        format!("vllm:prompt_tokens_total{{{label}}} 5"),
        format!("vllm:generation_tokens_total{{{label}}} 3"),
        format!(
            "vllm:cache_config_info{{{label},block_size=\"16\",kv_cache_size_tokens=\"400000\"}} 1"
        ),
        format!("vllm:request_success_total{{{label},finished_reason=\"length\"}} 1"),
        format!("vllm:time_to_first_token_seconds_bucket{{{label},le=\"0.1\"}} 0"),
        format!("vllm:time_to_first_token_seconds_bucket{{{label},le=\"0.25\"}} 1"),
        format!("vllm:time_to_first_token_seconds_bucket{{{label},le=\"+Inf\"}} 1"),
        format!("vllm:time_to_first_token_seconds_sum{{{label}}} 0.25"),
        format!("vllm:e2e_request_latency_seconds_sum{{{label}}} 0.29"),
    ] {
        assert!(
            answer.text().lines().any(|line| line == expected),
            "{expected}\n{}",
            answer.text()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_small_routes_answer() {
    let server = start(&[("model", "m")]);
    assert_eq!(server.ask("GET", "/health", "").await.status(), 200);
    let models = server.ask("GET", "/v1/models", "").await.json();
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][0]["max_model_len"]),
        (&json!("m"), &json!(131_072))
    );
    let tokens = server.ask("POST", "/tokenize", r#"{"prompt":"abc"}"#).await.json();
    assert_eq!(tokens["tokens"], json!(Vocabulary::builtin().encode("abc")));
    let chat = r#"{"messages":[{"role":"user","content":"abc"}]}"#;
    let tokens = server.ask("POST", "/tokenize", chat).await.json();
    let rendered = "<|user|>\nabc <|end|>\n<|assistant|>\n";
    assert_eq!(tokens["count"], Vocabulary::builtin().count(rendered));
}

#[tokio::test(start_paused = true)]
async fn a_conversation_with_tools_is_counted_by_the_template() {
    let server = start(&[]);
    let call = json!({"id": "c1", "type": "function",
        "function": {"name": "find", "arguments": "{}"}});
    let tool = json!({"type": "function",
        "function": {"name": "find", "description": "Finds", "parameters": {}}});
    let count = |tools: bool| {
        let mut body = json!({"messages": [
            {"role": "user", "content": "abc"},
            {"role": "assistant", "content": "", "tool_calls": [call.clone()]},
            {"role": "tool", "tool_call_id": "c1", "content": "def"},
        ]});
        if tools {
            body["tools"] = json!([tool.clone()]);
        }
        let asked = body.to_string();
        let server = &server;
        async move { server.ask("POST", "/tokenize", &asked).await.json()["count"].clone() }
    };
    let rendered = "<|user|>\nabc <|end|>\n<|assistant|>\n <|call|>find <|end|>\n\
                    <|tool|>\ndef <|end|>\n<|assistant|>\n";
    let tools = "<|function|>\nfind: Finds <|end|>\n";
    assert_eq!(count(false).await, Vocabulary::builtin().count(rendered));
    assert_eq!(count(true).await, Vocabulary::builtin().count(&[tools, rendered].concat()));
    let unknown = r#"{"messages":[{"role":"judge","content":"a"}]}"#;
    assert_eq!(server.chat(unknown).await.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn raw_output_does_not_re_tokenize() {
    let server = start(&[("engine", "instant"), ("output", "raw")]);
    let body = json!({"prompt": "a", "max_tokens": 2_000, "ignore_eos": true, "stream": true,
        "return_token_ids": true});
    let chunks = server.complete(&body.to_string()).await.chunks();
    let text: String =
        chunks.iter().map(|chunk| chunk.1["choices"][0]["text"].as_str().unwrap()).collect();
    let ids: Vec<u64> = chunks
        .iter()
        .map(|chunk| chunk.1["choices"][0]["token_ids"][0].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), 2_000);
    let again: Vec<u64> = Vocabulary::builtin().encode(&text).into_iter().map(u64::from).collect();
    assert_ne!(again, ids);
    // Tokens that end inside a character show no text.
    assert!(chunks.iter().any(|chunk| chunk.1["choices"][0]["text"] == ""));
}

#[tokio::test]
async fn it_serves_over_tcp_on_loopback() {
    let mut config = trie_sim::config::Config::default();
    config.set("port", "0").unwrap();
    let listener = trie_sim::server::bind(&config).await.unwrap();
    let address = listener.local_addr().unwrap();
    assert!(address.ip().is_loopback());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async { stopped.await.unwrap() };
    let served = trie_sim::server::serve(listener, config, Vocabulary::builtin(), shutdown);
    let client = async {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = request("GET", "/health", "Connection: close\r\n", "");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.unwrap();
        stop.send(()).unwrap();
        answer
    };
    let (ended, answer) = tokio::join!(served, client);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(ended.unwrap(), trie_sim::server::Ended::ShutDown);
}
