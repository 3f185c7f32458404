//! What the kernel takes from any client: a loop of `epoll_wait` and `recvmsg` that looks at nothing.
//!
//! It asks the source for the same answers as the whole client, has one thread on the same core, reads with
//! the kernel's stamps, and decodes nothing. What the whole client takes beyond this is its own.

use std::io::{IoSliceMut, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, TimestampingFlag, recvmsg, setsockopt, sockopt};
use trie_replay::clock::{Clock as _, SystemClock};

use crate::measure::say;

/// Room for a read, bytes.
const ROOM: usize = 32 << 10;

/// What ends an answer's body.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// What is read.
pub(super) struct Reading {
    pub(super) port: u16,
    pub(super) streams: usize,
    /// How long, s.
    pub(super) seconds: u64,
    /// Chunks of an answer.
    pub(super) chunks: usize,
    /// Longest wait for an event, ms: a client that has a timer waits no longer than that.
    pub(super) wait_ms: u16,
}

/// Reads; says how often, and the CPU time of it, ns.
pub(super) fn read_only(reading: &Reading) -> Result<()> {
    let &Reading { port, streams, seconds, chunks, wait_ms } = reading;
    let request = request(chunks);
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut sockets = Vec::new();
    for number in 0..streams {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("cannot connect")?;
        socket.set_nodelay(true)?;
        let stamps = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
        setsockopt(&socket, sockopt::Timestamping, &stamps)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(&socket, EpollEvent::new(flags, number as u64))?;
        sockets.push(socket);
    }
    for mut socket in &sockets {
        socket.write_all(&request)?;
    }
    let deadline = SystemClock.now() + 1_000_000_000 * seconds;
    let before = SystemClock.thread_cpu().unwrap_or_default();
    let (mut reads, mut events) = (0_u64, vec![EpollEvent::empty(); 1024]);
    let mut room = vec![0; ROOM];
    while SystemClock.now() < deadline {
        let count = match epoll.wait(&mut events, EpollTimeout::from(wait_ms)) {
            Err(Errno::EINTR) => 0,
            count => count?,
        };
        for event in &events[..count] {
            let mut socket = &sockets[usize::try_from(event.data())?];
            let length = read(socket, &mut room)?;
            reads += 1;
            if room[..length].ends_with(END) {
                socket.write_all(&request)?;
            }
        }
    }
    let cpu = SystemClock.thread_cpu().unwrap_or_default() - before;
    say(format_args!("{reads} {cpu}"));
    Ok(())
}

/// One read, with its stamp; what is there is less than the room, so that it is all there is.
fn read(socket: &TcpStream, room: &mut [u8]) -> Result<usize> {
    let mut control = [0_u8; 128];
    let mut slices = [IoSliceMut::new(room)];
    let fd = socket.as_raw_fd();
    let message = recvmsg::<()>(fd, &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT);
    match message {
        Ok(message) => Ok(message.bytes),
        Err(Errno::EAGAIN) => Ok(0),
        Err(error) => Err(error).context("cannot read"),
    }
}

fn request(chunks: usize) -> Vec<u8> {
    let ids = (0..64).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"prompt":[{ids}],"max_tokens":{chunks},"stream":true}}"#);
    let head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length";
    format!("{head}: {}\r\n\r\n{body}", body.len()).into_bytes()
}
