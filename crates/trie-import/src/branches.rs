//! Conversations that start others, as rows: each root with all that it starts, as lanes of one session.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trie_core::units::Tokens;

use crate::fidelity::Event;
use crate::format::Context;
use crate::model::{After, Call, Kind, Lane, Opened, Place, Request, Session, Shared, Time};
use crate::session::admit;
use crate::waits::MOST_AFTER;

/// Requests of all rows, and what lanes wait for: so many, and so many more for each turn of the source.
/// A conversation may be started by several others and often, and each start is a lane of its own.
const MOST: usize = 4_096;
const MOST_A_TURN: usize = 32;

/// A conversation of the source.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) name: String,
    pub(crate) turns: Vec<Turn>,
    /// Started with its first turn, and waited for by nothing.
    pub(crate) before: Vec<String>,
    /// Where it sends nothing itself: what it starts, round by round.
    pub(crate) rounds: Vec<Round>,
}

/// One request of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Tokens that it adds to the history; of the whole prompt where it is `whole`.
    pub(crate) new: Tokens,
    /// Tokens that a whole prompt opens with as the one before.
    pub(crate) keep: Option<Tokens>,
    /// The prompt is all that it adds.
    pub(crate) whole: bool,
    /// Tokens of tools that stand before a first prompt.
    pub(crate) tools: Tokens,
    /// The system prompt that opens it.
    pub(crate) prefix: Option<Shared>,
    pub(crate) output: Tokens,
    /// After all that it waits for.
    pub(crate) delay: Time,
    pub(crate) kind: Kind,
    pub(crate) calls: Vec<Call>,
    /// Conversations that go on with its context.
    pub(crate) forks: Vec<String>,
    /// Conversations that it starts.
    pub(crate) spawns: Vec<Spawn>,
}

/// A conversation that is started with a context of its own.
#[derive(Debug)]
pub(crate) struct Spawn {
    pub(crate) child: String,
    /// The turn of the parent that waits for its end.
    pub(crate) join: Option<usize>,
}

/// Conversations that are started together; the next round waits for the ends of all.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) spawns: Vec<String>,
    /// Between the last end and the next round.
    pub(crate) think: Time,
    /// How often it is repeated.
    pub(crate) times: u64,
}

impl Conversation {
    /// Bytes held, about.
    pub(crate) fn held(&self) -> usize {
        let turns = self.turns.iter().map(|turn| {
            let names = turn.forks.iter().chain(turn.spawns.iter().map(|spawn| &spawn.child));
            let names: usize = names.map(|name| name.len() + 48).sum();
            size_of::<Turn>() + names + turn.calls.len() * size_of::<Call>() + 64
        });
        let named = self.before.iter().chain(self.rounds.iter().flat_map(|round| &round.spawns));
        let named: usize = named.map(|name| name.len() + 48).sum();
        size_of::<Self>() + self.name.len() + turns.sum::<usize>() + named
    }

    fn children(&self) -> impl Iterator<Item = &String> {
        let of_turns = self
            .turns
            .iter()
            .flat_map(|turn| turn.forks.iter().chain(turn.spawns.iter().map(|spawn| &spawn.child)));
        let of_rounds = self.rounds.iter().flat_map(|round| &round.spawns);
        self.before.iter().chain(of_turns).chain(of_rounds)
    }
}

/// Hands out a row for each conversation that no other starts.
pub(crate) fn rows(all: &[Conversation], context: &mut Context<'_>) {
    let by_name: BTreeMap<&str, &Conversation> =
        all.iter().map(|of| (of.name.as_str(), of)).collect();
    let started: BTreeSet<&String> = all.iter().flat_map(Conversation::children).collect();
    let circular = circular(&by_name);
    // What only conversations of a circle start is started by none.
    context.fidelity.count(Event::Branches, circular.len() as u64);
    let turns: usize = all.iter().map(|of| of.turns.len()).sum();
    let mut left = MOST + MOST_A_TURN * turns;
    for root in all.iter().filter(|of| !started.contains(&of.name)) {
        let (by_name, circular) = (&by_name, &circular);
        let (lanes, next) = (Vec::new(), VecDeque::new());
        let mut row = Branches { by_name, circular, left, lanes, next };
        row.root(root, context);
        row.fill(context);
        left = row.left;
        context.sessions.push(row.session(&root.name));
    }
}

/// Conversations that lead back to themselves, and those that such ones start.
fn circular<'a>(by_name: &BTreeMap<&'a str, &'a Conversation>) -> BTreeSet<&'a str> {
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    for child in by_name.values().flat_map(|of| of.children()) {
        *waiting.entry(child.as_str()).or_insert(0) += 1;
    }
    let is_root = |name: &&&str| !waiting.contains_key(**name);
    let mut free: Vec<&str> = by_name.keys().filter(is_root).copied().collect();
    let mut circular: BTreeSet<&str> = by_name.keys().copied().collect();
    while let Some(name) = free.pop() {
        circular.remove(name);
        for child in by_name.get(name).into_iter().flat_map(|of| of.children()) {
            if let Some(left) = waiting.get_mut(child.as_str()) {
                *left -= 1;
                if *left == 0 {
                    free.push(child);
                }
            }
        }
    }
    circular
}

