//! Random numbers that are a function of their place, so that no order of calls can change them.

/// Number `index` of the stream that `seed` and `stream` name.
///
/// The generator is splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
/// 2014) used by counter: the state is computed from the three arguments and finalised.
#[must_use]
pub fn draw(seed: u64, stream: u64, index: u64) -> u64 {
    let place = mix(seed ^ mix(stream));
    mix(place.wrapping_add(index.wrapping_mul(GOLDEN)))
}

/// A number of at least 0 and under 1: the upper 53 bits of [`draw`].
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
#[must_use]
pub fn uniform(seed: u64, stream: u64, index: u64) -> f64 {
    (draw(seed, stream, index) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number of the exponential distribution with mean 1.
#[must_use]
pub fn exponential(seed: u64, stream: u64, index: u64) -> f64 {
    -libm::log(1.0 - uniform(seed, stream, index))
}

/// A number of the normal distribution with mean 0 and deviation 1, from two uniform ones (Box and
/// Muller, 1958).
#[must_use]
pub fn normal(seed: u64, stream: u64, index: u64) -> f64 {
    let radius = (2.0 * exponential(seed, stream, 2 * index)).sqrt();
    radius * libm::cos(std::f64::consts::TAU * uniform(seed, stream, 2 * index + 1))
}

/// A number of the lognormal distribution with mean 1, `sigma` the deviation of its logarithm.
#[must_use]
pub fn lognormal(sigma: f64, seed: u64, stream: u64, index: u64) -> f64 {
    libm::exp(sigma * normal(seed, stream, index) - sigma * sigma / 2.0)
}

/// 2^64 divided by the golden ratio, made odd: the increment of splitmix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of splitmix64: each bit of the result hangs on each bit of `x`.
#[must_use]
pub fn mix(x: u64) -> u64 {
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
    fn draws_have_the_moments_of_their_distribution() {
        let check = |name: &str, draw: &dyn Fn(u64) -> f64, mean: f64, deviation: f64| {
            let numbers: Vec<f64> = (0..100_000).map(draw).collect();
            let found = numbers.iter().sum::<f64>() / 1e5;
            let square = numbers.iter().map(|x| (x - found) * (x - found)).sum::<f64>() / 1e5;
            // Ten deviations of the mean of 10^5 numbers, and 3 % for the other moment.
            assert!((found - mean).abs() < 10.0 * deviation / 316.0, "{name}: mean {found}");
            assert!((square.sqrt() / deviation - 1.0).abs() < 0.03, "{name}: {}", square.sqrt());
        };
        check("uniform", &|i| uniform(7, 1, i), 0.5, 1.0 / 12_f64.sqrt());
        check("exponential", &|i| exponential(7, 1, i), 1.0, 1.0);
        check("normal", &|i| normal(7, 1, i), 0.0, 1.0);
        check("lognormal", &|i| lognormal(0.025, 7, 1, i), 1.0, 0.025);
    }

    #[test]
    fn every_argument_changes_the_number() {
        let numbers = [draw(1, 2, 3), draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(2, 1, 3)];
        for (place, number) in numbers.iter().enumerate() {
            assert!(!numbers[..place].contains(number), "number {place} repeats an earlier one");
        }
    }
}
