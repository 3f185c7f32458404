//! The byte stream below HTTP/2: it writes down what passes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

use super::super::tap::Tap;
use super::ledger::Ledger;

/// A connection's ledger, which its socket writes and its streams read.
///
/// They run on one thread, in turn: nothing waits for the lock, which only makes the sharing safe to move
/// between threads.
#[derive(Clone, Debug)]
pub(super) struct Book(Arc<Mutex<Ledger>>);

impl Book {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Ledger::new())))
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A byte stream with a [`Book`]; above TLS, since frames are seen there only. The stamps are those of the
/// reads and writes of the socket at the bottom, which the tap has.
pub(super) struct Socket<C, Io> {
    pub(super) io: Io,
    pub(super) tap: Tap<C>,
    pub(super) book: Book,
}

impl<C: Clock, Io: Unpin> Socket<C, Io> {
    fn note_written(&self, parts: &[&[u8]], mut written: usize) {
        let ns = self.tap.written_ns().unwrap_or_default();
        let mut ledger = self.book.open();
        for part in parts {
            let here = written.min(part.len());
            ledger.went(&part[..here], ns);
            written -= here;
        }
    }
}

impl<C: Clock, Io: AsyncRead + Unpin> AsyncRead for Socket<C, Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let read = (this.tap.read_ns().unwrap_or_default(), this.tap.reads());
        this.book.open().came(&buf.filled()[before..], read);
        Poll::Ready(Ok(()))
    }
}

impl<C: Clock, Io: AsyncWrite + Unpin> AsyncWrite for Socket<C, Io> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, buf))?;
        this.note_written(&[buf], written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, bufs))?;
        let parts: Vec<&[u8]> = bufs.iter().map(|buf| &buf[..]).collect();
        this.note_written(&parts, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
