//! Which shared prefixes the server has been shown.

use std::collections::BTreeMap;

use trie_core::plan::CacheScope;
use trie_core::units::Tokens;
use trie_core::workload::{Segment, SegmentKind};

/// The longest length of each shared prefix that an answered request has carried.
#[derive(Debug)]
pub(super) struct SharedPrefixes {
    /// Whether traces share content at all.
    share: bool,
    shown: BTreeMap<String, Tokens>,
}

impl SharedPrefixes {
    pub(super) fn new(scope: CacheScope) -> Self {
        let share = match scope {
            CacheScope::Run | CacheScope::Seed => true,
            CacheScope::None => false,
        };
        Self { share, shown: BTreeMap::new() }
    }

    /// A request with these segments got its first token: the server holds them.
    pub(super) fn learn(&mut self, segments: &[Segment]) {
        for (id, tokens) in leading(segments) {
            match self.shown.get_mut(id) {
                Some(shown) => *shown = (*shown).max(tokens),
                None => drop(self.shown.insert(id.to_owned(), tokens)),
            }
        }
    }

    /// How many tokens from the start of these segments the server holds.
    pub(super) fn known(&self, segments: &[Segment]) -> Tokens {
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
        let mut shared = SharedPrefixes::new(CacheScope::Run);
        let check = |shared: &SharedPrefixes, parts: &[(&str, Tokens)], expected: Tokens| {
            assert_eq!(shared.known(&segments(parts)), expected, "{parts:?}");
        };
        check(&shared, &[("a", 100), ("", 50)], 0);
        shared.learn(&segments(&[("a", 100), ("b", 20), ("", 50)]));
        check(&shared, &[("a", 100), ("b", 20), ("", 9)], 120);
        check(&shared, &[("a", 300), ("b", 20)], 100);
        check(&shared, &[("a", 60)], 60);
        check(&shared, &[("", 5), ("a", 100)], 0);

        let mut alone = SharedPrefixes::new(CacheScope::None);
        alone.learn(&segments(&[("a", 100)]));
        check(&alone, &[("a", 100)], 0);
    }
}