/// A row while it is made.
struct Branches<'a> {
    by_name: &'a BTreeMap<&'a str, &'a Conversation>,
    circular: &'a BTreeSet<&'a str>,
    /// Requests, and what lanes wait for, that there may still be.
    left: usize,
    lanes: Vec<Lane>,
    /// Lanes that were begun and are to be filled.
    next: VecDeque<Begun<'a>>,
}

/// A lane that was begun.
struct Begun<'a> {
    lane: usize,
    of: &'a Conversation,
    /// What its first request waits for.
    after: Vec<After>,
    /// Tokens that its first prompt goes on with.
    history: Tokens,
}

impl<'a> Branches<'a> {
    fn root(&mut self, root: &'a Conversation, context: &mut Context<'_>) {
        if root.rounds.is_empty() {
            self.begin(&root.name, None, Vec::new(), context);
            return;
        }
        let mut before: Vec<After> = Vec::new();
        for round in &root.rounds {
            for _ in 0..round.times {
                let mut ends = Vec::new();
                for child in &round.spawns {
                    if let Some(place) = self.begin(child, None, before.clone(), context) {
                        ends.push(After { place, on_start: false, delay: round.think });
                    }
                }
                // Nothing more can be started.
                if ends.is_empty() {
                    return;
                }
                before = most(ends, context);
            }
        }
    }

    /// Begins a lane; where its last request will be. `None` where there is no such conversation, where
    /// it leads back to itself, or where there are too many.
    fn begin(
        &mut self,
        name: &str,
        fork: Option<(Place, Tokens)>,
        after: Vec<After>,
        context: &mut Context<'_>,
    ) -> Option<Place> {
        let of = self.by_name.get(name).copied().filter(|of| {
            let costs = of.turns.len() + after.len();
            !of.turns.is_empty() && costs <= self.left && !self.circular.contains(name)
        });
        let Some(of) = of else {
            context.fidelity.count(Event::Branches, 1);
            return None;
        };
        self.left -= of.turns.len() + after.len();
        let lane = self.lanes.len();
        // A conversation of whole prompts goes on with nothing.
        let fork = fork.filter(|_| !of.turns[0].whole);
        let opened = fork.map_or(Opened::AfterRoot, |(place, _)| Opened::Fork(place, None));
        let prefix = of.turns[0].prefix.clone().filter(|_| fork.is_none());
        self.lanes.push(Lane { opened, prefix: prefix.into_iter().collect(), ..Lane::default() });
        let history = fork.map_or(of.turns[0].tools, |(_, history)| history);
        self.next.push_back(Begun { lane, of, after, history });
        Some(Place { lane, request: of.turns.len() - 1 })
    }

    /// Fills all lanes that were begun, and those that they begin.
    fn fill(&mut self, context: &mut Context<'_>) {
        while let Some(Begun { lane, of, after, mut history }) = self.next.pop_front() {
            for child in &of.before {
                self.begin(child, None, after.clone(), context);
            }
            let mut joins: BTreeMap<usize, Vec<After>> = BTreeMap::new();
            for (number, turn) in of.turns.iter().enumerate() {
                let place = Place { lane, request: number };
                let before = number.checked_sub(1).map(|request| Place { lane, request });
                let first = after.iter().filter(|_| number == 0).copied();
                let joined = most(joins.remove(&number).unwrap_or_default(), context);
                let own = before.map(ended).into_iter().chain(joined);
                let waits = first
                    .chain(own)
                    .map(|of| After { delay: of.delay.saturating_add(turn.delay), ..of });
                let input = if turn.whole { turn.new } else { history.saturating_add(turn.new) };
                let request = Request {
                    input,
                    output: turn.output,
                    keep: turn.keep,
                    kind: turn.kind,
                    calls: turn.calls.clone(),
                    after: waits.collect(),
                    ..Request::default()
                };
                if !admit(&request, context.fidelity) {
                    break;
                }
                context.fidelity.count(Event::Counted, 1);
                self.lanes[lane].requests.push(request);
                history = input.saturating_add(turn.output);
                for child in &turn.forks {
                    let fork = Some((place, history));
                    self.begin(child, fork, vec![ended(place)], context);
                }
                for Spawn { child, join } in &turn.spawns {
                    let last = self.begin(child, None, vec![ended(place)], context);
                    if let (Some(last), Some(join)) = (last, join) {
                        joins.entry(*join).or_default().push(ended(last));
                    }
                }
            }
        }
    }

    fn session(self, name: &str) -> Session {
        let mut lanes = self.lanes;
        let explicit = lanes.len() > 1;
        if let ([lane], false) = (&mut lanes[..], explicit) {
            for request in &mut lane.requests {
                request.wait = Some(request.after.first().map_or(0, |after| after.delay));
                request.after.clear();
            }
        }
        Session { name: Some(name.to_owned()), lanes, explicit, ..Session::default() }
    }
}

/// As many of what a request waits for as a row says: the last ones.
fn most(mut after: Vec<After>, context: &mut Context<'_>) -> Vec<After> {
    let more = after.len().saturating_sub(MOST_AFTER);
    context.fidelity.count(Event::ManyWaits, u64::from(more > 0));
    after.split_off(more)
}

fn ended(place: Place) -> After {
    After { place, on_start: false, delay: 0 }
}
