//! What a plan can be told.

use serde::{Deserialize, Serialize};

use super::build::PlanError;
use crate::units::{Nanos, Tokens};

/// The largest factor of a scale.
const MAX_FACTOR: f64 = 1000.0;

/// What is replayed and how; with the workload, all that a plan is made from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PlanOptions {
    /// Traces kept alive, at least 1.
    pub concurrency: u32,
    /// Length of the window in which traces are admitted, more than 0.
    #[serde(rename = "duration_ns")]
    pub duration: Nanos,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Whether answers are streamed.
    pub stream: bool,
    /// How earlier answers are fed back.
    pub history: History,
    /// Who shares a server's cache with whom.
    pub cache_scope: CacheScope,
    /// Time over which the first `concurrency` traces are started; 0 starts them together.
    #[serde(rename = "ramp_ns")]
    pub ramp: Nanos,
    /// In which order rows are replayed.
    #[serde(default, skip_serializing_if = "Order::is_of_the_file")]
    pub order: Order,
    /// What is made smaller or larger than in the file.
    pub scale: Scale,
}

/// How earlier answers are fed back into prompts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// The best rung the server allows.
    #[default]
    Auto,
    /// As token ids.
    Ids,
    /// As text of tokens that survive re-tokenizing.
    Stable,
    /// As the text the server sent.
    Text,
    /// As text made here, of the planned length, whatever the server sent.
    Recorded,
}

/// Who shares a server's cache with whom.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheScope {
    /// Traces of one run share what the workload says they share; two runs share nothing.
    #[default]
    Run,
    /// So do all runs with the same seed.
    Seed,
    /// No trace shares anything with another one.
    None,
}

/// In which order rows are replayed, again and again.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As they stand in the file.
    #[default]
    File,
    /// In one that is drawn from the seed. Rows of one session keep their order among themselves.
    Shuffle,
}

impl Order {
    /// Its name, as users type it.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Shuffle => "shuffle",
        }
    }

    /// A plan's bytes say nothing of the order that all plans once had.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_of_the_file(&self) -> bool {
        *self == Self::File
    }
}

/// What is made smaller or larger than in the file. The default changes nothing.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Scale {
    /// Factor of all token counts, above 0; rounded to the nearest, but what had a token keeps one.
    pub token_scale: f64,
    /// Factor of waits for tools, and of waits the file does not say more of; 0 or more.
    pub tool_wait_scale: f64,
    /// Factor of waits for people; 0 or more.
    pub user_wait_scale: f64,
    /// The longest wait, after the factors.
    #[serde(rename = "wait_cap_ns")]
    pub wait_cap: Option<Nanos>,
    /// The most turns of a trace; requests beyond that number plus one are dropped. The request
    /// that is last then keeps its own answer length, so that no pair of prompt and answer is
    /// replayed that the source did not have.
    pub max_turns: Option<u32>,
    /// The longest prompt plus answer. A trace ends before its first request beyond, and a trace
    /// whose first request is beyond is left out; both are counted.
    pub max_context: Option<Tokens>,
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            token_scale: 1.0,
            tool_wait_scale: 1.0,
            user_wait_scale: 1.0,
            wait_cap: None,
            max_turns: None,
            max_context: None,
        }
    }
}

impl Scale {
    /// Whether all traces stay as they are.
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }
}

impl PlanOptions {
    /// Refuses values that no plan can be made from.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        let Scale { token_scale, tool_wait_scale, user_wait_scale, max_context, .. } = &self.scale;
        let positive = format!("more than 0, at most {MAX_FACTOR}");
        let factor = format!("0 to {MAX_FACTOR}");
        let checks = [
            ("concurrency", self.concurrency > 0, self.concurrency.to_string(), "1 or more"),
            ("duration", self.duration > Nanos::ZERO, self.duration.to_string(), "more than 0 s"),
            (
                "token_scale",
                *token_scale > 0.0 && *token_scale <= MAX_FACTOR,
                token_scale.to_string(),
                &positive,
            ),
            (
                "tool_wait_scale",
                (0.0..=MAX_FACTOR).contains(tool_wait_scale),
                tool_wait_scale.to_string(),
                &factor,
            ),
            (
                "user_wait_scale",
                (0.0..=MAX_FACTOR).contains(user_wait_scale),
                user_wait_scale.to_string(),
                &factor,
            ),
            (
                "max_context",
                max_context.is_none_or(|most| most >= 2),
                max_context.unwrap_or_default().to_string(),
                "2 or more: a prompt and an answer",
            ),
        ];
        let wrong = checks.into_iter().find(|(_, right, _, _)| !right);
        match wrong {
            Some((option, _, found, wanted)) => {
                Err(PlanError::Option { option, found, wanted: wanted.to_owned() })
            }
            None => Ok(()),
        }
    }
}
