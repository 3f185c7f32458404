//! The engine's core: what is admitted, cached and emitted when, without a clock or a socket.
//!
//! Whoever drives it says what happened at which time and gets back what the engine did up to then. A
//! server drives it by the wall clock; a forecast drives it from a heap of events.

mod blocks;
mod cache;
mod counters;
mod draw;
mod schedule;
#[cfg(test)]
mod tests;

pub use self::{
    blocks::{BlockHash, chain},
    cache::PrefixCache,
    counters::{Counters, Histogram},
    draw::draw,
    schedule::{Engine, EngineConfig, Event, FinishReason, Policy, Request, RequestId},
};
