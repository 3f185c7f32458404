//! One exchange over a pipe with the clock paused.

use trie_replay::clock::Clock;
use trie_replay::wire::{Exchange, FailureKind, Outcome, Reuse, TokenSource};

use crate::wire_server::{
    CHUNKED_HEAD, Client, DONE, Do, MS, SECOND, SSE_HEAD, answer, chunk, failure, kind, play, run,
    token, write,
};

#[tokio::test(start_paused = true)]
async fn every_stamp_is_exact() {
    let script = vec![
        Do::WaitUntil(5 * MS),
        write(CHUNKED_HEAD),
        Do::WaitUntil(250 * MS),
        write(chunk(&token(""))),
        Do::WaitUntil(270 * MS),
        write(chunk(&token("a"))),
        Do::WaitUntil(300 * MS),
        write(chunk(&token("b"))),
        Do::WaitUntil(310 * MS),
        write(chunk(DONE)),
        write("0\r\n\r\n"),
    ];
    let seen = run(true, script).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok));
    assert_eq!((seen.start_ns, seen.connected_ns, seen.sent_ns), (Some(0), Some(0), Some(0)));
    assert_eq!(seen.headers_ns, Some(5 * MS));
    assert_eq!(seen.first_event_ns, Some(250 * MS));
    assert_eq!(seen.first_token_ns, Some(250 * MS));
    assert_eq!(seen.first_visible_ns, Some(270 * MS));
    assert_eq!(seen.last_token_ns, Some(300 * MS));
    assert_eq!(seen.end_ns, Some(310 * MS));
    let chunks: Vec<_> = seen.chunks().iter().map(|c| (c.ns / MS, c.tokens, c.visible)).collect();
    assert_eq!(chunks, [(250, 1, false), (270, 1, true), (300, 1, true)]);
    assert_eq!((seen.text.as_str(), seen.id.as_deref()), ("ab", Some("c-1")));
    assert_eq!((seen.reads, seen.merged_reads, seen.merged_chunks), (4, 0, 0));
    assert_eq!(seen.token_source(), Some(TokenSource::Assumed));
}

#[tokio::test(start_paused = true)]
async fn the_request_is_what_a_server_expects() {
    let (client, accepted) = Client::start(Reuse::Conversation);
    let body = answer("200 OK", "content-type: text/event-stream\r\n", &(token("a") + DONE));
    let server = play(accepted, client.clock, vec![Do::Read, write(body)]);
    let mut link = client.pool.link();
    let mut seen = Exchange::default();
    let ((), requests) = tokio::join!(client.send(&mut link, &mut seen), server);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "{\"prompt\":\"hi\"}");
    let mut lines: Vec<&str> = head.lines().collect();
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        [
            "POST /v1/completions HTTP/1.1",
            "accept-encoding: identity",
            "accept: text/event-stream, application/json",
            "authorization: Bearer sk-canary",
            "content-length: 15",
            "content-type: application/json",
            "host: pipe:8000",
            concat!("user-agent: trie/", env!("CARGO_PKG_VERSION")),
            "x-smg-routing-key: 7",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_is_stamped_when_its_first_byte_arrives() {
    let event = token("a");
    let (begin, rest) = event.split_at(9);
    let script = vec![
        write(SSE_HEAD),
        Do::WaitUntil(100 * MS),
        write(begin),
        Do::WaitUntil(130 * MS),
        write(rest),
        write(token("b")),
        Do::WaitUntil(150 * MS),
        write(DONE),
    ];
    let seen = run(true, script).await;
    let stamps: Vec<_> = seen.chunks().iter().map(|chunk| chunk.ns / MS).collect();
    assert_eq!(stamps, [100, 130]);
}

#[tokio::test(start_paused = true)]
async fn a_comment_cut_in_two_does_not_age_the_next_event() {
    let script = vec![
        write(SSE_HEAD),
        Do::WaitUntil(10 * MS),
        write(": keep"),
        Do::WaitUntil(20 * MS),
        write("-alive\n\n"),
        write(token("a")),
        write(DONE),
    ];
    let seen = run(true, script).await;
    assert_eq!(seen.first_event_ns, Some(20 * MS));
}

#[tokio::test(start_paused = true)]
async fn a_giant_first_chunk_counts_from_its_first_read() {
    let ids: Vec<String> = (0..100_000).map(|id| id.to_string()).collect();
    let first = format!(
        "data: {{\"choices\":[{{\"text\":\"a\",\"prompt_token_ids\":[{}],\"token_ids\":[7]}}]}}\n\n",
        ids.join(",")
    );
    let framed = chunk(&first);
    let (begin, rest) = framed.split_at(40_000);
    let script = vec![
        write(CHUNKED_HEAD),
        Do::WaitUntil(80 * MS),
        write(begin),
        Do::WaitUntil(90 * MS),
        write(rest),
        write(chunk(DONE)),
        write("0\r\n\r\n"),
    ];
    let seen = run(true, script).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok));
    assert_eq!(seen.first_token_ns, Some(80 * MS));
    assert_eq!((seen.end_ns, &seen.token_ids[..]), (Some(90 * MS), &[7][..]));
}

