//! One HTTP/1.1 connection, driven by whoever uses it.
//!
//! All connections of a thread read into one buffer, which is decoded at once and then free for the next
//! read: it stays in the core's cache, and a connection at rest holds none.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

use super::carrier::Times;
use super::connect::{ConnectError, Connector};
use super::failure::Failure;
use super::intake::SocketRead;
use super::message::{Body, Head, HttpError, encode, parse_head};
use super::reads::Reads;
use super::tap::Tap;

/// Most bytes of a read: over a hundred chunks.
const READ_BUFFER: usize = 32 << 10;

/// How long a connection may take to deliver the end of a body whose content was complete. Servers
/// write it within a millisecond of the last event; one that does not loses the connection.
const SETTLE_NS: u64 = 20_000_000;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into_boxed_slice());
}

/// An open connection. Nothing runs in the background: it moves while an exchange polls it. Dropping
/// it closes the socket.
pub(crate) struct Connection<C, Io> {
    io: Io,
    pub(crate) tap: Tap<C>,
    /// Counts the connections of a pool from 0.
    pub(crate) number: u64,
    /// How long it took to open, ns.
    pub(crate) connect_ns: u64,
    /// Whether a request was sent on it.
    pub(crate) used: bool,
    /// What the socket has not taken of a request; none once it was flushed.
    unsent: Option<Unsent>,
    /// Read, and not decoded: a head that is not complete, or what came with one.
    held: Vec<u8>,
    /// Of the answer that is being read, or was.
    body: Body,
    /// Whether it may carry another request once the body has ended.
    keeps: bool,
    /// The read in which the answer's head ended.
    head: Option<SocketRead>,
}

/// A request's bytes.
struct Unsent {
    head: Bytes,
    body: Bytes,
}

impl<C: Clock, Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<C, Io> {
    /// Opens the connection with this number. Boxed, so that futures that hold it stay small.
    pub(super) async fn open<N>(
        connector: &N,
        clock: &C,
        number: u64,
        reads: &Arc<Reads>,
    ) -> Result<Box<Self>, ConnectError>
    where
        N: Connector<C, Io = Io>,
    {
        let tap = Tap::new(clock.clone(), Arc::clone(reads));
        let start = clock.now();
        let io = connector.connect(&tap).await?;
        let connect_ns = clock.now() - start;
        Ok(Box::new(Self {
            io,
            tap,
            number,
            connect_ns,
            used: false,
            unsent: None,
            held: Vec::new(),
            body: Body::ENDED,
            keeps: true,
            head: None,
        }))
    }

    /// Whether a request can be sent now: the last answer was read to its end and the server has
    /// not closed. Decides at once, except where an end is outstanding.
    pub(crate) async fn is_usable(&mut self, clock: &C) -> bool {
        let limit = clock.now() + SETTLE_NS;
        tokio::select! {
            biased;
            usable = poll_fn(|cx| self.poll_usable(cx)) => usable,
            () = clock.sleep_until(limit) => false,
        }
    }

