//! Which connection carries which request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::Clock;

use super::connect::{ConnectError, Connector};
use super::connection::Connection;
use super::failure::{Failure, FailureKind};
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

type Open<C, N> = Box<Connection<C, <N as Connector<C>>::Io>>;

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
}

/// A conversation's hold on its connection.
pub struct Link<C, Io: AsyncRead + AsyncWrite + Unpin> {
    kept: Option<Box<Connection<C, Io>>>,
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
        }
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
            let mut connection = next.take().or_else(|| self.pop_idle())?;
            if connection.is_usable(&self.clock).await {
                return Some(connection);
            }
        }
    }

    /// Opens a new connection.
    pub(crate) async fn connect(&self) -> Result<Open<C, N>, Failure> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let limit = self.clock.now().saturating_add(self.connect_timeout_ns);
        // Boxed: it is rare, and would be most of the memory that a request takes.
        let opening = Connection::open(&self.connector, &self.clock, number, &self.reads);
        tokio::select! {
            biased;
            opened = Box::pin(opening) => {
                opened.map_err(ConnectError::into_failure)
            }
            () = self.clock.sleep_until(limit) => Err(Failure::new(
                FailureKind::ConnectTimeout,
                format!(
                    "no connection within {} ms; hint: is a firewall in between?",
                    self.connect_timeout_ns / 1_000_000
                ),
            )),
        }
    }

    /// Keeps a connection whose answer was complete, as the policy says.
    pub(crate) fn give_back(&self, link: &mut Link<C, N::Io>, connection: Open<C, N>) {
        match self.reuse {
            Reuse::Conversation => link.kept = Some(connection),
            Reuse::Request => drop(connection),
            Reuse::Shared => self.lock_idle().push(connection),
        }
    }

    fn pop_idle(&self) -> Option<Open<C, N>> {
        self.lock_idle().pop()
    }

    fn lock_idle(&self) -> MutexGuard<'_, Vec<Open<C, N>>> {
        self.idle.lock().expect("a push or a pop does not panic")
    }
}
