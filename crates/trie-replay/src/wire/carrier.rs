//! What carries one request and its answer: a connection of HTTP/1.1, or a stream of an HTTP/2 one.

use bytes::Bytes;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::Clock;

use super::connection::Connection;
use super::failure::{Failure, FailureKind};
use super::http2;
use super::intake::SocketRead;
use super::tap::StampSource;

/// An open connection, or a place on one.
pub(crate) enum Carrier<C: Clock, Io> {
    /// All of it. Boxed, so that futures that hold it stay small.
    Http1(Box<Connection<C, Io>>),
    /// Others have places beside it.
    Http2(http2::Stream<C>),
}

/// When the parts of an answer came, monotonic ns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// Its head.
    pub(crate) head_ns: Option<u64>,
    /// The last content so far.
    pub(crate) last_ns: Option<u64>,
    /// The end.
    pub(crate) end_ns: Option<u64>,
    /// Reads that brought content.
    pub(crate) reads: u64,
}

/// What is known of a request on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Going {
    /// Stamp of its last byte, monotonic ns, once that went.
    pub(crate) sent_ns: Option<u64>,
    /// HTTP/2: other requests that were under way on the connection when this one was sent.
    pub(crate) others: Option<u64>,
    /// HTTP/2: how long the server's windows held it up so far, where they did, ns.
    pub(crate) window_wait_ns: Option<u64>,
}

/// A request without an answer's head.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) failure: Failure,
    /// No byte of an answer came back.
    pub(crate) silent: bool,
    /// The server did not begin with it, by the protocol's own word.
    pub(crate) left_out: bool,
}

impl Unanswered {
    /// It could not be sent at all.
    pub(super) fn unsent(failure: Failure) -> Self {
        let left_out = failure.kind != FailureKind::BadHttp;
        Self { failure, silent: true, left_out }
    }

    /// The server had closed the connection before it saw the request.
    pub(crate) fn is_stale(&self) -> bool {
        let closed = matches!(self.failure.kind, FailureKind::ClosedEarly | FailureKind::Reset);
        self.silent && closed
    }
}

impl<C: Clock, Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Carrier<C, Io> {
    /// Number of the connection, from 0 in its pool.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Http1(connection) => connection.number,
            Self::Http2(stream) => stream.number(),
        }
    }

    /// How long the connection took to open, ns, while no request was sent on it.
    pub(crate) fn opened_in_ns(&self) -> Option<u64> {
        match self {
            Self::Http1(connection) => (!connection.used).then_some(connection.connect_ns),
            Self::Http2(stream) => stream.opened_in_ns(),
        }
    }

    /// Number of reads of the connection that only the user's clock has stamped.
    pub(crate) fn unstamped(&self) -> u64 {
        match self {
            Self::Http1(connection) => connection.tap.unstamped(),
            Self::Http2(stream) => stream.unstamped(),
        }
    }

    /// Where stamps come from, given how many reads had none of the kernel's before.
    pub(crate) fn source(&self, unstamped: u64) -> StampSource {
        match self {
            Self::Http1(connection) => connection.tap.source(unstamped),
            Self::Http2(stream) => stream.source(unstamped),
        }
    }

    /// Whether a request can be sent now. Decides at once, except where HTTP/1 waits for an end.
    pub(crate) async fn is_usable(&mut self, clock: &C) -> bool {
        match self {
            Self::Http1(connection) => connection.is_usable(clock).await,
            Self::Http2(stream) => stream.is_usable(),
        }
    }

    /// Sends a request and waits for the head of its answer; `each_poll` is told what is known of it meanwhile.
    pub(crate) async fn send(
        &mut self,
        request: Request<Bytes>,
        mut each_poll: impl FnMut(Going),
    ) -> Result<Response<()>, Unanswered> {
        match self {
            Self::Http1(connection) => {
                let before = connection.tap.bytes_in();
                let sent = |sent_ns| each_poll(Going { sent_ns, ..Going::default() });
                connection.send(request, sent).await.map_err(|failure| {
                    let silent = connection.tap.bytes_in() == before;
                    Unanswered { failure, silent, left_out: false }
                })
            }
            Self::Http2(stream) => stream.send(request, each_poll).await,
        }
    }

    /// Hands the content of an answer to `take`, piece by piece as it comes, until that has had enough: what
    /// it says then, or `None` at the body's end. A piece comes with the read that carried it.
    pub(crate) async fn receive<T>(
        &mut self,
        take: impl FnMut(&[u8], SocketRead) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        match self {
            Self::Http1(connection) => connection.receive(take).await,
            Self::Http2(stream) => stream.receive(take).await,
        }
    }

    /// When the parts of the answer came that is received, or was.
    pub(crate) fn times(&self) -> Times {
        match self {
            Self::Http1(connection) => connection.times(),
            Self::Http2(stream) => stream.times(),
        }
    }
}
