use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::rt::ReadBufCursor;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::clock::PausedClock;
use crate::wire::FailureKind;
use crate::wire::pipe::{PipeConnector, pipe};
use crate::wire::pool::{Pool, Reuse};

const MS: u64 = 1_000_000;

type TestPool = Pool<PausedClock, PipeConnector>;

fn client() -> (TestPool, Receiver<DuplexStream>) {
    let (connector, accepted) = pipe();
    (Pool::new(connector, PausedClock::start(), Reuse::Conversation, 1_000 * MS), accepted)
}

fn request(body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post("/v1/completions").body(body.into()).unwrap()
}

async fn read_request(stream: &mut DuplexStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"{}") {
        read.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

/// Sends the pieces, each for a read of its own, to a client that may have had enough.
async fn play(stream: &mut DuplexStream, pieces: &[&[u8]]) {
    for piece in pieces {
        if stream.write_all(piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// The status, the content, and whether it came whole.
type Answer = (Option<u16>, Vec<u8>, bool);

/// What this client makes of an answer that comes in pieces and ends with the connection.
async fn ours(pieces: &[&[u8]]) -> Answer {
    let (pool, mut accepted) = client();
    let mut connection = pool.connect().await.unwrap();
    let serve = async {
        let mut stream = accepted.recv().await.unwrap();
        read_request(&mut stream).await;
        play(&mut stream, pieces).await;
    };
    let receive = async {
        let Ok(head) = connection.send(request("{}"), |_| {}).await else {
            return (None, Vec::new(), false);
        };
        let mut content = Vec::new();
        let take = |piece: &[u8], _| {
            content.extend_from_slice(piece);
            None::<()>
        };
        let whole = connection.receive(take).await.is_ok();
        (Some(head.status().as_u16()), content, whole)
    };
    tokio::join!(receive, serve).0
}

/// A stream as hyper wants it.
struct Lent(DuplexStream);

impl hyper::rt::Read for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 1024];
        let room = into.remaining().min(bytes.len());
        let mut buf = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        into.put_slice(buf.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What hyper makes of it.
async fn theirs(pieces: &[&[u8]]) -> Answer {
    let (near, mut stream) = tokio::io::duplex(64 << 10);
    let (mut sender, connection) = handshake(Lent(near)).await.unwrap();
    let serve = async {
        read_request(&mut stream).await;
        play(&mut stream, pieces).await;
        drop(stream);
    };
    let receive = async {
        let mut request = request("{}").map(Full::new);
        request.headers_mut().insert("host", "h".parse().unwrap());
        let Ok(response) = sender.send_request(request).await else {
            return (None, Vec::new(), false);
        };
        let status = response.status().as_u16();
        let (mut body, mut content) = (response.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return (Some(status), content, false) };
            content.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        (Some(status), content, true)
    };
    tokio::join!(receive, serve, connection).0
}

fn piece() -> impl Strategy<Value = String> {
    let parts = vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 503 Busy\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "content-length: 7\r\n",
        "transfer-encoding: chunked\r\n",
        "connection: close\r\n",
        "a: b\r\n",
        "\r\n",
        "5\r\nhello\r\n",
        "A;x=1\r\n0123456789\r\n",
        "0\r\n\r\n",
        "0\r\nt: u\r\n\r\n",
        "data: x\n\n",
        "zz\r\n",
    ];
    prop::sample::select(parts).prop_map(str::to_owned)
}

/// Answers that begin like one, mostly.
fn script() -> impl Strategy<Value = String> {
    let head = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "",
    ]);
    (head, prop::collection::vec(piece(), 0..8))
        .prop_map(|(head, pieces)| head.to_owned() + &pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn hyper_reads_the_same_from_the_same_bytes(
        script in script(),
        cuts in prop::collection::vec(1_usize..30, 1..20),
    ) {
        let (mut pieces, mut rest) = (Vec::new(), script.as_bytes());
        for size in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, tail) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (ours, theirs) =
            runtime.block_on(async { (ours(&pieces).await, theirs(&pieces).await) });
        prop_assert_eq!(ours, theirs);
    }
}

/// What a server sends, and whether the connection can carry another request after that.
async fn check_kept(sent: &[u8], kept: bool) {
    let (pool, mut accepted) = client();
    let mut connection = pool.connect().await.unwrap();
    let mut stream = accepted.recv().await.unwrap();
    let serve = async {
        read_request(&mut stream).await;
        stream.write_all(sent).await.unwrap();
    };
    let receive = async {
        connection.send(request("{}"), |_| {}).await.unwrap();
        connection.receive(|_, _| Some(())).await.unwrap();
    };
    tokio::join!(receive, serve);
    let text = String::from_utf8_lossy(sent);
    assert_eq!(connection.is_usable(pool.clock()).await, kept, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_when_its_answer_was_read_to_the_end_and_nothing_follows() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let check =
        async |body: &str, kept| check_kept((chunked.to_owned() + body).as_bytes(), kept).await;
    check("1\r\na\r\n0\r\n\r\n", true).await;
    check("1\r\na\r\n1\r\nb\r\n0\r\nx: y\r\n\r\n", true).await;
    check("1\r\na\r\n", false).await;
    check("1\r\na\r\nzz", false).await;
    check("1\r\na\r\n0\r\n\r\nHTTP/1.1 408 Late\r\n\r\n", false).await;
    let length = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n";
    check_kept(format!("{length}\r\nabc").as_bytes(), true).await;
    check_kept(format!("{length}\r\nab").as_bytes(), false).await;
    check_kept(format!("{length}connection: close\r\n\r\nabc").as_bytes(), false).await;
    check_kept(b"HTTP/1.1 200 OK\r\n\r\nabc", false).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_body_nobody_asked_for_is_passed_over() {
    let (pool, mut accepted) = client();
    let mut connection = pool.connect().await.unwrap();
    let mut stream = accepted.recv().await.unwrap();
    for _ in 0..2 {
        let serve = async {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
        };
        let (head, ()) = tokio::join!(connection.send(request("{}"), |_| {}), serve);
        assert_eq!(head.unwrap().status().as_u16(), 200);
        assert!(connection.is_usable(pool.clock()).await);
    }
}

/// A body that fills the pipe and is not read, and the answer that says why.
#[tokio::test(start_paused = true)]
async fn an_answer_to_a_request_that_is_not_wholly_sent_is_read_and_the_connection_given_up() {
    let (pool, mut accepted) = client();
    let mut connection = pool.connect().await.unwrap();
    let mut stream = accepted.recv().await.unwrap();
    stream.write_all(b"HTTP/1.1 413 Large\r\ncontent-length: 3\r\n\r\nno!").await.unwrap();
    let head = connection.send(request(vec![b' '; 1 << 20]), |_| {}).await.unwrap();
    let mut content = Vec::new();
    let take = |piece: &[u8], _| {
        content.extend_from_slice(piece);
        None::<()>
    };
    assert_eq!(connection.receive(take).await.unwrap(), None);
    assert_eq!((head.status().as_u16(), &content[..]), (413, &b"no!"[..]));
    assert!(!connection.is_usable(pool.clock()).await);
}

#[tokio::test(start_paused = true)]
async fn a_large_request_is_sent_whole_while_its_answer_is_waited_for() {
    let (pool, mut accepted) = client();
    let mut connection = pool.connect().await.unwrap();
    let mut stream = accepted.recv().await.unwrap();
    let body: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let serve = async {
        let (mut heard, end) = (Vec::new(), b"content-length: 1200000\r\n\r\n");
        while !heard.ends_with(end) {
            heard.push(stream.read_u8().await.unwrap());
        }
        let mut got = vec![0; body.len()];
        stream.read_exact(&mut got).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 None\r\n\r\n").await.unwrap();
        got
    };
    let (head, got) = tokio::join!(connection.send(request(body.clone()), |_| {}), serve);
    assert_eq!(head.unwrap().status().as_u16(), 204);
    assert!(got == body);
    assert!(connection.is_usable(pool.clock()).await);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_too_soon_says_where() {
    for (sent, part) in [
        ("", "before it answered"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", "was complete"),
    ] {
        let (pool, mut accepted) = client();
        let mut connection = pool.connect().await.unwrap();
        let serve = async {
            let mut stream = accepted.recv().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(sent.as_bytes()).await.unwrap();
        };
        let receive = async {
            connection.send(request("{}"), |_| {}).await.map_err(|no| no.failure)?;
            connection.receive(|_, _| None::<()>).await
        };
        let failure = tokio::join!(receive, serve).0.unwrap_err();
        assert_eq!(failure.kind, FailureKind::ClosedEarly);
        assert!(failure.message.contains(part), "{failure:?}");
    }
}
