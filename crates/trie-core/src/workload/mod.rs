//! Workloads: files read and checked, each row expanded into a graph of steps.
//!
//! # Layout
//!
//! - `graph`: [`Trace`] and [`Step`], the only form of a trace inside.

mod graph;

pub use graph::{
    Carry, Context, Dependency, LaneId, On, Output, Segment, SegmentKind, Step, StepId, Trace, Wait,
};
