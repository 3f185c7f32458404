//! Requests with their messages into conversations: one goes on with another where that one's
//! messages open its own.
//!
//! All prompts are kept as one tree of messages. Requests are linked when all were read, since logs
//! need not be in order.

use std::collections::BTreeMap;

use trie_core::units::Tokens;

use crate::content::{Message, Role};
use crate::count::scaled;
use crate::fidelity::{Event, Fidelity};
use crate::format::Context;
use crate::model::{Call, Kind, Lane, Opened, Place, Request, Session, Shared, Time};
use crate::session::{admit, arrive};
use crate::tree::Tree;

/// A request with its messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    /// What the source calls the conversation, where it says.
    pub(crate) session: Option<String>,
    pub(crate) messages: Vec<Message>,
    pub(crate) answer: Vec<Message>,
    /// Tokens of the prompt; counted where not recorded.
    pub(crate) input: Option<Tokens>,
    /// Tokens of the answer; counted where not recorded.
    pub(crate) output: Option<Tokens>,
    /// What else was recorded of it.
    pub(crate) request: Request,
}

/// A request that is held.
#[derive(Debug)]
struct Held {
    session: Option<String>,
    tip: u32,
    /// Hash of the first message of the answer.
    answer: Option<u64>,
    /// The prompt's length was counted, not recorded.
    counted: bool,
    request: Request,
}

/// Where a request of a session has got to.
#[derive(Clone, Copy, Debug)]
struct Done {
    session: usize,
    place: Place,
    tip: u32,
    answer: Option<u64>,
    counted: bool,
    continued: bool,
}

/// Messages and requests read so far.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    tree: Tree,
    held: Vec<Held>,
}

impl Threads {
    /// Bytes held, about.
    pub(crate) fn held(&self) -> usize {
        self.tree.held() + self.held.len() * (size_of::<Held>() + 64)
    }

    /// Takes a request. One that cannot be replayed is counted and left out.
    pub(crate) fn add(&mut self, exchange: Exchange, context: &mut Context<'_>) {
        let Exchange { session, messages, answer, input, output, mut request } = exchange;
        let counted = input.is_none();
        let any_counted = counted || output.is_none();
        let size: Tokens = messages.iter().map(|message| message.size).sum();
        request.input = input.unwrap_or(size);
        request.output = output.unwrap_or_else(|| answer.iter().map(|message| message.size).sum());
        if !admit(&request, context.fidelity) {
            return;
        }
        context.fidelity.count(Event::Counted, u64::from(any_counted));
        let root = self.root(session.as_deref(), context);
        let tip = messages.into_iter().fold(root, |node, message| self.tree.child(node, message));
        let answer = answer.first().map(|message| message.hash);
        self.held.push(Held { session, tip, answer, counted, request });
    }

    /// Takes one array of messages as a request for each answer in it; answers in a row are one.
    pub(crate) fn array(
        &mut self,
        session: Option<&str>,
        messages: &[Message],
        context: &mut Context<'_>,
    ) {
        let (mut node, mut before) = (self.root(session, context), None);
        for message in messages {
            let asked = before.is_some_and(|role| role != Role::Assistant);
            if message.role == Role::Assistant && asked {
                let input = self.tree.node(node).size;
                let request = Request { input, output: message.size, ..Request::default() };
                if admit(&request, context.fidelity) {
                    context.fidelity.count(Event::Counted, 1);
                    let (session, answer) = (session.map(str::to_owned), Some(message.hash));
                    self.held.push(Held { session, tip: node, answer, counted: true, request });
                }
            }
            node = self.tree.child(node, *message);
            before = Some(message.role);
        }
    }

    /// The node at which the prompts of a conversation begin.
    fn root(&mut self, session: Option<&str>, context: &Context<'_>) -> u32 {
        session.map_or(0, |name| {
            let hash = context.salt.hash(&[b"conversation", name.as_bytes()]);
            self.tree.child(0, Message { role: Role::System, hash, size: 0 })
        })
    }

    /// Links all requests, and hands out their sessions.
    pub(crate) fn finish(mut self, context: &mut Context<'_>) {
        let held = std::mem::take(&mut self.held);
        let sessions = self.link(sorted(held, context.fidelity), context);
        context.sessions.extend(sessions);
    }

    fn link(&self, held: Vec<Held>, context: &mut Context<'_>) -> Vec<Session> {
        let mut linked = Linked::of(self);
        for Held { session, tip, answer, counted, request } in held {
            let known = session.as_ref().and_then(|name| linked.by_name.get(name)).copied();
            let number = linked.link((known, session), (tip, counted), request, context);
            linked.done[number].answer = answer;
        }
        let mut sessions = linked.sessions;
        arrive(&mut sessions);
        sessions
    }

