//! One HTTP/1.1 connection, driven by whoever uses it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::Clock;
use crate::quiet::Attention;

use super::connect::{ConnectError, Connector};
use super::reads::Reads;
use super::tap::{HyperIo, Tap};

/// Most bytes that are read ahead of the parser. Left alone, hyper's buffer grew to 550 kB a
/// stream; 32 KiB holds over a hundred chunks.
const READ_BUFFER: usize = 32 << 10;

/// How long a connection may take to deliver the end of a body whose content was complete. Servers
/// write it within a millisecond of the last event; one that does not loses the connection.
const SETTLE_NS: u64 = 20_000_000;

/// An open connection. Nothing runs in the background: it moves while an exchange polls it, in
/// one task with the body, which costs 18 % less than a task of its own. Dropping it closes the
/// socket.
pub(crate) struct Connection<C, Io>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    sender: SendRequest<Full<Bytes>>,
    http: http1::Connection<HyperIo<Io>, Full<Bytes>>,
    pub(crate) tap: Tap<C>,
    /// Counts the connections of a pool from 0.
    pub(crate) number: u64,
    /// How long it took to open, ns.
    pub(crate) connect_ns: u64,
    /// Whether a request was sent on it.
    pub(crate) used: bool,
    /// A body that said all it had to say, but whose end has not been read.
    pub(crate) rest: Option<Incoming>,
    closed: bool,
    attention: Attention,
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
        let (sender, http) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(HyperIo(io))
            .await
            .expect("the HTTP/1 handshake exchanges nothing, so it cannot fail");
        let connect_ns = clock.now() - start;
        Ok(Box::new(Self {
            sender,
            http,
            tap,
            number,
            connect_ns,
            used: false,
            rest: None,
            closed: false,
            attention: Attention::default(),
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
        loop {
            self.poll_io(cx);
            if self.closed {
                return Poll::Ready(false);
            }
            let Some(rest) = &mut self.rest else {
                return self.sender.poll_ready(cx).map(|ready| ready.is_ok());
            };
            match Pin::new(rest).poll_frame(cx) {
                Poll::Ready(Some(Ok(_frame))) => {}
                Poll::Ready(Some(Err(_broken))) => return Poll::Ready(false),
                Poll::Ready(None) => self.rest = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends a request and waits for the head of its answer; `each_poll` sees the tap move.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        mut each_poll: impl FnMut(&Tap<C>),
    ) -> hyper::Result<Response<Incoming>> {
        self.tap.begin_request();
        self.used = true;
        let mut reply = pin!(self.sender.send_request(request));
        poll_fn(|cx| {
            self.poll_io(cx);
            each_poll(&self.tap);
            reply.as_mut().poll(cx)
        })
        .await
    }

    /// The next piece of a body. Right after it came, the tap's newest read is the one that
    /// carried the piece's last byte.
    pub(crate) async fn next_data(&mut self, body: &mut Incoming) -> Option<hyper::Result<Bytes>> {
        // The connection and the body wake each other, and both are polled here.
        let mut attention = std::mem::take(&mut self.attention);
        let data = poll_fn(|cx| attention.poll(cx, |cx| self.poll_data(body, cx))).await;
        self.attention = attention;
        data
    }

    fn poll_data(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Bytes>>> {
        loop {
            self.poll_io(cx);
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// An error of the connection also reaches the request or body that waits on it, which is
    /// where it is reported.
    fn poll_io(&mut self, cx: &mut Context<'_>) {
        if !self.closed {
            self.closed = Pin::new(&mut self.http).poll(cx).is_ready();
        }
    }
}
