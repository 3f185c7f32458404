//! The parts of rows, in the order in which they are written: that of their fields.

use super::line::{Line, Part};
use super::{
    Credit, ErrorRow, Outcome, RequestRow, StampSource, TokenSource, TraceEvent, TraceOutcome,
    TraceRow,
};

impl Part for RequestRow {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        let row = Self {
            trace: line.after(b"{\"trace\":")?,
            row: line.after(b",\"row\":")?,
            cycle: line.after(b",\"cycle\":")?,
            lane: line.after(b",\"lane\":")?,
            step: line.after(b",\"step\":")?,
            parent: line.after(b",\"parent\":")?,
            attempt: line.after(b",\"attempt\":")?,
            id: line.after(b",\"id\":")?,
            waited_for: line.after(b",\"waited_for\":")?,
            waited_until_ns: line.after(b",\"waited_until_ns\":")?,
            join_wait_ns: line.maybe_after(b",\"join_wait_ns\":")?,
            intent_ns: line.after(b",\"intent_ns\":")?,
            start_ns: line.after(b",\"start_ns\":")?,
            connected_ns: line.after(b",\"connected_ns\":")?,
            sent_ns: line.after(b",\"sent_ns\":")?,
            headers_ns: line.after(b",\"headers_ns\":")?,
            first_event_ns: line.after(b",\"first_event_ns\":")?,
            first_token_ns: line.after(b",\"first_token_ns\":")?,
            first_visible_ns: line.after(b",\"first_visible_ns\":")?,
            last_token_ns: line.after(b",\"last_token_ns\":")?,
            end_ns: line.after(b",\"end_ns\":")?,
            planned_prompt_tokens: line.after(b",\"planned_prompt_tokens\":")?,
            planned_new_tokens: line.after(b",\"planned_new_tokens\":")?,
            planned_completion_tokens: line.after(b",\"planned_completion_tokens\":")?,
            prompt_tokens: line.after(b",\"prompt_tokens\":")?,
            completion_tokens: line.after(b",\"completion_tokens\":")?,
            cached_tokens: line.after(b",\"cached_tokens\":")?,
            expected_cached_tokens: line.after(b",\"expected_cached_tokens\":")?,
            shown_cached_tokens: line.maybe_after(b",\"shown_cached_tokens\":")?,
            eligible_tokens: line.after(b",\"eligible_tokens\":")?,
            chunks: line.after(b",\"chunks\":")?,
            first_chunk_tokens: line.after(b",\"first_chunk_tokens\":")?,
            token_source: line.after(b",\"token_source\":")?,
            stall_ns: line.after(b",\"stall_ns\":")?,
            itl: line.after(b",\"itl\":")?,
            visible_itl: line.maybe_after(b",\"visible_itl\":")?,
            credit: line.after(b",\"credit\":")?,
            connection: line.after(b",\"connection\":")?,
            connect_ns: line.after(b",\"connect_ns\":")?,
            stale_resend: line.after(b",\"stale_resend\":")?,
            stamp_source: line.after(b",\"stamp_source\":")?,
            late_chunks: line.after(b",\"late_chunks\":")?,
            uncounted_tokens: line.after(b",\"uncounted_tokens\":")?,
            excess_tokens: line.after(b",\"excess_tokens\":")?,
            outcome: line.after(b",\"outcome\":")?,
            error: line.after(b",\"error\":")?,
            chunk_ns: line.maybe_after(b",\"chunk_ns\":")?,
            chunk_tokens: line.maybe_after(b",\"chunk_tokens\":")?,
        };
        line.past(b"}").map(|()| row)
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
