//! What an answer will say and how long it will be, decided before the engine works on it.

use super::{
    ask::{Api, Ask},
    words::Words,
};
use crate::{
    config::Config,
    engine::{FinishReason, draw},
};

/// An answer's tokens and why it ends after the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) ids: Vec<u32>,
    pub(super) finish: FinishReason,
}

/// Length of a completion nobody limited: the default of the API.
const COMPLETION_TOKENS: usize = 16;

/// Length of a chat answer nobody limited. Models end these on their own after some hundred tokens.
const CHAT_TOKENS: usize = 256;

/// Streams of random numbers, apart from those of the answers' tokens.
const LENGTH: u64 = 1;
const TOKEN: u64 = 2;

/// Most tokens that the answer may have.
pub(super) fn limit(api: Api, ask: &Ask, max_model_len: usize, prompt_tokens: usize) -> usize {
    let room = max_model_len.saturating_sub(prompt_tokens).max(1);
    let default = match api {
        Api::Completions => COMPLETION_TOKENS,
        Api::Chat => CHAT_TOKENS,
    };
    ask.max_tokens.unwrap_or(default.min(room))
}

/// The answer to a prompt: the same for the same prompt and seed, whatever else the server did.
pub(super) fn plan(
    config: &Config,
    words: &Words,
    ask: &Ask,
    prompt: &[u32],
    limit: usize,
) -> Answer {
    let key = prompt.iter().fold(draw(config.seed, ask.seed.cast_unsigned(), 0), |key, id| {
        draw(key, u64::from(*id), 0)
    });
    let length = if ask.ignore_eos { limit } else { early_end(key, ask.min_tokens, limit) };
    let ids = (0u64..).take(length).map(|index| words.pick(config.output, draw(key, TOKEN, index)));
    let finish = if length < limit { FinishReason::Stop } else { FinishReason::Length };
    Answer { ids: ids.collect(), finish }
}

/// Where a model that may end its answer ends it: anywhere from `min_tokens` to the limit.
fn early_end(key: u64, min_tokens: usize, limit: usize) -> usize {
    let shortest = min_tokens.clamp(1, limit);
    let choices = u64::try_from(limit - shortest).expect("a length fits in 64 bits") + 1;
    let more = usize::try_from(draw(key, LENGTH, 0) % choices).expect("at most the limit");
    shortest + more
}
