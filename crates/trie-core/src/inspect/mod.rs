//! Workloads looked at without a run: what traces look like, and what a cache of any size holds of them.
//!
//! # Layout
//!
//! - `spread`: [`Spread`], numbers in a few figures.
//! - `shape`: [`Shape`], lengths, waits, sharing and breaks.
//! - `passage`: text by its names, at the place where it stands in a prompt.
//! - `sums`: sums over the end of a growing list.
//! - `stack`: how deep a block lies in a cache that evicts the least recently used one.
//! - `curve`: the hits of every capacity, from depths.
//! - `closed_loop`: who asks for which prompt in what order.
//! - `inspection`: [`inspect`], all of it.
//!
//! # What the curve takes for granted
//!
//! - One engine with a prefix cache of whole blocks, which evicts the least recently used block that no
//!   running request uses, suffixes before prefixes.
//! - Requests take the time that [`CurveOptions::pace`] gives them, whatever the capacity: what is in no
//!   cache because it was evicted takes no longer. So one order of requests serves all capacities, and all
//!   of the curve comes from one pass.
//! - Nobody waits for room. Where running requests need more than there is, a real engine makes some of
//!   them wait: [`CacheCurve::running_tokens`] says from where on that cannot happen.
//! - Prompts hold the very tokens that were generated.

mod closed_loop;
mod curve;
mod inspection;
mod passage;
mod shape;
mod spread;
mod stack;
mod sums;

pub use inspection::{
    CacheCurve, CurveOptions, INSPECTION_SCHEMA, Inspection, Needed, Point, inspect,
};
pub use shape::{Breaks, Figure, Lanes, Shape, SharedPrefix, Sharing};
pub use spread::Spread;
