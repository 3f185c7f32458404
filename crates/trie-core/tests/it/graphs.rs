//! Prompts of random graphs against a composition that knows nothing of pieces: lists of tokens,
//! made from what the row was written from.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use trie_core::plan::{CacheScope, Instance, Piece, Plan, PlannedTrace, Scale, SegmentKey};
use trie_core::session::PerfectCache;

use crate::plan::options;
use crate::workload::open;

/// What a token is of: a shared prefix, a block, new text of a step, or a step's answer.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Source {
    Shared(String),
    Block { scope: Option<String>, id: u64 },
    New { step: usize, segment: usize },
    Answer { step: usize },
}

/// A token: what it is of, and its place there.
pub(crate) type Token = (Source, usize);

/// A step before it is written down; it refers to steps before it in the list it is generated in.
#[derive(Clone, Debug)]
struct Draft {
    lane: usize,
    parent: Option<usize>,
    keep: Option<usize>,
    drop: Vec<(usize, usize)>,
    prefix: Vec<(usize, usize)>,
    new: Vec<usize>,
    output: usize,
    carry: Option<usize>,
    after: Vec<(usize, &'static str)>,
}

/// The prompt of a step, token by token, from the words of the format.
fn compose(drafts: &[Draft], step: usize) -> Vec<Token> {
    let draft = &drafts[step];
    let mut tokens = Vec::new();
    if let Some(parent) = draft.parent {
        tokens = compose(drafts, parent);
        if let Some(keep) = draft.keep {
            tokens.truncate(keep);
        } else {
            let answered = drafts[parent].output.max(1);
            let carry = drafts[parent].carry.unwrap_or(answered);
            let answer = (answered - carry)..answered;
            tokens.extend(answer.map(|place| (Source::Answer { step: parent }, place)));
        }
        let dropped = |place: usize| draft.drop.iter().any(|&(a, b)| (a..b).contains(&place));
        let places = tokens.into_iter().enumerate().filter(|(place, _)| !dropped(*place));
        tokens = places.map(|(_, token)| token).collect();
    }
    for &(id, length) in &draft.prefix {
        let source = Source::Shared(format!("shared{id}"));
        tokens.extend((0..length).map(|place| (source.clone(), place)));
    }
    for (segment, &length) in draft.new.iter().enumerate() {
        let source = Source::New { step, segment };
        tokens.extend((0..length).map(|place| (source.clone(), place)));
    }
    tokens
}

/// Choices from which a step is drafted.
#[derive(Clone, Debug)]
struct Choice {
    lane: usize,
    parent: Option<Index>,
    keep: Option<Index>,
    cuts: Vec<Index>,
    prefix: Vec<usize>,
    new: Vec<usize>,
    output: usize,
    carry: Option<Index>,
    waits: Vec<(Index, usize)>,
}

fn choice() -> impl Strategy<Value = Choice> {
    let parts = (
        0..3_usize,
        prop::option::weighted(0.8, any::<Index>()),
        prop::option::weighted(0.3, any::<Index>()),
        prop_oneof![Just(Vec::new()), prop::collection::vec(any::<Index>(), 2..6)],
        prop_oneof![Just(Vec::new()), prop::collection::vec(0..12_usize, 1..3)],
        prop::collection::vec(1..20_usize, 1..4),
        0..20_usize,
        prop::option::weighted(0.4, any::<Index>()),
        prop::collection::vec((any::<Index>(), 0..3_usize), 0..3),
    );
    parts.prop_map(|(lane, parent, keep, cuts, prefix, new, output, carry, waits)| Choice {
        lane,
        parent,
        keep,
        cuts,
        prefix,
        new,
        output,
        carry,
        waits,
    })
}

const EVENTS: [&str; 3] = ["end", "start", "first_token"];

fn draft(choices: Vec<Choice>) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    for choice in choices {
        let earlier = drafts.len();
        let parent = choice.parent.filter(|_| earlier > 0).map(|index| index.index(earlier));
        let prompt = parent.map(|parent| compose(&drafts, parent).len());
        let keep = prompt.and_then(|prompt| choice.keep.map(|keep| keep.index(prompt + 1)));
        let kept = keep.or_else(|| {
            let parent = &drafts[parent?];
            Some(prompt? + parent.carry.unwrap_or(parent.output.max(1)))
        });
        let prefix = choice.prefix.into_iter().enumerate();
        let waits = choice.waits.into_iter().filter(|_| earlier > 0);
        let mut after: Vec<_> =
            waits.map(|(index, event)| (index.index(earlier), EVENTS[event])).collect();
        // A prompt with an answer waits for it; answers of a cut prompt were there at its start.
        after.extend(parent.map(|parent| (parent, if keep.is_none() { "end" } else { "start" })));
        drafts.push(Draft {
            lane: choice.lane,
            parent,
            keep,
            drop: ranges(&choice.cuts, kept.unwrap_or(0)),
            prefix: if parent.is_some() { Vec::new() } else { prefix.collect() },
            new: choice.new,
            output: choice.output,
            carry: choice.carry.map(|carry| carry.index(choice.output + 1)),
            after,
        });
    }
    drafts
}

