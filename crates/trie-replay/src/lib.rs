//! The real driver: sockets, requests, stamps, recorder.
//!
//! # Layout
//!
//! In the order in which data flows:
//!
//! - [`clock`]: the one place where time is read; a real clock and a paused one.
//! - `spawn`: the one place where tasks and threads are started.
//! - `cores`: which cores the threads that measure are kept on. `priority`: how urgent they are.
//! - `content`, `maker`: bodies, made ahead of their send time on other threads.
//! - [`wire`]: one HTTP exchange: connect, send, stamp, decode, count.
//! - `preflight`: what a server can do, tried before the clock starts.
//! - `driver`: sessions and admission carried out: [`replay`].
//! - `row`, `recorder`: from what was seen to rows in files, on a thread of its own.
//! - `progress`: a snapshot for whoever watches.
//! - `quiet`: futures that are polled only when they were woken themselves.

pub mod clock;
pub mod wire;

mod content;
mod cores;
mod driver;
mod maker;
mod preflight;
mod priority;
mod progress;
mod quiet;
mod recorder;
mod row;
mod spawn;

pub use content::{BodyFields, Chat, Content, History, StreamUsage};
pub use cores::{Cores, stay_on};
pub use driver::{
    NextConnection, ReplayError, ReplayOptions, Replayed, Runtime, Shutdown, Started, replay,
};
pub use preflight::{PreflightOptions, idle, preflight};
pub use priority::Nice;
pub use progress::{Progress, Snapshot, Totals};
pub use recorder::{Kept, RecordFiles, Recorded};

#[cfg(windows)]
compile_error!("trie runs on Linux and macOS: Windows is not supported");
