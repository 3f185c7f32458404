//! A server that reads requests and writes the bytes it was told to, when it was told to.

use http::header::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::Receiver;
use trie_replay::clock::{Clock, PausedClock};
use trie_replay::wire::{
    Api, Endpoint, Exchange, Failure, FailureKind, Keep, Link, Outcome, PipeConnector, Pool, Post,
    ROUTING_KEY, Reuse, Target, exchange, pipe,
};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// What the server does next.
#[derive(Debug, Clone)]
pub(crate) enum Do {
    /// Writes.
    Write(Vec<u8>),
    /// Waits until this many ns after the test began.
    WaitUntil(u64),
    /// Reads the next request to its end.
    Read,
    /// Closes this connection and accepts the next.
    Accept,
    /// Keeps the connection open until the client closes it.
    Hold,
}

pub(crate) fn write(bytes: impl AsRef<[u8]>) -> Do {
    Do::Write(bytes.as_ref().to_vec())
}

/// The head of an event stream whose end is the end of the connection.
pub(crate) const SSE_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// The head of a chunked event stream.
pub(crate) const CHUNKED_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One HTTP chunk.
pub(crate) fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

/// An answer with a length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

/// One token as a completions event.
pub(crate) fn token(text: &str) -> String {
    format!(
        "data: {{\"id\":\"c-1\",\"choices\":[{{\"text\":\"{text}\",\"finish_reason\":null}}]}}\n\n"
    )
}

pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// Plays the script and returns the bytes of all requests; ends when the script does, after the
/// client closed where it says so.
pub(crate) async fn play(
    mut accepted: Receiver<DuplexStream>,
    clock: PausedClock,
    script: Vec<Do>,
) -> Vec<String> {
    let mut requests = Vec::new();
    let mut stream = accepted.recv().await;
    for step in script {
        let open = stream.as_mut().expect("the script goes on and the client is gone");
        match step {
            Do::Write(bytes) => open.write_all(&bytes).await.unwrap(),
            Do::WaitUntil(ns) => clock.sleep_until(ns).await,
            Do::Read => requests.push(read_request(open).await),
            Do::Accept => {
                drop(stream.take());
                stream = accepted.recv().await;
            }
            Do::Hold => {
                let mut rest = Vec::new();
                open.read_to_end(&mut rest).await.unwrap();
                requests.push(format!("closed at {} ms", clock.now() / MS));
            }
        }
    }
    requests
}

async fn read_request(stream: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let byte = stream.read_u8().await.expect("a request is on its way");
        bytes.push(byte);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            return text.into_owned();
        }
    }
}

/// Everything a client needs, over a pipe, on a paused clock.
pub(crate) struct Client {
    pub(crate) pool: Pool<PausedClock, PipeConnector>,
    pub(crate) clock: PausedClock,
    pub(crate) target: Target,
    pub(crate) stream: bool,
    pub(crate) timeout_ns: u64,
}

impl Client {
    pub(crate) fn start(reuse: Reuse) -> (Self, Receiver<DuplexStream>) {
        let clock = PausedClock::start();
        let (connector, accepted) = pipe();
        let endpoint = Endpoint::parse("http://pipe:8000/v1").unwrap();
        let target =
            Target::new(&endpoint, None, Api::Completions, Some("sk-canary"), &[]).unwrap();
        let pool = Pool::new(connector, clock, reuse, SECOND);
        (Self { pool, clock, target, stream: true, timeout_ns: 60 * SECOND }, accepted)
    }

    pub(crate) async fn send<Io>(&self, link: &mut Link<PausedClock, Io>, seen: &mut Exchange)
    where
        Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        PipeConnector: trie_replay::wire::Connector<PausedClock, Io = Io>,
    {
        let post = Post {
            target: &self.target,
            headers: &[(ROUTING_KEY, HeaderValue::from_static("7"))],
            body: "{\"prompt\":\"hi\"}".into(),
            stream: self.stream,
            deadline_ns: self.clock.now() + self.timeout_ns,
            keep: Keep { text: true, ids: true },
            on_first_token: &|_| (),
        };
        exchange(&self.pool, link, &post, seen).await;
    }
}

/// One exchange against a script that starts after the request was read.
pub(crate) async fn run(stream: bool, script: Vec<Do>) -> Exchange {
    let (mut client, accepted) = Client::start(Reuse::Conversation);
    client.stream = stream;
    let script = std::iter::once(Do::Read).chain(script).collect();
    let server = play(accepted, client.clock, script);
    let mut link = client.pool.link();
    let mut seen = Exchange::default();
    tokio::join!(
        async {
            client.send(&mut link, &mut seen).await;
            drop(link);
        },
        server
    );
    seen
}

pub(crate) fn failure(seen: &Exchange) -> &Failure {
    match seen.outcome.as_ref().expect("the exchange ended") {
        Outcome::Ok => panic!("it did not fail: {seen:?}"),
        Outcome::Failed(failure) => failure,
    }
}

pub(crate) fn kind(seen: &Exchange) -> FailureKind {
    failure(seen).kind
}
