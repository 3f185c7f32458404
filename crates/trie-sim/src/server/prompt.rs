//! A prompt's tokens, checked against the vocabulary and the context.

use super::{
    ask::{Prompt, refused},
    quirks::Quirks,
    refusal::Refusal,
    words::Words,
};

/// What is put before text, where that is asked for: the token of a byte that no text holds.
const BOS: u32 = 0;

/// The tokens of a prompt, at least one.
pub(super) fn tokens(words: &Words, prompt: Prompt, quirks: &Quirks) -> Result<Vec<u32>, Refusal> {
    let ids = match prompt {
        Prompt::Text(text) => {
            let bos = quirks.add_bos.then_some(BOS);
            bos.into_iter().chain(words.encode(&text)).collect()
        }
        Prompt::Chat(chat) => words.encode_chat(&chat).map_err(|error| refused(&error))?,
        Prompt::Ids(_) if quirks.refuse_ids => {
            return Err(Refusal::bad("prompt", "prompt must be a string."));
        }
        Prompt::Ids(ids) => {
            check_vocabulary(words, &ids)?;
            ids
        }
    };
    if ids.is_empty() {
        return Err(Refusal::bad("prompt", "The prompt cannot be empty."));
    }
    Ok(ids)
}

/// Refuses a prompt that, with the answer, would not fit in the context.
pub(super) fn check_context(limit: usize, prompt: usize, answer: usize) -> Result<(), Refusal> {
    if prompt.saturating_add(answer) <= limit {
        return Ok(());
    }
    let message = format!(
        "This model's maximum context length is {limit} tokens. However, you requested {answer} output \
         tokens and your prompt contains {prompt} input tokens. Please reduce one of them."
    );
    Err(Refusal::bad("input_tokens", message))
}

fn check_vocabulary(words: &Words, ids: &[u32]) -> Result<(), Refusal> {
    let known = |id: u32| usize::try_from(id).is_ok_and(|id| id < words.size());
    match ids.iter().find(|id| !known(**id)) {
        Some(id) => Err(Refusal::bad("prompt", format!("Token id {id} is out of vocabulary"))),
        None => Ok(()),
    }
}
