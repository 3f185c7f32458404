//! What each request waits for, and how long.

use std::collections::BTreeMap;

use crate::fidelity::{Event, Fidelity};
use crate::model::{After, Kind, Lane, Opened, Place, Request, Session, Time};

/// The longest time that a row may hold: 31 years.
pub(crate) const LONGEST: Time = 1_000_000_000 * 1_000_000_000;

/// Most requests of other lanes that one request waits for.
pub(crate) const MOST_AFTER: usize = 64;

/// What a request waits for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wait {
    /// After the end of the request before it in its lane.
    pub(crate) own: Time,
    /// All that it waits for, as steps say it.
    pub(crate) after: Vec<After>,
}

/// The waits of all requests, by lane.
pub(crate) fn waits(
    session: &Session,
    cap: Option<Time>,
    fidelity: &mut Fidelity,
) -> Vec<Vec<Wait>> {
    let lanes = &session.lanes;
    if session.explicit {
        return lanes.iter().map(|lane| explicit(lane, cap, fidelity)).collect();
    }
    let ends = Ends::of(lanes);
    let joins = joins(lanes);
    let mut all = Vec::with_capacity(lanes.len());
    for (lane, of) in lanes.iter().enumerate() {
        let mut waits = Vec::with_capacity(of.requests.len());
        for (request, this) in of.requests.iter().enumerate() {
            let place = Place { lane, request };
            waits.push(match request.checked_sub(1) {
                None => opening(lanes, place, &ends, cap, fidelity),
                Some(before) => {
                    let own = own(&of.requests[before], this, cap, fidelity);
                    let before = Place { lane, request: before };
                    let joined = joins.get(&place).map_or(&[][..], Vec::as_slice);
                    let joined = joined.iter().map(|from| {
                        let delay = since_end(lanes, *from, this);
                        After { place: *from, on_start: false, delay }
                    });
                    let joined: Vec<After> = joined.collect();
                    // The lanes that are joined were started by the answer before.
                    let delay = if joined.is_empty() { own } else { 0 };
                    let first = After { place: before, on_start: false, delay };
                    Wait { own, after: [first].into_iter().chain(joined).collect() }
                }
            });
        }
        all.push(waits);
    }
    all
}

/// Waits that the source says itself.
fn explicit(lane: &Lane, cap: Option<Time>, fidelity: &mut Fidelity) -> Vec<Wait> {
    let waits = lane.requests.iter().map(|request| {
        let after = request.after.iter();
        let after: Vec<After> =
            after.map(|of| After { delay: capped(of.delay, cap, fidelity), ..*of }).collect();
        let own = after.iter().map(|of| of.delay).max().unwrap_or(0);
        Wait { own, after }
    });
    waits.collect()
}

/// The wait of a request that goes on with another of its lane.
fn own(before: &Request, this: &Request, cap: Option<Time>, fidelity: &mut Fidelity) -> Time {
    let gap = match (this.wait, this.start, before.end.or(before.start)) {
        (Some(wait), _, _) => wait,
        (None, Some(start), Some(end)) => {
            fidelity.count(Event::NoEnd, u64::from(before.end.is_none()));
            start.saturating_sub(end)
        }
        (None, _, _) => {
            fidelity.count(Event::NoTime, 1);
            0
        }
    };
    fidelity.count(Event::Overlaps, u64::from(gap < 0));
    capped(gap, cap, fidelity)
}

fn capped(gap: Time, cap: Option<Time>, fidelity: &mut Fidelity) -> Time {
    let most = cap.unwrap_or(LONGEST).min(LONGEST);
    fidelity.count(Event::WaitsCapped, u64::from(gap > most));
    gap.clamp(0, most)
}

fn since_end(lanes: &[Lane], from: Place, this: &Request) -> Time {
    let end = lanes[from.lane].requests[from.request].end;
    let gap = this.start.zip(end).map_or(0, |(start, end)| start.saturating_sub(end));
    gap.clamp(0, LONGEST)
}

/// What the first request of a lane waits for.
fn opening(
    lanes: &[Lane],
    place: Place,
    ends: &Ends,
    cap: Option<Time>,
    fidelity: &mut Fidelity,
) -> Wait {
    if place.lane == 0 {
        return Wait::default();
    }
    let lane = &lanes[place.lane];
    let this = &lane.requests[0];
    let by = |from: Place, fidelity: &mut Fidelity, answered: bool| {
        let opener = &lanes[from.lane].requests[from.request];
        let start = this.start;
        let end = opener.end.or(opener.start.filter(|_| answered));
        let on_end = answered || start.zip(end).is_none_or(|(start, end)| start >= end);
        let since = if on_end { end } else { opener.start };
        let gap = start.zip(since).map_or(0, |(start, since)| start.saturating_sub(since));
        After { place: from, on_start: !on_end, delay: capped(gap, cap, fidelity) }
    };
    let after = match (lane.opened, this.start) {
        (Opened::By(from), _) => vec![by(from, fidelity, false)],
        // A prompt with an answer in it waits for that answer.
        (Opened::Fork(from, _), _) => vec![by(from, fidelity, true)],
        (Opened::AfterRoot | Opened::AfterAny, None) => {
            vec![by(Place { lane: 0, request: 0 }, fidelity, false)]
        }
        (Opened::AfterRoot, Some(start)) => {
            let root = last_before(&lanes[0], start);
            vec![by(Place { lane: 0, request: root }, fidelity, false)]
        }
        (Opened::AfterAny, Some(start)) => {
            let (found, more) = ends.last_that_ended(place.lane, start);
            fidelity.count(Event::ManyWaits, u64::from(more));
            if found.is_empty() {
                let request = last_before(&lanes[0], start);
                vec![by(Place { lane: 0, request }, fidelity, false)]
            } else {
                found.into_iter().map(|from| by(from, fidelity, false)).collect()
            }
        }
    };
    Wait { own: 0, after }
}

