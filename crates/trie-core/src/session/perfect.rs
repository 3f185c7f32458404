//! How much of a prompt a cache that forgets nothing holds.

use std::collections::BTreeMap;

use crate::plan::CacheScope;
use crate::units::Tokens;
use crate::workload::{Segment, SegmentKind, Step, Trace};

/// A cache that forgets nothing: what the cached tokens of a server are held against.
#[derive(Debug)]
pub struct PerfectCache {
    /// Whether traces share content at all.
    share: bool,
    /// Whether prompts hold what was generated.
    feeds_back: bool,
    /// Tokens that the server's cache keeps or drops together.
    block: Tokens,
    /// The longest length of each shared prefix that an answered request has carried.
    shown: BTreeMap<String, Tokens>,
}

impl PerfectCache {
    /// A cache that has seen nothing. `feeds_back`: whether prompts hold the very tokens that were
    /// generated; `block`: tokens that the server keeps or drops together, at least 1.
    #[must_use]
    pub fn new(scope: CacheScope, feeds_back: bool, block: Tokens) -> Self {
        let share = match scope {
            CacheScope::Run | CacheScope::Seed => true,
            CacheScope::None => false,
        };
        Self { share, feeds_back, block: block.max(1), shown: BTreeMap::new() }
    }

    /// A request with these segments got its first token: the server holds them.
    pub fn learn(&mut self, segments: &[Segment]) {
        for (id, tokens) in leading(segments) {
            match self.shown.get_mut(id) {
                Some(shown) => *shown = (*shown).max(tokens),
                None => drop(self.shown.insert(id.to_owned(), tokens)),
            }
        }
    }

    /// What it holds of a prompt when it is sent, in whole blocks: as much of its context as stands
    /// unchanged, but for the newest token, which no engine has written to its cache when it stops;
    /// without a context the shared prefixes that an earlier request has brought in.
    #[must_use]
    pub fn holds(&self, trace: &Trace, step: &Step) -> Tokens {
        let expected = match step.context.from {
            None => self.known(&step.new).min(step.prompt_tokens.saturating_sub(1)),
            Some(from) => {
                let from = &trace.steps[from as usize];
                let whole = from.output.carried() == from.output.tokens && self.feeds_back;
                let standing = match step.context.keep {
                    Some(keep) => keep.min(from.prompt_tokens),
                    None if whole => from.prompt_tokens + from.output.tokens - 1,
                    // What follows is not what the server generated behind that prompt.
                    None => from.prompt_tokens,
                };
                // Behind a range that is cut out, text has moved and is not found in a prefix cache.
                let cut = step.context.drop.first().map(|range| range.start);
                cut.map_or(standing, |cut| standing.min(cut))
            }
        };
        expected - expected % self.block
    }

    /// How many tokens from the start of these segments the server holds.
    fn known(&self, segments: &[Segment]) -> Tokens {
        let mut known = 0;
        for (id, tokens) in leading(segments).filter(|_| self.share) {
            let shown = self.shown.get(id).copied().unwrap_or(0).min(tokens);
            known += shown;
            if shown < tokens {
                break;
            }
        }
        known
    }
}

/// The shared prefixes that open a prompt: only behind equal text are they in the cache. What blocks
/// share is not followed.
fn leading(segments: &[Segment]) -> impl Iterator<Item = (&str, Tokens)> {
    segments.iter().map_while(|segment| match &segment.kind {
        SegmentKind::Shared(id) => Some((id.as_str(), segment.tokens)),
        SegmentKind::Blocks(_)
        | SegmentKind::Prompt
        | SegmentKind::System
        | SegmentKind::Assistant
        | SegmentKind::Tool
        | SegmentKind::User => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(parts: &[(&str, Tokens)]) -> Vec<Segment> {
        let segment = |&(id, tokens): &(&str, Tokens)| Segment {
            tokens,
            kind: if id.is_empty() { SegmentKind::Prompt } else { SegmentKind::Shared(id.into()) },
        };
        parts.iter().map(segment).collect()
    }

    #[test]
    fn a_prefix_is_known_up_to_what_was_shown_of_it() {
        let mut cache = PerfectCache::new(CacheScope::Run, true, 16);
        let check = |cache: &PerfectCache, parts: &[(&str, Tokens)], expected: Tokens| {
            assert_eq!(cache.known(&segments(parts)), expected, "{parts:?}");
        };
        check(&cache, &[("a", 100), ("", 50)], 0);
        cache.learn(&segments(&[("a", 100), ("b", 20), ("", 50)]));
        check(&cache, &[("a", 100), ("b", 20), ("", 9)], 120);
        check(&cache, &[("a", 300), ("b", 20)], 100);
        check(&cache, &[("", 5), ("a", 100)], 0);

        let mut alone = PerfectCache::new(CacheScope::None, true, 16);
        alone.learn(&segments(&[("a", 100)]));
        check(&alone, &[("a", 100)], 0);
    }
}