#[tokio::test(start_paused = true)]
async fn merged_reads_are_counted() {
    let three = [token("a"), token("b"), token("c")].concat();
    let script = vec![
        write(SSE_HEAD),
        Do::WaitUntil(10 * MS),
        write(three),
        Do::WaitUntil(20 * MS),
        write(token("d")),
        write(DONE),
    ];
    let seen = run(true, script).await;
    assert_eq!((seen.merged_reads, seen.merged_chunks), (1, 2));
    assert_eq!((seen.chunks().len(), seen.reads), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_streamed_arrives_whole() {
    let body = r#"{"id":"c","choices":[{"text":"ab","finish_reason":"length"}],
        "usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
    let whole = answer("200 OK", "content-type: application/json\r\n", body);
    let seen = run(false, vec![Do::WaitUntil(40 * MS), write(whole)]).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok));
    assert_eq!((seen.first_token_ns, seen.end_ns), (Some(40 * MS), Some(40 * MS)));
    assert_eq!((seen.tokens(), seen.token_source()), (2, Some(TokenSource::FinalUsage)));
    assert_eq!(seen.text, "ab");
}

#[tokio::test(start_paused = true)]
async fn failures_have_their_kind() {
    async fn check(stream: bool, bytes: Vec<u8>, expected: FailureKind, part: &str) {
        let seen = run(stream, vec![write(&bytes)]).await;
        let failure = failure(&seen);
        assert_eq!(failure.kind, expected, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    }
    use FailureKind as Kind;
    let json = "content-type: application/json\r\n";
    let sse = "content-type: text/event-stream\r\n";
    let not_found = r#"{"error":{"message":"no model `x` for key sk-canary","code":404}}"#;
    check(true, answer("404 Not Found", json, not_found), Kind::Status, "no model `x` for key ***")
        .await;
    let refused = r#"{"detail":"Unexpected fields in the request: {'ignore_eos'}"}"#;
    check(true, answer("422 Unprocessable", json, refused), Kind::Status, "ignore_eos").await;
    check(true, answer("503 Busy", "", ""), Kind::Status, "503").await;
    let moved = "location: https://else/v1\r\n";
    check(true, answer("308 Moved", moved, ""), Kind::Redirect, "https://else/v1").await;
    let html = "content-type: text/html; charset=utf-8\r\n";
    check(true, answer("200 OK", html, "<html>"), Kind::NotSse, "text/html").await;
    check(false, answer("200 OK", html, "<html>"), Kind::NotSse, "<html>").await;
    check(true, answer("200 OK", json, "{}"), Kind::NotSse, "application/json").await;
    let gzip = "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n";
    check(true, answer("200 OK", gzip, "\u{1f}"), Kind::EncodedBody, "gzip").await;
    check(true, answer("200 OK", sse, "data: {\"choi\n\n"), Kind::BadJson, "{\"choi").await;
    check(false, answer("200 OK", json, "{\"choices\":[]}"), Kind::BadJson, "no choices").await;
    check(true, answer("200 OK", sse, DONE), Kind::NoTokens, "no token").await;
    let error = "data: {\"error\":{\"message\":\"engine died\",\"code\":500}}\n\n";
    check(true, answer("200 OK", sse, &(token("a") + error)), Kind::StreamError, "engine died")
        .await;
    check(true, answer("200 OK", sse, &token("a")), Kind::ClosedEarly, "without [DONE]").await;
    check(true, b"220 mail ready\r\n".to_vec(), Kind::BadHttp, "").await;
    check(true, b"\x15\x03\x01\x00\x02\x02\x16".to_vec(), Kind::BadHttp, "").await;
    check(true, Vec::new(), Kind::ClosedEarly, "").await;
    check(true, b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec(), Kind::ClosedEarly, "").await;
    let cut = [CHUNKED_HEAD.as_bytes(), &chunk(&token("a"))].concat();
    check(true, cut, Kind::ClosedEarly, "").await;
    let bad_frame = [CHUNKED_HEAD.as_bytes(), &chunk(&token("a")), b"zz\r\n"].concat();
    check(true, bad_frame, Kind::BadHttp, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_the_exchange_on_its_deadline() {
    let (mut client, accepted) = Client::start(Reuse::Conversation);
    client.timeout_ns = 2 * SECOND;
    let script =
        vec![Do::Read, write(SSE_HEAD), Do::WaitUntil(SECOND), write(token("a")), Do::Hold];
    let server = play(accepted, client.clock, script);
    let mut link = client.pool.link();
    let mut seen = Exchange::default();
    let ((), log) = tokio::join!(client.send(&mut link, &mut seen), server);
    assert_eq!((kind(&seen), seen.end_ns), (FailureKind::Timeout, Some(2 * SECOND)));
    assert_eq!((seen.first_token_ns, seen.chunks().len()), (Some(SECOND), 1));
    assert_eq!(log.last().unwrap(), "closed at 2000 ms");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_exchange_closes_the_socket_and_keeps_what_was_seen() {
    let (client, accepted) = Client::start(Reuse::Conversation);
    let script =
        vec![Do::Read, write(SSE_HEAD), Do::WaitUntil(10 * MS), write(token("a")), Do::Hold];
    let server = play(accepted, client.clock, script);
    let mut link = client.pool.link();
    let mut seen = Exchange::default();
    let cut = async {
        tokio::select! {
            () = client.send(&mut link, &mut seen) => panic!("it cannot end"),
            () = client.clock.sleep_until(30 * MS) => {}
        }
    };
    let ((), log) = tokio::join!(cut, server);
    assert_eq!(log.last().unwrap(), "closed at 30 ms");
    assert_eq!((seen.outcome, seen.sent_ns), (None, Some(0)));
    assert_eq!((seen.headers_ns, seen.first_token_ns), (Some(0), Some(10 * MS)));
}

/// Two requests of one conversation, the second at `gap_ns`, against a script.
async fn two_requests(reuse: Reuse, gap_ns: u64, script: Vec<Do>) -> [Exchange; 2] {
    let (client, accepted) = Client::start(reuse);
    let server = play(accepted, client.clock, script);
    let client = async move {
        let mut link = client.pool.link();
        let (mut first, mut second) = (Exchange::default(), Exchange::default());
        client.send(&mut link, &mut first).await;
        client.clock.sleep_until(gap_ns).await;
        client.send(&mut link, &mut second).await;
        [first, second]
    };
    tokio::join!(client, server).0
}

/// A whole streamed answer on a connection that stays open; its end comes `late_ns` in a write of
/// its own.
fn kept_answer(late_ns: u64) -> Vec<Do> {
    vec![
        Do::Read,
        write([CHUNKED_HEAD.as_bytes(), &chunk(&token("a")), &chunk(DONE)].concat()),
        Do::WaitUntil(late_ns),
        write("0\r\n\r\n"),
    ]
}

fn connections(seen: &[Exchange; 2]) -> [(Option<u64>, bool, bool, bool); 2] {
    seen.each_ref().map(|seen| {
        let fine = seen.outcome == Some(Outcome::Ok);
        (seen.connection, seen.connected_late, seen.stale_resend, fine)
    })
}

#[tokio::test(start_paused = true)]
async fn a_conversation_keeps_its_connection() {
    let script = [kept_answer(0), kept_answer(0)].concat();
    let seen = two_requests(Reuse::Conversation, SECOND, script).await;
    assert_eq!(connections(&seen), [(Some(0), true, false, true), (Some(0), false, false, true)]);
    assert_eq!((seen[0].connect_ns, seen[1].connect_ns), (Some(0), None));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_body_may_come_after_the_next_request_is_due() {
    let script = [kept_answer(3 * MS), kept_answer(0)].concat();
    let seen = two_requests(Reuse::Conversation, 0, script).await;
    assert_eq!(connections(&seen), [(Some(0), true, false, true), (Some(0), false, false, true)]);
    assert_eq!((seen[0].end_ns, seen[1].sent_ns), (Some(0), Some(3 * MS)));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_costs_the_connection_and_not_the_request() {
    let endless = kept_answer(0)[..2].to_vec();
    let script = [endless, vec![Do::Hold, Do::Accept], kept_answer(0)].concat();
    let seen = two_requests(Reuse::Conversation, SECOND, script).await;
    assert_eq!(connections(&seen), [(Some(0), true, false, true), (Some(1), true, false, true)]);
}

#[tokio::test(start_paused = true)]
async fn the_request_policy_opens_a_connection_each() {
    let script = [kept_answer(0), vec![Do::Hold, Do::Accept], kept_answer(0)].concat();
    let seen = two_requests(Reuse::Request, SECOND, script).await;
    assert_eq!(connections(&seen), [(Some(0), true, false, true), (Some(1), true, false, true)]);
}

#[tokio::test(start_paused = true)]
async fn the_shared_policy_hands_connections_on() {
    let (client, accepted) = Client::start(Reuse::Shared);
    let server = play(accepted, client.clock, [kept_answer(0), kept_answer(0)].concat());
    let client = async move {
        let (mut one, mut other) = (client.pool.link(), client.pool.link());
        let (mut first, mut second) = (Exchange::default(), Exchange::default());
        client.send(&mut one, &mut first).await;
        client.send(&mut other, &mut second).await;
        [first, second]
    };
    let (seen, _requests) = tokio::join!(client, server);
    assert_eq!(connections(&seen), [(Some(0), true, false, true), (Some(0), false, false, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_while_idle_is_noticed_before_sending() {
    let script = [kept_answer(0), vec![Do::Accept], kept_answer(0)].concat();
    let seen = two_requests(Reuse::Conversation, 6 * SECOND, script).await;
    assert_eq!(connections(&seen), [(Some(0), true, false, true), (Some(1), true, false, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_closes_instead_of_answering_is_resent_once() {
    let closes = vec![Do::Read, Do::Accept];
    let script = [kept_answer(0), closes.clone(), kept_answer(0)].concat();
    let seen = two_requests(Reuse::Conversation, SECOND, script).await;
    assert_eq!(connections(&seen), [(Some(0), true, false, true), (Some(1), true, true, true)]);
    assert_eq!(seen[1].start_ns, Some(SECOND));

    let script = [kept_answer(0), closes.clone(), vec![Do::Read]].concat();
    let seen = two_requests(Reuse::Conversation, SECOND, script).await;
    assert_eq!((kind(&seen[1]), seen[1].stale_resend), (FailureKind::ClosedEarly, true));

    let speaks = vec![Do::Read, write("HTTP/1.1 2"), Do::Accept];
    let script = [kept_answer(0), speaks].concat();
    let seen = two_requests(Reuse::Conversation, SECOND, script).await;
    assert_eq!((kind(&seen[1]), seen[1].stale_resend), (FailureKind::ClosedEarly, false));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_connection_that_closes_is_not_resent() {
    let seen = run(true, vec![]).await;
    assert_eq!((kind(&seen), seen.stale_resend), (FailureKind::ClosedEarly, false));
}

#[tokio::test(start_paused = true)]
async fn a_connection_opened_ahead_is_not_late() {
    let (client, accepted) = Client::start(Reuse::Request);
    let server = play(accepted, client.clock, kept_answer(0));
    let client = async {
        let mut link = client.pool.link();
        client.pool.open_ahead(&mut link).await.unwrap();
        client.pool.open_ahead(&mut link).await.unwrap();
        client.clock.sleep_until(SECOND).await;
        let mut seen = Exchange::default();
        client.send(&mut link, &mut seen).await;
        seen
    };
    let (seen, _requests) = tokio::join!(client, server);
    assert_eq!((seen.connection, seen.connected_late), (Some(0), false));
    assert_eq!((seen.connected_ns, seen.connect_ns), (Some(SECOND), Some(0)));
}

#[tokio::test(start_paused = true)]
async fn nobody_at_the_other_end_is_refused() {
    let (client, accepted) = Client::start(Reuse::Conversation);
    drop(accepted);
    let mut link = client.pool.link();
    let mut seen = Exchange::default();
    client.send(&mut link, &mut seen).await;
    assert_eq!((kind(&seen), seen.connected_ns), (FailureKind::Refused, None));
}
