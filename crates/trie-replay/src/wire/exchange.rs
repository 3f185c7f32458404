//! One request and its answer, with every stamp.

use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::Clock;
use crate::quiet::quiet;

use super::carrier::{Carrier, Going, Unanswered};
use super::connect::Connector;
use super::event::Usage;
use super::failure::{Failure, FailureKind, server_message};
use super::intake::{Intake, read_whole};
use super::pool::{Link, Pool};
use super::request::Post;
use super::sse::DEFAULT_LIMIT;
use super::stamps::ChunkStamp;
use super::tally::{Tally, TokenSource};
use super::tap::StampSource;
use super::template::Shapes;

/// Most of an error body that is read, bytes.
const ERROR_BODY_LIMIT: usize = 64 << 10;

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A complete answer with at least one token.
    Ok,
    /// Anything else.
    Failed(Failure),
}

/// What was seen of one exchange so far. Stamps are monotonic ns of the pool's clock.
///
/// It is filled while the exchange runs, so that a request that is cut off keeps what it had.
///
/// An event is stamped with the read in which its first byte arrived: the echo of a long prompt
/// in the first event does not count as waiting. Events of one read carry one stamp;
/// `merged_reads` counts such reads. Under TLS the read is that of the socket below. With HTTP/2 a read
/// may bring content of several answers: it is one of the `reads` of each, and chunks of all but the first
/// are among the `merged_chunks`.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The driver got to the request.
    pub start_ns: Option<u64>,
    /// An open connection was in hand: right after `start_ns` when one was kept.
    pub connected_ns: Option<u64>,
    /// The socket took the request's last byte.
    pub sent_ns: Option<u64>,
    /// The answer's head arrived; says nothing about tokens.
    pub headers_ns: Option<u64>,
    /// The first event of any kind, a role-only frame too.
    pub first_event_ns: Option<u64>,
    /// The first chunk that stands for a token, of any channel.
    pub first_token_ns: Option<u64>,
    /// The first chunk with answer text.
    pub first_visible_ns: Option<u64>,
    /// The last chunk that stands for a token.
    pub last_token_ns: Option<u64>,
    /// `[DONE]`, or the end of the body where a server sends none; when it failed, the failure.
    pub end_ns: Option<u64>,
    /// HTTP status.
    pub status: Option<u16>,
    /// The answer's content type, as sent.
    pub content_type: Option<String>,
    /// The answer's id.
    pub id: Option<String>,
    /// The stream ended with `[DONE]`.
    pub done: bool,
    /// Why the server stopped.
    pub finish_reason: Option<String>,
    /// The last usage that the server sent.
    pub usage: Option<Usage>,
    /// The answer's text, if it was to be kept.
    pub text: String,
    /// What the model thought first, where the server keeps it apart, if the text was to be kept.
    pub reasoning: String,
    /// The answer's token ids, if they were to be kept and the server named them.
    pub token_ids: Vec<u32>,
    /// Number of the connection, from 0 in its pool.
    pub connection: Option<u64>,
    /// How long the connection took to open, ns, on the first request it carries.
    pub connect_ns: Option<u64>,
    /// The connection stood only after the request was due: its time is inside TTFT.
    pub connected_late: bool,
    /// The kept connection was found closed and the request sent again on a fresh one.
    pub stale_resend: bool,
    /// HTTP/2: other requests that were under way on the connection when this one was sent.
    pub shared_with: Option<u64>,
    /// HTTP/2: how long the request waited for leave to send more (a full window of the server's), ns.
    pub window_wait_ns: Option<u64>,
    /// Where arrival stamps come from.
    pub stamp_source: StampSource,
    /// Socket reads between the head and the end; while it runs, and with HTTP/2, those that brought content.
    pub reads: u64,
    /// Reads in which more than one chunk with tokens began.
    pub merged_reads: u64,
    /// Chunks with tokens beyond the first of their read, or in one that had brought content of another answer.
    pub merged_chunks: u64,
    /// How it ended; `None` while it runs, and for ever if it was cut off.
    pub outcome: Option<Outcome>,
    /// Reads of the connection before this request that had no kernel stamp.
    unstamped_before: u64,
    pub(super) tally: Tally,
}

