//! Foreign traces as workloads: lengths, waits and what prompts share, without their text.
//!
//! # Layout
//!
//! - `format`: [`Format`] and [`FORMATS`], the table of formats; a source is recognised by it.
//! - `import`: [`Import`], which reads sources and hands out rows of version 2.
//! - `formats`: one file per format, each of which turns records into sessions.
//! - `records`: a source as JSON values, also where it is damaged or cut short, with `repair`.
//! - `value`, `content`: loosely typed JSON; messages as roles, sizes and hashes. `bodies`: those of
//!   requests and responses. `attributes`: what spans say of themselves.
//! - `model`: sessions, lanes and requests: all that is known of a source.
//! - `session`: sessions put in order. `threads`: requests with messages into conversations.
//!   `spans`: requests with times and parents into conversations. `links`: requests by their blocks.
//!   `branches`: conversations that start others, as rows. `trail`: what an agent was given and what
//!   it answered, in order, as a lane; `talk`: one of `OpenHands`. `tree`: prompts that share their
//!   beginnings.
//! - `waits`, `turn`, `row`: what requests wait for; what the next prompt goes on with; a session as
//!   a row.
//! - `targets`: rows written in other formats.
//! - `anonymize`: rows without names.
//! - `usage`: what APIs say of tokens.
//! - `fidelity`: what was kept of what. `count`, `names`: lengths of texts; hashes of names.
//!
//! # Choices
//!
//! - Text is read, counted, hashed and dropped: no row holds any. Names of sessions are hashed unless
//!   they are asked for. Hashes are salted, so that nobody can look a short text up.
//! - Lengths of prompts are always exact: where a prompt grows by less than the answer before it, less
//!   of the answer was carried; where it shrinks, the history was cut, and what is known of the
//!   source's cache says how much of it stayed.
//! - Requests that failed or have no answer are counted and left out.

mod anonymize;
mod attributes;
mod bodies;
mod branches;
mod content;
mod count;
mod error;
mod fidelity;
mod format;
mod formats;
mod import;
mod links;
mod model;
mod names;
mod records;
mod repair;
mod row;
mod session;
mod spans;
mod talk;
mod targets;
mod threads;
mod trail;
mod tree;
mod turn;
mod usage;
mod value;
mod waits;

pub use anonymize::Anonymizer;
pub use count::Count;
pub use error::ImportError;
pub use fidelity::{Damage, Event, Fidelity, Sum};
pub use format::{FORMATS, Format, NAMES, format_named};
pub use import::{Import, ImportOptions, MooncakeLengths, Sink, recognised, unpacked};
pub use names::Salt;
pub use targets::{TARGETS, Target, Writer};
