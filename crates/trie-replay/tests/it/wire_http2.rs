//! HTTP/2 against a server that writes frames when it was told to.

use std::future::poll_fn;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use trie_replay::clock::{Clock, PausedClock};
use trie_replay::wire::{Exchange, FailureKind, Outcome, Reuse, Scheme};

use crate::wire_server::{Client, DONE, MS, failure, kind, token};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const MAX_STREAMS: u8 = 3;
const WINDOW: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn settings(settings: &[(u8, u32)]) -> Vec<u8> {
    let each = settings.iter().map(|(name, value)| {
        let value = value.to_be_bytes();
        [0, *name, value[0], value[1], value[2], value[3]]
    });
    frame(SETTINGS, 0, 0, &each.collect::<Vec<_>>().concat())
}

/// `:status 200` and the content type of a stream, by HPACK's static table.
fn head(stream: u32) -> Vec<u8> {
    let media = b"text/event-stream";
    let block = [&[0x88, 0x0f, 0x10, 17][..], media].concat();
    frame(HEADERS, END_HEADERS, stream, &block)
}

fn data(stream: u32, text: &str) -> Vec<u8> {
    frame(DATA, 0, stream, text.as_bytes())
}

fn end(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, b"")
}

fn whole(stream: u32) -> Vec<u8> {
    [head(stream), data(stream, &(token("a") + DONE)), end(stream)].concat()
}

/// What the server does next.
enum Do {
    /// Waits until so many requests have come whole, on all connections.
    Requests(usize),
    WaitUntil(u64),
    Write(Vec<u8>),
    /// Closes this connection.
    Close,
    /// Accepts the next one beside it, greets it, and writes there from now on.
    Greet(Vec<u8>),
}

/// Counts requests by the frames that end them, until the client closes.
async fn count(mut reader: ReadHalf<DuplexStream>, requests: watch::Sender<usize>) -> Option<()> {
    reader.read_exact(&mut [0; 24]).await.ok()?;
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        reader.read_exact(&mut vec![0; length as usize]).await.ok()?;
        if matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0 {
            requests.send_modify(|requests| *requests += 1);
        }
    }
}

/// Plays the script; what clients send is read all the while. Closes all connections at its end.
async fn play(mut accepted: Receiver<DuplexStream>, clock: PausedClock, script: Vec<Do>) {
    let (requests, mut came) = watch::channel(0);
    let mut counting = JoinSet::new();
    let mut open: Vec<WriteHalf<DuplexStream>> = Vec::new();
    for step in script {
        match step {
            Do::Requests(wanted) => drop(came.wait_for(|came| *came >= wanted).await.unwrap()),
            Do::WaitUntil(ns) => clock.sleep_until(ns).await,
            Do::Write(bytes) => open.last_mut().unwrap().write_all(&bytes).await.unwrap(),
            Do::Close => open.pop().unwrap().shutdown().await.unwrap(),
            Do::Greet(bytes) => {
                let (reader, mut writer) = split(accepted.recv().await.unwrap());
                counting.spawn(count(reader, requests.clone()));
                writer.write_all(&bytes).await.unwrap();
                open.push(writer);
            }
        }
    }
    for mut writer in open {
        // The client may have closed it before.
        drop(writer.shutdown().await);
    }
    counting.join_all().await;
}

/// So many exchanges, which begin a millisecond after one another, on places that are taken ahead.
async fn exchanges(number: usize, script: Vec<Do>) -> Vec<Exchange> {
    let (client, accepted) = Client::start(Reuse::Shared);
    let client = Client { pool: client.pool.http2(Scheme::Http), ..client };
    let server = play(accepted, client.clock, script);
    let all = async move {
        let mut seen: Vec<Exchange> = (0..number).map(|_| Exchange::default()).collect();
        let mut links: Vec<_> = (0..number).map(|_| client.pool.link()).collect();
        for link in &mut links {
            // The exchange meets a failure again.
            drop(client.pool.open_ahead(link).await);
        }
        let (client, clock) = (&client, client.clock);
        let each = links.iter_mut().zip(&mut seen).zip(1..).map(|((link, seen), at)| async move {
            clock.sleep_until(at * MS).await;
            client.send(link, seen).await;
        });
        join(each.collect()).await;
        seen
    };
    tokio::join!(all, server).0
}

