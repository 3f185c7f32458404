//! A Tokio byte stream as hyper wants it.

use std::{
    io,
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Most bytes that one read takes.
const READ_BYTES: usize = 16 * 1024;

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Hands reads and writes on; a read is copied once, which needs no unsafe code.
#[derive(Debug)]
pub(super) struct Socket<S> {
    /// What was read of the stream before.
    pub(super) ahead: Bytes,
    pub(super) stream: S,
    /// Most bytes of one write.
    pub(super) segment: Option<NonZeroUsize>,
}

/// Reads until it is clear which HTTP a client speaks: what was read, and whether that is HTTP/2.
pub(super) async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> (Bytes, bool) {
    let mut heard = Vec::with_capacity(PREFACE.len());
    let mut bytes = [0; PREFACE.len()];
    while heard.len() < PREFACE.len() && PREFACE.starts_with(&heard) {
        match stream.read(&mut bytes[heard.len()..]).await {
            Ok(read @ 1..) => {
                let end = heard.len() + read;
                heard.extend_from_slice(&bytes[heard.len()..end]);
            }
            // Whoever reads on meets it again.
            Ok(0) | Err(_) => break,
        }
    }
    let http2 = heard == PREFACE;
    (heard.into(), http2)
}

impl<S: AsyncRead + Unpin> Read for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let here = into.remaining().min(self.ahead.len());
            into.put_slice(&self.ahead.split_to(here));
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; READ_BYTES];
        let room = into.remaining().min(READ_BYTES);
        let mut read = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Write for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let most = self.segment.map_or(bytes.len(), |most| bytes.len().min(most.get()));
        Pin::new(&mut self.stream).poll_write(context, &bytes[..most])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.segment.is_none() && self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }
}
