//! The truth: stamps in chunks and the log of the engine, against what a client saw and what can be worked
//! by hand.

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use trie_core::units::Nanos;
use trie_sim::truth::{TruthEnd, TruthRow};

use crate::wire::{Answer, Fixture, request, start};

const STREAM: &str = r#"{"prompt":"hello","max_tokens":3,"ignore_eos":true,"stream":true}"#;

/// A server of these options that logs, and its log.
fn logging(options: &[(&str, &str)]) -> (Fixture, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("truth.jsonl");
    let log = [("truth_log", path.to_str().unwrap()), ("truth_stamps", "True")];
    (start(&[options, &log].concat()), folder)
}

fn rows(folder: &TempDir) -> Vec<TruthRow> {
    let text = std::fs::read_to_string(folder.path().join("truth.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stamps(answer: &Answer) -> Vec<Value> {
    answer.chunks().into_iter().map(|(_, chunk)| chunk["truth"].clone()).collect()
}

fn ms(times: &[u64]) -> Vec<Nanos> {
    times.iter().map(|ms| Nanos::from_millis(*ms)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_log_agrees_with_what_a_client_saw() {
    let (server, folder) = logging(&[("max_num_seqs", "1")]);
    let (first, second) = tokio::join!(server.complete(STREAM), server.complete(STREAM));
    let rows = rows(&folder);
    for (row, answer) in rows.iter().zip([&first, &second]) {
        assert_eq!(row.request, answer.chunks()[0].1["id"].as_str().unwrap());
        assert_eq!(row.token_ns, ms(&answer.choice_ms()));
        assert_eq!((row.end, row.end_ns), (TruthEnd::Length, row.token_ns[2]));
    }
    let admitted = |row: &TruthRow| (row.arrived_ns, row.admitted_ns, row.cached_tokens);
    assert_eq!(admitted(&rows[0]), (Nanos::ZERO, Some(Nanos::ZERO), Some(0)));
    assert_eq!(admitted(&rows[1]), (Nanos::ZERO, Some(Nanos::from_millis(290)), Some(0)));
    for (row, answer) in rows.iter().zip([&first, &second]) {
        for (number, stamp) in stamps(answer).into_iter().enumerate() {
            let expected = serde_json::json!({
                "sequence": number, "scheduled_ns": row.token_ns[number],
                "written_ns": row.token_ns[number], "tokens": 1, "step": row.token_step[number],
            });
            assert_eq!(stamp, expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_are_stamped_by_the_step_that_made_their_tokens() {
    let draft = [("speculative_tokens", "2"), ("acceptance", "1")];
    let steps = [("policy", "vllm"), ("step_p0_ms", "10"), ("step_p_ms", "1")];
    let (server, folder) = logging(&[&draft[..], &steps].concat());
    let body = r#"{"prompt":[5,5,5,5],"max_tokens":6,"ignore_eos":true,"stream":true}"#;
    let answer = server.complete(body).await;
    // 10 + 4 ms for the first token, then 10 + 3 ms for three, and 10 + 2 for the last two.
    let seen: Vec<_> = stamps(&answer)
        .iter()
        .map(|stamp| ["scheduled_ns", "tokens", "step"].map(|name| stamp[name].as_u64().unwrap()))
        .collect();
    assert_eq!(seen, [[14_000_000, 1, 1], [27_000_000, 3, 2], [39_000_000, 2, 3]]);
    let row = &rows(&folder)[0];
    assert_eq!(row.token_ns, ms(&[14, 27, 27, 27, 39, 39]));
    assert_eq!(row.token_step, [1, 2, 2, 2, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_log_knows_preemptions_and_clients_that_leave() {
    let steps =
        [("policy", "vllm"), ("step_p_ms", "1"), ("cache_tokens", "64"), ("truth_stamps", "False")];
    let (server, folder) = logging(&steps);
    let body =
        |token: u32| format!(r#"{{"prompt":{:?},"max_tokens":20,"ignore_eos":true}}"#, [token; 30]);
    let (first, second) = (body(5), body(6));
    tokio::join!(server.complete(&first), server.complete(&second));
    // Both prompts in one step of 60 ms; blocks of 16: the third is needed for token 33, after the steps
    // that end at 60, 62 and 64 ms.
    let found = rows(&folder);
    assert_eq!(
        found.iter().map(|row| row.preempted_ns.clone()).collect::<Vec<_>>(),
        [vec![], ms(&[64])]
    );
    assert_eq!((found[1].prompt_tokens, found[1].token_ns.len()), (30, 20));
    let mut socket = server.connect().await;
    socket.write_all(request("POST", "/v1/completions", "", &first).as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let left = server.elapsed_ms();
    drop(socket);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let row = &rows(&folder)[2];
    assert_eq!((row.end, row.end_ns), (TruthEnd::Cancelled, Nanos::from_millis(left)));
    assert!(row.token_ns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn metrics_agree_with_the_log() {
    let steps = [
        ("policy", "vllm"),
        ("step_p0_ms", "3"),
        ("step_p_ms", "1"),
        ("cache_tokens", "320"),
        ("max_num_seqs", "3"),
        ("speculative_tokens", "2"),
    ];
    let (server, folder) = logging(&steps);
    let bodies: Vec<_> = (0..12_usize)
        .map(|number| {
            let prompt = [vec![5; 40], vec![6 + number % 3; 20 + 3 * number]].concat();
            let max = 5 + number;
            format!(r#"{{"prompt":{prompt:?},"max_tokens":{max},"ignore_eos":true}}"#)
        })
        .collect();
    for three in bodies.chunks(4) {
        let [a, b, c, d] = three else { panic!("twelve are three times four") };
        tokio::join!(
            server.complete(a),
            server.complete(b),
            server.complete(c),
            server.complete(d)
        );
    }
    let page = server.ask("GET", "/metrics", "").await;
    let metric = |name: &str| {
        let line = page.text().lines().find(|line| {
            line.strip_prefix("vllm:")
                .and_then(|line| line.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with('{'))
        });
        line.unwrap().rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let rows = rows(&folder);
    let check = |name: &str, of: &dyn Fn(&TruthRow) -> u64| {
        let sum: u64 = rows.iter().map(of).sum();
        let sum = f64::from(u32::try_from(sum).unwrap());
        assert!((metric(name) - sum).abs() < 1e-9, "{name}: {} and {sum}", metric(name));
        sum
    };
    let count = |length: usize| u64::try_from(length).unwrap();
    assert_eq!(rows.len(), 12);
    check("prefix_cache_queries_total", &|row| row.prompt_tokens);
    check("prompt_tokens_total", &|row| row.prompt_tokens);
    check("generation_tokens_total", &|row| count(row.token_ns.len()));
    check("e2e_request_latency_seconds_count", &|_| 1);
    assert!(check("prefix_cache_hits_total", &|row| row.cached_tokens.unwrap()) > 0.0);
    check("num_preemptions_total", &|row| count(row.preempted_ns.len()));
    let seconds = |name: &str, of: &dyn Fn(&TruthRow) -> Nanos| {
        let sum = rows.iter().map(|row| of(row).since(row.arrived_ns).unwrap().as_secs_f64());
        assert!((metric(name) - sum.sum::<f64>()).abs() < 1e-6, "{name}");
    };
    seconds("time_to_first_token_seconds_sum", &|row| row.token_ns[0]);
    seconds("e2e_request_latency_seconds_sum", &|row| row.end_ns);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_written_stops_the_server() {
    let config = |path: &str| {
        let mut config = trie_sim::config::Config::default();
        config.set("truth_log", path).unwrap();
        config
    };
    let (_connector, listener) = trie_sim::server::pipe();
    let vocabulary = trie_tokens::Vocabulary::builtin();
    let served = trie_sim::server::serve(
        listener,
        config("no-such-folder/truth.jsonl"),
        vocabulary,
        std::future::pending(),
    );
    let message = served.await.unwrap_err().to_string();
    assert!(message.contains("truth_log=no-such-folder/truth.jsonl"), "{message}");
}
