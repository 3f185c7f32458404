//! Quantiles of Student's t distribution.

/// 97.5 % quantiles for 1 to 10 degrees of freedom.
const TABLE: [f64; 10] =
    [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281];

/// The 97.5 % quantile for `freedom` degrees of freedom; `None` for none.
///
/// From 11 on by the expansion around the normal quantile (Abramowitz and Stegun, 26.7.5), which is
/// then right to four digits.
pub(super) fn t_975(freedom: usize) -> Option<f64> {
    let index = freedom.checked_sub(1)?;
    if let Some(quantile) = TABLE.get(index) {
        return Some(*quantile);
    }
    let z: f64 = 1.959_964;
    let n = f64::from(u32::try_from(freedom).unwrap_or(u32::MAX));
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    Some(z + first / n + second / n.powi(2) + third / n.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_printed_tables() {
        let check = |freedom: usize, expected: f64| {
            let found = t_975(freedom).unwrap();
            assert!((found - expected).abs() < 5e-4, "{freedom}: {found}");
        };
        check(4, 2.7764);
        check(11, 2.2010);
        check(20, 2.0860);
        check(120, 1.9799);
        assert_eq!(t_975(0), None);
    }
}
