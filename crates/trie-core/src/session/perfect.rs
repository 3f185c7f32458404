//! How much of a prompt a cache that forgets nothing holds.

use std::collections::BTreeMap;

use crate::plan::{CacheScope, Piece, PlannedTrace, SegmentKey};
use crate::units::Tokens;
use crate::workload::{BlockScope, SegmentKind, StepId};

/// A cache that forgets nothing: what the cached tokens of a server are held against.
///
/// It is a tree of the prompts and answers whose first token has arrived. Its edges are stretches of
/// text by their names and not by their tokens, so that a prompt costs one look-up for each stretch,
/// and one that goes on where an earlier one of its trace ended only those behind that end.
#[derive(Debug)]
pub struct PerfectCache {
    scope: CacheScope,
    /// Whether prompts hold what was generated.
    feeds_back: bool,
    /// Tokens that the server's cache keeps or drops together.
    block: Tokens,
    edges: BTreeMap<Edge, Node>,
    /// Nodes there have been.
    nodes: Node,
    /// Traces that are not over, by their instance.
    alive: BTreeMap<u64, Alive>,
    /// Edges that only traces of one cycle can follow.
    of_cycle: BTreeMap<u64, Vec<Edge>>,
    newest_cycle: u64,
}

/// What is known of a request's cached tokens when it is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Held {
    /// What a perfect cache holds: all that was answered before.
    pub expected: Tokens,
    /// What it would hold if all that was sent before had been answered at once: no server can hold
    /// more of what this run alone sends.
    pub shown: Tokens,
}

/// Both bounds of what a server's cache can hold.
#[derive(Debug)]
pub struct CacheBounds {
    answered: PerfectCache,
    sent: PerfectCache,
}

impl CacheBounds {
    /// Nothing sent yet. Takes what [`PerfectCache::new`] takes.
    #[must_use]
    pub fn new(scope: CacheScope, feeds_back: bool, block: Tokens) -> Self {
        let cache = || PerfectCache::new(scope, feeds_back, block);
        Self { answered: cache(), sent: cache() }
    }

    /// A step's request is sent.
    pub fn sent(&mut self, planned: &PlannedTrace, step: StepId) -> Held {
        let held = Held {
            expected: self.answered.holds(planned, step),
            shown: self.sent.holds(planned, step),
        };
        self.sent.learn(planned, step);
        held
    }

    /// The first token of its answer arrived.
    pub fn first_token(&mut self, planned: &PlannedTrace, step: StepId) {
        self.answered.learn(planned, step);
    }

    /// The server was given the history of a step before the run.
    pub fn prime(&mut self, planned: &PlannedTrace, step: StepId) {
        self.answered.prime(planned, step);
        self.sent.prime(planned, step);
    }

    /// The trace is over.
    pub fn forget(&mut self, planned: &PlannedTrace) {
        self.answered.forget(planned);
        self.sent.forget(planned);
    }
}

/// A place in the tree.
type Node = u64;

/// Where every prompt begins.
const ROOT: Node = 0;

/// A stretch of text behind a place. Ordered so that those that begin alike stand together, the
/// longest last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Edge {
    behind: Node,
    key: SegmentKey,
    start: Tokens,
    tokens: Tokens,
}

/// What is known of a trace that is not over.
#[derive(Debug, Default)]
struct Alive {
    cycle: u64,
    /// Where the prompts of its answered steps end.
    ends: BTreeMap<StepId, (Node, Reach)>,
    /// Edges that no other trace can follow.
    edges: Vec<Edge>,
}

/// Which traces can have text that begins in this way.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Reach {
    /// All of the run.
    Run,
    /// All of one cycle.
    Cycle,
    /// One alone.
    Instance,
}

impl PerfectCache {
    /// A cache that has seen nothing. `feeds_back`: whether prompts hold the very tokens that were
    /// generated; `block`: tokens that the server keeps or drops together, at least 1.
    #[must_use]
    pub fn new(scope: CacheScope, feeds_back: bool, block: Tokens) -> Self {
        Self {
            scope,
            feeds_back,
            block: block.max(1),
            edges: BTreeMap::new(),
            nodes: ROOT,
            alive: BTreeMap::new(),
            of_cycle: BTreeMap::new(),
            newest_cycle: 0,
        }
    }