/// The last request of the root that had ended, or else had started, at a time.
fn last_before(root: &Lane, start: Time) -> usize {
    let ended = |of: &Request| of.end.or(of.start).is_some_and(|end| end <= start);
    let begun = |of: &Request| of.start.is_some_and(|at| at <= start);
    let last = root.requests.iter().rposition(ended);
    last.or_else(|| root.requests.iter().rposition(begun)).unwrap_or(0)
}

/// Requests by their ends, to find those that a later one may have waited for.
struct Ends {
    /// End, the latest start of all up to it, and where it is; by end.
    sorted: Vec<(Time, Time, Place)>,
}

impl Ends {
    fn of(lanes: &[Lane]) -> Self {
        let asked = lanes.iter().any(|lane| lane.opened == Opened::AfterAny);
        let places = lanes.iter().enumerate().filter(|_| asked).flat_map(|(lane, of)| {
            let requests = of.requests.iter().enumerate();
            requests.filter_map(move |(request, of)| {
                let start = of.start?;
                Some((of.end.unwrap_or(start), start, Place { lane, request }))
            })
        });
        let mut sorted: Vec<(Time, Time, Place)> = places.collect();
        sorted.sort_unstable();
        let mut latest = Time::MIN;
        for (_, start, _) in &mut sorted {
            latest = latest.max(*start);
            *start = latest;
        }
        Self { sorted }
    }

    /// Requests that had ended at a time, and after whose end no other began and ended before it.
    /// Those of the lane itself are none; and whether there were more than are named.
    fn last_that_ended(&self, lane: usize, start: Time) -> (Vec<Place>, bool) {
        let until = self.sorted.partition_point(|(end, _, _)| *end <= start);
        let Some((_, latest, _)) = self.sorted[..until].last() else { return (Vec::new(), false) };
        let from = self.sorted[..until].partition_point(|(end, _, _)| end <= latest);
        // Requests without a length: nothing ends after the latest start.
        let from = from.min(until - 1);
        let found = self.sorted[from..until].iter().rev().map(|(_, _, place)| *place);
        // Lanes are made in the order of their first requests: an edge never points forwards.
        let mut found: Vec<Place> =
            found.filter(|place| place.lane < lane).take(MOST_AFTER + 1).collect();
        let more = found.len() > MOST_AFTER;
        found.truncate(MOST_AFTER);
        (found, more)
    }
}

/// Ends of lanes by the request that waits for them.
fn joins(lanes: &[Lane]) -> BTreeMap<Place, Vec<Place>> {
    let mut joins: BTreeMap<Place, Vec<Place>> = BTreeMap::new();
    for (lane, of) in lanes.iter().enumerate().skip(1) {
        let last = Place { lane, request: of.requests.len() - 1 };
        if let Some(place) = of.joined.or_else(|| joined_by_time(lanes, of)) {
            let waiting = joins.entry(place).or_default();
            if waiting.len() < MOST_AFTER {
                waiting.push(last);
            }
        }
    }
    joins
}

/// The request that waits for a lane, by times: the root's next one after the lane began, if the
/// lane had ended by then and, where the lane is an agent's, a tool's result is new in it.
fn joined_by_time(lanes: &[Lane], lane: &Lane) -> Option<Place> {
    let waits_for = |request: &&Request| match lane.opened {
        Opened::AfterRoot => request.kind != Kind::User,
        Opened::AfterAny => true,
        Opened::By(_) | Opened::Fork(..) => false,
    };
    let (first, last) = (lane.requests.first()?, lane.requests.last()?);
    let (began, ended) = (first.start?, last.end.or(last.start)?);
    let root = &lanes[0].requests;
    let opener = last_before(&lanes[0], began);
    let next = root.partition_point(|of| of.start.is_some_and(|start| start < began));
    let next = next.max(opener + 1);
    let waiting = root.get(next).filter(waits_for)?;
    // What starts with the lane itself does not wait for it, even where neither takes any time.
    let start = waiting.start.filter(|start| *start > began)?;
    (start >= ended).then_some(Place { lane: 0, request: next })
}
