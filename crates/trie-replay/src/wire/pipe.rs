//! Connections without a network: an in-memory pipe to a server in the same process.

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::clock::Clock;

use super::connect::{ConnectError, Connector};
use super::tap::{Tap, Tapped};

/// Bytes that one direction of a pipe holds before its writer waits.
const PIPE_BYTES: usize = 64 << 10;

/// Connections that may wait to be accepted.
const BACKLOG: usize = 64;

/// Opens in-memory pipes; whoever holds the receiver accepts their other ends.
#[derive(Debug, Clone)]
pub struct PipeConnector {
    accept: Sender<DuplexStream>,
}

/// A connector and the queue at which its connections arrive. Without anyone accepting, 64
/// connections stand as if in a listener's backlog; dropping the queue refuses new ones.
pub fn pipe() -> (PipeConnector, Receiver<DuplexStream>) {
    let (accept, accepted) = channel(BACKLOG);
    (PipeConnector { accept }, accepted)
}

impl<C: Clock> Connector<C> for PipeConnector {
    type Io = Tapped<DuplexStream, C>;

    async fn connect(&self, tap: &Tap<C>) -> Result<Self::Io, ConnectError> {
        let (near, far) = duplex(PIPE_BYTES);
        self.accept.send(far).await.map_err(|_gone| ConnectError::PipeClosed)?;
        Ok(Tapped::new(near, tap))
    }
}
