//! Names of key-value blocks: a prompt is a chain of full blocks, each named by all tokens up to its end.

use super::draw::mix;

/// The name of one full block together with everything before it.
///
/// Two prompts have equal names up to the last full block in which all their tokens agree. The names are
/// 64 bits: among 10^6 blocks a false match has a chance of about 3 in 10^8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockHash(u64);

/// The names of the full blocks of `tokens`, `block` tokens each; a last part that fills no block has none.
///
/// # Panics
///
/// When `block` is 0.
pub fn chain(tokens: impl IntoIterator<Item = u32>, block: usize) -> Vec<BlockHash> {
    assert!(block > 0, "a block holds at least one token");
    let mut names = Vec::new();
    let mut state = 0;
    let mut filled = 0;
    for token in tokens {
        state = mix(state ^ u64::from(token));
        filled += 1;
        if filled == block {
            names.push(BlockHash(state));
            filled = 0;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_blocks_have_a_name() {
        let check = |tokens: u32, expected| assert_eq!(chain(0..tokens, 4).len(), expected);
        check(0, 0);
        check(3, 0);
        check(4, 1);
        check(11, 2);
    }

    #[test]
    fn chains_agree_as_far_as_their_tokens_do() {
        let shared = |other: Vec<u32>| {
            let (a, b) = (chain(0..16, 4), chain(other, 4));
            a.iter().zip(&b).filter(|(a, b)| a == b).count()
        };
        assert_eq!(shared((0..16).collect()), 4);
        assert_eq!(shared((0..8).chain(100..108).collect()), 2);
        assert_eq!(shared((0..7).chain(99..108).collect()), 1);
        // The same block after another beginning is another block.
        assert_eq!(shared([9, 1, 2, 3].into_iter().chain(4..16).collect()), 0);
    }
}
