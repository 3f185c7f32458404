//! Checks of what the run was measured with: the client's threads, its clocks, an idle server.

use super::estimate::float;
use super::fold::Tally;
use super::verdict::{Words, above, check};
use super::{Cell, Check, CheckId, Status};
use crate::record::{ClientRow, FindingStatus, Histogram, Manifest, PreflightCheck};
use crate::units::Nanos;

/// A change of a stamp clock's offset from one second to the next that is no drift.
const STEP: Nanos = Nanos(1_000_000);

/// What `client.jsonl` and the preflight say of them.
#[derive(Debug, Default)]
pub(super) struct Instruments {
    /// CPU time of each thread in each second.
    cpu: Histogram,
    /// The last offset of the stamp clock that was seen.
    offset: Option<i64>,
    /// How many offsets there were.
    offsets: u64,
    /// How many of them were off the one before.
    steps: u64,
    /// Runs whose server was asked and was idle, or was not.
    idle: u64,
    busy: u64,
}

impl Instruments {
    /// Opens the next run.
    pub(super) fn begin(&mut self, manifest: &Manifest) {
        self.offset = None;
        let findings = manifest.preflight.iter().flat_map(|preflight| &preflight.findings);
        for finding in findings.filter(|finding| finding.check == PreflightCheck::Idle) {
            match finding.status {
                FindingStatus::Ok => self.idle += 1,
                FindingStatus::Warn | FindingStatus::Fail => self.busy += 1,
                FindingStatus::Note => {}
            }
        }
    }

    pub(super) fn client(&mut self, row: &ClientRow) {
        if let Some(cpu) = row.cpu_ns {
            self.cpu.add(cpu.0, 1);
        }
        let Some(offset) = row.clock_offset_ns else { return };
        let apart = |before: i64| before.abs_diff(offset) > STEP.0;
        self.steps += u64::from(self.offset.is_some_and(apart));
        self.offset = Some(offset);
        self.offsets += 1;
    }
}

/// All of them.
pub(super) fn instruments(tally: &Tally) -> [Check; 3] {
    let instruments = &tally.instruments;
    [runtime_stall(instruments), clock(instruments), idle_at_start(instruments)]
}

fn runtime_stall(instruments: &Instruments) -> Check {
    let words = Words {
        threshold: "CPU of a thread of the client in a second, p99, %: warns above 80",
        advice: "the client was near its limit: use a machine with faster cores, or less concurrency",
    };
    let busiest = instruments.cpu.quantile(0.99);
    let share = busiest.map(|nanos| float(nanos) / float(Nanos::SECOND.0 / 100));
    above(CheckId::RuntimeStall, share, [80.0, f64::INFINITY], &words)
}

fn clock(instruments: &Instruments) -> Check {
    let words = Words {
        threshold: "seconds in which the clock of the stamps moved by over 1 ms: warns at any",
        advice: "the kernel's clock was set during the run: stop the time service from stepping it",
    };
    let steps = (instruments.offsets > 0).then(|| float(instruments.steps));
    above(CheckId::Clock, steps, [0.0, f64::INFINITY], &words)
}

fn idle_at_start(instruments: &Instruments) -> Check {
    let words = Words {
        threshold: "runs whose server had other requests in work before the start: warns at any",
        advice: "something else used the server: its load is in every number; run again when it is idle",
    };
    if instruments.idle + instruments.busy == 0 {
        let why = Cell::Missing("the preflight could not ask, or was left out".into());
        return check(CheckId::IdleAtStart, Status::Unknown, why, &words);
    }
    above(CheckId::IdleAtStart, Some(float(instruments.busy)), [0.0, f64::INFINITY], &words)
}
