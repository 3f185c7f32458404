//! Plans: what will be replayed, complete before a socket opens.
//!
//! A plan is its options, the rows of its workload, and the rule for trace instance k. Equal
//! workload, options and seed give equal bytes on every machine.
//!
//! # Layout
//!
//! - `options`: [`PlanOptions`] and [`Scale`].
//! - `layout`: where a place in a prompt lies after scaling.
//! - `scale`: what scaling does to one trace, and [`ScaleCounts`], what it touched.
//! - `content`: [`content_key`], what names the text of a stretch of prompt.
//! - `prompt`: [`PlannedTrace`], a trace instance whose prompts come in [`Piece`]s.
//! - `rows`: what the plan says in the rows of a run.
//! - `order`: the order in which rows are replayed.
//! - `build`: [`Plan`], which joins all of these.
//! - `entry`: [`draw_entries`], where the slots are when a run starts in equilibrium.

mod build;
mod content;
mod entry;
mod layout;
mod options;
mod order;
mod prompt;
mod rows;
mod scale;

pub use build::{Instance, PLAN_SCHEMA, Plan, PlanError};
pub use content::{CONTENT_VERSION, ContentRule, SegmentKey, Stretch, content_key};
pub use entry::{Dwell, draw_entries};
pub use options::{CacheScope, History, Order, PlanOptions, Scale};
pub use prompt::{Piece, PlannedTrace, SegmentPlace};
pub use scale::{ScaleCounts, scale_trace};
