//! One connection of the source: a request in, chunks out.

use std::io::{self, Read, Write};
use std::mem;
use std::net::TcpStream;

use memchr::memmem;
use serde::{Deserialize, Serialize};
use trie_replay::clock::{Clock as _, SystemClock};

use super::source::Schedule;
use crate::shapes;

/// Bytes of chunks that are made at a time where they go out as fast as they can.
const BATCH: usize = 64 << 10;

/// An answer as the source gave it. Times are `CLOCK_MONOTONIC`, ns.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Served {
    /// The id in its chunks.
    pub(crate) id: String,
    /// When the request had been read.
    pub(crate) received_ns: u64,
    /// Right before the write of each chunk.
    pub(crate) written_ns: Vec<u64>,
    /// Writes that the socket did not take whole at once.
    pub(crate) blocked: u64,
}

/// What follows from a look at a connection.
pub(crate) enum Step {
    /// It waits for the other side.
    Wait,
    /// Its next chunk is due then.
    Due(u64),
    /// Its answer is complete.
    Answered(Served),
    /// It was closed.
    Gone,
}

/// A connection.
pub(crate) struct Conversation {
    stream: TcpStream,
    schedule: Schedule,
    /// Of a request that is not complete.
    heard: Vec<u8>,
    answer: Option<Answer>,
}

struct Answer {
    served: Served,
    prompt_tokens: usize,
    /// Chunks in all, and those made.
    chunks: usize,
    made: usize,
    next_due: u64,
    /// Made and not yet taken by the socket, and how much of it was.
    buffer: Vec<u8>,
    taken: usize,
}

impl Conversation {
    pub(crate) fn new(stream: TcpStream, schedule: Schedule) -> Self {
        Self { stream, schedule, heard: Vec::new(), answer: None }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What was sent of an answer that is not complete.
    pub(crate) fn into_served(self) -> Option<Served> {
        self.answer.map(|answer| answer.served)
    }

    /// Reads what is there; a request that is complete becomes answer number `number`.
    pub(crate) fn read(&mut self, number: u64) -> io::Result<Step> {
        let mut bytes = [0; 16 << 10];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(Step::Gone),
                Ok(count) => self.heard.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let Some(request) = Request::whole(&self.heard) else { return Ok(Step::Wait) };
        self.heard.clear();
        let now = SystemClock.now();
        let mut buffer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_vec();
        buffer.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        let paced = self.schedule.every_ns > 0;
        self.answer = Some(Answer {
            served: Served {
                id: format!("cmpl-{number:016x}"),
                received_ns: now,
                written_ns: Vec::with_capacity(if paced { request.max_tokens } else { 0 }),
                blocked: 0,
            },
            prompt_tokens: request.prompt_tokens,
            chunks: request.max_tokens,
            made: 0,
            next_due: now + self.schedule.first_ns,
            buffer,
            taken: 0,
        });
        if self.flush()? { Ok(Step::Due(now + self.schedule.first_ns)) } else { Ok(Step::Wait) }
    }

    /// The next chunk is due.
    pub(crate) fn write_next(&mut self) -> io::Result<Step> {
        let Some(answer) = &mut self.answer else { return Ok(Step::Wait) };
        if !answer.buffer.is_empty() {
            // The socket is full; what is due follows when it has room again.
            return Ok(Step::Wait);
        }
        if self.schedule.every_ns == 0 {
            return self.pour();
        }
        answer.make(self.schedule);
        answer.next_due += self.schedule.every_ns;
        answer.served.written_ns.push(SystemClock.now());
        if self.flush()? { Ok(self.after_chunk()) } else { Ok(Step::Wait) }
    }

    /// The socket has room.
    pub(crate) fn resume(&mut self) -> io::Result<Step> {
        let pending = self.answer.as_ref().is_some_and(|answer| !answer.buffer.is_empty());
        if !pending || !self.flush()? {
            return Ok(Step::Wait);
        }
        if self.schedule.every_ns == 0 { self.pour() } else { Ok(self.after_chunk()) }
    }

    /// Writes chunks until the socket is full or the answer complete.
    fn pour(&mut self) -> io::Result<Step> {
        loop {
            let Some(answer) = &mut self.answer else { return Ok(Step::Wait) };
            if answer.made == answer.chunks {
                return Ok(self.after_chunk());
            }
            while answer.buffer.len() < BATCH && answer.made < answer.chunks {
                answer.make(self.schedule);
            }
            if !self.flush()? {
                return Ok(Step::Wait);
            }
        }
    }

    /// A chunk is out.
    fn after_chunk(&mut self) -> Step {
        match self.answer.take() {
            None => Step::Wait,
            Some(answer) if answer.made == answer.chunks => Step::Answered(answer.served),
            Some(answer) => {
                let due = answer.next_due;
                self.answer = Some(answer);
                Step::Due(due)
            }
        }
    }

    /// Writes what was made; whether all of it is out.
    fn flush(&mut self) -> io::Result<bool> {
        let Some(answer) = &mut self.answer else { return Ok(true) };
        while answer.taken < answer.buffer.len() {
            match self.stream.write(&answer.buffer[answer.taken..]) {
                Ok(count) => answer.taken += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    answer.served.blocked += 1;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        answer.buffer.clear();
        answer.taken = 0;
        Ok(true)
    }
}

impl Answer {
    /// Adds a chunk to the buffer; with the last one, what ends the stream.
    fn make(&mut self, schedule: Schedule) {
        let last = self.made + 1 == self.chunks;
        let mut event = mem::take(&mut self.buffer);
        let answer = shapes::Answer { id: &self.served.id, prompt_tokens: self.prompt_tokens };
        schedule.shape.push_frame(&mut event, answer, (self.made, last));
        if last {
            shapes::push_end(&mut event, answer, self.chunks);
        }
        self.buffer = event;
        self.made += 1;
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    max_tokens: usize,
    /// Ids in its prompt.
    prompt_tokens: usize,
}

impl Request {
    /// The request that these bytes hold, if they hold all of it.
    fn whole(bytes: &[u8]) -> Option<Self> {
        let end = memmem::find(bytes, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let body = bytes[end..].get(..length?.trim().parse().ok()?)?;
        let after =
            |name: &str| memmem::find(body, name.as_bytes()).map(|at| &body[at + name.len()..]);
        let digits = |text: &[u8]| {
            let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            String::from_utf8_lossy(&text[..digits]).parse().ok()
        };
        let prompt =
            after(r#""prompt":["#).and_then(|text| text.split(|byte| *byte == b']').next());
        let commas = prompt.map(|ids| memchr::memchr_iter(b',', ids).count() + 1);
        Some(Self {
            max_tokens: after(r#""max_tokens":"#).and_then(digits)?,
            prompt_tokens: commas.unwrap_or(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_when_it_is_whole() {
        let text = "POST /v1/completions HTTP/1.1\r\nContent-Length: 38\r\n\r\n{\"prompt\":[1,22,333],\"max_tokens\":128}";
        let check = |bytes: usize, expected| {
            assert_eq!(Request::whole(&text.as_bytes()[..bytes]), expected);
        };
        check(text.len(), Some(Request { max_tokens: 128, prompt_tokens: 3 }));
        check(text.len() - 1, None);
        check(20, None);
    }
}
