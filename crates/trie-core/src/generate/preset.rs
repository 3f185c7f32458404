//! Sessions by the tables.

use super::dice::{Dice, Wave, below};
use super::knobs::{fan, summary};
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
struct Likeness {
    /// Share of the variance that is between sessions.
    session: f64,
    /// Correlation of neighbours.
    lag: f64,
}

const fn likeness(session: f64, lag: f64) -> Likeness {
    Likeness { session, lag }
}

/// A table whose quantiles follow a wave.
struct Series {
    table: Table,
    wave: Wave,
}

impl Series {
    fn new(table: Table, level: f64, likeness: &Likeness, dice: &mut Dice) -> Self {
        Self { table, wave: Wave::new(level, likeness.session, likeness.lag, dice) }
    }

    fn next(&mut self, dice: &mut Dice) -> f64 {
        self.table.at(below(self.wave.next(dice)))
    }

    /// As whole tokens, at least 1.
    fn tokens(&mut self, dice: &mut Dice) -> Tokens {
        whole(self.next(dice)).max(1)
    }

    fn millis(&mut self, dice: &mut Dice) -> u64 {
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
fn plain(answer: Tokens, input: Tokens, from: From, wait_ms: u64) -> Turn {
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

/// Correlation of the shared prefix with the first prompt.
const CODING_SHARED: f64 = 0.92;
/// Sessions of many requests grow less with each: correlation of the growth's level with the count's.
const CODING_GROWTH: f64 = -0.8;
/// Where the level of a session's count of requests lies on average when a request is drawn.
const CODING_COUNT: f64 = 0.85;
/// Of answers, this share is carried in part only.
const CODING_CARRIES_LESS: f64 = 0.107;
/// Of steps, this share changes something inside the history.
const CODING_EDITS: f64 = 0.022;
/// Of steps, this share starts from a summary for no reason that is seen.
const CODING_EARLY: f64 = 0.000_5;
/// Above so many tokens a step starts from a summary with this chance, and beyond the limit always.
const CODING_COMPACTS: (Tokens, f64, Tokens) = (140_000, 0.02, 190_000);
/// Of sessions, this share has agents beside it, and of 38 such steps 21 have one, 9 two and 8 three.
const CODING_FANS: f64 = 0.024;

fn coding(dice: &mut Dice) -> Session {
    let count = dice.normal();
    let requests = of::CODING_REQUESTS.whole(below(count)).max(1);
    let slope = (1.0 - CODING_GROWTH * CODING_GROWTH).sqrt();
    let growth = CODING_GROWTH * (count - CODING_COUNT) + slope * dice.normal();
    let first = dice.normal();
    let prompt = of::CODING_PROMPT.whole(below(first));
    let slope = (1.0 - CODING_SHARED * CODING_SHARED).sqrt();
    let shared = of::CODING_SHARED.whole(below(CODING_SHARED * first + slope * dice.normal()));
    let shared = shared.min(prompt - 200);
    let mut series = |table, level: Option<f64>, likeness: &Likeness| {
        let level = level.unwrap_or_else(|| dice.normal());
        Series::new(table, level, likeness, dice)
    };
    let mut steps = Steps {
        shared,
        prompt,
        inputs: series(of::CODING_INPUT, Some(growth), &likeness(0.1, 0.24)),
        answers: series(of::CODING_ANSWER, None, &likeness(0.11, 0.25)),
        tools: series(of::CODING_WAIT, None, &likeness(0.08, 0.2)),
        people: series(of::CODING_USER_WAIT, None, &likeness(0.33, 0.56)),
        until_user: 0,
    };
    steps.until_user = of::CODING_USER_TURN.whole(dice.uniform()).max(1);
    let turns: Vec<Turn> = (1..requests).map(|_| steps.turn(dice)).collect();
    let last = steps.answers.tokens(dice);
    let prefix = vec![("system".to_owned(), shared)];
    let mut session = Session { prefix, own: prompt - shared, turns, last, fan: None };
    if dice.chance(CODING_FANS) {
        let agents = match dice.below(38) {
            0..21 => 1,
            21..30 => 2,
            _ => 3,
        };
        session.fan = fan(&session, agents, dice);
    }
    session
}

/// Where a coding session has got to.
struct Steps {
    shared: Tokens,
    prompt: Tokens,
    inputs: Series,
    answers: Series,
    tools: Series,
    people: Series,
    /// Requests until a person writes.
    until_user: u64,
}

impl Steps {
    fn turn(&mut self, dice: &mut Dice) -> Turn {
        let (answer, input) = (self.answers.tokens(dice), self.inputs.tokens(dice));
        let (tool, person) = (self.tools.millis(dice), self.people.millis(dice));
        self.until_user -= 1;
        let (from, wait_ms) = if self.until_user == 0 {
            self.until_user = of::CODING_USER_TURN.whole(dice.uniform()).max(1);
            (From::User, person)
        } else {
            (From::Tool, tool)
        };
        let mut turn = plain(answer, input, from, wait_ms);
        if dice.chance(CODING_CARRIES_LESS) {
            // Half of them carry 0.92 of it or more.
            turn.carry = whole(float(answer) * libm::pow(dice.uniform(), 0.125));
        }
        let (above, chance, limit) = CODING_COMPACTS;
        let next = self.prompt + turn.carry + input;
        let chance = if self.prompt > above { chance } else { CODING_EARLY };
        if dice.chance(chance) || next > limit {
            turn.keep = Some(self.shared.min(self.prompt));
            turn.input = summary(dice).min(self.prompt / 2).max(1);
        } else if dice.chance(CODING_EDITS) {
            // What is edited comes again behind what is kept.
            let share = of::CODING_EDIT_KEEPS.at(dice.uniform());
            let grown = self.prompt + of::CODING_EDIT.whole(dice.uniform());
            let keep = whole(float(self.prompt) * share).min(self.prompt);
            turn.keep = Some(keep);
            turn.input = grown.min(limit.max(self.prompt + 1)) - keep;
        }
        self.prompt = turn.keep.unwrap_or(self.prompt + turn.carry) + turn.input;
        turn
    }
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

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
fn float(tokens: Tokens) -> f64 {
    tokens as f64
}
