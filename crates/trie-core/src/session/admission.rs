//! Admission: which trace starts in which slot and when, and when a run gives up.

use std::collections::VecDeque;
use std::fmt;

use crate::units::Nanos;

/// First wait of a slot whose server failed; it doubles up to [`BACK_OFF_MAX`].
const BACK_OFF: Nanos = Nanos::SECOND;
/// Longest wait of a slot whose server failed.
const BACK_OFF_MAX: Nanos = Nanos::from_secs(30);
/// Stretch of time over which the share of failures is looked at.
const FAILURE_WINDOW: Nanos = Nanos::from_secs(60);
/// Fewer failures than these say nothing of a server whose traces take longer than a minute.
const FEWEST_FAILURES: usize = 3;

/// How traces are admitted: a closed loop of `concurrency` slots.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AdmissionOptions {
    /// Slots: traces kept alive at a time.
    pub concurrency: u32,
    /// Run start.
    pub start: Nanos,
    /// Admission ends here.
    pub deadline: Nanos,
    /// Slots open evenly over this long from the start; zero opens all at once.
    pub ramp: Nanos,
    /// Failed requests in a row that end the run.
    pub max_failures: u32,
}

/// A trace that may start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Admitted {
    /// Number of the instance in the plan.
    pub instance: u64,
    /// When it is due to start; in the future where a slot backs off or ramps.
    pub at: Nanos,
}

/// Why a run gives up before its deadline.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StopReason {
    /// So many requests failed in a row.
    InARow(u32),
    /// Of `requests` in the last 60 s `failed` failed (more than half) and no trace completed.
    MostFailed {
        /// Failed requests.
        failed: usize,
        /// All requests that ended.
        requests: usize,
    },
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InARow(1) => write!(
                f,
                "stopped by max_failures: 1 request failed; its error kind is in requests.jsonl"
            ),
            Self::InARow(failures) => write!(
                f,
                "stopped by max_failures: {failures} requests in a row failed; the error kinds are in \
                 requests.jsonl"
            ),
            Self::MostFailed { failed, requests } => write!(
                f,
                "stopped early: {failed} of the {requests} requests of the last 60 s failed and no trace \
                 completed; the error kinds are in requests.jsonl"
            ),
        }
    }
}

/// Hands out trace instances to slots, in the order of the plan.
#[derive(Debug)]
pub struct Admission {
    options: AdmissionOptions,
    next: u64,
    back_off: Vec<Nanos>,
    in_a_row: u32,
    recent: VecDeque<(Nanos, bool)>,
    last_good: Nanos,
}

impl Admission {
    /// Nothing admitted yet.
    #[must_use]
    pub fn new(options: AdmissionOptions) -> Self {
        Self {
            options,
            next: 0,
            back_off: vec![Nanos::ZERO; options.concurrency as usize],
            in_a_row: 0,
            recent: VecDeque::new(),
            last_good: options.start,
        }
    }

    /// When a slot opens: evenly over the ramp.
    #[must_use]
    pub fn opens(&self, slot: u32) -> Nanos {
        let share = u128::from(self.options.ramp.0) * u128::from(slot)
            / u128::from(self.options.concurrency.max(1));
        self.options.start.plus(Nanos(u64::try_from(share).expect("at most the ramp itself")))
    }

    /// The next trace for a slot that is free at `at`; `None` once admission has ended.
    pub fn admit(&mut self, slot: u32, at: Nanos) -> Option<Admitted> {
        let at = at.max(self.opens(slot)).plus(self.back_off[slot as usize]);
        if at >= self.options.deadline {
            return None;
        }
        let instance = self.next;
        self.next += 1;
        Some(Admitted { instance, at })
    }

