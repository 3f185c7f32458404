//! Student's t distribution: tails and quantiles.

use super::estimate::float;

/// Deviations beyond which a tail is not told from none.
const FARTHEST: f64 = 10.0;
/// Degrees of freedom at which t is the normal distribution to six digits.
const NORMAL: f64 = 1e7;

/// Chance of a t beyond `t` on either side, with `degrees` of freedom (above 0).
pub(super) fn tails(t: f64, degrees: f64) -> f64 {
    incomplete_beta(degrees / (degrees + t * t), degrees / 2.0, 0.5)
}

/// The t that is exceeded, on both sides together, with a chance of `share`.
pub(crate) fn quantile(share: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while tails(high, degrees) > share && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if tails(middle, degrees) > share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The normal deviation that is as unlikely as `share` on both sides, at most 10.
pub(super) fn deviation(share: f64) -> f64 {
    if share <= tails(FARTHEST, NORMAL) {
        return FARTHEST;
    }
    quantile(share.min(1.0), NORMAL)
}

/// Mean of values and its standard error; `None` of fewer than two.
pub(crate) fn mean_and_error(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let n = float(values.len() as u64);
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((mean, libm::sqrt(squares / (n - 1.0) / n)))
}

/// The regularised incomplete beta function by its continued fraction (Lentz's method), which converges
/// fast on the side of the mean that is asked for.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = libm::exp(
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
            + a * libm::log(x)
            + b * libm::log1p(-x),
    );
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(1.0 - x, b, a) / b
    }
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let tiny = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut above, mut below) = (1.0, 1.0 / tiny(1.0 - (a + b) * x / (a + 1.0)));
    let mut product = below;
    for step in (1..10_000_u32).map(f64::from) {
        let (place, mut change) = (a + 2.0 * step, 1.0);
        let even = step * (b - step) * x / ((place - 1.0) * place);
        let odd = -(a + step) * (a + b + step) * x / (place * (place + 1.0));
        for term in [even, odd] {
            below = 1.0 / tiny(1.0 + term * below);
            above = tiny(1.0 + term / above);
            change = above * below;
            product *= change;
        }
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of the usual tables.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        let check = |share, degrees, expected: f64| {
            let found = quantile(share, degrees);
            assert!((found - expected).abs() < 2e-4, "{found} instead of {expected}");
            assert!((tails(found, degrees) - share).abs() < 1e-9);
        };
        check(0.05, 4.0, 2.7764);
        check(0.05, 1.0, 12.7062);
        check(0.01, 7.0, 3.4995);
        check(0.05, 11.0, 2.2010);
        check(0.05, 20.0, 2.0860);
        check(0.05, 120.0, 1.9799);
        check(0.05, 199.0, 1.9720);
        check(0.0455, NORMAL, 2.0);
    }

    #[test]
    fn a_tail_that_is_hardly_there_is_ten_deviations() {
        assert!((deviation(0.0455) - 2.0).abs() < 1e-3);
        assert!((deviation(1.0)).abs() < 1e-3);
        assert!((deviation(0.0) - FARTHEST).abs() <= 0.0);
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((mean - 3.0).abs() < 1e-12 && (error - 0.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(mean_and_error(&[1.0]), None);
    }
}