/// Ranges between pairs of places up to `kept`.
fn ranges(cuts: &[Index], kept: usize) -> Vec<(usize, usize)> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(kept + 1)).collect();
    places.sort_unstable();
    places.dedup();
    places.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// A row that lists the steps in the order of `listed`; what the format takes for granted is left
/// out where `terse`.
fn row(drafts: &[Draft], listed: &[usize], terse: bool) -> String {
    let steps = listed.iter().enumerate().map(|(at, &step)| {
        let draft = &drafts[step];
        let previous = listed[..at].iter().rfind(|before| drafts[**before].lane == draft.lane);
        write(drafts, step, previous.copied(), terse)
    });
    json!({"trace_id": "graph", "steps": steps.collect::<Vec<_>>()}).to_string()
}

fn write(drafts: &[Draft], step: usize, previous: Option<usize>, terse: bool) -> Value {
    let draft = &drafts[step];
    let name = |step: usize| format!("step{step}");
    let mut context = json!({"from": draft.parent.map(name)});
    if terse && draft.parent == previous {
        context = json!({});
    }
    match draft.keep {
        Some(keep) => context["keep"] = json!(keep),
        None if terse => {}
        None => context["keep"] = json!(-1),
    }
    let drop: Vec<_> = draft.drop.iter().map(|&(a, b)| json!([a, b])).collect();
    if draft.parent.is_some() {
        context["drop"] = json!(drop);
    } else {
        context.as_object_mut().unwrap().remove("keep");
        let prefix = draft.prefix.iter();
        let prefix =
            prefix.map(|(id, tokens)| json!({"id": format!("shared{id}"), "tokens": tokens}));
        context["prefix"] = prefix.collect();
    }
    let after = draft.after.iter();
    let after = after.map(|(step, on)| json!({"id": name(*step), "on": on, "delay": 0.25}));
    let roles = ["system", "user", "assistant", "tool"].into_iter().cycle();
    let new = draft.new.iter().zip(roles);
    let new: Vec<_> = new.map(|(tokens, role)| json!({"role": role, "tokens": tokens})).collect();
    let mut output = json!({"tokens": draft.output});
    if let Some(carry) = draft.carry {
        output["carry"] = json!(carry);
    }
    json!({
        "id": name(step),
        "lane": format!("lane{}", draft.lane),
        "after": after.collect::<Vec<_>>(),
        "context": context,
        "new": new,
        "output": output,
    })
}

/// The order the format asks for: the first listed step that refers only to steps before it.
fn sorted(drafts: &[Draft], listed: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    while order.len() < listed.len() {
        let ready = |step: &&usize| {
            let draft = &drafts[**step];
            let known = |other: &usize| order.contains(other);
            !order.contains(step)
                && draft.parent.iter().all(known)
                && draft.after.iter().all(|(other, _)| known(other))
        };
        order.push(*listed.iter().find(ready).unwrap());
    }
    order
}

/// Which key stands for what: one to one, over all prompts of all instances.
#[derive(Default)]
pub(crate) struct Names {
    sources: BTreeMap<SegmentKey, (Option<u64>, Source)>,
    keys: BTreeMap<(Option<u64>, Source), SegmentKey>,
}

impl Names {
    /// Whether the pieces are the tokens. Text that is not shared is of an instance.
    pub(crate) fn agree(
        &mut self,
        planned: &PlannedTrace,
        step: u32,
        of: &[usize],
        tokens: &[Token],
    ) -> bool {
        let pieces = planned.prompt(step).into_iter();
        let mut tokens = tokens.iter();
        let pieces_fit = pieces.into_iter().all(|piece| {
            piece.length() > 0
                && piece.tokens().clone().all(|place| {
                    let Some((source, expected)) = tokens.next() else { return false };
                    u64::try_from(*expected).unwrap() == place
                        && match piece {
                            Piece::Segment { key, .. } => self.is(key, planned.instance, source),
                            Piece::Carried { step, .. } => {
                                *source == Source::Answer { step: of[step as usize] }
                            }
                        }
                })
        });
        pieces_fit && tokens.next().is_none()
    }

    fn is(&mut self, key: SegmentKey, instance: Instance, source: &Source) -> bool {
        let owner = match source {
            Source::Shared(_) => None,
            Source::Block { scope: Some(_), .. } => Some(instance.cycle),
            Source::New { .. } | Source::Answer { .. } | Source::Block { scope: None, .. } => {
                Some(instance.number)
            }
        };
        let named = (owner, source.clone());
        let known = self.sources.entry(key).or_insert_with(|| named.clone()) == &named;
        known && *self.keys.entry(named).or_insert(key) == key
    }
}

fn shuffled(drafts: &[Draft], by: &[u32]) -> Vec<usize> {
    let mut listed: Vec<usize> = (0..drafts.len()).collect();
    listed.sort_by_key(|step| by[*step]);
    listed
}

