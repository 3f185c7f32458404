//! Four significant decimal digits.

/// The last digit that is kept of a value, by the logarithm of that.
const UNITS: [u64; 20] = {
    let mut units = [1; 20];
    let mut digits = 4;
    while digits < units.len() {
        units[digits] = 10 * units[digits - 1];
        digits += 1;
    }
    units
};

/// Rounds to four significant decimal digits, half up.
pub(crate) fn four_digits(value: u64) -> u64 {
    let digits = value.checked_ilog10().unwrap_or(0);
    let unit = UNITS[digits as usize];
    (value / unit + u64::from(value % unit >= unit - unit / 2)).saturating_mul(unit)
}

/// What undoes a multiplication by 5^n modulo 2^64, by n.
const INVERSES: [u64; 17] = {
    // 5 times this is 1 modulo 2^64.
    let (mut inverses, fifth) = ([1_u64; 17], 0xcccc_cccc_cccc_cccd);
    let mut power = 1;
    while power < inverses.len() {
        inverses[power] = inverses[power - 1].wrapping_mul(fifth);
        power += 1;
    }
    inverses
};

/// Splits ascending values into four digits and a power of ten, without a division.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits {
    power: usize,
    /// From here on the power is greater; `None` at the greatest.
    limit: Option<u64>,
}

impl Default for Digits {
    fn default() -> Self {
        Self { power: 0, limit: Some(10_000) }
    }
}

impl Digits {
    /// `(digits, power)` with `value` = digits times 10^power, digits below 10,000, and from 1,000 on
    /// where the power is not 0. `None` for a value that has more digits, and for one below those before
    /// it that has fewer.
    #[inline]
    pub(crate) fn split(&mut self, value: u64) -> Option<(u64, usize)> {
        while self.limit.is_some_and(|limit| value >= limit) {
            self.power += 1;
            self.limit = self.limit.and_then(|limit| limit.checked_mul(10));
        }
        // Of a multiple of 10^n, one of 2^n is left to shift out, and of 5^n to multiply out.
        let (halves, power) = (value >> self.power, self.power);
        let digits = halves.wrapping_mul(INVERSES[power]);
        let whole = halves << power == value && digits < 10_000 && (power == 0 || digits >= 1_000);
        whole.then_some((digits, power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_to_four_digits() {
        let check = |value: u64, expected: u64| assert_eq!(four_digits(value), expected, "{value}");
        check(0, 0);
        check(9_999, 9_999);
        check(10_004, 10_000);
        check(10_005, 10_010);
        check(99_999, 100_000);
        check(20_000_000, 20_000_000);
        check(123_456_789, 123_500_000);
        check(u64::MAX, u64::MAX);
    }

    #[test]
    fn values_of_four_digits_are_split_and_others_are_not() {
        for power in 0..=16 {
            for digits in 1_000..10_000_u64 {
                let Some(value) = digits.checked_mul(10_u64.pow(power)) else { break };
                let expected = Some((digits, power as usize));
                assert_eq!(Digits::default().split(value), expected, "{value}");
                for near in [value.wrapping_sub(1), value + 1, value ^ (1 << 20)] {
                    let split = Digits::default().split(near);
                    assert_eq!(split.is_some(), four_digits(near) == near, "{near}");
                }
            }
        }
        assert_eq!(Digits::default().split(u64::MAX), None);
        assert_eq!(Digits::default().split(0), Some((0, 0)));
    }

    #[test]
    fn values_are_split_one_after_another() {
        let mut digits = Digits::default();
        let mut check = |value, expected| assert_eq!(digits.split(value), expected, "{value}");
        check(7, Some((7, 0)));
        check(25_830_000, Some((2_583, 4)));
        check(101_300_000, Some((1_013, 5)));
        check(101_310_000, None);
        // Too late for it.
        check(25_830_000, None);
    }
}