    /// The first token of a step's answer arrived: the server holds its prompt, and will hold the
    /// answer but for its newest token, which no engine has written to its cache when it stops.
    pub fn learn(&mut self, planned: &PlannedTrace, step: StepId) {
        let (mut node, mut reach, _, pieces) = self.route(planned, step);
        let alive = self.alive.entry(planned.instance.number).or_default();
        alive.cycle = planned.instance.cycle;
        for piece in &pieces {
            reach = reach.max(self.reach(planned, piece));
            node = self.enter(planned, edge(planned, node, piece), reach);
        }
        let alive = self.alive.get_mut(&planned.instance.number).expect("it was entered above");
        alive.ends.insert(step, (node, reach));
        let generated = planned.trace.steps[step as usize].output.tokens;
        // Where answers are not fed back no prompt holds what was generated.
        if self.feeds_back && generated > 1 {
            let answer = Piece::Carried { step, tokens: 0..generated - 1 };
            self.enter(planned, edge(planned, node, &answer), Reach::Instance);
        }
    }

    /// What it holds of a step's prompt when that is sent, in whole blocks: the longest beginning
    /// that it has in common with a prompt and answer before it, but never its last token, which has
    /// to be computed for the answer to begin.
    #[must_use]
    pub fn holds(&self, planned: &PlannedTrace, step: StepId) -> Tokens {
        let (mut node, _, mut held, pieces) = self.route(planned, step);
        for piece in &pieces {
            let edge = edge(planned, node, piece);
            if let Some(next) = self.edges.get(&edge) {
                held += edge.tokens;
                node = *next;
            } else {
                held += self.longest(edge).min(edge.tokens);
                break;
            }
        }
        let prompt = planned.trace.steps[step as usize].prompt_tokens;
        let held = held.min(prompt.saturating_sub(1));
        held - held % self.block
    }

    /// The server was given the history of a step before the run, answers and all.
    pub fn prime(&mut self, planned: &PlannedTrace, step: StepId) {
        let alive = self.alive.entry(planned.instance.number).or_default();
        alive.cycle = planned.instance.cycle;
        let (mut node, mut reach) = (ROOT, Reach::Run);
        for piece in planned.history(step) {
            reach = reach.max(self.reach(planned, &piece));
            node = self.enter(planned, edge(planned, node, &piece), reach);
        }
    }

    /// A trace is over: what no other can have is of no use any more.
    pub fn forget(&mut self, planned: &PlannedTrace) {
        let alive = self.alive.remove(&planned.instance.number);
        for edge in alive.into_iter().flat_map(|alive| alive.edges) {
            self.edges.remove(&edge);
        }
        self.newest_cycle = self.newest_cycle.max(planned.instance.cycle);
        while let Some(entry) = self.of_cycle.first_entry() {
            let cycle = *entry.key();
            // A trace of the cycle before the newest may still be on its way to its first token.
            if cycle + 1 >= self.newest_cycle || self.alive.values().any(|of| of.cycle == cycle) {
                break;
            }
            for edge in entry.remove() {
                self.edges.remove(&edge);
            }
        }
    }

    /// From where a prompt is followed, how long it is up to there, and what comes behind.
    fn route(&self, planned: &PlannedTrace, step: StepId) -> (Node, Reach, Tokens, Vec<Piece>) {
        let context = &planned.trace.steps[step as usize].context;
        let goes_on = context.keep.is_none() && context.drop.is_empty();
        let from = context.from.filter(|_| goes_on);
        let ends = self.alive.get(&planned.instance.number).map(|alive| &alive.ends);
        match from.and_then(|from| Some((from, ends?.get(&from)?))) {
            Some((from, &(node, reach))) => {
                let before = planned.trace.steps[from as usize].prompt_tokens;
                (node, reach, before, planned.continuation(step))
            }
            None => (ROOT, Reach::Run, 0, planned.prompt(step)),
        }
    }

    /// The node at the end of an edge, which is there afterwards.
    fn enter(&mut self, planned: &PlannedTrace, edge: Edge, reach: Reach) -> Node {
        if let Some(node) = self.edges.get(&edge) {
            return *node;
        }
        self.nodes += 1;
        self.edges.insert(edge, self.nodes);
        match reach {
            // Bounded by what the workload's rows share.
            Reach::Run => {}
            Reach::Cycle => {
                self.of_cycle.entry(planned.instance.cycle).or_default().push(edge);
            }
            Reach::Instance => {
                self.alive.entry(planned.instance.number).or_default().edges.push(edge);
            }
        }
        self.nodes
    }

    /// The longest stretch known that begins like this one.
    fn longest(&self, like: Edge) -> Tokens {
        let range = Edge { tokens: 0, ..like }..=Edge { tokens: Tokens::MAX, ..like };
        self.edges.range(range).next_back().map_or(0, |(edge, _)| edge.tokens)
    }