    /// The messages of system and tools that open a prompt: a hash of all, and their size.
    fn system(&self, tip: u32) -> (u64, Tokens) {
        let mut opening = self.tree.between(tip, 0);
        opening.reverse();
        // The node that stands for a conversation's name has no size.
        let opening = opening.iter().filter(|node| node.own > 0 || node.role != Role::System);
        let opening = opening.take_while(|node| node.role == Role::System);
        opening
            .fold((0, 0), |(hash, size), node| (hash.rotate_left(5) ^ node.hash, size + node.own))
    }
}

/// By time where all times are known, else as they were read.
fn sorted(mut held: Vec<Held>, fidelity: &mut Fidelity) -> Vec<Held> {
    if held.iter().all(|held| held.request.start.is_some()) {
        let late = held.windows(2).filter(|pair| pair[1].request.start < pair[0].request.start);
        fidelity.count(Event::Unsorted, late.count() as u64);
        // Of requests of one moment, the shorter prompt was first.
        held.sort_by_key(|held| held.request.start);
    }
    held
}

/// Sessions while they are made.
struct Linked<'t> {
    threads: &'t Threads,
    sessions: Vec<Session>,
    by_name: BTreeMap<String, usize>,
    done: Vec<Done>,
    /// Requests by the node at which their messages end.
    ended: BTreeMap<u32, Vec<usize>>,
    /// The last request of each lane, by session and lane.
    tips: BTreeMap<(usize, usize), usize>,
    /// Sizes of system prompts, as they were met first: one text, one length.
    prefixes: BTreeMap<u64, Tokens>,
}

impl<'t> Linked<'t> {
    fn of(threads: &'t Threads) -> Self {
        Self {
            threads,
            sessions: Vec::new(),
            by_name: BTreeMap::new(),
            done: Vec::new(),
            ended: BTreeMap::new(),
            tips: BTreeMap::new(),
            prefixes: BTreeMap::new(),
        }
    }

    /// Puts a request where it belongs; its number among those that are done.
    fn link(
        &mut self,
        (known, name): (Option<usize>, Option<String>),
        (tip, counted): (u32, bool),
        mut request: Request,
        context: &mut Context<'_>,
    ) -> usize {
        let parent = self.parent(tip);
        let (session, lane) = match (parent, known) {
            (Some(parent), _) => self.continue_from(parent, (tip, counted), &mut request, context),
            (None, Some(session)) => self.break_in(session, tip, &mut request, context),
            (None, None) => {
                self.sessions.push(Session { name: name.clone(), ..Session::default() });
                (self.sessions.len() - 1, None)
            }
        };
        if let Some(name) = name {
            self.by_name.entry(name).or_insert(session);
        }
        let lanes = &mut self.sessions[session].lanes;
        let lane = lane.unwrap_or_else(|| {
            let prefix = prefix(&mut self.prefixes, self.threads, tip, &request);
            lanes.push(Lane { prefix, ..Lane::default() });
            lanes.len() - 1
        });
        let place = Place { lane, request: lanes[lane].requests.len() };
        lanes[lane].requests.push(request);
        let number = self.done.len();
        self.done.push(Done { session, place, tip, answer: None, counted, continued: false });
        self.ended.entry(tip).or_default().push(number);
        self.tips.insert((session, lane), number);
        number
    }

    /// The request whose messages are the longest opening of a prompt's.
    fn parent(&self, tip: u32) -> Option<usize> {
        let tree = &self.threads.tree;
        let (mut node, mut after) = (tree.node(tip).before, tip);
        if tip == 0 {
            return None;
        }
        loop {
            if let Some(ended) = self.ended.get(&node).filter(|_| node != 0) {
                let next = tree.node(after).hash;
                let answered = |number: &&usize| self.done[**number].answer == Some(next);
                let free = |number: &&usize| !self.done[**number].continued;
                let mut last = ended.iter().rev();
                let best = last.clone().find(|it| answered(it) && free(it));
                let best = best.or_else(|| last.clone().find(answered));
                let best = best.or_else(|| last.clone().find(free));
                return best.or_else(|| last.next()).copied();
            }
            if node == 0 {
                return None;
            }
            (node, after) = (tree.node(node).before, node);
        }
    }

