//! Stamps at the socket: when bytes arrived and when they were handed over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::clock::Clock;

use super::reads::Reads;

/// Where the arrival stamps of an exchange come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StampSource {
    /// The clock, read in user space right after the socket's read returned.
    #[default]
    Read,
    /// The kernel's receive stamp of the last segment of the read.
    Kernel,
}

/// What a socket has seen so far, shared by the socket (which writes it) and the exchange.
///
/// Both run in one task, one after the other: the atomics only make the sharing safe to move
/// between threads, nothing waits on them. One number stands for all reads because whatever a read
/// brought is decoded before the next one.
#[derive(Debug, Clone)]
pub struct Tap<C> {
    clock: C,
    seen: Arc<Seen>,
    reads: Arc<Reads>,
}

#[derive(Debug)]
struct Seen {
    read_ns: AtomicU64,
    eof_ns: AtomicU64,
    reads: AtomicU64,
    /// Whether an exchange is under way: what arrives at other times lies until somebody looks.
    watched: AtomicBool,
    /// Whether the socket asks the kernel for stamps.
    stamps: AtomicBool,
    /// Reads that only the user's clock has stamped.
    unstamped: AtomicU64,
    bytes_in: AtomicU64,
    written_ns: AtomicU64,
    flushed_ns: AtomicU64,
}

/// What a stamp cell holds before its event.
const NEVER: u64 = u64::MAX;

impl Default for Seen {
    fn default() -> Self {
        Self {
            read_ns: AtomicU64::new(NEVER),
            eof_ns: AtomicU64::new(NEVER),
            reads: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            stamps: AtomicBool::new(false),
            unstamped: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            written_ns: AtomicU64::new(NEVER),
            flushed_ns: AtomicU64::new(NEVER),
        }
    }
}

fn stamp(cell: &AtomicU64) -> Option<u64> {
    let ns = cell.load(Ordering::Relaxed);
    (ns != NEVER).then_some(ns)
}

impl<C> Tap<C> {
    /// Whether somebody waits for what comes: only then how late reads are is counted.
    pub(crate) fn watch(&self, watched: bool) {
        self.seen.watched.store(watched, Ordering::Relaxed);
    }
}

impl<C: Clock> Tap<C> {
    /// A tap for a socket that has seen nothing; its reads are counted in `reads` as well.
    pub(super) fn new(clock: C, reads: Arc<Reads>) -> Self {
        Self { clock, seen: Arc::default(), reads }
    }

    /// Where the stamps of reads come from, given how many reads had none of the kernel's before:
    /// the weakest of them.
    pub(crate) fn source(&self, unstamped: u64) -> StampSource {
        let stamps = self.seen.stamps.load(Ordering::Relaxed);
        if stamps && self.unstamped() == unstamped {
            StampSource::Kernel
        } else {
            StampSource::Read
        }
    }

    /// Number of reads that only the user's clock has stamped.
    pub(crate) fn unstamped(&self) -> u64 {
        self.seen.unstamped.load(Ordering::Relaxed)
    }

    /// Monotonic ns of the newest read that brought bytes.
    pub(crate) fn read_ns(&self) -> Option<u64> {
        stamp(&self.seen.read_ns)
    }

    /// Monotonic ns at which the peer's end of stream was read.
    pub(crate) fn eof_ns(&self) -> Option<u64> {
        stamp(&self.seen.eof_ns)
    }

    /// Number of reads that brought bytes.
    pub(crate) fn reads(&self) -> u64 {
        self.seen.reads.load(Ordering::Relaxed)
    }

    /// Bytes received.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.seen.bytes_in.load(Ordering::Relaxed)
    }

    /// A new request begins: forgets the write stamps, and counts from now on how late reads are.
    pub(crate) fn begin_request(&self) {
        self.watch(true);
        self.seen.written_ns.store(NEVER, Ordering::Relaxed);
        self.seen.flushed_ns.store(NEVER, Ordering::Relaxed);
    }

    /// The answer is complete: nobody waits for what else may come.
    pub(crate) fn end_request(&self) {
        self.watch(false);
    }

    /// Monotonic ns of the newest write since the request began.
    pub(crate) fn written_ns(&self) -> Option<u64> {
        stamp(&self.seen.written_ns)
    }

    /// Monotonic ns at which the socket took the last byte of the request, once it took it.
    pub(crate) fn flushed_ns(&self) -> Option<u64> {
        stamp(&self.seen.flushed_ns)
    }

    /// `stamp` is the kernel's, of real time.
    fn note_read(&self, bytes: usize, stamp: Option<u64>) {
        let now = self.clock.now();
        if bytes == 0 {
            self.seen.eof_ns.store(now, Ordering::Relaxed);
            return;
        }
        let arrival = stamp.and_then(|stamp| self.reads.arrival(&self.clock, stamp, now));
        if let Some(at) = arrival
            && self.seen.watched.load(Ordering::Relaxed)
        {
            self.reads.count(now - at);
        }
        if arrival.is_none() {
            self.seen.unstamped.fetch_add(1, Ordering::Relaxed);
        }
        // What came later was read later: a clock that is uncertain by a microsecond must not say
        // otherwise.
        let at = arrival.unwrap_or(now).max(self.read_ns().unwrap_or(0));
        self.seen.read_ns.store(at, Ordering::Relaxed);
        self.seen.reads.fetch_add(1, Ordering::Relaxed);
        self.seen.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn note_write(&self) {
        self.seen.written_ns.store(self.clock.now(), Ordering::Relaxed);
    }

    /// Whoever writes flushes once its own buffer is empty: the last write before that carried
    /// the last byte.
    fn note_flush(&self) {
        let written = self.seen.written_ns.load(Ordering::Relaxed);
        if written != NEVER {
            self.seen.flushed_ns.store(written, Ordering::Relaxed);
        }
    }
}

/// A byte stream that may know when what was read from it last had arrived.
pub trait Stamped: AsyncRead {
    /// Whether it asks the kernel for that.
    fn stamps(&self) -> bool;

    /// The kernel's stamp of the newest read, ns since 1970, if there is one.
    fn arrived(&self) -> Option<u64>;
}

/// Bytes within a process arrive when they are read.
impl Stamped for DuplexStream {
    fn stamps(&self) -> bool {
        false
    }

    fn arrived(&self) -> Option<u64> {
        None
    }
}

/// A byte stream that tells its [`Tap`] about every read and write.
///
/// It wraps the socket itself, below TLS: what is stamped is the arrival, not the decryption.
#[derive(Debug)]
pub struct Tapped<S, C> {
    inner: S,
    tap: Tap<C>,
}

impl<S: Stamped, C: Clock> Tapped<S, C> {
    /// Wraps `inner`.
    pub fn new(inner: S, tap: &Tap<C>) -> Self {
        tap.seen.stamps.store(inner.stamps(), Ordering::Relaxed);
        Self { inner, tap: tap.clone() }
    }
}

impl<S: Stamped + Unpin, C: Clock> AsyncRead for Tapped<S, C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.tap.note_read(buf.filled().len() - before, self.inner.arrived());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, C: Clock> AsyncWrite for Tapped<S, C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.tap.note_write();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))?;
        self.tap.note_write();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.tap.note_flush();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
