//! From a line of a record file to its row.

use serde::de::DeserializeOwned;

use super::line::{Line, Part};
use super::{ClientRow, RequestRow, TraceRow};

/// A row of a record file.
pub trait Row: DeserializeOwned {
    /// Reads the line that holds it, with or without the line's end.
    ///
    /// A line that stands as this program writes it is read several times as fast as another; the row is
    /// the same.
    fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// The same in place of a row that is not needed any more, in its memory. After an error nothing is
    /// to be read from it.
    fn read_again(&mut self, line: &[u8]) -> Result<(), serde_json::Error> {
        *self = Self::read(line)?;
        Ok(())
    }
}

impl Row for ClientRow {}

impl Row for RequestRow {
    fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        as_written(Line::new(line)).map_or_else(|| serde_json::from_slice(line), Ok)
    }

    fn read_again(&mut self, line: &[u8]) -> Result<(), serde_json::Error> {
        let mut rest = Line::new(line);
        match self.fill(&mut rest) {
            Some(()) if rest.is_done() => {}
            Some(()) | None => *self = serde_json::from_slice(line)?,
        }
        Ok(())
    }
}

impl Row for TraceRow {
    fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        as_written(Line::new(line)).map_or_else(|| serde_json::from_slice(line), Ok)
    }
}

