//! The parts of rows, in the order in which they are written: that of their fields.

use super::line::{Line, Part};
use super::{
    Credit, ErrorRow, Outcome, RequestRow, StampSource, TokenSource, TraceEvent, TraceOutcome,
    TraceRow,
};

impl Part for RequestRow {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        let mut row = Self::default();
        row.fill(line).map(|()| row)
    }
}

impl RequestRow {
    /// Reads a line in place of what the row holds, in its memory. After `None` nothing is to be read
    /// from it.
    pub(super) fn fill(&mut self, line: &mut Line<'_>) -> Option<()> {
        self.fill_times(line)?;
        self.fill_tokens(line)?;
        self.fill_end(line)
    }

    fn fill_times(&mut self, line: &mut Line<'_>) -> Option<()> {
        self.trace = line.after(b"{\"trace\":")?;
        self.row = line.after(b",\"row\":")?;
        self.cycle = line.after(b",\"cycle\":")?;
        self.lane = line.after(b",\"lane\":")?;
        self.step = line.after(b",\"step\":")?;
        self.parent = line.after(b",\"parent\":")?;
        self.attempt = line.after(b",\"attempt\":")?;
        self.id = line.after(b",\"id\":")?;
        self.waited_for = line.after(b",\"waited_for\":")?;
        self.waited_until_ns = line.after(b",\"waited_until_ns\":")?;
        self.join_wait_ns = line.maybe_after(b",\"join_wait_ns\":")?;
        self.intent_ns = line.after(b",\"intent_ns\":")?;
        self.start_ns = line.after(b",\"start_ns\":")?;
        self.connected_ns = line.after(b",\"connected_ns\":")?;
        self.sent_ns = line.after(b",\"sent_ns\":")?;
        self.headers_ns = line.after(b",\"headers_ns\":")?;
        self.first_event_ns = line.after(b",\"first_event_ns\":")?;
        self.first_token_ns = line.after(b",\"first_token_ns\":")?;
        self.first_visible_ns = line.after(b",\"first_visible_ns\":")?;
        self.last_token_ns = line.after(b",\"last_token_ns\":")?;
        self.end_ns = line.after(b",\"end_ns\":")?;
        Some(())
    }

    fn fill_tokens(&mut self, line: &mut Line<'_>) -> Option<()> {
        self.planned_prompt_tokens = line.after(b",\"planned_prompt_tokens\":")?;
        self.planned_new_tokens = line.after(b",\"planned_new_tokens\":")?;
        self.planned_completion_tokens = line.after(b",\"planned_completion_tokens\":")?;
        self.prompt_tokens = line.after(b",\"prompt_tokens\":")?;
        self.completion_tokens = line.after(b",\"completion_tokens\":")?;
        self.cached_tokens = line.after(b",\"cached_tokens\":")?;
        self.expected_cached_tokens = line.after(b",\"expected_cached_tokens\":")?;
        self.shown_cached_tokens = line.maybe_after(b",\"shown_cached_tokens\":")?;
        self.eligible_tokens = line.after(b",\"eligible_tokens\":")?;
        self.chunks = line.after(b",\"chunks\":")?;
        self.first_chunk_tokens = line.after(b",\"first_chunk_tokens\":")?;
        self.token_source = line.after(b",\"token_source\":")?;
        self.stall_ns = line.after(b",\"stall_ns\":")?;
        line.past(b",\"itl\":")?;
        self.itl.fill(line)?;
        self.visible_itl = line.maybe_after(b",\"visible_itl\":")?;
        line.past(b",\"credit\":")?;
        line.list(&mut self.credit)?;
        Some(())
    }

    fn fill_end(&mut self, line: &mut Line<'_>) -> Option<()> {
        self.connection = line.after(b",\"connection\":")?;
        self.connect_ns = line.after(b",\"connect_ns\":")?;
        self.stale_resend = line.after(b",\"stale_resend\":")?;
        self.stamp_source = line.after(b",\"stamp_source\":")?;
        self.late_chunks = line.after(b",\"late_chunks\":")?;
        self.shared_with = line.maybe_after(b",\"shared_with\":")?;
        self.window_wait_ns = line.maybe_after(b",\"window_wait_ns\":")?;
        self.uncounted_tokens = line.after(b",\"uncounted_tokens\":")?;
        self.excess_tokens = line.after(b",\"excess_tokens\":")?;
        self.outcome = line.after(b",\"outcome\":")?;
        self.error = line.after(b",\"error\":")?;
        self.chunk_ns = line.maybe_after(b",\"chunk_ns\":")?;
        self.chunk_tokens = line.maybe_after(b",\"chunk_tokens\":")?;
        line.past(b"}")
    }
}

impl Part for Credit {
    /// On a whole second: fractions are read by serde alone, to the last bit.
    fn take(line: &mut Line<'_>) -> Option<Self> {
        let second: u32 = line.after(b"[")?;
        let credit = Self(f64::from(second), line.after(b".0,")?);
        line.past(b"]").map(|()| credit)
    }
}

impl Part for ErrorRow {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        let row = Self {
            kind: line.after(b"{\"kind\":")?,
            status: line.after(b",\"status\":")?,
            message: line.after(b",\"message\":")?,
        };
        line.past(b"}").map(|()| row)
    }
}

impl Part for Outcome {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        match line.text()? {
            "ok" => Some(Self::Ok),
            "failed" => Some(Self::Failed),
            "cut_off" => Some(Self::CutOff),
            _ => None,
        }
    }
}

impl Part for TokenSource {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        match line.text()? {
            "token_ids" => Some(Self::TokenIds),
            "running_usage" => Some(Self::RunningUsage),
            "timings" => Some(Self::Timings),
            "logprobs" => Some(Self::Logprobs),
            "assumed" => Some(Self::Assumed),
            "usage" => Some(Self::Usage),
            _ => None,
        }
    }
}

impl Part for StampSource {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        match line.text()? {
            "kernel" => Some(Self::Kernel),
            "user" => Some(Self::User),
            "virtual" => Some(Self::Virtual),
            _ => None,
        }
    }
}

impl Part for TraceRow {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        let row = Self {
            trace: line.after(b"{\"trace\":")?,
            row: line.after(b",\"row\":")?,
            cycle: line.after(b",\"cycle\":")?,
            trace_id: line.after(b",\"trace_id\":")?,
            slot: line.after(b",\"slot\":")?,
            at_ns: line.after(b",\"at_ns\":")?,
            steps: line.after(b",\"steps\":")?,
            final_step: line.after(b",\"final_step\":")?,
            planned_completion_tokens: line.after(b",\"planned_completion_tokens\":")?,
            planned_prompt_tokens: line.after(b",\"planned_prompt_tokens\":")?,
            held_ns: line.maybe_after(b",\"held_ns\":")?,
            entered_step: line.maybe_after(b",\"entered_step\":")?,
            event: line.after(b",\"event\":")?,
        };
        line.past(b"}").map(|()| row)
    }
}

impl Part for TraceEvent {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        if line.past(b"\"admitted\"").is_some() {
            return Some(Self::Admitted);
        }
        let outcome = line.after(b"{\"ended\":")?;
        line.past(b"}").map(|()| Self::Ended(outcome))
    }
}

impl Part for TraceOutcome {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        if line.past(b"{").is_none() {
            return match line.text()? {
                "completed" => Some(Self::Completed),
                "cut_off" => Some(Self::CutOff),
                _ => None,
            };
        }
        let kind = line.after(b"\"failed\":")?;
        line.past(b"}").map(|()| Self::Failed(kind))
    }
}
