//! Whether a run was in its steady state, and from when on.
//!
//! The state of each slot is followed, not of the run as a whole: slots are what is independent in a closed
//! loop, so that a change of their mean is held against the spread of their changes, however long each
//! trace remembers. Three things are followed: the context of the slot's latest request, its place in the
//! trace (the trace's age), and the share of it that came from the cache.
//!
//! Tokens a second are not followed by slot: all slots slow down together when the engine does, so that
//! their spread says nothing of what is due to chance (at c=8 of scenario S, in equilibrium, such a test
//! was beyond 5 % in half of the runs). The throughput of the two halves of the window is compared instead,
//! and a change counts by its size.

use super::estimate::float;
use super::student::{deviation, mean_and_error, tails};

/// Parts of a window.
const BINS: usize = 20;
/// Geweke's comparison: the first tenth against the last half.
const EARLY: usize = BINS / 10;
const LATE: usize = BINS / 2;
/// Fewer slots say nothing of the spread between them.
const FEWEST_SLOTS: usize = 4;
/// Requests of a slot below which nothing is said of it.
const FEWEST_REQUESTS: usize = 4;
/// Parts of the window, in percent, after which a steady state may begin.
const STARTS: [u64; 4] = [20, 30, 40, 50];
/// Share of the traces of a steady state that are older than the warm-up, at most: what a cold start is
/// missing when the warm-up is over. Scenario S on seeds from 50,001 on: runs of c=24 from a cold start that
/// are told from a steady state are 91, 97, 98 and 99 % at 2, 1, 0.1 and 0 %, runs of c=8 from equilibrium
/// 0.8, 1.2, 1.7 and 3.2 %.
const MISSING: f64 = 0.001;
/// Deviations, and steps of throughput, up to which no change is seen.
const STEADY: f64 = 2.0;
/// A step of throughput: this share of the first half's. Two of them, 10 %, lie between the halves of 0.4 %
/// of the runs of c=8 in equilibrium (deviation 3.9 %).
const STEP: f64 = 0.05;

/// What is followed.
const SERIES: usize = 3;

/// A request of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When it was due, in nanoseconds from the start.
    pub(super) at: u64,
    pub(super) step: u32,
    pub(super) prompt: u64,
    /// Of it, from the cache, where the server said so.
    pub(super) cached: Option<u64>,
    pub(super) answer: u64,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Steadiness {
    /// Too few slots or requests to say.
    #[default]
    Unknown,
    /// No change is seen over the whole window.
    Throughout(Found),
    /// From here on, in percent of the window.
    From(u64, Found),
    /// Nowhere.
    Nowhere(Found),
}

/// Figures of the test over the whole window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// The least likely of all changes, as normal deviations, for how many there are.
    pub(super) deviations: f64,
    /// Tokens a second of the second half over those of the first, where that had any. What comes before a
    /// tenth of the window is left out.
    pub(super) halves: Option<f64>,
    /// Requests that the traces of a slot have sent, on average over the window.
    pub(super) age: f64,
    /// The same that traces of these lengths have in a steady state.
    pub(super) expected_age: Option<f64>,
}

impl Found {
    /// How far it is from steady: the deviations of the slots, or steps of throughput if these are more.
    pub(super) fn distance(&self) -> f64 {
        let steps = self.halves.map_or(0.0, |ratio| (ratio - 1.0).abs() / STEP);
        self.deviations.max(steps)
    }
}

/// What a run is tested on: its slots' requests, each in order of time; the window's length; the length of
/// each whole trace in requests; the share of a steady state's traces that are older than a time; and the
/// tokens that came between two times.
pub(super) struct Evidence<'e> {
    pub(super) slots: Vec<Vec<Seen>>,
    pub(super) window: u64,
    pub(super) lengths: &'e [u32],
    pub(super) older: &'e dyn Fn(u64) -> f64,
    pub(super) tokens: &'e dyn Fn(u64, u64) -> f64,
}