    fn reach(&self, planned: &PlannedTrace, piece: &Piece) -> Reach {
        let Piece::Segment { of, .. } = piece else { return Reach::Instance };
        match (self.scope, &planned.segment(*of).kind) {
            (CacheScope::Run | CacheScope::Seed, SegmentKind::Shared(_)) => Reach::Run,
            (CacheScope::Run | CacheScope::Seed, SegmentKind::Blocks(blocks)) => {
                match &blocks.scope {
                    BlockScope::Named(_) => Reach::Cycle,
                    BlockScope::Trace => Reach::Instance,
                }
            }
            (CacheScope::None, SegmentKind::Shared(_) | SegmentKind::Blocks(_))
            | (
                CacheScope::Run | CacheScope::Seed | CacheScope::None,
                SegmentKind::Prompt
                | SegmentKind::System
                | SegmentKind::Assistant
                | SegmentKind::Tool
                | SegmentKind::User,
            ) => Reach::Instance,
        }
    }
}

fn edge(planned: &PlannedTrace, behind: Node, piece: &Piece) -> Edge {
    let key = match piece {
        Piece::Segment { key, .. } => *key,
        Piece::Carried { step, .. } => planned.answer_key(*step),
    };
    Edge { behind, key, start: piece.tokens().start, tokens: piece.length() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ContentRule, Instance};
    use crate::workload::{About, Blocks, Carry, Context, Extras, Output, Segment, Step, Trace};

    const OWN: SegmentKind = SegmentKind::Prompt;

    fn shared(id: &str) -> SegmentKind {
        SegmentKind::Shared(id.into())
    }

    fn blocks(scope: BlockScope, first: u64) -> SegmentKind {
        SegmentKind::Blocks(Blocks { scope, first, size: 16 })
    }

    fn office(first: u64) -> SegmentKind {
        blocks(BlockScope::Named("office".into()), first)
    }

    /// Steps that each go on from the one before, with answers of 10 tokens.
    fn steps(of: &[&[(SegmentKind, Tokens)]], carry: Carry) -> Vec<Step> {
        let mut steps: Vec<Step> = vec![];
        for (number, parts) in (0..).zip(of) {
            let output = Output { tokens: 10, carry, reasoning: None };
            let from = steps.last().map(|before| before.prompt_tokens + output.carried());
            let segment = |(kind, tokens): &(SegmentKind, Tokens)| Segment {
                kind: kind.clone(),
                tokens: *tokens,
            };
            let new: Vec<Segment> = parts.iter().map(segment).collect();
            let added: Tokens = new.iter().map(|segment| segment.tokens).sum();
            steps.push(Step {
                lane: 0,
                after: vec![],
                context: Context { from: from.is_some().then(|| number - 1), ..Context::default() },
                new,
                output,
                extras: Extras::new(),
                prompt_tokens: from.unwrap_or(0) + added,
            });
        }
        steps
    }

    fn planned(scope: CacheScope, number: u64, cycle: u64, steps: Vec<Step>) -> PlannedTrace {
        let trace = Trace { id: "t".into(), about: About::default(), steps };
        let rule = ContentRule::new(1, 2, scope);
        PlannedTrace::new(Instance { number, row: 0, cycle }, trace, &rule)
    }

    /// How much of one prompt is held when another trace's was learned.
    fn check_pair(
        learned: &[(SegmentKind, Tokens)],
        (scope, cycle): (CacheScope, u64),
        asked: &[(SegmentKind, Tokens)],
        expected: Tokens,
    ) {
        let mut cache = PerfectCache::new(scope, true, 1);
        cache.learn(&planned(scope, 0, 0, steps(&[learned], Carry::All)), 0);
        let asked_for = planned(scope, 1, cycle, steps(&[asked], Carry::All));
        assert_eq!(cache.holds(&asked_for, 0), expected, "{learned:?}, then {asked:?}");
    }

    #[test]
    fn what_traces_share_is_held_up_to_where_they_part() {
        let check = |learned: &[_], asked: &[_], expected| {
            check_pair(learned, (CacheScope::Run, 0), asked, expected);
        };
        let (a, b) = (|tokens| (shared("a"), tokens), |tokens| (shared("b"), tokens));
        check(&[a(100), b(20), (OWN, 50)], &[a(100), b(20), (OWN, 50)], 120);
        check(&[a(100), b(20)], &[a(300), b(20)], 100);
        check(&[a(100), b(20)], &[a(60), (OWN, 50)], 60);
        check(&[(OWN, 5), a(100)], &[(OWN, 5), a(100)], 0);
        // Blocks: three whole ones and one that is cut short, of which the other has more.
        check(&[(office(7), 56)], &[(office(7), 64)], 56);
        check(&[(office(7), 56)], &[(office(7), 16), (office(9), 16), (OWN, 9)], 16);
        check(&[a(100), (office(7), 32)], &[a(100), (office(7), 32), (OWN, 1)], 132);
        // A whole first prompt, but for the token that the answer is computed from.
        check(&[(office(7), 64)], &[(office(7), 64)], 63);
        let local = |first| blocks(BlockScope::Trace, first);
        check(&[(local(7), 64)], &[(local(7), 64)], 0);
    }

    #[test]
    fn nothing_is_shared_where_nothing_may_be() {
        let prompt = [(shared("a"), 100), (office(7), 64), (OWN, 5)];
        check_pair(&prompt, (CacheScope::None, 0), &prompt, 0);
        check_pair(&prompt, (CacheScope::Seed, 0), &prompt, 164);
        // The blocks of a row that is replayed again are others.
        check_pair(&prompt, (CacheScope::Run, 1), &prompt, 100);
    }

    #[test]
    fn a_trace_finds_its_own_prompt_and_answer_but_for_the_newest_token() {
        let parts: [&[_]; 3] = [&[(OWN, 100)], &[(SegmentKind::Tool, 30)], &[(OWN, 7)]];
        let check = |feeds_back, carry, block, expected: [Tokens; 3]| {
            let mut cache = PerfectCache::new(CacheScope::Run, feeds_back, block);
            let trace = planned(CacheScope::Run, 0, 0, steps(&parts, carry));
            for (step, expected) in (0..).zip(expected) {
                assert_eq!(cache.holds(&trace, step), expected, "{feeds_back} {carry:?} {step}");
                cache.learn(&trace, step);
            }
        };
        check(true, Carry::All, 1, [0, 109, 149]);
        check(true, Carry::All, 16, [0, 96, 144]);
        check(false, Carry::All, 1, [0, 100, 140]);
        check(true, Carry::Last(4), 1, [0, 100, 134]);
    }

    #[test]
    fn what_was_cut_out_parts_a_prompt_from_those_before_it() {
        let mut of = steps(&[&[(OWN, 100)], &[(OWN, 30)], &[(OWN, 7)]], Carry::All);
        of[1].context.keep = Some(40);
        of[1].prompt_tokens = 70;
        let cut = 20..60;
        of[2].context = Context { from: Some(0), keep: None, drop: vec![cut] };
        of[2].prompt_tokens = 77;
        let trace = planned(CacheScope::Run, 0, 0, of);
        let mut cache = PerfectCache::new(CacheScope::Run, true, 1);
        cache.learn(&trace, 0);
        assert_eq!([1, 2].map(|step| cache.holds(&trace, step)), [40, 20]);
        cache.learn(&trace, 2);
        assert_eq!(cache.holds(&trace, 2), 76, "an attempt after the first finds it all");
    }

    #[test]
    fn what_was_sent_is_shown_and_what_was_answered_is_expected() {
        let mut bounds = CacheBounds::new(CacheScope::Run, true, 16);
        let trace = |number| {
            let prompt: &[_] = &[(shared("a"), 50), (OWN, 5)];
            planned(CacheScope::Run, number, 0, steps(&[prompt], Carry::All))
        };
        let held = |expected, shown| Held { expected, shown };
        assert_eq!(bounds.sent(&trace(0), 0), held(0, 0));
        assert_eq!(bounds.sent(&trace(1), 0), held(0, 48));
        bounds.first_token(&trace(0), 0);
        bounds.forget(&trace(0));
        assert_eq!(bounds.sent(&trace(2), 0), held(48, 48));
    }

    #[test]
    fn traces_that_are_over_leave_only_what_others_can_have() {
        let mut cache = PerfectCache::new(CacheScope::Run, true, 1);
        for number in 0..100 {
            let cycle = number / 2;
            let prompt: &[_] = &[(shared("a"), 10), (office(7), 64), (OWN, 5)];
            let trace = planned(CacheScope::Run, number, cycle, steps(&[prompt], Carry::All));
            let held = if number == 0 { 0 } else { [10, 74][usize::from(number % 2 == 1)] };
            assert_eq!(cache.holds(&trace, 0), held, "{number}");
            cache.learn(&trace, 0);
            cache.forget(&trace);
        }
        // The shared prefix, and the blocks of the last two cycles.
        assert_eq!(cache.edges.len(), 1 + 2 * 4);
        assert!(cache.alive.is_empty());
    }
}
