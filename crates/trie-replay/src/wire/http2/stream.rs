//! One request and its answer on a connection that carries others meanwhile.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{HeaderValue, Method, Request, Response, Uri, Version};

use crate::clock::Clock;

use super::super::carrier::{Going, Times, Unanswered};
use super::super::endpoint::Scheme;
use super::super::failure::{Failure, FailureKind};
use super::super::intake::SocketRead;
use super::super::tap::StampSource;
use super::session::{Place, Session, failure};

/// A place on a connection, and the request that is sent from it.
pub(crate) struct Stream<C> {
    request: Option<Running<C>>,
    place: Place<C>,
}

/// A request under way, or answered to its last event. Dropping it resets a stream that has not ended.
struct Running<C> {
    id: u32,
    answer: Option<RecvStream>,
    _sending: SendStream<Bytes>,
    session: Arc<Session<C>>,
}

impl<C> Drop for Running<C> {
    fn drop(&mut self) {
        self.session.book.open().close(self.id);
        if self.session.running.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.session.tap.watch(false);
        }
    }
}

impl<C: Clock> Stream<C> {
    /// Nothing was sent yet.
    pub(super) fn new(place: Place<C>) -> Self {
        Self { request: None, place }
    }

    fn session(&self) -> &Session<C> {
        &self.place.session
    }

    pub(crate) fn number(&self) -> u64 {
        self.session().number
    }

    /// How long the connection took to open, ns, while it has carried nothing.
    pub(crate) fn opened_in_ns(&self) -> Option<u64> {
        let used = self.session().used.load(Ordering::Relaxed);
        (!used).then_some(self.session().connect_ns)
    }

    pub(crate) fn unstamped(&self) -> u64 {
        self.session().tap.unstamped()
    }

    pub(crate) fn source(&self, unstamped: u64) -> StampSource {
        self.session().tap.source(unstamped)
    }

    /// Whether a request can be sent now. What is left of the answer before is let go.
    pub(crate) fn is_usable(&mut self) -> bool {
        if !self.is_settled() {
            self.request = None;
        }
        self.session().is_usable()
    }

