//! Chats: the model's own template turns messages into the prompt that the server counts.

mod composer;
mod error;
mod files;
mod message;
mod python;
mod template;

pub use composer::{Composer, Part, PartPlace, Tally, Turn};
pub use error::ChatError;
pub(crate) use files::ChatFiles;
pub use message::{Message, Role, Tool, ToolCall};
pub use template::{Absent, Arguments, ChatOptions, ChatTemplate};
