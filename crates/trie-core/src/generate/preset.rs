//! Sessions by the tables.

use super::coding::coding;
use super::dice::{Dice, Wave, below};
use super::session::{From, Session, Turn};
use super::table::{Table, whole};
use super::tables as of;
use crate::units::Tokens;

/// What kind of work sessions are of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Preset {
    /// Office tasks of an agent with quick tools.
    OfficeWork,
    /// Coding agents with people behind them.
    AgenticCoding,
    /// Few turns over long prompts.
    LongContextApp,
    /// Chats of mostly one turn.
    ChatMooncake,
    /// 8,192 tokens in, 1,024 out, nothing else.
    SingleTurn,
}

/// How the numbers of a session hang together.
pub(super) struct Likeness {
    /// Share of the variance that is between sessions.
    session: f64,
    /// Correlation of neighbours.
    lag: f64,
}

pub(super) const fn likeness(session: f64, lag: f64) -> Likeness {
    Likeness { session, lag }
}

/// A table whose quantiles follow a wave.
pub(super) struct Series {
    table: Table,
    wave: Wave,
}

impl Series {
    /// `level`: where the session stands among all, of deviation 1.
    pub(super) fn new(table: Table, level: f64, likeness: &Likeness, dice: &mut Dice) -> Self {
        Self { table, wave: Wave::new(level, likeness.session, likeness.lag, dice) }
    }

    fn next(&mut self, dice: &mut Dice) -> f64 {
        self.table.at(below(self.wave.next(dice)))
    }

    /// As whole tokens, at least 1.
    pub(super) fn tokens(&mut self, dice: &mut Dice) -> Tokens {
        whole(self.next(dice)).max(1)
    }

    /// Seconds as whole milliseconds.
    pub(super) fn millis(&mut self, dice: &mut Dice) -> u64 {
        whole(self.next(dice) * 1_000.0)
    }
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::OfficeWork,
        Self::AgenticCoding,
        Self::LongContextApp,
        Self::ChatMooncake,
        Self::SingleTurn,
    ];

    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OfficeWork => "office-work",
            Self::AgenticCoding => "agentic-coding",
            Self::LongContextApp => "long-context-app",
            Self::ChatMooncake => "chat-mooncake",
            Self::SingleTurn => "single-turn-8k-1k",
        }
    }

    pub(super) fn session(self, dice: &mut Dice) -> Session {
        match self {
            Self::OfficeWork => office(dice),
            Self::AgenticCoding => coding(dice),
            Self::LongContextApp => long_context(dice),
            Self::ChatMooncake => chat(dice),
            Self::SingleTurn => Session { own: 8_192, last: 1_024, ..Session::default() },
        }
    }
}

/// An answer that is carried whole.
pub(super) fn plain(answer: Tokens, input: Tokens, from: From, wait_ms: u64) -> Turn {
    Turn { answer, carry: answer, keep: None, input, from, wait_ms }
}

/// Correlations as measured over 18 rows and 706 turns.
fn office(dice: &mut Dice) -> Session {
    let turns = of::OFFICE_TURNS.whole(dice.uniform());
    let own = of::OFFICE_PROMPT.whole(dice.uniform());
    let last = of::OFFICE_FINAL.whole(dice.uniform());
    let mut series = |table, likeness: &Likeness| {
        let level = dice.normal();
        Series::new(table, level, likeness, dice)
    };
    let mut answers = series(of::OFFICE_ANSWER, &likeness(0.11, 0.18));
    let mut outputs = series(of::OFFICE_OUTPUT, &likeness(0.02, 0.18));
    let mut waits = series(of::OFFICE_WAIT, &likeness(0.16, 0.43));
    // The first answer plans: its median is 199 tokens, a quantile of 0.79 of all answers.
    let first = of::OFFICE_ANSWER.whole(0.68 + 0.22 * dice.uniform());
    let turn = |number| {
        let answer = answers.tokens(dice);
        let answer = if number == 0 { first } else { answer };
        plain(answer, outputs.tokens(dice), From::Tool, waits.millis(dice))
    };
    Session { own, turns: (0..turns).map(turn).collect(), last, ..Session::default() }
}

/// Of 84 traces 45 have no turn, 33 one and 6 two; nobody is waited for.
fn long_context(dice: &mut Dice) -> Session {
    let turns = match dice.below(84) {
        0..45 => 0,
        45..78 => 1,
        _ => 2,
    };
    let own = of::LONG_PROMPT.whole(dice.uniform());
    let last = of::LONG_FINAL.whole(dice.uniform());
    let turn = |_| {
        let answer = of::LONG_ANSWER.whole(dice.uniform());
        plain(answer, of::LONG_INPUT.whole(dice.uniform()), From::Tool, 0)
    };
    Session { own, turns: (0..turns).map(turn).collect(), last, ..Session::default() }
}

/// Of 12,031 requests 3,875 go on from an earlier one.
const CHAT_GOES_ON: f64 = 3_875.0 / 12_031.0;
/// The most requests of a chat that were seen.
const CHAT_REQUESTS: usize = 43;
/// The first block opens all prompts.
const CHAT_SHARED: Tokens = 512;
/// New input of a follow-up: half have 28 tokens or less, one in ten over 4,400.
const CHAT_INPUT: (f64, f64) = (28.0, 3.946);
/// No more than the longest prompt of the trace.
const CHAT_LONGEST: Tokens = 126_200;
/// Seconds between the starts of two requests of a chat: half 126 or less, one in ten over 480.
const CHAT_WAIT: (f64, f64) = (126.0, 1.044);

fn chat(dice: &mut Dice) -> Session {
    let prompt = of::CHAT_PROMPT.whole(dice.uniform());
    let mut length = prompt;
    let mut turns = Vec::new();
    while dice.chance(CHAT_GOES_ON) && turns.len() + 1 < CHAT_REQUESTS {
        let answer = of::CHAT_ANSWER.whole(dice.uniform()).max(1);
        let input = whole(lognormal(CHAT_INPUT, dice)).max(1);
        let wait_ms = whole(lognormal(CHAT_WAIT, dice) * 1_000.0);
        if length + answer + input > CHAT_LONGEST {
            break;
        }
        length += answer + input;
        turns.push(plain(answer, input, From::User, wait_ms));
    }
    let last = of::CHAT_ANSWER.whole(dice.uniform()).max(1);
    let prefix = vec![("system".to_owned(), CHAT_SHARED)];
    Session { prefix, own: prompt - CHAT_SHARED, turns, last, fan: None }
}

/// A number of a lognormal distribution by its median and the deviation of its logarithm.
fn lognormal((median, deviation): (f64, f64), dice: &mut Dice) -> f64 {
    median * libm::exp(deviation * dice.normal())
}
