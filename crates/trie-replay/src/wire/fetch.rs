//! One request beside the measured path, its answer read whole, whatever its status.

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderName, SERVER};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::Clock;

use super::carrier::Carrier;
use super::connect::Connector;
use super::failure::{Failure, FailureKind};
use super::intake::read_whole;
use super::pool::{Link, Pool};
use super::request::{Route, Target};

/// Most of an answer that is read, bytes: metrics pages of large engines have some 100 kB.
const BODY_LIMIT: usize = 4 << 20;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    /// The `Server` header.
    pub(crate) server: Option<String>,
    /// The `Keep-Alive` header.
    pub(crate) keep_alive: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Fetches a route, with a POST where there is a body.
///
/// # Errors
///
/// No answer came, or not before `deadline_ns`; a status of any kind is an answer.
pub(crate) async fn fetch<C: Clock, N: Connector<C>>(
    pool: &Pool<C, N>,
    link: &mut Link<C, N::Io>,
    (target, route, body): (&Target, Route, Option<Bytes>),
    deadline_ns: u64,
) -> Result<Fetched, Failure> {
    let fetched = tokio::select! {
        biased;
        fetched = attempts(pool, link, target, (route, body)) => fetched,
        () = pool.clock().sleep_until(deadline_ns) => {
            Err(Failure::new(FailureKind::Timeout, "the answer was not complete in time"))
        }
    };
    fetched.map_err(|failure| failure.masked(target.secrets()))
}

/// A kept connection may have been closed meanwhile: then a fresh one is tried.
async fn attempts<C: Clock, N: Connector<C>>(
    pool: &Pool<C, N>,
    link: &mut Link<C, N::Io>,
    target: &Target,
    (route, body): (Route, Option<Bytes>),
) -> Result<Fetched, Failure> {
    if let Some(kept) = pool.take(link).await {
        let fetched = attempt(pool, link, kept, (target, route, body.clone())).await;
        if fetched.as_ref().map_or_else(|failure| !failure.kind.is_broken(), |_| true) {
            return fetched;
        }
    }
    let fresh = pool.connect().await?;
    attempt(pool, link, fresh, (target, route, body)).await
}

async fn attempt<C: Clock, N: Connector<C>>(
    pool: &Pool<C, N>,
    link: &mut Link<C, N::Io>,
    mut carrier: Carrier<C, N::Io>,
    (target, route, body): (&Target, Route, Option<Bytes>),
) -> Result<Fetched, Failure> {
    let request = target
        .to_route(route, body)
        .map_err(|error| Failure::new(FailureKind::BadHttp, error.to_string()))?;
    let sent = carrier.send(request, |_| {}).await;
    let head = sent.map_err(|unanswered| unanswered.failure)?;
    let fetched = read(&mut carrier, &head).await?;
    pool.give_back(link, carrier);
    Ok(fetched)
}

async fn read<C: Clock, Io>(
    carrier: &mut Carrier<C, Io>,
    head: &Response<()>,
) -> Result<Fetched, Failure>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let header = |name: &HeaderName| {
        let value = head.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Fetched {
        status: head.status().as_u16(),
        server: header(&SERVER),
        keep_alive: header(&KEEP_ALIVE),
        content_type: header(&CONTENT_TYPE),
        body: read_whole(carrier, BODY_LIMIT).await?,
    })
}
