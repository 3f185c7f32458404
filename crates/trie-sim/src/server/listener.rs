//! Where connections come from: TCP, or pipes in memory.

use std::{future::Future, io};

use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// A source of connections.
pub trait Listener: Send {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, or why there will be none.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        loop {
            match TcpListener::accept(self).await {
                // Without this the kernel may hold a token back for 40 ms; it fails on a connection that
                // is gone already.
                Ok((stream, _)) if stream.set_nodelay(true).is_ok() => return Ok(stream),
                Ok(_) => {}
                // The client gave up before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Bytes that a pipe holds in each direction before its writer has to wait.
const PIPE_BYTES: usize = 64 * 1024;

/// Connections in memory: each [`connect`](PipeConnector::connect) on one end is an accept on the other.
pub fn pipe() -> (PipeConnector, PipeListener) {
    let (sender, receiver) = mpsc::channel(64);
    (PipeConnector(sender), PipeListener(receiver))
}

/// The client's end of [`pipe`].
#[derive(Clone, Debug)]
pub struct PipeConnector(mpsc::Sender<DuplexStream>);

/// The server's end of [`pipe`].
#[derive(Debug)]
pub struct PipeListener(mpsc::Receiver<DuplexStream>);

impl PipeConnector {
    /// A new connection.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when the server is gone.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (client, server) = tokio::io::duplex(PIPE_BYTES);
        let sent = self.0.send(server).await;
        sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(client)
    }
}

impl Listener for PipeListener {
    type Stream = DuplexStream;

    /// Never returns when every connector is gone: the server then runs until it is shut down.
    async fn accept(&mut self) -> io::Result<DuplexStream> {
        match self.0.recv().await {
            Some(stream) => Ok(stream),
            None => std::future::pending().await,
        }
    }
}