    /// Goes on with a request: in its lane, or beside it where that is still being answered.
    fn continue_from(
        &mut self,
        parent: usize,
        (tip, counted): (u32, bool),
        request: &mut Request,
        context: &mut Context<'_>,
    ) -> (usize, Option<usize>) {
        let from = self.done[parent];
        let new = self.threads.tree.between(tip, from.tip);
        let answer = new.last().filter(|node| node.role == Role::Assistant);
        let answered = answer.is_some();
        describe(new.iter().rev().map(|node| (node.role, node.own)), request);
        match answer {
            None => request.carry = Some(0),
            // Both prompts are as long as their messages, and so is what lies between.
            Some(answer) if counted && from.counted => request.carry = Some(answer.own),
            Some(_) => {}
        }
        let last = self.tips[&(from.session, from.place.lane)];
        let in_turn = last == parent;
        let before = self.done[last];
        let end = self.request(before).end;
        let overlaps = end.zip(request.start).is_some_and(|(end, start)| start < end);
        self.done[parent].continued = true;
        if in_turn && !overlaps {
            return (from.session, Some(from.place.lane));
        }
        if overlaps {
            // A branch waits for the answer it holds; one without it begins beside.
            let keep = (!answered).then(|| self.request(from).input);
            let after_answer = self.request(from).end.zip(request.start);
            let opened = match after_answer {
                Some((end, start)) if start < end => Opened::AfterRoot,
                Some(_) | None => Opened::Fork(from.place, keep),
            };
            let lanes = &mut self.sessions[from.session].lanes;
            let prefix = prefix(&mut self.prefixes, self.threads, tip, request);
            lanes.push(Lane { prefix, opened, ..Lane::default() });
            request.carry = None;
            return (from.session, Some(lanes.len() - 1));
        }
        // The lane went on from there already: its history was cut or written anew.
        context.fidelity.count(Event::Retries, u64::from(before.tip == tip));
        request.carry = None;
        request.keep = Some(self.kept(before, tip));
        (from.session, Some(from.place.lane))
    }

    /// Goes on with a session that no prompt leads to: with its lane of the same system prompt,
    /// cut; else as another agent.
    fn break_in(
        &mut self,
        session: usize,
        tip: u32,
        request: &mut Request,
        context: &mut Context<'_>,
    ) -> (usize, Option<usize>) {
        let system = self.threads.system(tip);
        let again = self.tips.range((session, 0)..(session + 1, 0));
        let again = again.into_iter().find(|(_, last)| self.done[**last].tip == tip);
        if let Some((&(_, lane), _)) = again {
            context.fidelity.count(Event::Retries, 1);
            request.keep = Some(request.input);
            return (session, Some(lane));
        }
        let lanes = self.tips.range((session, 0)..(session + 1, 0));
        let alike = lanes.filter(|(_, last)| self.threads.system(self.done[**last].tip) == system);
        let same = alike.filter(|_| system.1 > 0).max_by_key(|(_, last)| {
            (self.threads.tree.common(self.done[**last].tip, tip), std::cmp::Reverse(**last))
        });
        let Some((&(_, lane), &last)) = same else {
            let lanes = &mut self.sessions[session].lanes;
            let prefix = prefix(&mut self.prefixes, self.threads, tip, request);
            lanes.push(Lane { opened: Opened::AfterAny, prefix, ..Lane::default() });
            return (session, Some(lanes.len() - 1));
        };
        request.keep = Some(self.kept(self.done[last], tip));
        request.kind = Kind::Summary;
        (session, Some(lane))
    }

    fn request(&self, done: Done) -> &Request {
        &self.sessions[done.session].lanes[done.place.lane].requests[done.place.request]
    }

    /// How much of a recorded prompt a later one opens with.
    fn kept(&self, before: Done, tip: u32) -> Tokens {
        let tree = &self.threads.tree;
        let common = tree.common(before.tip, tip);
        scaled(self.request(before).input, common, tree.node(before.tip).size)
    }
}

/// Says who wrote what is new, by its messages in order.
pub(crate) fn describe(new: impl Iterator<Item = (Role, Tokens)> + Clone, request: &mut Request) {
    let from_user = new.clone().any(|(role, _)| role == Role::User);
    let results = new.filter(|(role, _)| *role == Role::Tool);
    let calls: Vec<Call> = results.map(|(_, size)| Call { size, latency: None }).collect();
    (request.kind, request.calls) = match (from_user, calls.is_empty()) {
        (true, _) => (Kind::User, Vec::new()),
        (false, false) => (Kind::Tool, calls),
        (false, true) => (Kind::Unknown, Vec::new()),
    };
}

/// A system prompt, as a segment that others may share.
pub(crate) fn shared(hash: u64, tokens: Tokens) -> Shared {
    Shared { id: format!("system-{hash:016x}"), tokens }
}

/// The system prompt of a first prompt.
fn prefix(
    known: &mut BTreeMap<u64, Tokens>,
    threads: &Threads,
    tip: u32,
    request: &Request,
) -> Vec<Shared> {
    let (hash, size) = threads.system(tip);
    if size == 0 {
        return Vec::new();
    }
    let tokens = scaled(request.input, size, threads.tree.node(tip).size);
    let tokens = *known.entry(hash).or_insert(tokens);
    vec![shared(hash, tokens)]
}

/// The time between two moments, where both are known.
pub(crate) fn since(start: Option<Time>, end: Option<Time>) -> Option<Time> {
    end?.checked_sub(start?).filter(|length| *length >= 0)
}
