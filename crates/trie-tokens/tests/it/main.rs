//! Loading, certifying and counting, through the crate's public face.

#![expect(
    clippy::unwrap_used,
    reason = "the whole binary is tests; an unwrap that fails is a failed test"
)]

mod bos;
mod cache;
mod chat;
mod exact;
#[cfg(feature = "hub")]
mod hub;
mod locate;
mod sample;
mod tekken;
