//! The named hash that turns a segment key and a position into a token.

/// Weyl increment of `SplitMix64`: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One word of the stream that `key` names, by the hash [`CONTENT_HASH`](crate::CONTENT_HASH).
///
/// A counter-based generator, so that word `index` costs the same wherever it lies:
/// `mix(mix(low + (index + 1) * GOLDEN) ^ high)`, where `low` and `high` are the halves of the key and
/// `mix` is the finaliser of `SplitMix64` (Steele, Lea, Flood 2014; constants of Stafford's variant 13).
/// The golden vectors below pin it; a change of any bit is a change of [`crate::CONTENT_VERSION`].
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the key are meant")]
pub(crate) fn word(key: u128, index: u64) -> u64 {
    let (low, high) = (key as u64, (key >> 64) as u64);
    mix(mix(low.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN))) ^ high)
}

/// The finaliser of `SplitMix64`: a bijection of 64 bits in which each input bit reaches each output bit.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::{mix, word};

    #[track_caller]
    fn check(key: u128, index: u64, expected: u64) {
        assert_eq!(word(key, index), expected, "word({key:#x}, {index})");
    }

    /// Worked out by a second implementation, in another language, from the formula above.
    #[test]
    fn golden_vectors_pin_every_bit() {
        check(0, 0, 0x4821_8226_ff3c_d4bf);
        check(0, 1, 0xcd73_fe3d_e975_ac26);
        check(1, 0, 0xdce4_23fc_82c0_d5b8);
        check(1 << 64, 0, 0x9e01_6029_3a33_aaf7);
        check(u128::MAX, u64::MAX, 0xd6bd_f754_4574_c9cb);
        check(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, 1_000_000, 0x6aff_7b94_b8aa_16be);
    }

    /// The first outputs of the reference `SplitMix64` seeded with 0 tell that the constants are right.
    #[test]
    fn mix_is_the_published_finaliser() {
        assert_eq!(mix(super::GOLDEN), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(super::GOLDEN.wrapping_mul(2)), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn neighbouring_keys_and_positions_share_no_words() {
        let keys = [0, 1, 2, 1 << 63, 1 << 64, (1 << 64) + 1, 1 << 127];
        let mut words: Vec<u64> =
            keys.iter().flat_map(|&key| (0..1_000).map(move |index| word(key, index))).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), keys.len() * 1_000);
    }
}