    fn poll_usable(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.unsent.is_some() {
            // It was answered before it was sent: its rest would be read as the next request.
            return Poll::Ready(false);
        }
        let mut ignore = |_: &[u8], _| None::<()>;
        let held = std::mem::take(&mut self.held);
        self.keeps &= self.decode(&held, &mut ignore).is_ok();
        while self.keeps {
            // What comes now is the rest of an answer, its end, or nothing that was asked for.
            match self.poll_read(cx, |connection, bytes| connection.decode(bytes, &mut ignore)) {
                Poll::Ready(Ok(Some(_decoded))) => {}
                Poll::Ready(Ok(None) | Err(_)) => return Poll::Ready(false),
                Poll::Pending if self.body.is_ended() => return Poll::Ready(true),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(false)
    }

    /// Sends a request and waits for the head of its answer; `each_poll` is told the stamp of the request's
    /// last byte, once it went.
    pub(crate) async fn send(
        &mut self,
        request: Request<Bytes>,
        mut each_poll: impl FnMut(Option<u64>),
    ) -> Result<Response<()>, Failure> {
        self.tap.begin_request();
        self.used = true;
        self.head = None;
        let head = encode(&request).into();
        self.unsent = Some(Unsent { head, body: request.into_body() });
        poll_fn(|cx| {
            let written = self.poll_write(cx);
            each_poll(self.tap.flushed_ns());
            // A server may refuse what it has not read, and close: its answer says why.
            match (self.poll_head(cx), written) {
                (Poll::Pending, Poll::Ready(Err(error))) => {
                    Poll::Ready(Err(Failure::from_io(&error)))
                }
                (head, _) => head,
            }
        })
        .await
    }

    /// Hands the content of a body to `take`, piece by piece as it comes, until that has had enough: what
    /// it says then, or `None` at the body's end. A piece comes with the read that carried its last byte.
    pub(crate) async fn receive<T>(
        &mut self,
        mut take: impl FnMut(&[u8], SocketRead) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        poll_fn(|cx| self.poll_receive(cx, &mut take)).await
    }

    fn poll_receive<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(&[u8], SocketRead) -> Option<T>,
    ) -> Poll<Result<Option<T>, Failure>> {
        let held = std::mem::take(&mut self.held);
        let mut taken = self.decode(&held, take)?;
        while taken.is_none() && !self.body.is_ended() {
            if self.unsent.is_some()
                && self.poll_write(cx).map(|sent| sent.is_err()) == Poll::Ready(true)
            {
                // The answer is on its way all the same.
                self.unsent = None;
                self.keeps = false;
            }
            match ready!(self.poll_read(cx, |connection, bytes| connection.decode(bytes, take))) {
                Ok(Some(decoded)) => taken = decoded?,
                Ok(None) if self.body == Body::UntilClosed => {
                    self.body = Body::ENDED;
                    self.keeps = false;
                }
                Ok(None) => return Poll::Ready(Err(Failure::closed("the answer was complete"))),
                Err(error) => return Poll::Ready(Err(Failure::from_io(&error))),
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Takes what a read brought of the body; what of it nobody wants any more is passed over.
    fn decode<T>(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&[u8], SocketRead) -> Option<T>,
    ) -> Result<Option<T>, HttpError> {
        let read = self.newest_read();
        let (mut rest, mut taken) = (bytes, None);
        loop {
            match self.body.next(&mut rest) {
                Ok(Some(piece)) if taken.is_none() => taken = take(piece, read),
                Ok(Some(_unwanted)) => {}
                Ok(None) => break,
                Err(error) => {
                    self.keeps = false;
                    return if taken.is_some() { Ok(taken) } else { Err(error) };
                }
            }
        }
        // Nobody asked for what follows a body.
        self.keeps &= rest.is_empty();
        Ok(taken)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Failure>> {
        loop {
            let take = |connection: &mut Self, bytes: &[u8]| connection.take_head(bytes);
            match ready!(self.poll_read(cx, take)) {
                Ok(Some(Ok(Some(head)))) => return Poll::Ready(Ok(head)),
                Ok(Some(Ok(None))) => {}
                Ok(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                Ok(None) => return Poll::Ready(Err(Failure::closed("it answered"))),
                Err(error) => return Poll::Ready(Err(Failure::from_io(&error))),
            }
        }
    }

    /// Takes what a read brought of a head, and holds what is not of it.
    fn take_head(&mut self, bytes: &[u8]) -> Result<Option<Response<()>>, HttpError> {
        self.held.extend_from_slice(bytes);
        let Some((Head { response, body, keeps }, length)) = parse_head(&self.held)? else {
            return Ok(None);
        };
        self.held = self.held.split_off(length);
        self.body = body;
        self.keeps &= keeps;
        self.head = Some(self.newest_read());
        Ok(Some(response))
    }

    fn newest_read(&self) -> SocketRead {
        SocketRead::new(self.tap.read_ns().unwrap_or_default(), self.tap.reads())
    }

    /// When the parts of the answer came that is received, or was.
    pub(super) fn times(&self) -> Times {
        let last_ns = self.tap.read_ns();
        Times {
            head_ns: self.head.map(|read| read.ns),
            last_ns,
            end_ns: self.tap.eof_ns().max(last_ns),
            reads: self.tap.reads() - self.head.map_or(0, |read| read.number),
        }
    }

    /// Reads once and hands over what came; `None` at the end of the stream.
    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Self, &[u8]) -> T,
    ) -> Poll<io::Result<Option<T>>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buf = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            let bytes = buf.filled();
            Poll::Ready(Ok((!bytes.is_empty()).then(|| take(self, bytes))))
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(unsent) = &mut self.unsent else { return Poll::Ready(Ok(())) };
        let mut io = Pin::new(&mut self.io);
        while unsent.has_remaining() {
            let written = ready!(unsent.poll_write(io.as_mut(), cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            unsent.advance(written);
        }
        ready!(io.poll_flush(cx))?;
        self.unsent = None;
        Poll::Ready(Ok(()))
    }
}

impl Unsent {
    fn has_remaining(&self) -> bool {
        self.head.has_remaining() || self.body.has_remaining()
    }

    fn poll_write(
        &self,
        io: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match (self.head.is_empty(), io.is_write_vectored()) {
            (true, _) => io.poll_write(cx, &self.body),
            (false, true) => {
                io.poll_write_vectored(cx, &[IoSlice::new(&self.head), IoSlice::new(&self.body)])
            }
            (false, false) => io.poll_write(cx, &self.head),
        }
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        self.body.advance(written - of_head);
    }
}

#[cfg(test)]
mod tests;
