//! HTTP/2: many requests at a time on one connection.
//!
//! # Layout
//!
//! - `frames`: bytes to frames, to know what a read or a write carried.
//! - `ledger`: when each byte of an answer came, and each request went, by that.
//! - `socket`: the byte stream below HTTP/2, which writes the ledger.
//! - `session`: an open connection and the places on it.
//! - `stream`: one request and its answer on a connection.
//! - `sessions`: which connection has a place for whom.
//!
//! The `h2` crate speaks the protocol, and hands over the content of an answer when its own task has
//! read it: when that arrived, it does not say. So the socket below it reads along. It cuts what passes
//! into frames and notes, for each answer, how many bytes of content came with which read; the answer's
//! bytes are then handed on with the stamps of their own reads, whenever that happens.

mod frames;
mod ledger;
mod session;
mod sessions;
mod socket;
mod stream;

pub(crate) use self::{session::Opening, sessions::Sessions, stream::Stream};