impl Evidence<'_> {
    /// Tests the whole window, then what is left of it after longer and longer warm-ups.
    pub(super) fn steadiness(&self) -> Steadiness {
        let enough = self.slots.iter().filter(|slot| slot.len() >= FEWEST_REQUESTS);
        if enough.count() < FEWEST_SLOTS || self.window == 0 {
            return Steadiness::Unknown;
        }
        let found = self.found(self.opened());
        if found.distance() <= STEADY {
            return Steadiness::Throughout(found);
        }
        let from = STARTS.into_iter().find(|&start| {
            let at = self.window / 100 * start;
            (self.older)(at) <= MISSING && self.found(at).distance() <= STEADY
        });
        from.map_or(Steadiness::Nowhere(found), |start| Steadiness::From(start, found))
    }

    /// The figures of what comes after `from`.
    fn found(&self, from: u64) -> Found {
        Found {
            deviations: self.change(from),
            halves: self.halves(from.max(self.window / 10)),
            age: self.age(),
            expected_age: expected_age(self.lengths),
        }
    }

    /// Tokens of the last half of what comes after `from` over those of the first.
    fn halves(&self, from: u64) -> Option<f64> {
        let middle = u64::midpoint(from, self.window);
        let (first, last) = ((self.tokens)(from, middle), (self.tokens)(middle, self.window));
        (first > 0.0).then(|| last / first)
    }

    /// The least likely change after `from`, as normal deviations.
    fn change(&self, from: u64) -> f64 {
        let mut least = 1.0_f64;
        let mut tests = 0.0;
        for series in 0..SERIES {
            let slots = self.slots.iter().map(|slot| bins(slot, series, from, self.window));
            let Some(slots) = slots.collect::<Option<Vec<_>>>() else { continue };
            for test in [geweke, mann_kendall] {
                let changes: Vec<f64> = slots.iter().map(|bins| test(bins)).collect();
                least = least.min(likelihood(&changes));
                tests += 1.0;
            }
        }
        deviation((least * tests).min(1.0))
    }

    /// When every slot is past its first request, which was sent together with those of all others; the start
    /// where that is not soon.
    fn opened(&self) -> u64 {
        let seconds = self.slots.iter().filter_map(|slot| slot.get(1));
        let last = seconds.map(|second| second.at).max().unwrap_or(0);
        if last < self.window / 10 { last } else { 0 }
    }

    fn age(&self) -> f64 {
        let from = self.opened();
        let slots = self.slots.iter().filter_map(|slot| bins(slot, 1, from, self.window));
        let means: Vec<f64> = slots.map(|bins| average(&bins)).collect();
        average(&means)
    }
}

/// Requests that a trace has sent, counted from 0, found at a time that is as likely in each of them: long
/// traces are found more often than short ones. `None` without a trace.
fn expected_age(lengths: &[u32]) -> Option<f64> {
    let all: f64 = lengths.iter().map(|&n| f64::from(n)).sum();
    let pairs: f64 = lengths.iter().map(|&n| f64::from(n) * (f64::from(n) - 1.0) / 2.0).sum();
    (all > 0.0).then(|| pairs / all)
}

/// Chance of a mean so far from 0 if it is 0, by the spread between the slots.
fn likelihood(changes: &[f64]) -> f64 {
    match mean_and_error(changes) {
        Some((mean, error)) if error > 0.0 => tails(mean / error, float(changes.len() as u64 - 1)),
        Some((mean, _)) if mean.abs() > 0.0 => 0.0,
        Some(_) | None => 1.0,
    }
}

/// The last half less the first tenth.
fn geweke(bins: &[f64]) -> f64 {
    average(&bins[BINS - LATE..]) - average(&bins[..EARLY])
}

/// Pairs that rise less those that fall.
fn mann_kendall(bins: &[f64]) -> f64 {
    let pairs = (0..bins.len()).flat_map(|one| (0..one).map(move |other| (other, one)));
    pairs
        .map(|(before, after)| match bins[after].total_cmp(&bins[before]) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Less => -1.0,
            std::cmp::Ordering::Equal => 0.0,
        })
        .sum()
}

/// What is followed of a request, which the slot keeps until its next one.
fn value(seen: &Seen, series: usize) -> Option<f64> {
    match series {
        0 => Some(float(seen.prompt)),
        1 => Some(f64::from(seen.step)),
        _ => Some(float(seen.cached?) / float(seen.prompt.max(1))),
    }
}