    /// Whether the answer has come to its end, whose frame may follow the last event; what comes until then
    /// is passed over. Forgets an answer that has.
    pub(super) fn is_settled(&mut self) -> bool {
        let answer = self.request.as_mut().and_then(|running| running.answer.as_mut());
        let Some(answer) = answer else {
            self.request = None;
            return true;
        };
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match answer.poll_data(&mut cx) {
                Poll::Ready(Some(Ok(bytes))) => release(answer, &bytes),
                Poll::Ready(Some(Err(_)) | None) => {
                    self.request = None;
                    return true;
                }
                Poll::Pending => return false,
            }
        }
    }

    /// Sends a request and waits for the head of its answer; `each_poll` is told what is known of it
    /// meanwhile.
    pub(crate) async fn send(
        &mut self,
        request: Request<Bytes>,
        mut each_poll: impl FnMut(Going),
    ) -> Result<Response<()>, Unanswered> {
        self.request = None;
        let session = Arc::clone(&self.place.session);
        let (head, body) = self.head(request).map_err(Unanswered::unsent)?;
        let mut sender = session.sender.clone();
        let refused = |error: h2::Error| Unanswered::unsent(failure(&error, &session.tap));
        poll_fn(|cx| sender.poll_ready(cx)).await.map_err(refused)?;
        let (mut response, mut sending) =
            sender.send_request(head, body.is_empty()).map_err(refused)?;
        let id = sending.stream_id().as_u32();
        session.used.store(true, Ordering::Relaxed);
        session.tap.watch(true);
        session.book.open().open(id);
        let others = session.running.fetch_add(1, Ordering::Relaxed) as u64;
        let sent = if body.is_empty() { Ok(()) } else { sending.send_data(body, true) };
        self.request = Some(Running { id, answer: None, _sending: sending, session });
        sent.map_err(|error| self.unanswered(&error))?;
        let answered = poll_fn(|cx| {
            let polled = Pin::new(&mut response).poll(cx);
            let (sent_ns, window_wait_ns) = self.session().book.open().going(id, cx.waker());
            each_poll(Going { sent_ns, window_wait_ns, others: Some(others) });
            polled
        });
        match answered.await {
            Ok(response) => {
                let (head, answer) = response.into_parts();
                if let Some(running) = &mut self.request {
                    running.answer = Some(answer);
                }
                Ok(Response::from_parts(head, ()))
            }
            Err(error) => Err(self.unanswered(&error)),
        }
    }

    /// A request without a head, and whether the server can have begun with it.
    fn unanswered(&self, error: &h2::Error) -> Unanswered {
        let failure = failure(error, &self.session().tap);
        let Some(running) = &self.request else { return Unanswered::unsent(failure) };
        let book = self.session().book.open();
        let entry = book.stream(running.id);
        let left_out = book.is_left_out(running.id)
            || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM));
        // A server that goes away has taken what it does not leave out.
        let taken = book.is_closing() && !left_out;
        Unanswered {
            silent: entry.head_ns.is_none() && entry.content_ns.is_none() && !taken,
            left_out,
            failure,
        }
    }

    /// The request as HTTP/2 has it: where it goes stands beside the path, and not in a header.
    fn head(&self, request: Request<Bytes>) -> Result<(Request<()>, Bytes), Failure> {
        let bad = |what: &str| Failure::new(FailureKind::BadHttp, format!("{what} cannot be sent"));
        let (mut head, body) = request.into_parts();
        let host = head.headers.remove(HOST).ok_or_else(|| bad("a request without a host"))?;
        let mut uri = head.uri.into_parts();
        uri.scheme = Some(match self.session().scheme {
            Scheme::Http => UriScheme::HTTP,
            Scheme::Https => UriScheme::HTTPS,
        });
        uri.authority =
            Some(Authority::try_from(host.as_bytes()).map_err(|_| bad("this host header"))?);
        uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        head.uri = Uri::from_parts(uri).map_err(|_| bad("this path"))?;
        head.version = Version::HTTP_2;
        if !body.is_empty() || head.method == Method::POST {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        Ok((Request::from_parts(head, ()), body))
    }

    /// As that of an HTTP/1 connection: a piece comes with the read that brought it.
    pub(crate) async fn receive<T>(
        &mut self,
        mut take: impl FnMut(&[u8], SocketRead) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        loop {
            let running = self.request.as_mut().expect("its head has come");
            let answer = running.answer.as_mut().expect("its head has come");
            let bytes = match poll_fn(|cx| answer.poll_data(cx)).await {
                None => return Ok(None),
                Some(Err(error)) => return Err(failure(&error, &self.session().tap)),
                Some(Ok(bytes)) => bytes,
            };
            release(answer, &bytes);
            let (mut rest, mut taken) = (&bytes[..], None);
            while !rest.is_empty() {
                let (here, read) = self.place.session.book.open().next_run(running.id, rest.len());
                let (piece, after) = rest.split_at(here);
                rest = after;
                if taken.is_none() {
                    taken = take(piece, read);
                }
            }
            if taken.is_some() {
                return Ok(taken);
            }
        }
    }

    /// What is known of the answer that is received, or was.
    pub(crate) fn times(&self) -> Times {
        let Some(running) = &self.request else { return Times::default() };
        let book = self.session().book.open();
        let entry = book.stream(running.id);
        Times {
            head_ns: entry.head_ns,
            last_ns: entry.content_ns.or(entry.head_ns),
            end_ns: entry.end_ns.or(entry.content_ns),
            reads: entry.reads,
        }
    }
}

/// Lets the server send as much again.
fn release(answer: &mut RecvStream, bytes: &Bytes) {
    // It fails for a stream that is gone, which the next poll of it says.
    drop(answer.flow_control().release_capacity(bytes.len()));
}
