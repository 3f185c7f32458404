//! One HTTP exchange with an OpenAI-compatible server.
//!
//! # Layout
//!
//! In the order in which data flows:
//!
//! - `endpoint`: URL and proxy, parsed.
//! - `request`: headers and body of a request.
//! - `connect`, `tls`, `pipe`: open byte streams, over a network or in memory.
//! - `kernel`: TCP with the kernel's receive stamps. `offset`: these as monotonic time.
//! - `tap`: stamps at the socket. `reads`: how late reads were, over all sockets.
//! - `message`, `chunked`: HTTP/1.1 as bytes. `connection`: it on a stream. `http2`: the same and more with
//!   HTTP/2. `carrier`: either of them, for one request. `pool`: who may use it again.
//! - `sse`: bytes to events. `event`: an event to its facts; `template`, `locate`: the same, faster,
//!   for events that repeat a shape. `tally`: facts to token counts; `stamps`: when they came.
//! - `intake`: all of them, applied to a body.
//! - `exchange`: one request and its answer, with every stamp.
//! - `fetch`: one request beside the measured path, its answer read whole.
//! - `failure`: how that can go wrong.

mod carrier;
mod chunked;
mod connect;
mod connection;
mod endpoint;
mod event;
mod exchange;
mod failure;
mod fetch;
mod http2;
mod intake;
mod kernel;
mod locate;
mod message;
mod offset;
mod pipe;
mod pool;
mod reads;
mod request;
mod sse;
mod stamps;
mod tally;
mod tap;
mod template;
#[cfg(feature = "tls")]
mod tls;

pub use connect::{ConnectError, Connector, NetConnector, NetIo};
pub use endpoint::{Endpoint, EndpointError, ProxySettings, Scheme};
pub use event::{Chunk, Event, Said, StreamError, Usage, parse_event};
pub use exchange::{Exchange, Outcome, exchange};
pub(crate) use failure::server_message;
pub use failure::{Failure, FailureKind, MESSAGE_LIMIT};
pub(crate) use fetch::{Fetched, fetch};
pub use intake::{Intake, SocketRead};
pub use kernel::KernelTcp;
pub use pipe::{PipeConnector, pipe};
pub use pool::{Link, Pool, Reuse};
pub use reads::ReadAccount;
pub(crate) use request::Route;
pub use request::{Api, HeaderError, Keep, OnFirstToken, Post, ROUTING_KEY, Target};
pub use sse::{Scanner, SseError};
pub use stamps::ChunkStamp;
pub use tally::TokenSource;
pub use tap::{StampSource, Stamped, Tap, Tapped};
pub use template::{Parser, Shapes};
#[cfg(feature = "tls")]
pub use tls::{TlsSettings, TlsSetupError};
