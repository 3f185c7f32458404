//! A client that speaks raw HTTP/1.1 and notes when each byte came.

use std::future::pending;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinSet,
    time::Instant,
};
use trie_sim::{
    config::Config,
    server::{Ended, PipeConnector, pipe, serve},
};
use trie_tokens::Vocabulary;

/// A server started with `options`, and the time it started.
pub(crate) struct Fixture {
    connector: PipeConnector,
    pub(crate) started: Instant,
    pub(crate) server: JoinSet<Ended>,
}

/// One answer with the times, in milliseconds since the server's start, at which its parts came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status line and headers in lower case.
    pub(crate) head: String,
    pub(crate) head_ms: u64,
    pub(crate) body: Vec<u8>,
    /// When each HTTP chunk had come, and where in the body it ends.
    chunks: Vec<(u64, usize)>,
    /// Whether the body ended as its framing says.
    pub(crate) whole: bool,
    pub(crate) end_ms: u64,
}

#[expect(clippy::disallowed_methods, reason = "the tests' clock, paused")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) fn start(options: &[(&str, &str)]) -> Fixture {
    let mut config = Config::default();
    for (key, value) in options {
        config.set(key, value).unwrap();
    }
    let (connector, listener) = pipe();
    let mut server = JoinSet::new();
    server.spawn(async move {
        serve(listener, config, Vocabulary::builtin(), pending()).await.unwrap()
    });
    Fixture { connector, started: now(), server }
}

impl Fixture {
    pub(crate) async fn connect(&self) -> DuplexStream {
        self.connector.connect().await.unwrap()
    }

    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    /// One request on a connection of its own, read to the connection's end.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_with(method, path, "Connection: close\r\n", body).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let mut socket = self.connect().await;
        socket.write_all(request(method, path, headers, body).as_bytes()).await.unwrap();
        self.read(&mut socket).await
    }

    pub(crate) async fn complete(&self, body: &str) -> Answer {
        self.ask("POST", "/v1/completions", body).await
    }

    pub(crate) async fn chat(&self, body: &str) -> Answer {
        self.ask("POST", "/v1/chat/completions", body).await
    }

    /// Reads until the connection ends, or is broken.
    pub(crate) async fn read(&self, socket: &mut DuplexStream) -> Answer {
        let mut raw = Vec::new();
        // Bytes there were, and when.
        let mut reads = Vec::new();
        let mut piece = vec![0; 1 << 16];
        while let Ok(count @ 1..) = socket.read(&mut piece).await {
            raw.extend_from_slice(&piece[..count]);
            reads.push((raw.len(), self.elapsed_ms()));
        }
        parse(&raw, &reads, self.elapsed_ms())
    }
}

pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: sim\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn parse(raw: &[u8], reads: &[(usize, u64)], end_ms: u64) -> Answer {
    let time =
        |offset: usize| reads.iter().find(|(end, _)| *end >= offset).map_or(end_ms, |read| read.1);
    let Some(head_end) = find(raw, b"\r\n\r\n").map(|at| at + 4) else {
        let head = String::from_utf8_lossy(raw).into_owned();
        return Answer {
            head,
            head_ms: end_ms,
            body: vec![],
            chunks: vec![],
            whole: false,
            end_ms,
        };
    };
    let head = String::from_utf8_lossy(&raw[..head_end]).to_lowercase();
    let mut answer = Answer {
        head_ms: time(head_end),
        body: Vec::new(),
        chunks: Vec::new(),
        whole: false,
        end_ms,
        head,
    };
    let mut rest = head_end;
    if !answer.head.contains("transfer-encoding: chunked") {
        answer.body = raw[rest..].to_vec();
        answer.whole = answer.head.contains(&format!("content-length: {}\r\n", answer.body.len()));
        return answer;
    }
    while let Some(line) = find(&raw[rest..], b"\r\n") {
        let size = std::str::from_utf8(&raw[rest..rest + line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let from = rest + line + 2;
        if size == 0 {
            answer.whole = true;
            break;
        }
        if from + size + 2 > raw.len() {
            break;
        }
        answer.body.extend_from_slice(&raw[from..from + size]);
        rest = from + size + 2;
        answer.chunks.push((time(rest), answer.body.len()));
    }
    answer
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap_or("0").parse().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The data of each event, and when its chunk had come.
    pub(crate) fn events(&self) -> Vec<(u64, String)> {
        let mut from = 0;
        let mut events = Vec::new();
        for (ms, end) in &self.chunks {
            let chunk = std::str::from_utf8(&self.body[from..*end]).unwrap();
            from = *end;
            if let Some(data) = chunk.strip_prefix("data: ") {
                events.push((*ms, data.trim_end().to_owned()));
            }
        }
        events
    }

    /// The events that are JSON.
    pub(crate) fn chunks(&self) -> Vec<(u64, Value)> {
        let events = self.events().into_iter().filter(|(_, data)| data != "[DONE]");
        events.map(|(ms, data)| (ms, serde_json::from_str(&data).unwrap())).collect()
    }

    /// When each chunk with a choice came.
    pub(crate) fn choice_ms(&self) -> Vec<u64> {
        let chunks = self.chunks().into_iter();
        chunks.filter(|(_, json)| json["choices"][0].is_object()).map(|(ms, _)| ms).collect()
    }

    /// The last usage of a stream, or the usage of a whole answer.
    pub(crate) fn usage(&self) -> Value {
        if self.chunks.is_empty() {
            return self.json()["usage"].clone();
        }
        let with_usage = |(_, json): &(u64, Value)| json["usage"].is_object();
        self.chunks()
            .into_iter()
            .rev()
            .find(with_usage)
            .map_or(Value::Null, |(_, json)| json["usage"].clone())
    }
}