/// Waits for all of them.
async fn join<F: Future<Output = ()>>(each: Vec<F>) {
    let mut each: Vec<_> = each.into_iter().map(|one| Some(Box::pin(one))).collect();
    poll_fn(|cx| {
        for one in &mut each {
            if one.as_mut().is_some_and(|one| one.as_mut().poll(cx).is_ready()) {
                *one = None;
            }
        }
        if each.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// When chunks came, ms.
fn chunks(seen: &Exchange) -> Vec<u64> {
    seen.chunks().iter().map(|chunk| chunk.ns / MS).collect()
}

fn is_ok(seen: &Exchange) -> bool {
    seen.outcome == Some(Outcome::Ok)
}

#[tokio::test(start_paused = true)]
async fn answers_on_one_connection_keep_their_own_stamps() {
    let both = [data(1, &token("b")), data(3, &token("c"))].concat();
    let ends = [data(3, &token("d")), data(3, DONE), end(3), data(1, DONE), end(1)].concat();
    let script = vec![
        Do::Greet(settings(&[])),
        Do::Requests(2),
        Do::WaitUntil(10 * MS),
        Do::Write([head(1), head(3)].concat()),
        Do::WaitUntil(20 * MS),
        Do::Write(data(1, &token("a"))),
        Do::WaitUntil(30 * MS),
        Do::Write(both),
        Do::WaitUntil(40 * MS),
        Do::Write(ends),
    ];
    let seen = exchanges(2, script).await;
    assert!(seen.iter().all(is_ok), "{seen:?}");
    assert_eq!((chunks(&seen[0]), chunks(&seen[1])), (vec![20, 30], vec![30, 40]));
    assert_eq!((&*seen[0].text, &*seen[1].text), ("ab", "cd"));
    for (seen, sent) in seen.iter().zip(1..) {
        assert_eq!(seen.sent_ns, Some(sent * MS));
        assert_eq!(seen.headers_ns, Some(10 * MS));
        assert_eq!(
            (seen.end_ns, seen.connection, seen.reads),
            (Some(40 * MS), Some(0), 3 - (sent - 1))
        );
        assert_eq!(
            (seen.connected_late, seen.stale_resend, seen.window_wait_ns),
            (false, false, None)
        );
        assert_eq!(seen.shared_with, Some(sent - 1));
    }
    // The read at 30 ms brought a chunk of each: the second one may have come earlier than its stamp.
    let merged = |seen: &Exchange| (seen.merged_reads, seen.merged_chunks);
    assert_eq!((merged(&seen[0]), merged(&seen[1])), ((0, 0), (0, 1)));
}

#[tokio::test(start_paused = true)]
async fn an_event_has_the_stamp_of_the_read_in_which_it_began() {
    let answer = [head(1), data(1, &token("a"))].concat();
    let (first, rest) = answer.split_at(answer.len() - 5);
    let script = vec![
        Do::Greet(settings(&[])),
        Do::Requests(1),
        Do::WaitUntil(10 * MS),
        Do::Write(first.to_vec()),
        Do::WaitUntil(25 * MS),
        Do::Write(rest.to_vec()),
        Do::WaitUntil(30 * MS),
        Do::Write([data(1, DONE), end(1)].concat()),
    ];
    let seen = exchanges(1, script).await.remove(0);
    assert!(is_ok(&seen), "{seen:?}");
    assert_eq!((chunks(&seen), seen.end_ns), (vec![10], Some(30 * MS)));
}

/// What a caller can tell of an answer, but for reads.
fn told(seen: &Exchange) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {}",
        chunks(seen),
        seen.text,
        seen.headers_ns,
        seen.end_ns,
        seen.outcome,
        seen.tokens()
    )
}

#[tokio::test(start_paused = true)]
async fn a_cut_anywhere_changes_nothing() {
    let padded = frame(DATA, 8, 3, &[&[4][..], token("p").as_bytes(), &[0; 4]].concat());
    let answers = [
        head(1),
        head(3),
        data(1, &token("a")),
        data(3, &token("b")),
        padded,
        frame(6, 0, 0, &[0; 8]),
        data(1, &(token("c") + &token("d"))),
        data(3, DONE),
        end(3),
        data(1, DONE),
        end(1),
    ]
    .concat();
    let cut = |at: usize| {
        let (first, rest) = answers.split_at(at);
        vec![
            Do::Greet(settings(&[])),
            Do::Requests(2),
            Do::WaitUntil(10 * MS),
            Do::Write(first.to_vec()),
            Do::Write(rest.to_vec()),
        ]
    };
    let expected: Vec<String> = exchanges(2, cut(0)).await.iter().map(told).collect();
    assert!(expected[0].contains("acd") && expected[1].contains("bp"), "{expected:?}");
    for at in 1..answers.len() {
        let seen = exchanges(2, cut(at)).await;
        assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), expected, "cut at {at}");
    }
    let bytes = answers.iter().map(|byte| Do::Write(vec![*byte]));
    let start = vec![Do::Greet(settings(&[])), Do::Requests(2), Do::WaitUntil(10 * MS)];
    let seen = exchanges(2, start.into_iter().chain(bytes).collect()).await;
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), expected, "byte by byte");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_fails_alone() {
    let script = vec![
        Do::Greet(settings(&[])),
        Do::Requests(2),
        Do::WaitUntil(10 * MS),
        Do::Write([head(1), data(1, &token("a")), frame(RESET, 0, 1, &[0, 0, 0, 2])].concat()),
        Do::WaitUntil(20 * MS),
        Do::Write(whole(3)),
    ];
    let seen = exchanges(2, script).await;
    assert_eq!((kind(&seen[0]), seen[0].end_ns), (FailureKind::StreamReset, Some(10 * MS)));
    assert!(failure(&seen[0]).message.contains("INTERNAL_ERROR"), "{:?}", failure(&seen[0]));
    assert_eq!((chunks(&seen[0]), chunks(&seen[1])), (vec![10], vec![20]));
    assert!(is_ok(&seen[1]));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_refused_goes_out_again() {
    let script = vec![
        Do::Greet(settings(&[])),
        Do::Requests(1),
        Do::Write(frame(RESET, 0, 1, &[0, 0, 0, 7])),
        Do::Requests(2),
        Do::WaitUntil(10 * MS),
        Do::Write(whole(3)),
    ];
    let seen = exchanges(1, script).await.remove(0);
    assert!(is_ok(&seen), "{seen:?}");
    assert_eq!((seen.stale_resend, seen.connection), (true, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn what_a_server_that_goes_away_has_not_taken_goes_out_again() {
    let script = vec![
        Do::Greet(settings(&[])),
        Do::Requests(2),
        Do::WaitUntil(10 * MS),
        Do::Write(frame(GO_AWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])),
        Do::Write(whole(1)),
        Do::Greet(settings(&[])),
        Do::Requests(3),
        Do::WaitUntil(20 * MS),
        Do::Write(whole(1)),
    ];
    let seen = exchanges(2, script).await;
    assert!(seen.iter().all(is_ok), "{seen:?}");
    let facts = |seen: &Exchange| (seen.connection, seen.stale_resend, chunks(seen));
    assert_eq!(facts(&seen[0]), (Some(0), false, vec![10]));
    assert_eq!(facts(&seen[1]), (Some(1), true, vec![20]));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_taken_is_not_sent_twice() {
    let script = vec![
        Do::Greet(settings(&[])),
        Do::Requests(1),
        Do::WaitUntil(10 * MS),
        Do::Write(frame(GO_AWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11])),
        Do::Close,
    ];
    let seen = exchanges(1, script).await.remove(0);
    assert!(matches!(kind(&seen), FailureKind::GoAway | FailureKind::ClosedEarly), "{seen:?}");
    assert!(!seen.stale_resend);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_fails_all_its_answers() {
    let script = vec![
        Do::Greet(settings(&[])),
        Do::Requests(2),
        Do::WaitUntil(10 * MS),
        Do::Write([head(1), data(1, &token("a")), head(3)].concat()),
        Do::WaitUntil(20 * MS),
        Do::Close,
    ];
    let seen = exchanges(2, script).await;
    for seen in &seen {
        let facts = (kind(seen), seen.end_ns, seen.stale_resend);
        assert_eq!(facts, (FailureKind::ClosedEarly, Some(20 * MS), false));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_in_silence_is_replaced_once() {
    let script = vec![
        Do::Greet(settings(&[])),
        Do::Requests(1),
        Do::Close,
        Do::Greet(settings(&[])),
        Do::Requests(2),
        Do::WaitUntil(10 * MS),
        Do::Write(whole(1)),
    ];
    let seen = exchanges(1, script).await.remove(0);
    assert!(is_ok(&seen), "{seen:?}");
    assert_eq!((seen.stale_resend, seen.connection), (true, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_few_streams_gets_more_connections() {
    let script = vec![
        Do::Greet(settings(&[(MAX_STREAMS, 1)])),
        Do::Greet(settings(&[(MAX_STREAMS, 1)])),
        Do::Requests(2),
        Do::WaitUntil(10 * MS),
        Do::Write(whole(1)),
        Do::Close,
        Do::Write(whole(1)),
    ];
    let seen = exchanges(2, script).await;
    assert!(seen.iter().all(is_ok), "{seen:?}");
    let facts = |seen: &Exchange| (seen.connection, seen.connected_late, seen.shared_with);
    assert_eq!(facts(&seen[0]), (Some(0), false, Some(0)));
    assert_eq!(facts(&seen[1]), (Some(1), false, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_full_window_is_told() {
    let script = vec![
        Do::Greet(settings(&[(WINDOW, 4)])),
        Do::WaitUntil(51 * MS),
        Do::Write(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0])),
        Do::Requests(1),
        Do::WaitUntil(60 * MS),
        Do::Write(whole(1)),
    ];
    let seen = exchanges(1, script).await.remove(0);
    assert!(is_ok(&seen), "{seen:?}");
    assert_eq!((seen.sent_ns, seen.window_wait_ns), (Some(51 * MS), Some(50 * MS)));
}

#[tokio::test(start_paused = true)]
async fn a_server_of_http_1_is_said_to_be_one() {
    let script = vec![Do::Greet(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Do::Close];
    let script = script.into_iter().chain([Do::Greet(vec![]), Do::Close]);
    let seen = exchanges(1, script.collect()).await.remove(0);
    assert_eq!(kind(&seen), FailureKind::NoHttp2, "{seen:?}");
}
