//! Workloads: files read and checked, each row expanded into a graph of steps.
//!
//! # Layout
//!
//! - `source`: [`Source`] and [`Encoding`], where the bytes come from and how they are packed.
//! - `lines`: bounded lines of UTF-8, with their offsets and the file's hash.
//! - `json`: values that know the column they stand at.
//! - `header`: [`Header`], the optional first line.
//! - `row`: one row, checked; it is either of these two:
//!   - `flat`: the six fields and their options, with `calls` (parallel tool calls), `expand` (what
//!     a flat row means as steps) and `blocks` (prompts as ids of cache blocks);
//!   - `steps`: the general form, with `link` (names looked up, prompts added up), `order` (steps
//!     sorted) and `answers` (a prompt holds only answers that were given).
//! - `prefix`, `extras`: keys that both have.
//! - `graph`: [`Trace`] and [`Step`], the only form of a trace inside.
//! - `columns`: traces held in memory, for sources that pass only once.
//! - `facts`: counts of a whole file, as the manifest keeps them.
//! - `read`: [`Workload`], which joins all of these.
//! - `single`: [`Row`], a row by itself.
//! - `convert`: a workload written anew, with `seed` (what the six fields can say of a trace).
//! - `error`, `warning`: what is wrong with a file, and what is merely worth saying.
//!
//! # Choices where the format leaves room
//!
//! - Token counts may be written as floats with a whole value (`16.0`), as some writers do.
//! - A shared prefix id names a sequence of tokens; each row takes its first `tokens` of it, so
//!   rows may take different lengths and share the shorter one.
//! - An answer of 0 tokens is planned, and carried into the history, as one of 1 token.
//! - A summary's wait (`s` in `input_kind`) counts as a tool's.
//! - A dropped range `[a, b]` takes the tokens from a up to, not with, b.
//! - A step waits for a person where it goes on with its lane and a user wrote a part of what is
//!   new; whoever starts or joins a lane is a program.
//! - `of` and `latency` of a step's new segments, and `finish` of its output, are checked and then
//!   left: they change no request.
//! - Blocks of a named scope are shared by all rows that name it, within one cycle over the rows;
//!   `local` ones, the default, by one trace instance. Answers are not fed back beside blocks.
//! - `input_kind`, `tool_calls` and the like stand in flat rows only; steps say the same themselves.

mod answers;
mod blocks;
mod calls;
mod columns;
mod convert;
mod error;
mod expand;
mod extras;
mod facts;
mod flat;
mod graph;
mod header;
mod json;
mod lines;
mod link;
mod order;
mod prefix;
mod read;
mod row;
mod seed;
mod single;
mod source;
mod steps;
mod warning;

pub use convert::{ConvertError, Converted, Target, convert};
pub use error::{LineError, WorkloadError};
pub use extras::{FRAMING_HEADERS, PLANNED_FIELDS};
pub use graph::{
    About, BlockScope, Blocks, Carry, Context, Dependency, ExtraKey, Extras, LaneId, On, Output,
    Segment, SegmentKind, Step, StepId, Trace, Wait,
};
pub use header::Header;
pub use json::MAX_TOKENS;
pub(crate) use lines::MAX_LINE;
pub use read::{ReadOptions, Workload};
pub use single::Row;
pub use source::{Encoding, ReadSeek, Source};
pub use warning::{KeyStanding, WorkloadWarning};
