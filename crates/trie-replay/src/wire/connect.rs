//! From an endpoint to an open byte stream.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, lookup_host};

use crate::clock::Clock;

use super::endpoint::{Endpoint, Scheme};
use super::failure::{Failure, FailureKind, chain};
use super::kernel::{KernelTcp, Stamping};
use super::tap::{Tap, Tapped};
#[cfg(feature = "tls")]
use super::tls::{TlsConfig, TlsSettings};

/// The longest answer of a proxy to CONNECT that is read, bytes.
const PROXY_HEAD_LIMIT: usize = 8 << 10;

/// A connection that could not be made.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot find an address of `{host}` ({source}); hint: check the endpoint's host name")]
    Dns {
        /// The name.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The peer cannot be reached.
    #[error("cannot connect to {to} ({source}); hint: is the server running and listening there?")]
    Tcp {
        /// `host:port`.
        to: String,
        /// The system's error.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS with {to} failed ({message}); hint: {hint}")]
    Tls {
        /// `host:port`.
        to: String,
        /// One of the TLS kinds.
        kind: FailureKind,
        /// What rustls says.
        message: String,
        /// What may help.
        hint: &'static str,
    },
    /// The proxy did not let us through.
    #[error("proxy {proxy} did not connect to {to} ({message})")]
    Proxy {
        /// The proxy, without its password.
        proxy: String,
        /// `host:port` of the endpoint.
        to: String,
        /// Its answer.
        message: String,
    },
    /// HTTP/2 was asked for, and the server did not agree to it.
    #[error(
        "the server does not speak HTTP/2 ({why}); hint: leave http2= out, or ask what is in front of the \
         server to speak it"
    )]
    NoHttp2 {
        /// How that is known.
        why: String,
    },
    /// The other end of an in-memory pipe is gone.
    #[error("nobody accepts on the other end of the pipe")]
    PipeClosed,
}

impl ConnectError {
    /// The kind for the record.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Dns { .. } => FailureKind::Dns,
            Self::Tcp { source, .. } => tcp_kind(source),
            Self::Tls { kind, .. } => *kind,
            Self::Proxy { .. } => FailureKind::Proxy,
            Self::NoHttp2 { .. } => FailureKind::NoHttp2,
            Self::PipeClosed => FailureKind::Refused,
        }
    }

    pub(crate) fn into_failure(self) -> Failure {
        Failure::new(self.kind(), self.to_string())
    }
}

fn tcp_kind(error: &io::Error) -> FailureKind {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    match (error.kind(), errno) {
        (io::ErrorKind::TimedOut, _) => FailureKind::ConnectTimeout,
        (io::ErrorKind::ConnectionReset, _) => FailureKind::Reset,
        (_, Some(Errno::EMFILE | Errno::ENFILE | Errno::EADDRNOTAVAIL | Errno::ENOBUFS)) => {
            FailureKind::Local
        }
        (io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable, _) => {
            FailureKind::Unreachable
        }
        _ => FailureKind::Refused,
    }
}

/// Opens byte streams to one endpoint.
pub trait Connector<C: Clock>: Send + Sync {
    /// An open stream whose reads and writes are seen by the tap it was opened with.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens one stream. Dropping the future gives up at once.
    fn connect(&self, tap: &Tap<C>) -> impl Future<Output = Result<Self::Io, ConnectError>> + Send;
}

/// TCP with `TCP_NODELAY`, through a proxy where there is one, TLS on top where the scheme asks.
#[derive(Debug, Clone)]
pub struct NetConnector {
    endpoint: Endpoint,
    proxy: Option<Endpoint>,
    /// Keeps the kernel stamping; `None` where the process is to stamp.
    stamping: Option<Stamping>,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
}