impl Exchange {
    /// Chunks that stand for tokens, in order of arrival. They are decoded here: not for the path on
    /// which they arrive.
    pub fn chunks(&self) -> Vec<ChunkStamp> {
        self.tally.chunks.iter().collect()
    }

    /// The weakest source by which any chunk's tokens were counted.
    pub fn token_source(&self) -> Option<TokenSource> {
        self.tally.source
    }

    /// Answer tokens that only the final usage told of, but for an end token: nobody knows when
    /// they came.
    pub fn uncounted_tokens(&self) -> u64 {
        self.tally.uncounted
    }

    /// Tokens counted on arrival that the final usage does not count.
    pub fn excess_tokens(&self) -> u64 {
        self.tally.excess
    }

    /// Tokens of all chunks.
    pub fn tokens(&self) -> u64 {
        self.tally.chunks.iter().map(|chunk| u64::from(chunk.tokens)).sum()
    }

    fn note_connection<C: Clock, Io>(&mut self, now: u64, carrier: &Carrier<C, Io>, late: bool)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.connected_ns = Some(now);
        self.connection = Some(carrier.number());
        self.connect_ns = carrier.opened_in_ns();
        self.connected_late |= late;
        let unstamped = carrier.unstamped();
        self.unstamped_before = unstamped;
        self.stamp_source = carrier.source(unstamped);
    }
}

/// Sends `post` and receives its answer into `seen`, which starts out empty, but for
/// `connected_late` where the connection was opened ahead and not in time.
///
/// Never fails: what goes wrong is an [`Outcome`]. Dropping the future closes the socket at once
/// and leaves in `seen` what had been seen.
pub async fn exchange<C: Clock, N: Connector<C>>(
    pool: &Pool<C, N>,
    link: &mut Link<C, N::Io>,
    post: &Post<'_>,
    seen: &mut Exchange,
) {
    let clock = pool.clock();
    seen.start_ns = Some(clock.now());
    let done = tokio::select! {
        biased;
        done = attempt(pool, link, post, seen) => done,
        () = quiet(clock.sleep_until(post.deadline_ns)) => Err(timed_out()),
    };
    seen.end_ns = Some(done.as_ref().map_or_else(|_| clock.now(), |end| *end));
    seen.outcome = Some(match done {
        Ok(_end) => Outcome::Ok,
        Err(failure) => Outcome::Failed(failure.masked(post.target.secrets())),
    });
}

fn timed_out() -> Failure {
    Failure::new(FailureKind::Timeout, "the answer was not complete in time; hint: raise timeout=")
}

/// Returns the stamp of the answer's end.
async fn attempt<C: Clock, N: Connector<C>>(
    pool: &Pool<C, N>,
    link: &mut Link<C, N::Io>,
    post: &Post<'_>,
    seen: &mut Exchange,
) -> Result<u64, Failure> {
    let kept = pool.take(link).await;
    let reused = kept.is_some();
    let mut carrier = match kept {
        Some(carrier) => carrier,
        None => pool.connect().await?,
    };
    seen.note_connection(pool.clock().now(), &carrier, !reused);
    let mut response = send(&mut carrier, post, seen).await;
    if response.as_ref().is_err_and(|no| no.left_out || (reused && no.is_stale())) {
        seen.stale_resend = true;
        seen.sent_ns = None;
        carrier = pool.connect().await?;
        seen.note_connection(pool.clock().now(), &carrier, true);
        response = send(&mut carrier, post, seen).await;
    }
    let head = response.map_err(|unanswered| unanswered.failure)?;
    let received = receive((&mut carrier, pool.shapes()), &head, (post, seen)).await;
    if received.as_ref().map_or_else(|failure| failure.kind == FailureKind::Status, |_| true) {
        pool.give_back(link, carrier);
    }
    received
}

async fn send<C: Clock, Io>(
    carrier: &mut Carrier<C, Io>,
    post: &Post<'_>,
    seen: &mut Exchange,
) -> Result<Response<()>, Unanswered>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let note = |going: Going| {
        seen.sent_ns = seen.sent_ns.or(going.sent_ns);
        seen.shared_with = going.others;
        seen.window_wait_ns = going.window_wait_ns;
    };
    carrier.send(post.to_http(), note).await
}

