//! Requests that name no session, linked by their blocks: one goes on with another where that one's
//! last whole block stands in its prompt.

use std::collections::BTreeMap;

use crate::format::Context;
use crate::model::{BlockShape, Kind, Lane, Opened, Place, Request, Session};

/// Requests linked so far.
#[derive(Default)]
pub(crate) struct Links {
    /// The request whose last whole block has this id, the latest.
    ends: BTreeMap<u64, Linked>,
    /// Sessions found, also those that are rows apart.
    count: usize,
    /// Sessions that are rows; none where each request is one.
    joined: Vec<Session>,
    /// Bytes of `joined`, about.
    held: usize,
}

/// Where a request has got to.
#[derive(Clone, Copy)]
struct Linked {
    session: usize,
    place: Place,
}

impl Links {
    /// Takes a request, which is a row of its own, or a part of its session's where
    /// `mooncake_join` says so. Requests come in the order of their starts.
    pub(crate) fn take(&mut self, request: Request, shape: BlockShape, context: &mut Context<'_>) {
        let ids: Vec<u64> =
            request.ids.iter().flat_map(|run| run.first..run.first + run.count).collect();
        let whole = usize::try_from(request.input / shape.size).unwrap_or(usize::MAX);
        let last = whole.min(ids.len()).checked_sub(1).filter(|last| *last > 0);
        let before = self.before(&ids);
        let linked = if context.mooncake_join {
            self.join(before, request, shape)
        } else {
            let first = Place { lane: 0, request: 0 };
            let linked = before.unwrap_or(Linked { session: self.count, place: first });
            // Requests without ids may be of any session.
            let group = (!ids.is_empty()).then(|| (linked.session + 1).to_string());
            let arrival = request.start;
            let blocks = (!ids.is_empty()).then_some(shape);
            let lanes = vec![Lane { requests: vec![request], ..Lane::default() }];
            context.sessions.push(Session { group, arrival, lanes, blocks, ..Session::default() });
            linked
        };
        self.count += usize::from(before.is_none() && !ids.is_empty());
        if let Some(last) = last {
            self.ends.insert(ids[last], linked);
        }
    }

    /// The request that one with these blocks goes on with: the latest whose last whole block stands
    /// in it, and the longest such opening. The first block alone does not link: it is the system
    /// prompt of all.
    fn before(&self, ids: &[u64]) -> Option<Linked> {
        ids.get(1..).unwrap_or_default().iter().rev().find_map(|id| self.ends.get(id)).copied()
    }

    /// Puts a request behind the one it goes on with: into its lane, or beside it where that has gone
    /// on already.
    fn join(&mut self, before: Option<Linked>, request: Request, shape: BlockShape) -> Linked {
        self.held += size_of::<Request>() + request.ids.len() * 16;
        let request = Request { kind: Kind::Unknown, ..request };
        let Some(Linked { session, place }) = before else {
            let (arrival, named) = (request.start, !request.ids.is_empty());
            let lanes = vec![Lane { requests: vec![request], ..Lane::default() }];
            let blocks = named.then_some(shape);
            self.joined.push(Session { arrival, lanes, blocks, ..Session::default() });
            self.held += 256;
            let place = Place { lane: 0, request: 0 };
            return Linked { session: self.joined.len() - 1, place };
        };
        let lanes = &mut self.joined[session].lanes;
        let goes_on = place.request + 1 == lanes[place.lane].requests.len();
        let lane = if goes_on { place.lane } else { lanes.len() };
        if !goes_on {
            lanes.push(Lane { opened: Opened::Fork(place, None), ..Lane::default() });
        }
        lanes[lane].requests.push(request);
        Linked { session, place: Place { lane, request: lanes[lane].requests.len() - 1 } }
    }

    /// Bytes held, about.
    pub(crate) fn held(&self) -> usize {
        self.ends.len() * 64 + self.held
    }

    /// Hands out the sessions that were joined.
    pub(crate) fn finish(mut self, context: &mut Context<'_>) {
        context.sessions.append(&mut self.joined);
    }
}
