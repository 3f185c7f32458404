//! The engine's core: what is admitted, cached and emitted when, without a clock or a socket.
//!
//! Whoever drives it says what happened at which time and gets back what the engine did up to then. A
//! server drives it by the wall clock; a forecast drives it from a heap of events.
//!
//! # Layout
//!
//! - `request`: [`Request`] in, [`Event`] out.
//! - `sequence`: the tokens of a request as runs of named text.
//! - `settings`, `presets`: what shapes an engine, and engines with the figures of real hardware.
//! - `core`: [`Engine`], which is one of two:
//!   - `progress`: how far either is with a request;
//!   - `scheduled`: each token at a time that its request alone decides;
//!   - `stepped`: requests share steps and memory, as in real engines, with `store` (the memory: `cache`
//!     in blocks, or `slots`) and `timing` (how long a step takes).
//! - `counters`: what it counts about itself.

mod cache;
mod core;
mod counters;
mod dwell;
mod presets;
mod progress;
mod request;
mod scheduled;
mod sequence;
mod settings;
mod slots;
mod stepped;
mod store;
#[cfg(test)]
mod tests;
mod timing;

pub use trie_core::draw::{draw, exponential, lognormal, normal, uniform};

pub use self::{
    cache::{Lease, PrefixCache},
    core::Engine,
    counters::{Counters, Histogram},
    presets::{PRESETS, Preset},
    request::{Event, FinishReason, Request, RequestId},
    sequence::{Sequence, Span, chain},
    settings::{EngineConfig, HostTier, Policy, Scheduler, Speculation, Steps},
    timing::StepTime,
};
