//! The real driver: sockets, requests, stamps.
//!
//! # Layout
//!
//! In the order in which data flows:
//!
//! - [`clock`]: the one place where time is read; a real clock and a paused one.
//! - [`wire`]: one HTTP exchange: connect, send, stamp, decode, count.

pub mod clock;
pub mod wire;
