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
//! - Requests take the time that [`CurveOptions::pace`] gives them. Where prompts take none, one order of
//!   requests serves all capacities, and all of the curve comes from one pass. Else what was lost is computed
//!   again and takes its time, in which more is lost: each capacity is played on its own.
//! - Where running requests need more than there is, those of an engine in steps wait in order of arrival
//!   and none is preempted; on a schedule nobody waits. [`CacheCurve::running_tokens`] says from where on
//!   none has to.
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
