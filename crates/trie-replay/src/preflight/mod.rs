//! What a server can do, tried before the clock starts: one short request each.
//!
//! A run that cannot measure something says so before it spends an hour. What a server lacks is a
//! finding; only what the run itself needs fails it.
//!
//! # Layout
//!
//! - `tour`: [`preflight`], what is tried in which order.
//! - `way`: one connection to the server; every request has little time.
//! - `facts`: what the server says about itself. `page`: its metrics page.
//! - `bodies`: what is sent.
//! - `answer`: what came back for a prompt of ids.
//! - `request`, `counts`, `chats`, `composition`, `ids`, `limit`, `cache`: from what was seen to findings.
//! - `idle`: [`idle`](idle()), until a server has nothing to do.
//! - `speed`: how long a request takes that is alone.
//! - `finding`, `advice`: how that is put.

mod advice;
mod answer;
mod bodies;
mod cache;
mod chats;
mod composition;
mod counts;
mod facts;
mod finding;
mod idle;
mod ids;
mod limit;
mod page;
mod request;
mod speed;
mod tour;
mod way;

pub use idle::idle;
pub use tour::{PreflightOptions, preflight};
