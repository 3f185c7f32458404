//! Exchanges over real sockets on loopback: TLS, proxies and what refuses to connect.

use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use trie_replay::clock::{Clock, SystemClock};
use trie_replay::wire::{
    Api, Endpoint, Exchange, FailureKind, Keep, NetConnector, Outcome, Pool, Post, Reuse, Target,
    TlsSettings, exchange,
};

use crate::wire_server::{DONE, SECOND, answer, kind, token};

/// One exchange over the network, given up after 10 s.
pub(crate) async fn send(url: &str, proxy: Option<&str>, tls: &TlsSettings) -> Exchange {
    let endpoint = Endpoint::parse(url).unwrap();
    let proxy = proxy.map(|proxy| Endpoint::parse(proxy).unwrap());
    let target = Target::new(&endpoint, proxy.as_ref(), Api::Completions, None, &[]).unwrap();
    let scheme = endpoint.scheme;
    let connector = NetConnector::new(endpoint, proxy, tls).unwrap();
    let pool = Pool::new(connector, SystemClock, Reuse::Conversation, 5 * SECOND);
    let pool = if tls.http2 { pool.http2(scheme) } else { pool };
    let post = Post {
        target: &target,
        headers: &[],
        body: "{}".into(),
        stream: true,
        deadline_ns: SystemClock.now() + 10 * SECOND,
        keep: Keep::default(),
        on_first_token: &|_| (),
    };
    let mut seen = Exchange::default();
    exchange(&pool, &mut pool.link(), &post, &mut seen).await;
    seen
}

/// `send` beside a server that goes on for as long as it likes.
pub(crate) async fn send_to(
    server: impl Future<Output = io::Result<String>>,
    request: impl Future<Output = Exchange>,
) -> (Exchange, Option<String>) {
    let mut server = Box::pin(server);
    let mut request = Box::pin(request);
    let mut log = None;
    loop {
        tokio::select! {
            seen = &mut request => return (seen, log),
            line = &mut server, if log.is_none() => log = Some(line.unwrap_or_default()),
        }
    }
}

pub(crate) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Reads a request with the body `{}`, answers a token, and returns the request's first line.
async fn answer_one(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<String> {
    let head = read_head(&mut stream).await?;
    stream.read_exact(&mut [0; 2]).await?;
    let body = token("a") + DONE;
    stream.write_all(&answer("200 OK", "content-type: text/event-stream\r\n", &body)).await?;
    stream.flush().await?;
    Ok(head.lines().next().unwrap_or_default().to_owned())
}

pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[tokio::test]
async fn plain_tcp_carries_an_exchange() {
    let (listener, port) = listen().await;
    let server = async { answer_one(listener.accept().await?.0).await };
    let url = format!("http://localhost:{port}/v1");
    let (seen, _line) = send_to(server, send(&url, None, &TlsSettings::default())).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok));
    let order = [
        seen.start_ns,
        seen.connected_ns,
        seen.sent_ns,
        seen.headers_ns,
        seen.first_token_ns,
        seen.last_token_ns,
        seen.end_ns,
    ];
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let (listener, port) = listen().await;
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/v1");
    let seen = send(&url, None, &TlsSettings::default()).await;
    assert_eq!(kind(&seen), FailureKind::Refused);
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_failure() {
    let seen = send("http://a..b:1/v1", None, &TlsSettings::default()).await;
    assert_eq!(kind(&seen), FailureKind::Dns);
}

/// An authority, and files as a user has them.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// What a client that knows this authority says.
    pub(crate) fn trusted(&self) -> TlsSettings {
        TlsSettings { ca_file: Some(self.folder.path().join("ca.pem")), ..TlsSettings::default() }
    }

    /// Certificate and key in PEM.
    fn issue(&self, name: &str, expires: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(expires, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn acceptor(&self, name: &str, expires: i32, ask_client: bool) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.config(name, expires, ask_client)))
    }

    pub(crate) fn config(&self, name: &str, expires: i32, ask_client: bool) -> ServerConfig {
        let (certificate, key) = self.issue(name, expires);
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = if ask_client {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        builder.with_single_cert(chain, key).unwrap()
    }
}

/// One exchange with a TLS server on localhost.
async fn send_tls(acceptor: TlsAcceptor, settings: &TlsSettings) -> Exchange {
    let (listener, port) = listen().await;
    let server = async {
        let stream = acceptor.accept(listener.accept().await?.0).await?;
        answer_one(stream).await
    };
    let url = format!("https://localhost:{port}/v1");
    send_to(server, send(&url, None, settings)).await.0
}

