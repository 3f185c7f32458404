//! TCP whose reads say when the kernel received what they bring.
//!
//! Linux stamps every segment when it comes off the network (`SO_TIMESTAMPING`), and `recvmsg`
//! hands the stamp of the last segment it copied along with the bytes: what the client was busy
//! with in between is not in the stamp. Elsewhere, or where the kernel refuses, reads have no
//! stamp and the clock is read after them.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::tap::Stamped;

/// A TCP stream, stamped where that is possible.
#[derive(Debug)]
pub struct KernelTcp {
    stream: TcpStream,
    /// Whether the kernel was asked for stamps.
    stamps: bool,
    /// Of the newest read, real time, ns.
    newest: Option<u64>,
}

impl KernelTcp {
    /// Asks the kernel for stamps, if they are wanted.
    pub(super) fn new(stream: TcpStream, wanted: bool) -> Self {
        let stamps = wanted && ask(&stream);
        Self { stream, stamps, newest: None }
    }
}

impl Stamped for KernelTcp {
    fn stamps(&self) -> bool {
        self.stamps
    }

    fn arrived(&self) -> Option<u64> {
        self.newest
    }
}

/// Keeps the kernel stamping. It begins a moment after the first socket asks for it and ends with
/// the last one, and a segment that arrives in that moment has no stamp: a connection that is the
/// first one would lack some.
#[derive(Debug, Clone)]
pub(super) struct Stamping {
    _socket: Option<Arc<UdpSocket>>,
}

impl Stamping {
    /// Switches stamps on, where there are any.
    pub(super) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok();
        Self { _socket: socket.filter(ask).map(Arc::new) }
    }
}

#[cfg(target_os = "linux")]
fn ask(socket: &impl AsFd) -> bool {
    use nix::sys::socket::{TimestampingFlag, setsockopt, sockopt};
    let wanted = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    setsockopt(socket, sockopt::Timestamping, &wanted).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn ask(_socket: &impl AsFd) -> bool {
    false
}

impl AsyncRead for KernelTcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        #[cfg(target_os = "linux")]
        if this.stamps {
            return linux::poll_receive(&this.stream, cx, buf).map_ok(|stamp| this.newest = stamp);
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for KernelTcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSliceMut};
    use std::os::fd::AsRawFd;
    use std::task::{Context, Poll, ready};

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    use tokio::io::{Interest, ReadBuf};
    use tokio::net::TcpStream;

    /// Room for one message of three times, as `SO_TIMESTAMPING` sends it: 64 bytes on 64-bit
    /// Linux, and more where a header is longer.
    #[repr(align(8))]
    struct Control([u8; 128]);

    /// Reads what is there; returns the kernel's stamp of its last segment, real time, ns.
    pub(super) fn poll_receive(
        stream: &TcpStream,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Option<u64>>> {
        loop {
            ready!(stream.poll_read_ready(cx))?;
            let mut short = None;
            let read = stream.try_io(Interest::READABLE, || {
                let room = buf.remaining();
                let read = receive(stream, buf)?;
                if read.0 == 0 || read.0 == room {
                    return Ok(read);
                }
                // The socket is empty now. Saying so here, and not with a second call that finds
                // nothing, is what Tokio's own read does: the next segment wakes this task.
                short = Some(read);
                Err(io::ErrorKind::WouldBlock.into())
            });
            let (bytes, stamp) = match (read, short) {
                (Ok(read), _) | (Err(_), Some(read)) => read,
                (Err(error), None) if error.kind() == io::ErrorKind::WouldBlock => continue,
                (Err(error), None) => return Poll::Ready(Err(error)),
            };
            buf.advance(bytes);
            return Poll::Ready(Ok(stamp));
        }
    }

    /// Bytes received into `buf`, not yet counted there, and their stamp.
    fn receive(stream: &TcpStream, buf: &mut ReadBuf<'_>) -> io::Result<(usize, Option<u64>)> {
        let mut control = Control([0; 128]);
        let mut room = [IoSliceMut::new(buf.initialize_unfilled())];
        let fd = stream.as_raw_fd();
        let message = loop {
            match recvmsg::<()>(fd, &mut room, Some(&mut control.0), MsgFlags::empty()) {
                Err(nix::errno::Errno::EINTR) => {}
                other => break other?,
            }
        };
        let stamp = message.cmsgs().ok().and_then(|mut messages| {
            messages.find_map(|message| {
                let ControlMessageOwned::ScmTimestampsns(stamps) = message else { return None };
                nanos(stamps.system)
            })
        });
        Ok((message.bytes, stamp))
    }

    /// Zero where the kernel has no stamp.
    fn nanos(time: nix::sys::time::TimeSpec) -> Option<u64> {
        let seconds = u64::try_from(time.tv_sec()).ok()?;
        let nanos = u64::try_from(time.tv_nsec()).ok()?;
        Some(seconds * 1_000_000_000 + nanos).filter(|nanos| *nanos > 0)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::wire::reads::Reads;
    use crate::wire::tap::{StampSource, Tap, Tapped};

    /// What the offset of the two clocks may be off by, ns: looks take some hundred ns.
    const OFFSET_ERROR: u64 = 10_000;

    #[tokio::test]
    async fn a_stamp_is_of_the_arrival_and_not_of_the_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let reads = Arc::<Reads>::default();
        let tap = Tap::new(SystemClock, Arc::clone(&reads));
        tap.begin_request();
        let mut tapped = Tapped::new(KernelTcp::new(stream, true), &tap);
        let mut buf = [0; 64];
        let mut stamped = 0;
        // The kernel begins to stamp a moment after the first socket asks for it.
        while stamped < 3 {
            let unstamped = tap.unstamped();
            let before = SystemClock.now();
            // On loopback the bytes have arrived when this returns.
            peer.write_all(b"piece").await.unwrap();
            let after = SystemClock.now();
            assert_eq!(tapped.read(&mut buf).await.unwrap(), 5);
            let at = tap.read_ns().unwrap();
            if tap.source(unstamped) == StampSource::Read {
                assert!(after <= at);
                continue;
            }
            assert!(
                before <= at + OFFSET_ERROR && at <= after + OFFSET_ERROR,
                "{before} {at} {after}"
            );
            stamped += 1;
        }
        let account = reads.take();
        assert_eq!((account.lag.count(), account.clock_steps), (3, 0));
        // What nobody waits for is not late.
        tap.end_request();
        peer.write_all(b"piece").await.unwrap();
        assert_eq!(tapped.read(&mut buf).await.unwrap(), 5);
        assert_eq!(reads.take().lag.count(), 0);
        drop(peer);
        assert_eq!(tapped.read(&mut buf).await.unwrap(), 0);
        assert!(tap.eof_ns().is_some());
    }

    /// Reads that fill their buffer leave the rest for the next one, and one that does not is
    /// followed by a wait for more.
    #[tokio::test]
    async fn nothing_is_left_behind_whatever_the_size_of_a_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut socket = KernelTcp::new(stream, true);
        let mut buf = [0; 4];
        for sent in [&b"abcd"[..], b"efghij", b"k"] {
            peer.write_all(sent).await.unwrap();
            let mut got = Vec::new();
            while got.len() < sent.len() {
                let count = socket.read(&mut buf).await.unwrap();
                got.extend_from_slice(&buf[..count]);
            }
            assert_eq!(got, sent);
        }
    }
}
