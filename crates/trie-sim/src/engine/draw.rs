//! Random numbers that are a function of their place, so that no order of calls can change them.

/// Number `index` of the stream that `seed` and `stream` name.
///
/// The generator is splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
/// 2014) used by counter: the state is computed from the three arguments and finalised.
pub fn draw(seed: u64, stream: u64, index: u64) -> u64 {
    let place = mix(seed ^ mix(stream));
    mix(place.wrapping_add(index.wrapping_mul(GOLDEN)))
}

/// 2^64 divided by the golden ratio, made odd: the increment of splitmix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of splitmix64: each bit of the result hangs on each bit of `x`.
pub(super) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(GOLDEN);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finaliser_gives_the_published_sequence() {
        // The first outputs of splitmix64 seeded with 1234567, as its reference implementation prints them.
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for (step, number) in (0u64..).zip(expected) {
            assert_eq!(mix(1_234_567u64.wrapping_add(step.wrapping_mul(GOLDEN))), number);
        }
    }

    #[test]
    fn every_argument_changes_the_number() {
        let numbers = [draw(1, 2, 3), draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(2, 1, 3)];
        for (place, number) in numbers.iter().enumerate() {
            assert!(!numbers[..place].contains(number), "number {place} repeats an earlier one");
        }
    }
}
