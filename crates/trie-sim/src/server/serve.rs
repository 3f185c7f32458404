//! Accepting connections; the one file of this crate that spawns tasks.

use std::{
    fs::File,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{
    header::{self, HeaderValue},
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::{JoinError, JoinSet},
};
use trie_tokens::Vocabulary;

use super::{
    body::Busy,
    clock::Clock,
    desk::Desk,
    faults::strikes,
    listener::Listener,
    route::{self, Server},
    socket::{Socket, hear},
    variant::Variants,
    words::Words,
};
use crate::config::Config;

/// Why a server stopped, or could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is not to be had.
    #[error("cannot listen on {address}: {source}; hint: set port= to a free one, or 0")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No more connections can be accepted.
    #[error("cannot accept connections: {0}; hint: raise the limit of open files (ulimit -n)")]
    Accept(#[source] io::Error),
    /// The log of what the engine did cannot be written.
    #[error(
        "cannot write truth_log={path}: {source}; hint: set it to a file in a folder that is there"
    )]
    TruthLog {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    ShutDown,
    /// It crashed, as it was told to.
    Crashed,
}

/// Listens on the configured address.
///
/// # Errors
///
/// When the system does not give the address.
pub async fn bind(config: &Config) -> Result<TcpListener, ServeError> {
    let address = (config.host, config.port).into();
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })
}

/// Serves until `shutdown` completes, or until the crash that was asked for.
///
/// Either way every connection is closed, whatever it is in the middle of, and `listener` is dropped. The
/// engine's time starts when this is first polled. Must run on a Tokio runtime with its timer on.
///
/// # Errors
///
/// When the listener fails, or the log of what the engine did cannot be written.
pub async fn serve<L: Listener>(
    mut listener: L,
    config: Config,
    vocabulary: Vocabulary,
    shutdown: impl Future<Output = ()>,
) -> Result<Ended, ServeError> {
    let log = config.truth_log.as_deref().map(create_log).transpose()?;
    let clock = Clock::start();
    let server = Arc::new(Server {
        words: Arc::new(Words::new(vocabulary)),
        desk: Arc::new(Desk::new(clock, config.engine(), log)),
        clock,
        requests: AtomicU64::new(0),
        named: Arc::default(),
        variants: Variants::default(),
        config,
    });
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut restart_at = server.config.faults.restart_at;
    let ended = loop {
        tokio::select! {
            error = accept(&server, &mut listener, &mut connections) => break Err(ServeError::Accept(error)),
            error = server.desk.run() => {
                break Err(log_error(server.config.truth_log.as_deref(), error));
            }
            () = &mut shutdown => break Ok(Ended::ShutDown),
            () = due(&server, server.config.faults.crash_at) => break Ok(Ended::Crashed),
            () = due(&server, restart_at) => {}
        }
        restart_at = None;
        connections.shutdown().await;
        server.desk.restart(server.config.engine());
    };
    drop(listener);
    connections.shutdown().await;
    ended
}

fn create_log(path: &Path) -> Result<File, ServeError> {
    File::create(path).map_err(|error| log_error(Some(path), error))
}

fn log_error(path: Option<&Path>, source: io::Error) -> ServeError {
    ServeError::TruthLog { path: path.unwrap_or(Path::new("")).to_owned(), source }
}

/// Accepts until the listener fails, and gives its error.
async fn accept<L: Listener>(
    server: &Arc<Server>,
    listener: &mut L,
    connections: &mut JoinSet<()>,
) -> io::Error {
    let mut ordinal = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(stream) => {
                    ordinal += 1;
                    if !strikes(server.config.faults.accept_then_close, ordinal) {
                        connections.spawn(connection(Arc::clone(server), stream));
                    }
                }
                Err(error) => return error,
            },
            Some(ended) = connections.join_next() => pass_panic_on(ended),
        }
    }
}

/// A connection's panic is a bug of the simulated engine: it must not pass for a fault of a server.
fn pass_panic_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Returns when it is time for a fault.
async fn due(server: &Server, at: Option<Duration>) {
    match at {
        Some(at) => server.clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Serves one connection to its end, in the HTTP that its client speaks.
async fn connection<S>(server: Arc<Server>, mut stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (ahead, http2) = hear(&mut stream).await;
    let (busy, mut idle) = watch::channel(0);
    let quirks = &server.config.quirks;
    let (keep_alive, streams) = (quirks.keep_alive, quirks.http2_streams.get());
    let socket = Socket { ahead, stream, segment: quirks.segment_bytes };
    let (served, enough) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let tell = Arc::clone(&enough);
    let service = service_fn(move |request| {
        let (server, busy) = (Arc::clone(&server), Busy::new(busy.clone()));
        let (served, tell) = (Arc::clone(&served), Arc::clone(&tell));
        async move {
            let last = strikes(
                server.config.quirks.keep_alive_requests,
                served.fetch_add(1, Ordering::Relaxed) + 1,
            );
            let mut response = route::handle(server, request).await?;
            if last && http2 {
                tell.notify_one();
            } else if last {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, super::body::Broken>(response.map(|body| body.keeping(busy)))
        }
    });
    let over = async {
        tokio::select! {
            () = idle_for(&mut idle, keep_alive) => {}
            () = enough.notified() => {}
        }
    };
    // What a client does to its connection is no concern of the server.
    if http2 {
        let tasks = Streams::default();
        let mut http = http2::Builder::new(tasks.clone());
        let http = http.max_concurrent_streams(streams).serve_connection(socket, service);
        let mut http = pin!(http);
        tokio::select! {
            _ = http.as_mut() => return,
            () = over => http.as_mut().graceful_shutdown(),
        }
        drop(http.await);
        tasks.pass_panics_on();
    } else {
        let mut http = pin!(http1::Builder::new().serve_connection(socket, service));
        tokio::select! {
            _ = http.as_mut() => return,
            () = over => http.as_mut().graceful_shutdown(),
        }
        drop(http.await);
    }
}

/// The tasks of an HTTP/2 connection's streams, which end with it.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<JoinSet<()>>>);

impl Streams {
    fn pass_panics_on(&self) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            pass_panic_on(ended);
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, work: F) {
        self.pass_panics_on();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(work);
    }
}

/// Returns once the connection has had no request in work for so long. The time counts from the end of an
/// answer, as servers count it: a connection that has carried nothing yet is not closed.
async fn idle_for(busy: &mut watch::Receiver<usize>, keep_alive: Option<Duration>) {
    let Some(keep_alive) = keep_alive else { return std::future::pending().await };
    if busy.changed().await.is_err() {
        return;
    }
    loop {
        let none = busy.wait_for(|requests| *requests == 0).await.is_ok();
        let quiet = tokio::time::timeout(keep_alive, busy.wait_for(|requests| *requests > 0)).await;
        if !none || quiet.is_err() {
            return;
        }
    }
}