proptest! {
    #[test]
    fn prompts_of_graphs_are_the_reference_token_by_token(
        choices in prop::collection::vec(choice(), 1..12),
        shuffle in prop::option::of(prop::collection::vec(any::<u32>(), 12)),
    ) {
        let drafts = draft(choices);
        let terse = shuffle.is_none();
        let by = shuffle.unwrap_or_else(|| (0..12).collect());
        let listed = shuffled(&drafts, &by);
        let row = row(&drafts, &listed, terse);
        let mut workload = open(row.clone()).map_err(|error| {
            TestCaseError::fail(format!("{error}\n{row}"))
        })?;
        let plan = Plan::new(options(Scale::default()), 0, &mut workload).unwrap();
        let order = sorted(&drafts, &listed);
        let mut names = Names::default();
        for instance in 0..2 {
            let planned = plan.trace(instance, &mut workload).unwrap();
            for (number, step) in (0..).zip(&order) {
                let expected = compose(&drafts, *step);
                let length = planned.trace.steps[number as usize].prompt_tokens;
                prop_assert_eq!(length, u64::try_from(expected.len()).unwrap());
                prop_assert!(names.agree(&planned, number, &order, &expected), "{}", row);
            }
        }
    }

    /// Two instances of a row, of whose requests some are answered: what the cache holds of a prompt
    /// is the longest beginning that it shares, token by token, with what was answered before.
    #[test]
    fn a_perfect_cache_holds_the_longest_common_beginning(
        choices in prop::collection::vec(choice(), 1..12),
        answered in prop::collection::vec(prop::bool::weighted(0.7), 24),
        feeds_back in any::<bool>(),
    ) {
        let drafts = draft(choices);
        let listed: Vec<usize> = (0..drafts.len()).collect();
        let row = row(&drafts, &listed, true);
        let mut workload = open(row.clone()).unwrap();
        let plan = Plan::new(options(Scale::default()), 0, &mut workload).unwrap();
        let mut cache = PerfectCache::new(CacheScope::Run, feeds_back, 1);
        let mut seen: Vec<Vec<(Option<u64>, Token)>> = Vec::new();
        let mut answered = answered.into_iter();
        for instance in 0..2 {
            let planned = plan.trace(instance, &mut workload).unwrap();
            for (number, step) in (0..).zip(sorted(&drafts, &listed)) {
                let mut tokens = owned(instance, compose(&drafts, step));
                let common = seen.iter().map(|other| {
                    other.iter().zip(&tokens).take_while(|(a, b)| a == b).count()
                });
                let expected = common.max().unwrap_or(0).min(tokens.len() - 1);
                let held = cache.holds(&planned, number);
                prop_assert_eq!(held, u64::try_from(expected).unwrap(), "{} {}", step, row);
                if answered.next().unwrap() {
                    cache.learn(&planned, number);
                    let generated = (1..drafts[step].output).filter(|_| feeds_back);
                    let answer = generated.map(|place| (Source::Answer { step }, place - 1));
                    tokens.extend(owned(instance, answer.collect()));
                    seen.push(tokens);
                }
            }
            cache.forget(&planned);
        }
    }

    /// Scaling keeps every prompt a prompt: its pieces add up, none is empty, and their sources
    /// stand in the order they stood in.
    #[test]
    fn scaled_graphs_hold_together(
        choices in prop::collection::vec(choice(), 1..12),
        token_scale in 0.01..3.0,
    ) {
        let drafts = draft(choices);
        let listed: Vec<usize> = (0..drafts.len()).collect();
        let row = row(&drafts, &listed, true);
        let mut workload = open(row).unwrap();
        let plain = Plan::new(options(Scale::default()), 0, &mut workload).unwrap();
        let plain = plain.trace(0, &mut workload).unwrap();
        let scale = Scale { token_scale, ..Scale::default() };
        let scaled = Plan::new(options(scale), 0, &mut workload).unwrap();
        let scaled = scaled.trace(0, &mut workload).unwrap();
        // A range that vanishes in scaling gives text back.
        let dropped = drafts.iter().any(|draft| !draft.drop.is_empty());
        for step in 0..u32::try_from(drafts.len()).unwrap() {
            let prompt = scaled.prompt(step);
            prop_assert!(prompt.iter().all(|piece| piece.length() > 0));
            prop_assert!(!prompt.is_empty());
            let plain = plain.prompt(step);
            let mut sources = plain.iter().map(source);
            let in_order = prompt.iter().all(|piece| sources.any(|other| other == source(piece)));
            prop_assert!(in_order || dropped);
        }
    }
}

/// Tokens with the instance that has them alone.
fn owned(instance: u64, tokens: Vec<Token>) -> Vec<(Option<u64>, Token)> {
    let owner = |source: &Source| match source {
        Source::Shared(_) => None,
        Source::New { .. } | Source::Answer { .. } | Source::Block { .. } => Some(instance),
    };
    tokens.into_iter().map(|token| (owner(&token.0), token)).collect()
}

fn source(piece: &Piece) -> Result<SegmentKey, u32> {
    match piece {
        Piece::Segment { key, of: _, tokens: _ } => Ok(*key),
        Piece::Carried { step, tokens: _ } => Err(*step),
    }
}
