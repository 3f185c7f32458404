//! Checks of what the run was measured with: the client's threads, its clocks, an idle server.

use std::collections::BTreeMap;

use super::estimate::{float, millis, percent};
use super::fold::Tally;
use super::verdict::{Words, above, check};
use super::{Cell, Check, CheckId, Status};
use crate::record::{ClientRow, FindingStatus, Histogram, Manifest, PreflightCheck, SelfCheck};
use crate::units::Nanos;

/// What `client.jsonl` and the preflight say of them.
#[derive(Debug, Default)]
pub(super) struct Instruments {
    /// CPU time of each thread in each second.
    cpu: Histogram,
    /// How long each thread waited for a core in each second.
    core_wait: Histogram,
    /// How late each thread's timer woke.
    timer: Histogram,
    /// Whether the clock of the kernel's stamps was watched.
    watched: bool,
    /// How often that clock was set, in the runs before and in this one.
    steps: u64,
    steps_of_run: u64,
    /// Of each run.
    loads: Vec<Load>,
    /// Runs whose server was asked and was idle, or was not.
    idle: u64,
    busy: u64,
    /// Tokens of histories to be primed, and of those that were not.
    primed_tokens: u64,
    missed_tokens: u64,
}

/// How much a run had to receive, and how much it could have.
#[derive(Debug, Default)]
struct Load {
    /// Reads a second, by the self-check.
    honest: Option<u64>,
    /// Reads in each second, of all threads.
    reads: BTreeMap<u64, u64>,
}

impl Load {
    /// How much of what it could take a run took in its busiest second, %.
    fn share(&self) -> Option<f64> {
        let busiest = self.reads.values().max()?;
        Some(100.0 * float(*busiest) / float(self.honest?))
    }
}

impl Instruments {
    /// Opens the next run.
    pub(super) fn begin(&mut self, manifest: &Manifest) {
        let honest = manifest.self_check.as_ref().map(SelfCheck::honest_load);
        self.loads.push(Load { honest, reads: BTreeMap::new() });
        self.steps += std::mem::take(&mut self.steps_of_run);
        let priming = manifest.priming.unwrap_or_default();
        self.primed_tokens += priming.tokens;
        self.missed_tokens += priming.missed_tokens;
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
        if let Some(waited) = row.core_wait_ns {
            self.core_wait.add(waited.0, 1);
        }
        self.timer.merge(&row.timer_lag);
        if let Some(load) = self.loads.last_mut() {
            // Reads are counted as they come where the kernel stamps them, else when their answer ends.
            let stamped = row.lag.count();
            let reads = if stamped > 0 { stamped } else { row.reads };
            *load.reads.entry(row.second).or_default() += reads;
        }
        self.watched |= row.clock_offset_ns.is_some();
        self.steps_of_run = self.steps_of_run.max(row.clock_steps);
    }
}

/// All of them.
pub(super) fn instruments(tally: &Tally) -> [Check; 8] {
    let instruments = &tally.instruments;
    [
        runtime_stall(instruments),
        client_cpu(instruments),
        core_wait(instruments),
        client_capacity(instruments),
        coalescing(tally),
        clock(instruments),
        idle_at_start(instruments),
        priming(instruments),
    ]
}

fn runtime_stall(instruments: &Instruments) -> Check {
    let words = Words {
        threshold: "longest time that a thread of the client did not run when it was to, ms: warns \
                    above 15",
        advice: "something held the client up, and its sends with it: another process, a swapped-out \
                 page, a suspended machine",
    };
    above(CheckId::RuntimeStall, instruments.timer.max().map(millis), [15.0, f64::INFINITY], &words)
}

fn client_cpu(instruments: &Instruments) -> Check {
    let words = Words {
        threshold: "CPU of a thread of the client in a second, p99, %: warns above 80",
        advice: "the client was near its limit: use a machine with faster cores, or less concurrency",
    };
    let busiest = instruments.cpu.quantile(0.99);
    let share = busiest.map(|nanos| float(nanos) / float(Nanos::SECOND.0 / 100));
    above(CheckId::ClientCpu, share, [80.0, f64::INFINITY], &words)
}

fn core_wait(instruments: &Instruments) -> Check {
    let words = Words {
        threshold: "time in a second that a thread of the client could have run and had no core, p99, \
                    %: warns above 5",
        advice: "other processes took the cores that the client needs: stop them, or keep them apart \
                 (pin=)",
    };
    let longest = instruments.core_wait.quantile(0.99);
    let share = longest.map(|nanos| float(nanos) / float(Nanos::SECOND.0 / 100));
    above(CheckId::CoreWait, share, [5.0, f64::INFINITY], &words)
}

fn client_capacity(instruments: &Instruments) -> Check {
    let words = Words {
        threshold: "reads of the busiest second against what the self-check found that the client can \
                    take, %: warns above 50, fails above 80",
        advice: "the client was measured along with the server: more threads=, faster cores, or less \
                 concurrency",
    };
    let share = instruments.loads.iter().filter_map(Load::share).reduce(f64::max);
    if share.is_none() {
        let why = Cell::Missing("there was no self-check".into());
        return check(CheckId::ClientCapacity, Status::Unknown, why, &words);
    }
    above(CheckId::ClientCapacity, share, [50.0, 80.0], &words)
}

fn coalescing(tally: &Tally) -> Check {
    let words = Words {
        threshold: "reads that held several chunks of an answer, %: warns above 10, fails above 50",
        advice: "tokens were not seen one by one: a proxy or the server holds chunks back (look for \
                 buffering), or the client was late (see client_lag)",
    };
    let reads = Some(tally.client.reads).filter(|reads| *reads > 0);
    let share = reads.map(|reads| 100.0 * float(tally.client.merged_reads) / float(reads));
    above(CheckId::Coalescing, share, [10.0, 50.0], &words)
}

fn clock(instruments: &Instruments) -> Check {
    let words = Words {
        threshold: "how often the clock of the kernel's stamps was set: warns at any",
        advice: "the kernel's clock was set during the run: stop the time service from stepping it",
    };
    let steps = instruments.steps + instruments.steps_of_run;
    let steps = (instruments.watched || steps > 0).then(|| float(steps));
    above(CheckId::Clock, steps, [0.0, f64::INFINITY], &words)
}

fn priming(instruments: &Instruments) -> Check {
    let words = Words {
        threshold: "tokens of entered traces' histories that were not primed, %: warns at any, fails above 5",
        advice: "what the server did not hold at the start it computed in the run: raise prime_timeout=, or give \
                 it room for the contexts of all slots",
    };
    let missed = percent(instruments.missed_tokens, instruments.primed_tokens).unwrap_or(0.0);
    above(CheckId::Priming, Some(missed), [0.0, 5.0], &words)
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
