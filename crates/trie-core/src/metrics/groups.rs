//! Parts of the requests whose TTFT is shown apart.

use super::MetricId;
use crate::record::RequestRow;
use crate::units::Tokens;

/// A part of the requests whose TTFT is shown apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct TtftGroup {
    pub(super) metric: MetricId,
    of: Of,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    /// Steps of these numbers, from 0.
    Steps(u32, u32),
    /// Planned prompts of so many tokens.
    Prompts(Tokens, Tokens),
    /// The lane of the trace's first step.
    RootLane,
    /// Every other lane.
    OtherLanes,
}

/// By depth and by the length of the prompt, from the first number to before the second; by lane.
pub(super) const TTFT_GROUPS: [TtftGroup; 9] = [
    TtftGroup { metric: MetricId::TtftTurn2, of: Of::Steps(1, 5) },
    TtftGroup { metric: MetricId::TtftTurn6, of: Of::Steps(5, 20) },
    TtftGroup { metric: MetricId::TtftTurn21, of: Of::Steps(20, u32::MAX) },
    TtftGroup { metric: MetricId::TtftPromptShort, of: Of::Prompts(0, 4_096) },
    TtftGroup { metric: MetricId::TtftPrompt4k, of: Of::Prompts(4_096, 16_384) },
    TtftGroup { metric: MetricId::TtftPrompt16k, of: Of::Prompts(16_384, 65_536) },
    TtftGroup { metric: MetricId::TtftPrompt64k, of: Of::Prompts(65_536, Tokens::MAX) },
    TtftGroup { metric: MetricId::TtftRootLane, of: Of::RootLane },
    TtftGroup { metric: MetricId::TtftOtherLanes, of: Of::OtherLanes },
];

impl TtftGroup {
    /// Whether a request is in it.
    pub(super) fn holds(self, row: &RequestRow) -> bool {
        match self.of {
            Of::Steps(from, to) => (from..to).contains(&row.step),
            Of::Prompts(from, to) => (from..to).contains(&row.planned_prompt_tokens),
            Of::RootLane => row.lane == 0,
            Of::OtherLanes => row.lane != 0,
        }
    }
}
