//! The real driver: sessions and admission of trie-core, carried out over sockets in wall time.
//!
//! # Layout
//!
//! - `options`: what a run needs to know.
//! - `run`: [`replay`], from the first connection to the last row.
//! - `prime`: what the server gets before the clock starts.
//! - `shard`: the threads of a run, each with slots of its own.
//! - `slot`: one slot: trace after trace.
//! - `step`: one request of a trace, from its content to its row.
//! - `ticker`: the client's own second-by-second account.

mod options;
mod prime;
mod run;
mod shard;
mod slot;
mod step;
mod ticker;

pub use options::{NextConnection, ReplayError, ReplayOptions, Runtime, Shutdown, Started};
pub use run::{Replayed, replay};
