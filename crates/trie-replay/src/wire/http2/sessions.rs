//! Which connection has a place for whom.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;

use super::super::connect::Connector;
use super::super::endpoint::Scheme;
use super::super::failure::Failure;
use super::session::{Movers, Opening, Place, Session};
use super::stream::Stream;

/// How long an answer whose content was complete may take to end, ns. The server ends it within a
/// millisecond of the last event; a stream that does not end is reset.
const SETTLE_NS: u64 = 20_000_000;

/// The HTTP/2 connections of a pool.
pub(crate) struct Sessions<C> {
    scheme: Scheme,
    /// Connections on which whoever needs one can have a place; the lock is held for a look only.
    shared: Mutex<Vec<Arc<Session<C>>>>,
    /// Answers whose end is still to come, and until when that may take.
    settling: Mutex<Vec<(Stream<C>, u64)>>,
    /// Held while a connection is opened that many may wait for; how many times that has failed.
    opening: tokio::sync::Mutex<()>,
    failed: Mutex<(u64, Option<Failure>)>,
    movers: Mutex<Movers>,
}

impl<C: Clock> Sessions<C> {
    pub(crate) fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            shared: Mutex::default(),
            settling: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            failed: Mutex::default(),
            movers: Mutex::default(),
        }
    }

    /// None yet, for another thread.
    pub(crate) fn sibling(&self) -> Self {
        Self::new(self.scheme)
    }

    /// A connection of its own.
    pub(crate) async fn open_one<N: Connector<C>>(
        &self,
        opening: Opening<'_, C, N>,
    ) -> Result<Stream<C>, Failure> {
        let session = self.open(opening).await?;
        Ok(Stream::new(Place::on(&session)))
    }

    /// A place on a connection that all share, if one is free.
    pub(crate) fn place(&self, now: u64) -> Option<Stream<C>> {
        lock(&self.settling).retain_mut(|(stream, limit)| !stream.is_settled() && now < *limit);
        let mut shared = lock(&self.shared);
        shared.retain(|session| session.is_usable());
        let found = shared.iter().find(|session| session.has_room(usize::MAX));
        found.map(|session| Stream::new(Place::on(session)))
    }

    /// The same; a connection is opened where none has room. Who comes meanwhile waits for that one, and
    /// shares its failure.
    pub(crate) async fn place_or_open<N: Connector<C>>(
        &self,
        opening: Opening<'_, C, N>,
    ) -> Result<Stream<C>, Failure> {
        let (before, _) = *lock(&self.failed);
        let _only_one = self.opening.lock().await;
        if let Some(stream) = self.place(opening.clock.now()) {
            return Ok(stream);
        }
        let (now, failure) = lock(&self.failed).clone();
        if let Some(failure) = failure.filter(|_| now > before) {
            return Err(failure);
        }
        match self.open(opening).await {
            Ok(session) => {
                let stream = Stream::new(Place::on(&session));
                lock(&self.shared).push(session);
                Ok(stream)
            }
            Err(failure) => {
                let mut failed = lock(&self.failed);
                *failed = (failed.0 + 1, Some(failure.clone()));
                Err(failure)
            }
        }
    }

    /// Takes back a place on a shared connection; it is free once the answer has ended.
    pub(crate) fn give_back(&self, mut stream: Stream<C>, now: u64) {
        if !stream.is_settled() {
            lock(&self.settling).push((stream, now.saturating_add(SETTLE_NS)));
        }
    }

    async fn open<N: Connector<C>>(
        &self,
        opening: Opening<'_, C, N>,
    ) -> Result<Arc<Session<C>>, Failure> {
        Session::open(opening, self.scheme, |work| lock(&self.movers).start(work)).await
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
