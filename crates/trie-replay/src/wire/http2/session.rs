//! An open connection and the places on it.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use h2::Reason;
use h2::client::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::spawn;

use super::super::connect::{ConnectError, Connector};
use super::super::endpoint::Scheme;
use super::super::failure::{Failure, FailureKind};
use super::super::reads::Reads;
use super::super::tap::Tap;
use super::socket::{Book, Socket};

/// Bytes that a server may have under way to us on a stream, and on all together: the most there is, so
/// that no answer ever waits for our leave. What has come is taken out at once.
const WINDOW: u32 = (1 << 31) - 1;

/// Bytes of a request that may wait for the server's windows: all that `h2` takes.
const SEND_BUFFER: usize = (1 << 32) - 1;

/// Streams that were cut off and are remembered, since more may come on them.
const RESET_STREAMS: usize = 16 << 10;

/// Longest head of an answer, bytes, as with HTTP/1.
const HEAD_LIMIT: u32 = 64 << 10;

/// An open connection, as all see it who have a place on it.
pub(super) struct Session<C> {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) scheme: Scheme,
    pub(super) book: Book,
    pub(super) tap: Tap<C>,
    /// Counts the connections of a pool from 0.
    pub(super) number: u64,
    /// How long it took to open, ns: until the server's settings were there.
    pub(super) connect_ns: u64,
    /// Whether a request was sent on it.
    pub(super) used: AtomicBool,
    /// Requests under way.
    pub(super) running: AtomicUsize,
    /// Places that are taken, by requests and those who will send one.
    taken: AtomicUsize,
    life: Arc<Life>,
}

/// What the task that moves a connection says of it.
#[derive(Default)]
struct Life {
    /// Told once the server's settings are there, and at the end.
    news: Notify,
    /// Why it ended.
    ended: OnceLock<Failure>,
}

/// How a connection is opened.
pub(crate) struct Opening<'o, C, N> {
    pub(crate) connector: &'o N,
    pub(crate) clock: &'o C,
    /// Connections that the pool has opened.
    pub(crate) opened: &'o AtomicU64,
    pub(crate) reads: &'o Arc<Reads>,
}

impl<C: Clock> Session<C> {
    /// Opens a connection; it stands once the server's settings have come, which say how many streams it
    /// takes. `spawn` starts the task that moves it.
    pub(super) async fn open<N: Connector<C>>(
        Opening { connector, clock, opened, reads }: Opening<'_, C, N>,
        scheme: Scheme,
        spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>),
    ) -> Result<Arc<Self>, Failure> {
        let number = opened.fetch_add(1, Ordering::Relaxed);
        let tap = Tap::new(clock.clone(), Arc::clone(reads));
        let start = clock.now();
        let io = connector.connect(&tap).await.map_err(ConnectError::into_failure)?;
        let book = Book::new();
        let socket = Socket { io, tap: tap.clone(), book: book.clone() };
        let shaken = builder().handshake(socket).await;
        let (sender, connection) = shaken.map_err(|error| failure(&error, &tap))?;
        let life = Arc::new(Life::default());
        spawn(Box::pin(move_on(connection, (tap.clone(), book.clone()), Arc::clone(&life))));
        life.news.notified().await;
        if !book.open().is_settled() {
            return Err(not_http2(&book, life.ended.get()));
        }
        Ok(Arc::new(Self {
            sender,
            scheme,
            book,
            connect_ns: clock.now() - start,
            tap,
            number,
            used: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            life,
        }))
    }
}

impl<C> Session<C> {
    /// Whether a request can be sent now.
    pub(super) fn is_usable(&self) -> bool {
        self.life.ended.get().is_none() && !self.book.open().is_closing()
    }

    /// Whether there is a place for one more: of those that the server allows, and at most `most`.
    pub(super) fn has_room(&self, most: usize) -> bool {
        let most = most.min(self.sender.current_max_send_streams());
        self.taken.load(Ordering::Relaxed) < most
    }
}

/// A place on a connection: one request at a time can be sent from it.
pub(super) struct Place<C> {
    pub(super) session: Arc<Session<C>>,
}

impl<C> Place<C> {
    /// Takes one.
    pub(super) fn on(session: &Arc<Session<C>>) -> Self {
        session.taken.fetch_add(1, Ordering::Relaxed);
        Self { session: Arc::clone(session) }
    }
}

impl<C> Drop for Place<C> {
    fn drop(&mut self) {
        self.session.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The tasks that move connections.
#[derive(Default)]
pub(super) struct Movers(JoinSet<()>);

impl Movers {
    pub(super) fn start(&mut self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        // Those that have ended have said so to their connections.
        while self.0.try_join_next().is_some() {}
        spawn::portable(&mut self.0, work);
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(HEAD_LIMIT)
        // Those that are cut off are many at a time, and their servers may not have heard of it.
        .max_local_error_reset_streams(None)
        .max_concurrent_reset_streams(RESET_STREAMS)
        // Small frames are what tokens come in, and no attack.
        .data_frame_budget(usize::MAX >> 1)
        // A request is there whole: it goes as fast as the server's windows let it.
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// Moves a connection until it ends.
async fn move_on<C: Clock, Io: AsyncRead + AsyncWrite + Unpin>(
    connection: h2::client::Connection<Socket<C, Io>, Bytes>,
    (tap, book): (Tap<C>, Book),
    life: Arc<Life>,
) {
    let mut connection = pin!(connection);
    let mut settled = false;
    let ended = std::future::poll_fn(|cx| {
        let polled = connection.as_mut().poll(cx);
        if !settled && book.open().is_settled() {
            settled = true;
            life.news.notify_one();
        }
        polled
    });
    let why = match ended.await {
        Ok(()) => Failure::closed("it answered"),
        Err(error) => failure(&error, &tap),
    };
    life.ended.get_or_init(|| why);
    life.news.notify_one();
}

/// Why a connection that stands is not one of HTTP/2.
fn not_http2(book: &Book, ended: Option<&Failure>) -> Failure {
    let why = match ended {
        // A certificate that is not accepted is refused after the handshake.
        Some(failure) if failure.kind == FailureKind::Tls => return failure.clone(),
        _ if book.open().is_http1() => "it answered with HTTP/1",
        Some(failure) => &failure.message,
        None => "it ended",
    };
    ConnectError::NoHttp2 { why: why.to_owned() }.into_failure()
}

/// A failure of a stream or of all, as `h2` has it.
pub(super) fn failure<C: Clock>(error: &h2::Error, tap: &Tap<C>) -> Failure {
    if let Some(io) = error.get_io() {
        let kind = io.kind();
        return if kind == io::ErrorKind::BrokenPipe && tap.eof_ns().is_some() {
            Failure::closed("the answer was complete")
        } else if kind == io::ErrorKind::InvalidData {
            // One of rustls's own, of which only the words are left.
            Failure::new(FailureKind::Tls, format!("the connection broke: {io}"))
        } else {
            Failure::from_io(io)
        };
    }
    let reason = error.reason().unwrap_or(Reason::PROTOCOL_ERROR);
    if error.is_remote() && error.is_reset() {
        let message = format!("the server reset the stream: {}", words(reason));
        Failure::new(FailureKind::StreamReset, message)
    } else if error.is_remote() {
        let message = format!("the server ended the HTTP/2 connection: {error}");
        Failure::new(FailureKind::GoAway, message)
    } else {
        Failure::new(FailureKind::BadHttp, format!("the answer is no HTTP/2: {error}"))
    }
}

/// The reason's name in the standard, and what it means.
fn words(reason: Reason) -> String {
    format!("{reason:?} ({})", reason.description())
}
