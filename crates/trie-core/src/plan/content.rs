//! What names the text of a stretch of prompt.

use std::fmt;

use sha2::{Digest, Sha256};

use super::options::CacheScope;
use crate::workload::{BlockScope, StepId};

/// Version of the rule that makes content from keys; a change of any key is a new version.
pub const CONTENT_VERSION: u32 = 1;

/// Names an endless sequence of tokens; a stretch of prompt is a range of it. Equal keys are equal
/// text.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SegmentKey(pub u128);

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What all content of a run has in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ContentRule {
    seed: u64,
    salt: u64,
    scope: CacheScope,
}

impl ContentRule {
    /// Under [`CacheScope::Seed`] the salt comes from the seed instead of `salt`.
    pub fn new(seed: u64, salt: u64, scope: CacheScope) -> Self {
        let salt = match scope {
            CacheScope::Run | CacheScope::None => salt,
            CacheScope::Seed => salt_of_seed(seed),
        };
        Self { seed, salt, scope }
    }

    /// The salt in effect: runs with equal salts and seeds share a server's cache.
    pub fn salt(&self) -> u64 {
        self.salt
    }
}

/// A stretch of new text in a trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stretch<'t> {
    /// Text of one trace instance: its step, and which of the step's segments.
    Own {
        /// The step.
        step: StepId,
        /// Number of the segment in the step, from 0.
        segment: u32,
    },
    /// What stands in for an answer where answers are not fed back.
    Answer {
        /// The step that was answered.
        step: StepId,
    },
    /// A prefix that all rows with this id share.
    Shared {
        /// Its id.
        id: &'t str,
    },
    /// A block of a source's cache.
    Block {
        /// Where equal ids are equal text.
        scope: &'t BlockScope,
        /// How often all rows had been gone through before: a row that is replayed again does not
        /// find the blocks of its first time.
        cycle: u64,
        /// Its id.
        id: u64,
    },
}

/// The key of a stretch: the first 128 bits of a sha256 over what the text depends on.
///
/// The hash takes `trie.content/1`, a zero byte, seed and salt, then a letter for the kind of the
/// stretch and what tells it from others of its kind; numbers are big-endian. A cryptographic hash
/// is not needed but at hand, and one per segment costs nothing beside the text itself.
pub fn content_key(rule: &ContentRule, instance: u64, stretch: Stretch<'_>) -> SegmentKey {
    let mut hash = Sha256::new();
    hash.update(b"trie.content/1\0");
    hash.update(rule.seed.to_be_bytes());
    hash.update(rule.salt.to_be_bytes());
    match (stretch, rule.scope) {
        (Stretch::Own { step, segment }, CacheScope::Run | CacheScope::Seed | CacheScope::None) => {
            hash.update(b"o");
            hash.update(instance.to_be_bytes());
            hash.update(step.to_be_bytes());
            hash.update(segment.to_be_bytes());
        }
        (Stretch::Answer { step }, CacheScope::Run | CacheScope::Seed | CacheScope::None) => {
            hash.update(b"a");
            hash.update(instance.to_be_bytes());
            hash.update(step.to_be_bytes());
        }
        (Stretch::Shared { id }, CacheScope::Run | CacheScope::Seed) => {
            hash.update(b"s");
            hash.update(id);
        }
        (Stretch::Shared { id }, CacheScope::None) => {
            hash.update(b"i");
            hash.update(instance.to_be_bytes());
            hash.update(id);
        }
        (Stretch::Block { scope, cycle, id }, of) => {
            if let Some(name) = block_scope(scope, of) {
                hash.update(b"b");
                hash.update(cycle.to_be_bytes());
                hash.update(id.to_be_bytes());
                hash.update(name);
            } else {
                hash.update(b"l");
                hash.update(instance.to_be_bytes());
                hash.update(id.to_be_bytes());
            }
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    SegmentKey(u128::from_be_bytes(*digest.first_chunk().expect("sha256 has 32 bytes")))
}

/// The name under which a block is shared; `None` where its trace instance has it alone.
fn block_scope(scope: &BlockScope, of: CacheScope) -> Option<&str> {
    match (scope, of) {
        (BlockScope::Named(name), CacheScope::Run | CacheScope::Seed) => Some(name),
        (BlockScope::Trace | BlockScope::Named(_), _) => None,
    }
}

fn salt_of_seed(seed: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"trie.salt/1\0");
    hash.update(seed.to_be_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    u64::from_be_bytes(*digest.first_chunk().expect("sha256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out with Python's hashlib from the words of [`content_key`].
    #[test]
    fn keys_are_the_golden_ones() {
        let check = |scope, instance, stretch, expected: &str| {
            let rule = ContentRule::new(42, 0x0123_4567_89ab_cdef, scope);
            let key = content_key(&rule, instance, stretch);
            assert_eq!(key.to_string(), expected, "{scope:?} {instance} {stretch:?}");
        };
        let own = Stretch::Own { step: 3, segment: 1 };
        let shared = Stretch::Shared { id: "tools" };
        check(CacheScope::Run, 7, own, "a3fd5420061cfbb3c81ae6bed91733bc");
        check(CacheScope::None, 7, own, "a3fd5420061cfbb3c81ae6bed91733bc");
        check(CacheScope::Seed, 7, own, "de576558e00598d92ab29cc24ca8bc02");
        check(CacheScope::Run, 7, shared, "74bf2c1d2917cd6878e9335e1d90c911");
        check(CacheScope::Run, 8, shared, "74bf2c1d2917cd6878e9335e1d90c911");
        check(CacheScope::Seed, 7, shared, "4e5209f55cab6dcebbe0f23a82802171");
        check(CacheScope::None, 7, shared, "6f5030c0771bd8f5c0be0bf284dc3049");
        check(CacheScope::None, 8, shared, "dabe6207a8a7337f88e96fac01ce6c09");
        let named = BlockScope::Named("office".into());
        let block = Stretch::Block { scope: &named, cycle: 2, id: 513 };
        let local = Stretch::Block { scope: &BlockScope::Trace, cycle: 2, id: 513 };
        check(CacheScope::Run, 7, block, "81eae71976537e76e86c092aae195118");
        check(CacheScope::Run, 8, block, "81eae71976537e76e86c092aae195118");
        check(CacheScope::None, 7, block, "b58921abb842412da91fa64caf23f305");
        check(CacheScope::Run, 7, local, "b58921abb842412da91fa64caf23f305");
    }

    #[test]
    fn salt_comes_from_the_seed_when_the_seed_is_the_scope() {
        let salt = |seed, salt, scope| ContentRule::new(seed, salt, scope).salt();
        assert_eq!(salt(42, 5, CacheScope::Run), 5);
        assert_eq!(salt(42, 5, CacheScope::None), 5);
        assert_eq!(salt(42, 5, CacheScope::Seed), 0x8743_d817_0acb_417f);
        assert_eq!(salt(42, 6, CacheScope::Seed), 0x8743_d817_0acb_417f);
    }
}