    /// How many traces were admitted.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.next
    }

    /// A request of a slot ended well.
    pub fn request_ok(&mut self, slot: u32, at: Nanos) {
        self.back_off[slot as usize] = Nanos::ZERO;
        self.in_a_row = 0;
        self.note(at, false);
    }

    /// A trace completed.
    pub fn trace_completed(&mut self, at: Nanos) {
        self.last_good = self.last_good.max(at);
    }

    /// A request of a slot failed. `server_down` for a connection failure or a 5xx: the slot waits
    /// longer each time before its next trace.
    pub fn request_failed(
        &mut self,
        slot: u32,
        at: Nanos,
        server_down: bool,
    ) -> Option<StopReason> {
        if server_down {
            let wait = &mut self.back_off[slot as usize];
            *wait =
                if *wait == Nanos::ZERO { BACK_OFF } else { Nanos(wait.0 * 2).min(BACK_OFF_MAX) };
        }
        self.in_a_row += 1;
        self.note(at, true);
        self.stop(at)
    }

    fn note(&mut self, at: Nanos, failed: bool) {
        self.recent.push_back((at, failed));
        while self.recent.front().is_some_and(|&(then, _)| then.plus(FAILURE_WINDOW) < at) {
            self.recent.pop_front();
        }
    }

    fn stop(&self, at: Nanos) -> Option<StopReason> {
        if self.in_a_row >= self.options.max_failures {
            return Some(StopReason::InARow(self.in_a_row));
        }
        let requests = self.recent.len();
        let failed = self.recent.iter().filter(|(_, failed)| *failed).count();
        let long = at >= self.last_good.plus(FAILURE_WINDOW);
        (long && failed >= FEWEST_FAILURES && failed * 2 > requests)
            .then_some(StopReason::MostFailed { failed, requests })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: fn(u64) -> Nanos = Nanos::from_secs;

    fn admission(concurrency: u32, ramp: u64, max_failures: u32) -> Admission {
        Admission::new(AdmissionOptions {
            concurrency,
            start: SEC(100),
            deadline: SEC(400),
            ramp: SEC(ramp),
            max_failures,
        })
    }

    #[test]
    fn slots_take_instances_in_order_until_the_deadline() {
        let mut admission = admission(2, 0, 50);
        let admitted = |instance, at| Some(Admitted { instance, at });
        assert_eq!(admission.admit(0, SEC(100)), admitted(0, SEC(100)));
        assert_eq!(admission.admit(1, SEC(100)), admitted(1, SEC(100)));
        assert_eq!(admission.admit(1, SEC(399)), admitted(2, SEC(399)));
        assert_eq!(admission.admit(0, SEC(400)), None);
        assert_eq!(admission.admitted(), 3);
    }

    #[test]
    fn a_ramp_opens_the_slots_evenly() {
        let mut admission = admission(4, 20, 50);
        let at: Vec<_> = (0..4).map(|slot| admission.admit(slot, SEC(100)).unwrap().at).collect();
        assert_eq!(at, [SEC(100), SEC(105), SEC(110), SEC(115)]);
    }

    #[test]
    fn a_slot_backs_off_from_a_dead_server_and_forgets_it_after_an_answer() {
        let mut admission = admission(1, 0, 50);
        let mut waits = vec![];
        for _ in 0..7 {
            assert_eq!(admission.request_failed(0, SEC(100), true), None);
            waits.push(admission.admit(0, SEC(100)).unwrap().at.0 / 1_000_000_000 - 100);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        admission.request_ok(0, SEC(110));
        assert_eq!(admission.admit(0, SEC(110)).unwrap().at, SEC(110));
    }

    #[test]
    fn a_refused_request_is_no_reason_to_wait() {
        let mut admission = admission(1, 0, 50);
        assert_eq!(admission.request_failed(0, SEC(101), false), None);
        assert_eq!(admission.admit(0, SEC(101)).unwrap().at, SEC(101));
    }

    #[test]
    fn failures_in_a_row_end_the_run() {
        let mut admission = admission(1, 0, 3);
        assert_eq!(admission.request_failed(0, SEC(101), false), None);
        assert_eq!(admission.request_failed(0, SEC(101), false), None);
        admission.request_ok(0, SEC(102));
        assert_eq!(admission.request_failed(0, SEC(103), false), None);
        assert_eq!(admission.request_failed(0, SEC(103), false), None);
        assert_eq!(admission.request_failed(0, SEC(103), false), Some(StopReason::InARow(3)));
    }

    #[test]
    fn mostly_failing_for_a_minute_without_a_completed_trace_ends_the_run() {
        let mut admission = admission(1, 0, 50);
        assert_eq!(admission.request_failed(0, SEC(130), true), None);
        admission.request_ok(0, SEC(131));
        assert_eq!(admission.request_failed(0, SEC(159), true), None);
        let stop = StopReason::MostFailed { failed: 3, requests: 4 };
        assert_eq!(admission.request_failed(0, SEC(160), true), Some(stop));

        let mut slow = self::admission(1, 0, 50);
        assert_eq!(slow.request_failed(0, SEC(300), false), None);
        assert_eq!(slow.request_failed(0, SEC(301), false), None);

        admission.trace_completed(SEC(161));
        assert_eq!(admission.request_failed(0, SEC(170), true), None);
    }
}