/// Means over the parts of a window, weighted by time; 0 before the slot's first request. `None` where
/// something is not known.
fn bins(slot: &[Seen], series: usize, from: u64, end: u64) -> Option<Vec<f64>> {
    let width = float(end - from) / float(BINS as u64);
    let mut sums = vec![0.0; BINS];
    let edges: [f64; BINS] = std::array::from_fn(|bin| float(bin as u64));
    for index in 0..slot.len() {
        let until = slot.get(index + 1).map_or(end, |next| next.at).min(end);
        let begin = slot[index].at.max(from);
        if until <= begin {
            continue;
        }
        let value = value(&slot[index], series)?;
        let (begin, until) = (float(begin - from) / width, float(until - from) / width);
        // Those before the first of them have nothing of it, and those behind the last one.
        for (edge, sum) in
            edges.iter().zip(&mut sums).skip(floor(begin)).take(floor(until - begin) + 2)
        {
            *sum += value * (until.min(edge + 1.0) - begin.max(*edge)).max(0.0);
        }
    }
    Some(sums)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "parts of a window: from 0 to how many there are"
)]
fn floor(parts: f64) -> usize {
    parts as usize
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / float(values.len().max(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 1_000;

    /// Eight slots with a request every 10 ns whose prompt is `prompt(slot, number)`.
    fn steadiness(prompt: impl Fn(u64, u64) -> u64, older: f64) -> Steadiness {
        served(prompt, older, 1.0)
    }

    /// The same with so many times the tokens in the last 450 ns.
    fn served(prompt: impl Fn(u64, u64) -> u64, older: f64, more: f64) -> Steadiness {
        let slot = |slot| {
            let seen = |number| Seen {
                at: number * 10,
                step: 0,
                prompt: prompt(slot, number),
                cached: None,
                answer: 5,
            };
            (0..WINDOW / 10).map(seen).collect()
        };
        let slots = (0..8).map(slot).collect();
        let older = move |_| older;
        let late = |until: u64| float(until.saturating_sub(550));
        let tokens = |from, to| float(to - from) + (more - 1.0) * (late(to) - late(from));
        let (older, tokens) = (&older, &tokens);
        Evidence { slots, window: WINDOW, lengths: &[3, 5], older, tokens }.steadiness()
    }

    /// Slots that differ and do not drift.
    fn even(slot: u64, number: u64) -> u64 {
        100 + 10 * slot + (7 * slot + 3 * number) % 11
    }

    #[test]
    fn slots_that_differ_but_do_not_drift_are_steady() {
        let found = steadiness(even, 0.0);
        assert!(matches!(found, Steadiness::Throughout(_)), "{found:?}");
    }

    #[test]
    fn a_throughput_that_changes_between_the_halves_is_not_steady() {
        let steps = |more| match served(even, 1.0, more) {
            Steadiness::Throughout(_) => None,
            Steadiness::Nowhere(found) => Some(found.distance()),
            other @ (Steadiness::Unknown | Steadiness::From(..)) => unreachable!("{other:?}"),
        };
        assert_eq!(steps(1.09), None);
        assert_eq!(steps(0.91), None);
        assert!((steps(1.12).unwrap() - 2.4).abs() < 1e-9);
        assert!((steps(0.7).unwrap() - 6.0).abs() < 1e-9);
    }

    #[test]
    fn slots_that_grow_together_are_not() {
        let found = steadiness(|slot, number| 100 + 10 * slot + number, 0.0);
        assert!(matches!(found, Steadiness::Nowhere(_)), "{found:?}");
    }

    #[test]
    fn a_warm_up_ends_only_where_no_trace_of_the_steady_state_is_older() {
        let grows =
            |slot, number: u64| 100 + 10 * slot + number.min(25) + (7 * slot + 3 * number) % 11;
        let from = |older| match steadiness(grows, older) {
            Steadiness::From(start, _) => Some(start),
            Steadiness::Unknown | Steadiness::Throughout(_) | Steadiness::Nowhere(_) => None,
        };
        assert_eq!(from(0.001), Some(30));
        assert_eq!(from(0.005), None);
    }

    #[test]
    fn long_traces_are_met_more_often_than_short_ones() {
        // Of 8 requests in all 3 are of ages 0, 1, 2 and 5 of ages 0 to 4.
        assert_eq!(expected_age(&[3, 5]), Some(13.0 / 8.0));
        assert_eq!(expected_age(&[]), None);
    }
}