async fn receive<C: Clock, Io>(
    (carrier, shapes): (&mut Carrier<C, Io>, &Shapes),
    head: &Response<()>,
    (post, seen): (&Post<'_>, &mut Exchange),
) -> Result<u64, Failure>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    seen.headers_ns = carrier.times().head_ns;
    seen.status = Some(head.status().as_u16());
    seen.content_type = header(head, &CONTENT_TYPE);
    if let Some(refusal) = judge(head, post.stream) {
        let body = read_whole(carrier, ERROR_BODY_LIMIT).await.unwrap_or_default();
        return Err(refused(refusal, head, &body));
    }
    let intake = Intake::new(seen, post.keep, post.on_first_token).knowing(shapes);
    let received = if post.stream {
        receive_stream(carrier, intake).await
    } else {
        receive_whole(carrier, intake).await
    };
    seen.reads = carrier.times().reads;
    seen.stamp_source = carrier.source(seen.unstamped_before);
    received
}

/// What is wrong with an answer, as far as its head tells.
enum Refusal {
    Redirect { to: String },
    Status,
    Encoded { encoding: String },
    Media { media: String },
}

fn judge(head: &Response<()>, stream: bool) -> Option<Refusal> {
    let encoding = header(head, &CONTENT_ENCODING).unwrap_or_default();
    let media = header(head, &CONTENT_TYPE);
    if head.status().is_redirection() {
        Some(Refusal::Redirect { to: header(head, &LOCATION).unwrap_or_default() })
    } else if !head.status().is_success() {
        Some(Refusal::Status)
    } else if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        Some(Refusal::Encoded { encoding })
    } else {
        media.filter(|media| !speaks(media, stream)).map(|media| Refusal::Media { media })
    }
}

/// Whether the content type is the one asked for; a missing one is taken on trust.
fn speaks(media: &str, stream: bool) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if stream { essence == "text/event-stream" } else { essence.ends_with("json") }
}

fn refused(refusal: Refusal, head: &Response<()>, body: &[u8]) -> Failure {
    let said = server_message(body);
    let status = head.status();
    let (kind, message) = match refusal {
        Refusal::Redirect { to } => (
            FailureKind::Redirect,
            format!("{status} to `{to}`; hint: redirects are not followed, name the final URL"),
        ),
        Refusal::Status if said.is_empty() => (FailureKind::Status, status.to_string()),
        Refusal::Status => (FailureKind::Status, said),
        Refusal::Encoded { encoding } => (
            FailureKind::EncodedBody,
            format!("the body is encoded as `{encoding}` although identity was asked for"),
        ),
        Refusal::Media { media } => (
            FailureKind::NotSse,
            format!("the answer is `{media}`; hint: does the endpoint end in /v1? it says: {said}"),
        ),
    };
    let retry_after = header(head, &RETRY_AFTER).and_then(|text| retry_after(&text));
    Failure { status: Some(status.as_u16()), retry_after, ..Failure::new(kind, message) }
}

/// Seconds as ns; years are as good as never.
fn retry_after(text: &str) -> Option<u64> {
    text.trim().parse::<u32>().ok().map(|seconds| u64::from(seconds) * 1_000_000_000)
}

fn header(head: &Response<()>, name: &HeaderName) -> Option<String> {
    let value = head.headers().get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

async fn receive_stream<C: Clock, Io>(
    carrier: &mut Carrier<C, Io>,
    mut intake: Intake<'_>,
) -> Result<u64, Failure>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let said = carrier.receive(|piece, read| intake.take_piece(piece, read).transpose()).await?;
    if let Some(end) = said {
        return intake.conclude(end?);
    }
    intake.end_of_body(carrier.times().end_ns.unwrap_or_default())
}

async fn receive_whole<C: Clock, Io>(
    carrier: &mut Carrier<C, Io>,
    mut intake: Intake<'_>,
) -> Result<u64, Failure>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let bytes = read_whole(carrier, DEFAULT_LIMIT).await?;
    let end = carrier.times().last_ns.unwrap_or_default();
    intake.take_whole(&bytes, end)
}
