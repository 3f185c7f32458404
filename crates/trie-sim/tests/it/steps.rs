//! The server over an engine that works in steps.

use crate::wire::start;

/// 10 ms a step and 1 ms a token.
const STEPS: [(&str, &str); 3] = [("policy", "vllm"), ("step_p0_ms", "10"), ("step_p_ms", "1")];

fn stream(prompt: &[u32], max_tokens: u32) -> String {
    format!(
        r#"{{"prompt":{prompt:?},"max_tokens":{max_tokens},"ignore_eos":true,"stream":true,
            "stream_options":{{"include_usage":true}}}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn requests_share_the_steps_of_the_engine() {
    let server = start(&STEPS);
    let (first, second) = (stream(&[5; 20], 3), stream(&[6; 4], 2));
    let (first, second) = tokio::join!(server.complete(&first), server.complete(&second));
    let times = |events: Vec<(u64, _)>| events.iter().map(|event| event.0).collect::<Vec<u64>>();
    let tokens = |answer: &crate::wire::Answer, count| {
        let mut times = times(answer.chunks());
        times.truncate(count);
        times
    };
    // Both arrive in one instant: 10 + 24 ms, two tokens of each 12 ms later, one of the first 11 ms later.
    assert_eq!(tokens(&first, 3), [34, 46, 57]);
    assert_eq!(tokens(&second, 2), [34, 46]);
    // 22 tokens of the first were computed: one whole block of them is found again.
    let again = server.complete(&stream(&[5; 20], 1)).await;
    assert_eq!(again.usage()["prompt_tokens_details"]["cached_tokens"], 16);
}

#[tokio::test(start_paused = true)]
async fn what_the_memory_cannot_hold_is_refused() {
    let server = start(&[STEPS.as_slice(), &[("cache_tokens", "32")]].concat());
    let answer = server.complete(&stream(&[5; 30], 3)).await;
    assert_eq!(answer.status(), 400);
    let answer = server.complete(&stream(&[5; 30], 2)).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn metrics_count_preemptions() {
    let server = start(&[STEPS.as_slice(), &[("cache_tokens", "64")]].concat());
    let (first, second) = (stream(&[5; 30], 20), stream(&[6; 30], 20));
    let (first, second) = tokio::join!(server.complete(&first), server.complete(&second));
    assert_eq!((first.status(), second.status()), (200, 200));
    let page = server.ask("GET", "/metrics", "").await;
    let page = String::from_utf8(page.body).unwrap();
    let line = page.lines().find(|line| line.starts_with("vllm:num_preemptions_total")).unwrap();
    assert!(line.ends_with(" 1"), "{line}");
}