#[tokio::test]
async fn tls_is_accepted_and_refused_for_the_right_reason() {
    let authority = Authority::new();
    let trusted = authority.trusted();
    let insecure = TlsSettings { insecure: true, ..TlsSettings::default() };
    let check = async |name: &str, expires, settings: &TlsSettings, expected| {
        let seen = send_tls(authority.acceptor(name, expires, false), settings).await;
        let got = (seen.outcome != Some(Outcome::Ok)).then(|| kind(&seen));
        assert_eq!(got, expected, "{name} {expires}: {:?}", seen.outcome);
    };
    check("localhost", 2100, &trusted, None).await;
    check("localhost", 2100, &TlsSettings::default(), Some(FailureKind::TlsUnknownIssuer)).await;
    check("example.org", 2100, &trusted, Some(FailureKind::TlsName)).await;
    check("localhost", 2001, &trusted, Some(FailureKind::TlsExpired)).await;
    check("example.org", 2001, &insecure, None).await;
}

#[tokio::test]
async fn a_client_certificate_is_shown_when_asked_for() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("client", 2100);
    let path = authority.folder.path().join("client.pem");
    std::fs::write(&path, certificate + &key).unwrap();
    let settings = TlsSettings { client_cert: Some(path), ..authority.trusted() };
    let seen = send_tls(authority.acceptor("localhost", 2100, true), &settings).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok));
    let without = send_tls(authority.acceptor("localhost", 2100, true), &authority.trusted()).await;
    assert_eq!(kind(&without), FailureKind::Tls);
}

#[tokio::test]
async fn tls_on_a_plain_port_and_plain_on_a_tls_port_are_told() {
    let (listener, port) = listen().await;
    let server = async {
        let mut stream = listener.accept().await?.0;
        stream.read_u8().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        // Closing with bytes unread would reset the connection.
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(String::new())
    };
    let url = format!("https://localhost:{port}/v1");
    let (seen, _line) = send_to(server, send(&url, None, &TlsSettings::default())).await;
    assert_eq!(kind(&seen), FailureKind::TlsNotTls);

    let authority = Authority::new();
    let (listener, port) = listen().await;
    let acceptor = authority.acceptor("localhost", 2100, false);
    let server = async {
        let accepted = acceptor.accept(listener.accept().await?.0).await;
        Ok(format!("{:?}", accepted.err()))
    };
    let url = format!("http://localhost:{port}/v1");
    let (seen, _line) = send_to(server, send(&url, None, &TlsSettings::default())).await;
    assert_eq!(kind(&seen), FailureKind::BadHttp);
}

#[tokio::test]
async fn files_that_hold_no_certificate_are_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("empty.pem");
    std::fs::write(&path, "nothing here\n").unwrap();
    let endpoint = Endpoint::parse("https://host/v1").unwrap();
    for path in [path, folder.path().join("missing.pem")] {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let settings = TlsSettings { ca_file: Some(path), ..TlsSettings::default() };
        let error = NetConnector::new(endpoint.clone(), None, &settings).unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_gets_the_absolute_url_for_plain_http() {
    let (listener, port) = listen().await;
    let server = async { answer_one(listener.accept().await?.0).await };
    let proxy = format!("http://127.0.0.1:{port}");
    let tls = TlsSettings::default();
    let request = send("http://remote.example:81/v1", Some(&proxy), &tls);
    let (seen, line) = send_to(server, request).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok));
    assert_eq!(line.unwrap(), "POST http://remote.example:81/v1/completions HTTP/1.1");
}

#[tokio::test]
async fn a_proxy_tunnels_tls() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("remote.example", 2100, false);
    let (origin, origin_port) = listen().await;
    let (proxy, proxy_port) = listen().await;
    let relay = async {
        let mut near = proxy.accept().await?.0;
        let head = read_head(&mut near).await?;
        near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        let mut far = TcpStream::connect(("127.0.0.1", origin_port)).await?;
        let serve = async { answer_one(acceptor.accept(origin.accept().await?.0).await?).await };
        let (_copied, served) = tokio::join!(copy_bidirectional(&mut near, &mut far), serve);
        served.map(|_line| head)
    };
    let url = format!("http://user:secret@127.0.0.1:{proxy_port}");
    let trusted = authority.trusted();
    let request = send("https://remote.example:444/v1", Some(&url), &trusted);
    let (seen, _head) = send_to(relay, request).await;
    assert_eq!(seen.outcome, Some(Outcome::Ok));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let (proxy, port) = listen().await;
    let relay = async {
        let mut near = proxy.accept().await?.0;
        let head = read_head(&mut near).await?;
        near.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await?;
        Ok(head)
    };
    let url = format!("http://user:canary@127.0.0.1:{port}");
    let tls = TlsSettings::default();
    let request = send("https://remote.example/v1", Some(&url), &tls);
    let (seen, head) = send_to(relay, request).await;
    let failure = crate::wire_server::failure(&seen);
    assert_eq!(failure.kind, FailureKind::Proxy);
    assert!(failure.message.contains("407") && !failure.message.contains("canary"), "{failure:?}");
    let head = head.unwrap();
    assert!(
        head.starts_with("CONNECT remote.example:443 HTTP/1.1\r\nHost: remote.example:443\r\n")
    );
    assert!(head.contains("Proxy-Authorization: Basic dXNlcjpjYW5hcnk="), "{head}");
}