impl NetConnector {
    /// A connector for `endpoint` by way of `proxy`. Reads the certificate files once, here.
    #[cfg(feature = "tls")]
    pub fn new(
        endpoint: Endpoint,
        proxy: Option<Endpoint>,
        tls: &TlsSettings,
    ) -> Result<Self, super::tls::TlsSetupError> {
        let tls = match endpoint.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(TlsConfig::new(tls, &endpoint)?),
        };
        Ok(Self { endpoint, proxy, stamping: Some(Stamping::start()), tls })
    }

    /// A connector for a plain `endpoint` by way of `proxy`; an https one fails to connect.
    #[cfg(not(feature = "tls"))]
    pub fn new(endpoint: Endpoint, proxy: Option<Endpoint>) -> Self {
        Self { endpoint, proxy, stamping: Some(Stamping::start()) }
    }

    /// The same without the kernel's stamps: what arrives is stamped when it is read.
    #[must_use]
    pub fn stamped_at_reads(self) -> Self {
        Self { stamping: None, ..self }
    }

    async fn open_tcp(&self) -> Result<TcpStream, ConnectError> {
        let Some(proxy) = &self.proxy else {
            return dial(&self.endpoint).await;
        };
        let failed = |message: String| ConnectError::Proxy {
            proxy: proxy.to_string(),
            to: self.endpoint.authority(),
            message,
        };
        let mut stream = dial(proxy).await.map_err(|error| failed(error.to_string()))?;
        if self.endpoint.scheme == Scheme::Https {
            tunnel(&mut stream, proxy, &self.endpoint.authority()).await.map_err(failed)?;
        }
        Ok(stream)
    }
}

impl<C: Clock> Connector<C> for NetConnector {
    type Io = NetIo<C>;

    async fn connect(&self, tap: &Tap<C>) -> Result<NetIo<C>, ConnectError> {
        let stream =
            Tapped::new(KernelTcp::new(self.open_tcp().await?, self.stamping.is_some()), tap);
        match self.endpoint.scheme {
            Scheme::Http => Ok(NetIo::Plain(stream)),
            Scheme::Https => self.start_tls(stream).await,
        }
    }
}

impl NetConnector {
    #[cfg(feature = "tls")]
    async fn start_tls<C: Clock>(
        &self,
        stream: Tapped<KernelTcp, C>,
    ) -> Result<NetIo<C>, ConnectError> {
        let tls = self.tls.as_ref().expect("the constructor made it for https");
        let to = self.endpoint.authority();
        Ok(NetIo::Tls(Box::new(tls.connect(stream, to).await?)))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "the same shape as with TLS")]
    async fn start_tls<C: Clock>(
        &self,
        _stream: Tapped<KernelTcp, C>,
    ) -> Result<NetIo<C>, ConnectError> {
        Err(ConnectError::Tls {
            to: self.endpoint.authority(),
            kind: FailureKind::Tls,
            message: "this build has no TLS".to_owned(),
            hint: "build with the `tls` feature",
        })
    }
}

/// Tries each address of the name in turn, as the resolver orders them.
async fn dial(to: &Endpoint) -> Result<TcpStream, ConnectError> {
    let dns = |source| ConnectError::Dns { host: to.host.clone(), source };
    let addresses: Vec<SocketAddr> =
        lookup_host((to.host.as_str(), to.port)).await.map_err(dns)?.collect();
    let mut last = dns(io::Error::other("the name has no address"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let set = stream.set_nodelay(true);
                return set.map(|()| stream).map_err(|source| tcp_error(to, source));
            }
            Err(source) => last = tcp_error(to, source),
        }
    }
    Err(last)
}

fn tcp_error(to: &Endpoint, source: io::Error) -> ConnectError {
    ConnectError::Tcp { to: to.authority(), source }
}

/// Asks the proxy for a tunnel and reads its answer up to the blank line, byte by byte since what
/// follows belongs to TLS.
async fn tunnel(stream: &mut TcpStream, proxy: &Endpoint, to: &str) -> Result<(), String> {
    let auth = proxy.basic_auth().map(|value| format!("Proxy-Authorization: {value}\r\n"));
    let auth = auth.unwrap_or_default();
    let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{auth}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| chain(&error))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == PROXY_HEAD_LIMIT {
            return Err("its answer has no end".to_owned());
        }
        head.push(stream.read_u8().await.map_err(|error| chain(&error))?);
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(()),
        Some(_) | None => Err(line.to_owned()),
    }
}

/// An open socket, plain or under TLS.
#[derive(Debug)]
pub enum NetIo<C> {
    /// Plain TCP.
    Plain(Tapped<KernelTcp, C>),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<Tapped<KernelTcp, C>>>),
}

impl<C: Clock> AsyncRead for NetIo<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            #[cfg(feature = "tls")]
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl<C: Clock> AsyncWrite for NetIo<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            #[cfg(feature = "tls")]
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            #[cfg(feature = "tls")]
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
