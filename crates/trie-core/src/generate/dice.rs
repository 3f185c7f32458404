//! Random numbers of one session.

use crate::draw::{draw, mix, uniform};

/// Names the random streams of generated sessions.
const SESSION: u64 = 0x7365_7373_696f;

/// A stream of random numbers: what is drawn for one session changes nothing in another.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    seed: u64,
    stream: u64,
    next: u64,
}

impl Dice {
    /// The stream of a session. `use_of` tells streams of one session apart.
    pub(super) fn new(seed: u64, session: u64, use_of: u64) -> Self {
        Self { seed, stream: mix(SESSION ^ mix(session)) ^ use_of, next: 0 }
    }

    /// At least 0 and under 1.
    pub(super) fn uniform(&mut self) -> f64 {
        self.next += 1;
        uniform(self.seed, self.stream, self.next)
    }

    /// Of mean 0 and deviation 1 (Box and Muller, 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.uniform() < share
    }

    /// A number under a limit, which is at least 1.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next += 1;
        let product = u128::from(draw(self.seed, self.stream, self.next)) * u128::from(limit);
        u64::try_from(product >> 64).expect("a part of 64 bits fits in 64 bits")
    }
}

/// Numbers in a row that are like the ones before them: normal, of mean 0 and deviation 1.
///
/// A share of their variance is the session's own, and what is left of them follows the number before.
#[derive(Clone, Debug)]
pub(super) struct Wave {
    level: f64,
    share: f64,
    follows: f64,
    last: f64,
}

impl Wave {
    /// `level`: where the session stands, of deviation 1; `share`: of the variance, between sessions;
    /// `lag`: correlation of neighbours, sessions and all.
    pub(super) fn new(level: f64, share: f64, lag: f64, dice: &mut Dice) -> Self {
        let follows = ((lag - share) / (1.0 - share)).max(0.0);
        Self { level, share, follows, last: dice.normal() }
    }

    pub(super) fn next(&mut self, dice: &mut Dice) -> f64 {
        let follows = self.follows;
        self.last = follows * self.last + (1.0 - follows * follows).sqrt() * dice.normal();
        self.share.sqrt() * self.level + (1.0 - self.share).sqrt() * self.last
    }
}

/// The share of a normal distribution below a number of deviations.
pub(super) fn below(deviations: f64) -> f64 {
    0.5 * libm::erfc(-deviations / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_has_the_moments_and_the_lag_it_was_made_for() {
        let (mut sum, mut squares, mut products, mut n) = (0.0, 0.0, 0.0, 0.0);
        for session in 0..4_000 {
            let mut dice = Dice::new(1, session, 0);
            let level = dice.normal();
            let mut wave = Wave::new(level, 0.16, 0.43, &mut dice);
            let mut before = wave.next(&mut dice);
            for _ in 0..20 {
                let now = wave.next(&mut dice);
                (sum, squares) = (sum + now, squares + now * now);
                (products, n) = (products + before * now, n + 1.0);
                before = now;
            }
        }
        let (mean, variance, lag) = (sum / n, squares / n, products / n);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        assert!((lag - 0.43).abs() < 0.015, "{lag}");
    }

    #[test]
    fn sessions_draw_from_streams_of_their_own() {
        let first = |session, use_of| Dice::new(7, session, use_of).uniform().to_bits();
        let all = [first(0, 0), first(1, 0), first(0, 1)];
        assert_ne!(all[0], all[1]);
        assert_ne!(all[0], all[2]);
        let mut dice = Dice::new(7, 0, 0);
        assert!((0..100).map(|_| dice.below(3)).all(|number| number < 3));
    }
}
