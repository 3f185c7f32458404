//! Which connection carries which request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::Clock;

use super::carrier::Carrier;
use super::connect::{ConnectError, Connector};
use super::connection::Connection;
use super::endpoint::Scheme;
use super::failure::{Failure, FailureKind};
use super::http2::{Opening, Sessions};
use super::reads::{ReadAccount, Reads};
use super::template::Shapes;

/// Who shares a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reuse {
    /// A conversation keeps one connection for all its requests.
    #[default]
    Conversation,
    /// Each request has a connection of its own.
    Request,
    /// All conversations share what is idle.
    Shared,
}

type Open<C, N> = Carrier<C, <N as Connector<C>>::Io>;

/// Opens connections to one endpoint and applies the reuse policy.
pub struct Pool<C: Clock, N: Connector<C>> {
    connector: N,
    clock: C,
    reuse: Reuse,
    connect_timeout_ns: u64,
    opened: Arc<AtomicU64>,
    reads: Arc<Reads>,
    shapes: Shapes,
    /// Idle connections of [`Reuse::Shared`]; the lock is held for a push or a pop only.
    idle: Mutex<Vec<Open<C, N>>>,
    /// Where HTTP/2 is spoken.
    http2: Option<Sessions<C>>,
}

/// A conversation's hold on its connection.
pub struct Link<C: Clock, Io: AsyncRead + AsyncWrite + Unpin> {
    kept: Option<Carrier<C, Io>>,
}

impl<C: Clock, N: Connector<C>> Pool<C, N> {
    /// A pool without connections that gives up a connect after `connect_timeout_ns`.
    pub fn new(connector: N, clock: C, reuse: Reuse, connect_timeout_ns: u64) -> Self {
        Self {
            connector,
            clock,
            reuse,
            connect_timeout_ns,
            opened: Arc::default(),
            reads: Arc::default(),
            shapes: Shapes::default(),
            idle: Mutex::default(),
            http2: None,
        }
    }

    /// The same with HTTP/2, for an endpoint of this scheme. [`Reuse::Shared`] then has many requests on a
    /// connection at a time.
    #[must_use]
    pub fn http2(self, scheme: Scheme) -> Self {
        Self { http2: Some(Sessions::new(scheme)), ..self }
    }

    /// A pool of the same kind for another thread; connections of both are numbered as one.
    pub(crate) fn sibling(&self) -> Self
    where
        N: Clone,
    {
        Self {
            connector: self.connector.clone(),
            clock: self.clock.clone(),
            reuse: self.reuse,
            connect_timeout_ns: self.connect_timeout_ns,
            opened: Arc::clone(&self.opened),
            reads: Arc::default(),
            // Of its own: no thread waits for another one.
            shapes: Shapes::default(),
            idle: Mutex::default(),
            http2: self.http2.as_ref().map(Sessions::sibling),
        }
    }

    /// A conversation that holds no connection yet.
    pub fn link(&self) -> Link<C, N::Io> {
        Link { kept: None }
    }

    /// Makes sure that the conversation's next request finds an open connection. Call it ahead of
    /// the request's time; a failure may be ignored, since the request will meet it again.
    /// Says whether one had to be opened.
    pub async fn open_ahead(&self, link: &mut Link<C, N::Io>) -> Result<bool, Failure> {
        if let Some(connection) = self.take(link).await {
            link.kept = Some(connection);
            return Ok(false);
        }
        link.kept = Some(self.connect().await?);
        Ok(true)
    }

    /// What the reads of all its connections came to since the last call.
    pub fn take_reads(&self) -> ReadAccount {
        self.reads.take()
    }

    /// What chunks of the endpoint look like, as far as it is known.
    pub(crate) fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Who shares a connection.
    pub(crate) fn reuse(&self) -> Reuse {
        self.reuse
    }

    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }

    /// An open connection that can be used now, or none.
    pub(crate) async fn take(&self, link: &mut Link<C, N::Io>) -> Option<Open<C, N>> {
        let mut next = link.kept.take();
        loop {
            let mut carrier = next.take().or_else(|| self.idle())?;
            if carrier.is_usable(&self.clock).await {
                return Some(carrier);
            }
        }
    }

    /// Opens a new connection, or with HTTP/2 takes a place on one that was opened meanwhile.
    pub(crate) async fn connect(&self) -> Result<Open<C, N>, Failure> {
        let limit = self.clock.now().saturating_add(self.connect_timeout_ns);
        tokio::select! {
            biased;
            // Boxed: it is rare, and would be most of the memory that a request takes.
            opened = Box::pin(self.open()) => opened,
            () = self.clock.sleep_until(limit) => Err(Failure::new(
                FailureKind::ConnectTimeout,
                format!(
                    "no connection within {} ms; hint: is a firewall in between?",
                    self.connect_timeout_ns / 1_000_000
                ),
            )),
        }
    }

    async fn open(&self) -> Result<Open<C, N>, Failure> {
        let (connector, clock, reads) = (&self.connector, &self.clock, &self.reads);
        let opening = Opening { connector, clock, opened: &self.opened, reads };
        match (&self.http2, self.reuse) {
            (None, _) => {
                let number = self.opened.fetch_add(1, Ordering::Relaxed);
                let opened = Connection::open(connector, clock, number, reads).await;
                opened.map(Carrier::Http1).map_err(ConnectError::into_failure)
            }
            (Some(sessions), Reuse::Shared) => {
                sessions.place_or_open(opening).await.map(Carrier::Http2)
            }
            (Some(sessions), Reuse::Conversation | Reuse::Request) => {
                sessions.open_one(opening).await.map(Carrier::Http2)
            }
        }
    }

    /// Keeps a connection whose answer was complete, as the policy says.
    pub(crate) fn give_back(&self, link: &mut Link<C, N::Io>, carrier: Open<C, N>) {
        if let Carrier::Http1(connection) = &carrier {
            connection.tap.end_request();
        }
        match (self.reuse, carrier, &self.http2) {
            (Reuse::Conversation, carrier, _) => link.kept = Some(carrier),
            (Reuse::Request, carrier, _) => drop(carrier),
            (Reuse::Shared, Carrier::Http2(stream), Some(sessions)) => {
                sessions.give_back(stream, self.clock.now());
            }
            (Reuse::Shared, carrier, _) => self.lock_idle().push(carrier),
        }
    }

    /// A connection that nobody uses, or a place on one.
    fn idle(&self) -> Option<Open<C, N>> {
        match &self.http2 {
            Some(sessions) => sessions.place(self.clock.now()).map(Carrier::Http2),
            None => self.lock_idle().pop(),
        }
    }

    fn lock_idle(&self) -> MutexGuard<'_, Vec<Open<C, N>>> {
        self.idle.lock().expect("a push or a pop does not panic")
    }
}
