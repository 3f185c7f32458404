//! Sessions put in order before they become rows.

use trie_core::workload::MAX_TOKENS;

use crate::fidelity::{Event, Fidelity};
use crate::model::{Lane, Opened, Place, Request, Session, Time};

/// Counts a request, and says whether it can be replayed.
///
/// One that failed, was not answered, or is of unknown length is counted as such and left out.
pub(crate) fn admit(request: &Request, fidelity: &mut Fidelity) -> bool {
    if request.input == 0 || request.input.saturating_add(request.output) > MAX_TOKENS {
        fidelity.count(Event::NoLength, 1);
        return false;
    }
    if request.output == 0 {
        fidelity.count(Event::NoAnswer, 1);
        return false;
    }
    fidelity.recorded.add(request.input, request.output);
    true
}

/// Sorts requests by their starts; those of one start, and those without, stay in their order.
pub(crate) fn sort(requests: &mut [Request], fidelity: &mut Fidelity) {
    if requests.iter().any(|request| request.start.is_none()) {
        return;
    }
    let late = requests.windows(2).filter(|pair| pair[1].start < pair[0].start).count();
    fidelity.count(Event::Unsorted, late as u64);
    requests.sort_by_key(|request| request.start);
}

/// Lets sessions arrive as they did, from the first one's start on, in that order.
pub(crate) fn arrive(sessions: &mut [Session]) {
    let Some(first) = sessions.iter().filter_map(Session::start).min() else { return };
    for session in sessions.iter_mut() {
        session.arrival = session.start().map(|start| start.saturating_sub(first));
    }
    sessions.sort_by_key(|session| session.arrival.unwrap_or(Time::MAX));
}

/// Leaves out empty lanes, and links that would not lead from earlier to later requests.
///
/// A lane may only be opened by one before it, and joined by the lane that opened it, later on: so
/// the steps never wait for each other in a circle.
pub(crate) fn tidy(session: &mut Session) {
    let mut kept = 0;
    let numbers: Vec<Option<usize>> = session
        .lanes
        .iter()
        .map(|lane| {
            let number = kept;
            kept += usize::from(!lane.requests.is_empty());
            (!lane.requests.is_empty()).then_some(number)
        })
        .collect();
    session.lanes.retain(|lane| !lane.requests.is_empty());
    let sizes: Vec<usize> = session.lanes.iter().map(|lane| lane.requests.len()).collect();
    let moved = |place: Place| {
        let lane = numbers.get(place.lane).copied().flatten()?;
        (place.request < sizes[lane]).then_some(Place { lane, ..place })
    };
    for (number, lane) in session.lanes.iter_mut().enumerate() {
        let earlier = |place: Place| moved(place).filter(|place| place.lane < number);
        let opener = match lane.opened {
            Opened::By(place) | Opened::Fork(place, _) => earlier(place),
            Opened::AfterRoot | Opened::AfterAny => None,
        };
        lane.opened = match (lane.opened, opener) {
            (Opened::By(_), Some(place)) => Opened::By(place),
            (Opened::Fork(_, keep), Some(place)) => Opened::Fork(place, keep),
            (Opened::AfterAny, _) => Opened::AfterAny,
            (Opened::By(_) | Opened::Fork(..) | Opened::AfterRoot, _) => Opened::AfterRoot,
        };
        let later = |joined: &Place| {
            opener
                .is_some_and(|opener| joined.lane == opener.lane && joined.request > opener.request)
        };
        lane.joined = lane.joined.and_then(moved).filter(later);
        for request in &mut lane.requests {
            request.after.retain_mut(|after| {
                let place = moved(after.place);
                after.place = place.unwrap_or(after.place);
                place.is_some()
            });
        }
        trim_prefix(lane);
    }
}

/// A prefix is a part of the first prompt.
fn trim_prefix(lane: &mut Lane) {
    let mut left = lane.requests.first().map_or(0, |request| request.input);
    for shared in &mut lane.prefix {
        shared.tokens = shared.tokens.min(left);
        left -= shared.tokens;
    }
    lane.prefix.retain(|shared| shared.tokens > 0);
}
