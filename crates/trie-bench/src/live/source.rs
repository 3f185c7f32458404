//! A server with a schedule: it answers every request with chunks at fixed times, each a `write(2)` of
//! its own, and notes when it made each of these calls.
//!
//! It is what clients are measured against, so it does as little as possible: one thread, one epoll, no
//! HTTP beyond what a completion needs, and a stamp of `CLOCK_MONOTONIC` right before each write. On
//! loopback the kernel hands a segment to its receiver inside that call: a client's stamp of the arrival is
//! to be compared with it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufRead, BufWriter, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use trie_replay::clock::{Clock as _, SystemClock};

use super::conversation::{Conversation, Served, Step};
use crate::measure::say;
use crate::shapes::Shape;

/// What every request is answered with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// What the chunks carry.
    pub(crate) shape: Shape,
    /// From the request's last byte to the first chunk, ns.
    pub(crate) first_ns: u64,
    /// From chunk to chunk, ns; 0: as fast as the socket takes them, many a write, and no stamps.
    pub(crate) every_ns: u64,
}

/// What an event is about, beside connections, which have their number.
const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const PARENT: u64 = u64::MAX - 2;

/// Less than this to the next chunk is waited for by looking, ns: a timer of the kernel wakes later.
const LOOK_NS: u64 = 60_000;

/// Serves until its standard input ends, then writes a row for each answer to `log`. Says its port first.
pub(crate) fn serve(schedule: Schedule, log: &Path) -> Result<()> {
    let listener = listen().context("cannot listen")?;
    say(listener.local_addr()?.port());
    let served = Source::new(listener, schedule)?.run()?;
    let mut out = BufWriter::new(std::fs::File::create(log)?);
    for answer in served {
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
    }
    out.flush().context("cannot write the log")
}

fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

struct Source {
    listener: TcpListener,
    epoll: Epoll,
    timer: TimerFd,
    schedule: Schedule,
    conversations: Vec<Option<Conversation>>,
    free: Vec<usize>,
    /// When which connection's next chunk is due.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    served: Vec<Served>,
    answers: u64,
}

impl Source {
    fn new(listener: TcpListener, schedule: Schedule) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        epoll.add(io::stdin(), EpollEvent::new(EpollFlags::EPOLLIN, PARENT))?;
        Ok(Self {
            listener,
            epoll,
            timer,
            schedule,
            conversations: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            served: Vec::new(),
            answers: 0,
        })
    }

    fn run(mut self) -> Result<Vec<Served>> {
        let mut events = vec![EpollEvent::empty(); 1024];
        loop {
            self.write_due()?;
            let timeout = self.set_timer()?;
            let count = match self.epoll.wait(&mut events, timeout) {
                Err(nix::errno::Errno::EINTR) => 0,
                count => count?,
            };
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept()?,
                    TIMER => drop(self.timer.wait()),
                    PARENT if parent_is_gone() => return Ok(self.finish()),
                    PARENT => {}
                    number => self.ready(usize::try_from(number)?, event.events())?,
                }
            }
        }
    }

    /// Writes every chunk whose time has come, the earliest first.
    fn write_due(&mut self) -> Result<()> {
        while let Some(&Reverse((at, number))) = self.due.peek() {
            if SystemClock.now() < at {
                break;
            }
            self.due.pop();
            self.step(number, Conversation::write_next)?;
        }
        Ok(())
    }

    /// How long to wait for events: until the next chunk is due.
    fn set_timer(&mut self) -> Result<EpollTimeout> {
        let Some(&Reverse((at, _))) = self.due.peek() else { return Ok(EpollTimeout::NONE) };
        if at < SystemClock.now() + LOOK_NS {
            return Ok(EpollTimeout::ZERO);
        }
        let at = TimeSpec::from_duration(std::time::Duration::from_nanos(at - LOOK_NS));
        self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        Ok(EpollTimeout::NONE)
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot accept"),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let number = self.free.pop().unwrap_or_else(|| {
                self.conversations.push(None);
                self.conversations.len() - 1
            });
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            self.epoll.add(&stream, EpollEvent::new(flags, number as u64))?;
            self.conversations[number] = Some(Conversation::new(stream, self.schedule));
        }
    }

    /// A connection can be read or written.
    fn ready(&mut self, number: usize, flags: EpollFlags) -> Result<()> {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.step(number, Conversation::resume)?;
        }
        if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            let answer = self.answers;
            self.step(number, |conversation| conversation.read(answer))?;
            self.answers += 1;
        }
        Ok(())
    }

    /// Does something to a connection, if it is still there, and what follows from it.
    fn step(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut Conversation) -> io::Result<Step>,
    ) -> Result<()> {
        let Some(conversation) = &mut self.conversations[number] else { return Ok(()) };
        // A client that goes away in the middle is no fault of this server.
        match act(conversation).unwrap_or(Step::Gone) {
            Step::Wait => {}
            Step::Due(at) => self.due.push(Reverse((at, number))),
            Step::Answered(served) => self.served.push(served),
            Step::Gone => self.drop_conversation(number)?,
        }
        Ok(())
    }

    fn drop_conversation(&mut self, number: usize) -> Result<()> {
        if let Some(conversation) = self.conversations[number].take() {
            self.epoll.delete(conversation.stream())?;
            self.served.extend(conversation.into_served());
            self.due.retain(|Reverse((_, other))| *other != number);
            self.free.push(number);
        }
        Ok(())
    }

    /// All answers, those that are not complete too.
    fn finish(mut self) -> Vec<Served> {
        let unfinished = self.conversations.into_iter().flatten();
        self.served.extend(unfinished.filter_map(Conversation::into_served));
        self.served
    }
}

/// Whether standard input has ended: whoever started this process wants it to end.
fn parent_is_gone() -> bool {
    let mut input = io::stdin().lock();
    input.fill_buf().is_ok_and(<[u8]>::is_empty)
}