fn as_written<T: Part>(mut line: Line<'_>) -> Option<T> {
    T::take(&mut line).filter(|_| line.is_done())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::path::{Path, PathBuf};

    use serde::Serialize;

    use super::*;
    use crate::record::{
        Credit, ErrorRow, Histogram, Outcome, StampSource, TokenSource, TraceEvent, TraceOutcome,
    };
    use crate::units::Nanos;

    /// Both readings of a line are the same, refusals included.
    fn agree<T: Row + PartialEq + Debug>(line: &[u8]) {
        let judge = serde_json::from_slice::<T>(line).map_err(|error| error.to_string());
        let read = T::read(line).map_err(|error| error.to_string());
        assert_eq!(read, judge, "{}", String::from_utf8_lossy(line));
        if let (Ok(row), Ok(mut again)) = (judge, T::read(line)) {
            again.read_again(line).unwrap();
            assert_eq!(again, row, "in the memory of itself");
        }
    }

    /// A row as it is written is taken, with the line's end and without.
    fn taken<T: Row + Part + Serialize + PartialEq + Debug>(row: &T) {
        let line = serde_json::to_string(row).unwrap();
        assert_eq!(as_written(Line::new(line.as_bytes())).as_ref(), Some(row), "{line}");
        assert_eq!(
            as_written(Line::new(format!("{line}\n").as_bytes())).as_ref(),
            Some(row),
            "{line}"
        );
        agree::<T>(line.as_bytes());
    }

    /// One row with everything in it, one with nothing.
    fn requests() -> Vec<RequestRow> {
        let stamp = |nanos| Some(Nanos(nanos));
        let histogram = Histogram::of(vec![(9_999, 2), (25_830_000, 1), (101_300_000, 70)]);
        let full = RequestRow {
            trace: 12,
            row: 3,
            cycle: 4_000_000_000,
            lane: 5,
            step: 6,
            parent: Some(5),
            attempt: 7,
            id: Some("chatcmpl-0123 größer".to_owned()),
            waited_for: Some(4),
            waited_until_ns: stamp(1_234_567_890_123),
            join_wait_ns: stamp(0),
            intent_ns: Nanos(5_000_000_000_000),
            start_ns: stamp(5_000_000_050_000),
            connected_ns: stamp(10),
            sent_ns: stamp(99_999_999),
            headers_ns: stamp(100_000_000),
            first_event_ns: stamp(9_999_999_999_999_999_999),
            first_token_ns: stamp(1),
            first_visible_ns: stamp(2),
            last_token_ns: stamp(3),
            end_ns: stamp(4),
            planned_prompt_tokens: 1_666,
            planned_new_tokens: 120,
            planned_completion_tokens: 14,
            prompt_tokens: Some(1_667),
            completion_tokens: Some(13),
            cached_tokens: Some(1_536),
            expected_cached_tokens: Some(1_537),
            shown_cached_tokens: Some(1_538),
            eligible_tokens: 1_546,
            chunks: 12,
            first_chunk_tokens: Some(2),
            token_source: Some(TokenSource::TokenIds),
            stall_ns: stamp(130_747_618),
            itl: histogram.clone(),
            visible_itl: Some(histogram),
            credit: vec![Credit(4.0, 1), Credit(4_294_967_295.0, 13)],
            connection: Some(8),
            connect_ns: stamp(77),
            stale_resend: true,
            stamp_source: Some(StampSource::Kernel),
            late_chunks: 9,
            shared_with: Some(4),
            window_wait_ns: stamp(78),
            uncounted_tokens: 10,
            excess_tokens: 11,
            outcome: Outcome::Failed,
            error: Some(ErrorRow {
                kind: "status".to_owned(),
                status: Some(503),
                message: "overloaded".to_owned(),
            }),
            chunk_ns: Some(vec![50, 70, 1_460]),
            chunk_tokens: Some(vec![]),
        };
        vec![RequestRow::default(), full]
    }

    fn traces() -> Vec<TraceRow> {
        let row = TraceRow {
            trace: 56,
            row: 8,
            cycle: 2,
            trace_id: "demo-08".to_owned(),
            slot: 56,
            at_ns: Nanos(17_389_970_033),
            steps: 7,
            final_step: 6,
            planned_completion_tokens: 240,
            planned_prompt_tokens: 11_895,
            held_ns: None,
            entered_step: None,
            event: TraceEvent::Admitted,
        };
        let held = TraceRow { held_ns: Some(Nanos(1)), entered_step: Some(3), ..row.clone() };
        let outcomes = [
            TraceOutcome::Completed,
            TraceOutcome::CutOff,
            TraceOutcome::Failed("timeout".to_owned()),
        ];
        let ended = outcomes.map(|how| TraceRow { event: TraceEvent::Ended(how), ..row.clone() });
        [&[row, held][..], &ended].concat()
    }

    /// Lines of the golden records.
    fn golden(name: &str) -> Vec<String> {
        let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/records/v1");
        let runs = std::fs::read_dir(records).unwrap().map(|run| run.unwrap().path());
        let mut runs: Vec<PathBuf> = runs.collect();
        runs.sort();
        let texts = runs.iter().map(|run| std::fs::read_to_string(run.join(name)).unwrap());
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn rows_are_taken_as_they_are_written() {
        requests().iter().for_each(taken);
        traces().iter().for_each(taken);
        let sources = ["token_ids", "running_usage", "timings", "logprobs", "assumed", "usage"];
        for source in sources.map(|name| serde_json::from_value(name.into()).unwrap()) {
            taken(&RequestRow { token_source: Some(source), ..RequestRow::default() });
        }
        for stamps in ["kernel", "user", "virtual"] {
            let stamp_source = serde_json::from_value(stamps.into()).unwrap();
            taken(&RequestRow { stamp_source, ..RequestRow::default() });
        }
        for outcome in [Outcome::Ok, Outcome::Failed, Outcome::CutOff] {
            taken(&RequestRow { outcome, ..RequestRow::default() });
        }
    }

    #[test]
    fn what_is_not_taken_is_left_to_serde() {
        let split = RequestRow { credit: vec![Credit(30.1, 2)], ..RequestRow::default() };
        let quoted = RequestRow { id: Some("a \"b\"".to_owned()), ..RequestRow::default() };
        for row in [split, quoted] {
            let line = serde_json::to_string(&row).unwrap();
            assert_eq!(as_written::<RequestRow>(Line::new(line.as_bytes())), None);
            assert_eq!(RequestRow::read(line.as_bytes()).unwrap(), row);
        }
    }

    #[test]
    fn both_readings_agree_on_golden_rows() {
        let (requests, traces) = (golden("requests.jsonl"), golden("traces.jsonl"));
        assert!(requests.len() > 50 && traces.len() > 50);
        for line in &requests {
            agree::<RequestRow>(line.as_bytes());
            // Rows of earlier versions lack what came later, and are not as they would be written now.
            let row: RequestRow = serde_json::from_str(line).unwrap();
            if row.credit.iter().all(|credit| credit.0.fract() == 0.0) {
                taken(&row);
            }
        }
        for line in &traces {
            agree::<TraceRow>(line.as_bytes());
            taken(&serde_json::from_str::<TraceRow>(line).unwrap());
        }
    }

    /// What a changed row may be changed to.
    const BYTES: &[u8] = b"0123456789.-+eE\"\\,:[]{} \n\r\tnulltrefas_\0\x7f\x80\xff";

    /// `line` with a byte changed, left out or put in, cut off, or with a piece said twice: `dice` says
    /// which and where.
    fn changed(line: &[u8], dice: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
        let mut line = line.to_vec();
        let (at, byte) = (dice(line.len()), BYTES[dice(BYTES.len())]);
        match dice(5) {
            0 => line[at] = byte,
            1 => drop(line.remove(at)),
            2 => line.insert(at, byte),
            3 => line.truncate(at),
            _ => {
                let piece = line[at..(at + dice(40)).min(line.len())].to_vec();
                drop(line.splice(at..at, piece));
            }
        }
        line
    }

    #[test]
    fn both_readings_agree_on_changed_rows() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut dice = |sides: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % sides
        };
        let json = |row: &RequestRow| serde_json::to_vec(row).unwrap();
        let lines: Vec<_> = requests().iter().map(json).collect();
        let more: Vec<_> = traces().iter().map(|row| serde_json::to_vec(row).unwrap()).collect();
        for _ in 0..20_000 {
            agree::<RequestRow>(&changed(&lines[dice(lines.len())], &mut dice));
            agree::<TraceRow>(&changed(&more[dice(more.len())], &mut dice));
        }
    }
}
