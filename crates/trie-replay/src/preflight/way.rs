//! The way to a server under preflight: one connection, every request with little time.

use std::future::Future;
use std::pin::pin;

use bytes::Bytes;
use trie_core::units::Nanos;

use crate::clock::Clock;
use crate::wire::{
    Connector, Exchange, Failure, FailureKind, Fetched, Keep, Link, Outcome, Pool, Post, Reuse,
    Route, Target, exchange, fetch,
};

/// Most time for a request, whatever `timeout=` allows: an idle server that takes longer for some
/// hundred tokens is none that a run should be started on.
const LIMIT: Nanos = Nanos::from_secs(30);

/// Most time for a page about the server.
const PAGE_LIMIT: Nanos = Nanos::from_secs(10);

/// After this time whoever waits is told what for.
const PATIENCE: Nanos = Nanos::from_secs(2);

/// How long a server has to close a connection that it does not mean to keep.
const CLOSING: Nanos = Nanos::from_millis(50);

/// Called with what is waited for.
pub(super) type Waiting<'a> = &'a dyn Fn(&str);

/// One connection to a server, opened again where the server closes it.
pub(super) struct Way<'a, C: Clock, N: Connector<C>> {
    pool: &'a Pool<C, N>,
    target: &'a Target,
    limit: Nanos,
    waiting: Waiting<'a>,
    link: Link<C, N::Io>,
}

impl<'a, C: Clock, N: Connector<C>> Way<'a, C, N> {
    /// No connection yet; a request may take as long as `timeout`, up to 30 s.
    pub(super) fn new(
        pool: &'a Pool<C, N>,
        target: &'a Target,
        timeout: Nanos,
        waiting: Waiting<'a>,
    ) -> Self {
        Self { pool, target, limit: timeout.min(LIMIT), waiting, link: pool.link() }
    }

    /// Connects, and says how long it took.
    pub(super) async fn open(&mut self) -> Result<Nanos, Failure> {
        let Self { pool, waiting, link, .. } = self;
        let start = pool.clock().now();
        patiently(pool.clock(), "a connection", *waiting, pool.open_ahead(link)).await?;
        Ok(Nanos(pool.clock().now() - start))
    }

    /// The body of a page about the server, whatever its status.
    pub(super) async fn page(&mut self, route: Route) -> Result<Fetched, Failure> {
        let (Route::Api(path) | Route::Root(path)) = route;
        self.fetch(&format!("GET {path}"), route, None, self.limit.min(PAGE_LIMIT)).await
    }

    /// An answer read whole, without stamps.
    pub(super) async fn answer(
        &mut self,
        what: &str,
        route: Route,
        body: Bytes,
    ) -> Result<Fetched, Failure> {
        self.fetch(what, route, Some(body), self.limit).await
    }

    /// An answer as a run would receive it.
    pub(super) async fn exchange(&mut self, what: &str, body: Bytes, stream: bool) -> Exchange {
        let Self { pool, target, limit, waiting, link } = self;
        let deadline_ns = pool.clock().now().saturating_add(limit.0);
        let keep = Keep::default();
        let on_first_token = &|_| ();
        let post = Post { target, headers: &[], body, stream, deadline_ns, keep, on_first_token };
        let mut seen = Exchange::default();
        patiently(pool.clock(), what, *waiting, exchange(pool, link, &post, &mut seen)).await;
        if let Some(Outcome::Failed(failure)) = &mut seen.outcome
            && failure.kind == FailureKind::Timeout
        {
            // The limit is the preflight's own: a longer timeout= may not help.
            failure.message = format!("no complete answer within {} s", limit.as_secs_f64());
        }
        seen
    }

    /// Whether the connection is still open a moment after the last answer. `None` where no
    /// connection is meant to be kept.
    pub(super) async fn stays_open(&mut self) -> Option<bool> {
        if self.pool.reuse() == Reuse::Request {
            return None;
        }
        let clock = self.pool.clock();
        clock.sleep_until(clock.now().saturating_add(CLOSING.0)).await;
        Some(self.pool.open_ahead(&mut self.link).await == Ok(false))
    }

    async fn fetch(
        &mut self,
        what: &str,
        route: Route,
        body: Option<Bytes>,
        limit: Nanos,
    ) -> Result<Fetched, Failure> {
        let Self { pool, target, waiting, link, .. } = self;
        let deadline_ns = pool.clock().now().saturating_add(limit.0);
        let fetching = fetch(pool, link, (target, route, body), deadline_ns);
        patiently(pool.clock(), what, *waiting, fetching).await
    }
}

async fn patiently<C: Clock, T>(
    clock: &C,
    what: &str,
    waiting: Waiting<'_>,
    doing: impl Future<Output = T>,
) -> T {
    let mut doing = pin!(doing);
    tokio::select! {
        biased;
        done = &mut doing => return done,
        () = clock.sleep_until(clock.now().saturating_add(PATIENCE.0)) => {}
    }
    waiting(what);
    doing.await
}
