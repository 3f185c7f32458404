//! TLS that ends, breaks or is cut, and HTTP/2 above it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use trie_replay::clock::{Clock, SystemClock};
use trie_replay::wire::{Exchange, FailureKind, Outcome, TlsSettings};

use crate::wire_server::{CHUNKED_HEAD, DONE, SSE_HEAD, chunk, failure, kind, token};
use crate::wire_tcp::{Authority, listen, read_head, send, send_to};

/// How a server ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// As TLS has it, with a word.
    Notified,
    /// The connection closes, as an attacker could have it too.
    Cut,
}

/// One exchange with a server that reads the request, writes this, and ends.
async fn ended(answer: Vec<u8>, end: End) -> Exchange {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(Arc::new(authority.config("localhost", 2100, false)));
    let (listener, port) = listen().await;
    let server = async {
        let mut stream = acceptor.accept(listener.accept().await?.0).await?;
        read_head(&mut stream).await?;
        stream.read_exact(&mut [0; 2]).await?;
        stream.write_all(&answer).await?;
        stream.flush().await?;
        match end {
            End::Notified => stream.shutdown().await?,
            End::Cut => stream.into_inner().0.shutdown().await?,
        }
        Ok(String::new())
    };
    let url = format!("https://localhost:{port}/v1");
    send_to(server, send(&url, None, &authority.trusted())).await.0
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_closed_early_whether_tls_says_so_or_not() {
    for end in [End::Notified, End::Cut] {
        let half = [CHUNKED_HEAD.as_bytes(), &chunk(&token("a"))].concat();
        let seen = ended(half, end).await;
        assert_eq!((kind(&seen), seen.tokens()), (FailureKind::ClosedEarly, 1), "{end:?} {seen:?}");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_needs_the_word_of_tls() {
    // Without [DONE], whether this is all hangs on how the connection ends.
    let last = "data: {\"choices\":[{\"text\":\"b\",\"finish_reason\":\"stop\"}]}\n\n";
    let body = [SSE_HEAD, &token("a"), last].concat();
    let whole = ended(body.clone().into_bytes(), End::Notified).await;
    assert_eq!((whole.outcome.clone(), whole.tokens()), (Some(Outcome::Ok), 2), "{whole:?}");
    let cut = ended(body.into_bytes(), End::Cut).await;
    assert_eq!(kind(&cut), FailureKind::ClosedEarly, "{cut:?}");
}

/// Carries bytes between two sockets, those of the server one at a time; notes when it sent the
/// newest one.
async fn drip(near: TcpStream, far: TcpStream, newest: &AtomicU64) -> io::Result<()> {
    near.set_nodelay(true)?;
    let ((mut up, mut down), (mut from, mut to)) = (split(near), split(far));
    let forth = async { tokio::io::copy(&mut up, &mut to).await };
    let back = async {
        let mut buffer = [0; 4096];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            for byte in &buffer[..read] {
                newest.store(SystemClock.now(), Ordering::Relaxed);
                down.write_all(&[*byte]).await?;
                // The client reads what has come before there is more.
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        biased;
        ended = back => ended,
        // The client has gone, and with it whoever could say anything of it.
        copied = forth => copied.map(drop),
    }
}

#[tokio::test]
async fn a_record_in_many_reads_has_the_stamp_of_the_last_one() {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(Arc::new(authority.config("localhost", 2100, false)));
    let ((front, port), (back, behind)) = (listen().await, listen().await);
    let newest = AtomicU64::new(0);
    let server = async {
        let serve = async {
            let mut stream: TlsStream<TcpStream> = acceptor.accept(back.accept().await?.0).await?;
            read_head(&mut stream).await?;
            stream.read_exact(&mut [0; 2]).await?;
            let body = [SSE_HEAD, &token("a"), &token("b"), DONE].concat();
            // One record.
            stream.write_all(body.as_bytes()).await?;
            stream.flush().await?;
            stream.into_inner().0.shutdown().await
        };
        let relay = async {
            let far = TcpStream::connect(("127.0.0.1", behind)).await?;
            drip(front.accept().await?.0, far, &newest).await
        };
        let (served, relayed) = tokio::join!(serve, relay);
        served.and(relayed).map(|()| String::new())
    };
    let url = format!("https://localhost:{port}/v1");
    let (seen, _) = send_to(server, send(&url, None, &authority.trusted())).await;
    assert_eq!((seen.outcome.clone(), seen.tokens()), (Some(Outcome::Ok), 2), "{seen:?}");
    // Both tokens came with the byte that completed their record.
    let stamps: Vec<u64> = seen.chunks().iter().map(|chunk| chunk.ns).collect();
    assert_eq!((stamps[0], seen.merged_chunks), (stamps[1], 1));
    let last = newest.load(Ordering::Relaxed);
    assert!(last > 0 && stamps[0] + CLOCKS_NS >= last, "{} and {last}", stamps[0]);
}

/// The kernel's stamps are of another clock, which is known to some microseconds.
const CLOCKS_NS: u64 = 1_000_000;

/// One exchange of HTTP/2 under TLS with a server that agrees to these protocols; it answers whole, or is
/// cut off.
async fn http2(protocols: &[&[u8]], cut: bool) -> Exchange {
    let authority = Authority::new();
    let mut config = authority.config("localhost", 2100, false);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, port) = listen().await;
    let server = async {
        let stream = acceptor.accept(listener.accept().await?.0).await?;
        serve_http2(stream, cut).await.map_err(io::Error::other)
    };
    let settings = TlsSettings { http2: true, ..authority.trusted() };
    let url = format!("https://localhost:{port}/v1");
    send_to(server, send(&url, None, &settings)).await.0
}

/// Answers one request with a token, to the end or not. Returns where the request went.
async fn serve_http2(stream: TlsStream<TcpStream>, cut: bool) -> Result<String, h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    let accepted = connection.accept().await;
    let (request, mut respond) = accepted.expect("the client has sent a request")?;
    let head = http::Response::builder().header("content-type", "text/event-stream");
    let mut sending = respond.send_response(head.body(()).unwrap(), false)?;
    sending.send_data((token("a") + if cut { "" } else { DONE }).into(), !cut)?;
    let sent = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _none = connection.accept() => {}
        // What is to be sent goes; then all of it is dropped, without a word of TLS.
        () = sent, if cut => {}
    }
    Ok(request.uri().to_string())
}

#[tokio::test]
async fn http_2_is_agreed_on_in_the_handshake() {
    let seen = http2(&[b"h2", b"http/1.1"], false).await;
    assert_eq!((seen.outcome.clone(), seen.tokens()), (Some(Outcome::Ok), 1), "{seen:?}");
    assert_eq!(seen.shared_with, Some(0));
    for protocols in [&[][..], &[&b"http/1.1"[..]]] {
        let seen = http2(protocols, false).await;
        let message = &failure(&seen).message;
        assert_eq!(kind(&seen), FailureKind::NoHttp2, "{message}");
        assert!(message.contains("in the TLS handshake"), "{message}");
    }
}

#[tokio::test]
async fn http_2_under_tls_that_breaks_off_is_closed_early() {
    let seen = http2(&[b"h2"], true).await;
    assert!(failure(&seen).kind.is_broken(), "{seen:?}");
    assert_eq!((kind(&seen), seen.stale_resend), (FailureKind::ClosedEarly, false), "{seen:?}");
}
