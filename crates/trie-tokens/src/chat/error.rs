//! Why a chat could not be rendered.

/// Why a chat could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The file that holds the template is not what it should be.
    #[error(
        "{file}: {message}\nhint: fetch the model's files again, or pass its template as a file of its own"
    )]
    File {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// The template's own syntax is broken, or it uses what is not known here.
    #[error(
        "{file}:{line}: the chat template cannot be read: {message}\nhint: pass the template that the server uses"
    )]
    Syntax {
        /// The file of the template.
        file: String,
        /// Line of the template, from 1; of a template inside a JSON string, the line of its text.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The template failed on these messages.
    #[error("{file}:{line}: the chat template failed: {message}")]
    Render {
        /// The file of the template.
        file: String,
        /// Line of the template, from 1.
        line: usize,
        /// What failed.
        message: String,
    },
    /// The template says itself that it does not take these messages (`raise_exception`).
    #[error(
        "{file}:{line}: the chat template refuses these messages: {message}\nhint: the server would refuse them too; change the roles of the workload"
    )]
    Refused {
        /// The file of the template.
        file: String,
        /// Line of the template, from 1.
        line: usize,
        /// What the template said.
        message: String,
    },
    /// The template's own tokens and the other messages leave no room for one token of ours.
    #[error(
        "a prompt of {planned} tokens is too short for this chat: the template and the other messages need \
         {smallest} with one token of ours\nhint: raise the length in the workload to {smallest} or more, or use \
         fewer messages or tools"
    )]
    TooShort {
        /// Tokens planned.
        planned: u64,
        /// Tokens of the smallest possible prompt.
        smallest: u64,
    },
    /// No message holds a part of ours whose length could be changed.
    #[error("no message of this chat is ours to lengthen or shorten")]
    NothingOurs,
    /// The tokens where a message ends merge with the template's in a way that no length mends.
    #[error(
        "no length of the last message makes the prompt {planned} tokens; the nearest found is {tokens}"
    )]
    NoLength {
        /// Tokens planned.
        planned: u64,
        /// Tokens of the last prompt tried.
        tokens: u64,
    },
    /// Arguments of a tool call, or parameters of a tool, are not JSON.
    #[error("{what} is not JSON: {message}")]
    Json {
        /// Which text.
        what: String,
        /// What is wrong.
        message: String,
    },
}
