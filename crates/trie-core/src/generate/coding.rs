//! Sessions of coding agents.
//!
//! A context starts at the first request or at a compaction, and how old it is says most of how it grows: a new
//! one reads files (11.7 k tokens in the first step, 3.7 k in the next two, on average), an old one (from
//! the eleventh step on) takes in 1.0 k a step. Sessions of few requests therefore grow faster with each than
//! long ones, and most of them end before they are compacted.

use super::dice::{Dice, Wave, below};
use super::knobs::fan;
use super::preset::{Series, likeness, plain};
use super::session::{From, Session, Turn};
use super::table::{Table, whole};
use super::tables as of;
use crate::units::Tokens;

/// Correlation of the shared prefix with the first prompt.
const SHARED: f64 = 0.92;
/// Correlation of a session's growth with its count of requests.
const GROWTH: f64 = -0.5;
/// Where the level of a session's count of requests lies on average when a request is drawn.
const COUNT: f64 = 0.85;
/// How much more than those of the data sessions grow when they are drawn: those that are then drawn anew
/// ([`BEGINS_ANEW`]) grow faster than the others.
const LIFT: f64 = 0.1;
/// Of answers, this share is carried in part only.
const CARRIES_LESS: f64 = 0.126;
/// Of first steps, and of later ones, this share changes something inside the history.
const EDITS: (f64, f64) = (0.097, 0.021_5);
/// Of edits, this share keeps nothing, and up to the other only what is shared.
const EDITS_ALL: (f64, f64) = (0.067, 0.477);
/// An edit leaves at least this share of the prompt: else it is a compaction.
const EDIT_LEAVES: f64 = 0.71;
/// Of sessions, this share has a context of 10^6 tokens, and the other one of 200,000.
const WIDE: f64 = 0.1;
/// The longest prompt of either.
const LONGEST: (Tokens, Tokens) = (190_000, 800_000);
/// Of steps, this share starts from a summary for no reason that is seen.
const EARLY: f64 = 0.001_7;
/// Above so many tokens of a context of 200,000 a step starts from a summary with this chance.
const COMPACTS: [(Tokens, f64); 8] = [
    (170_000, 0.4),
    (165_000, 0.25),
    (160_000, 0.15),
    (155_000, 0.11),
    (150_000, 0.08),
    (145_000, 0.06),
    (140_000, 0.018),
    (138_000, 0.004),
];
/// Of compactions, this share keeps nothing; the other keeps what is shared.
const COMPACTS_ALL: f64 = 0.11;
/// A compaction leaves at most this share of the prompt.
const COMPACTION_LEAVES: f64 = 0.69;
/// People rather begin a new session than go on from a summary: of sessions that come to a compaction this
/// share is drawn anew, as often as there are tries.
const BEGINS_ANEW: f64 = 0.7;
const TRIES: u32 = 6;
/// Of sessions, this share has agents beside it, and of 38 such steps 21 have one, 9 two and 8 three.
const FANS: f64 = 0.024;

pub(super) fn coding(dice: &mut Dice) -> Session {
    let count = dice.normal();
    let mut tries = 1;
    let mut session = loop {
        let (session, compactions) = lane(count, dice);
        if compactions == 0 || tries == TRIES || !dice.chance(BEGINS_ANEW) {
            break session;
        }
        tries += 1;
    };
    if dice.chance(FANS) {
        let agents = match dice.below(38) {
            0..21 => 1,
            21..30 => 2,
            _ => 3,
        };
        session.fan = fan(&session, agents, dice);
    }
    session
}

/// A session by where its count of requests stands among all, and how often it was compacted.
fn lane(count: f64, dice: &mut Dice) -> (Session, u32) {
    let requests = of::CODING_REQUESTS.whole(below(count)).max(1);
    let growth = LIFT + like(GROWTH, count - COUNT, dice);
    let first = dice.normal();
    let prompt = of::CODING_PROMPT.whole(below(first));
    let shared = of::CODING_SHARED.whole(below(like(SHARED, first, dice))).min(prompt - 200);
    let mut series = |table, share, lag| {
        let level = dice.normal();
        Series::new(table, level, &likeness(share, lag), dice)
    };
    let (answers, tools, people) = (
        series(of::CODING_ANSWER, 0.11, 0.25),
        series(of::CODING_WAIT, 0.08, 0.2),
        series(of::CODING_USER_WAIT, 0.33, 0.56),
    );
    let wide = dice.chance(WIDE);
    let mut steps = Steps {
        shared,
        prompt,
        wide,
        age: None,
        compactions: 0,
        inputs: Wave::new(growth, 0.06, 0.21, dice),
        answers,
        tools,
        people,
        until_user: of::CODING_USER_TURN.whole(dice.uniform()).max(1),
    };
    let turns: Vec<Turn> = (1..requests).map(|_| steps.turn(dice)).collect();
    let last = steps.answers.tokens(dice);
    let prefix = vec![("system".to_owned(), shared)];
    (Session { prefix, own: prompt - shared, turns, last, fan: None }, steps.compactions)
}

/// A normal number that goes with another.
fn like(correlation: f64, other: f64, dice: &mut Dice) -> f64 {
    correlation * other + (1.0 - correlation * correlation).sqrt() * dice.normal()
}

/// What is new in a step that changes nothing before it, by how many steps ago its context was begun: at the
/// first request (`None` in the first step) or at a compaction.
pub(super) fn inputs(age: Option<u64>) -> &'static Table {
    match age {
        None => &of::CODING_INPUT_FIRST,
        Some(0..3) => &of::CODING_INPUT_YOUNG,
        Some(3..10) => &of::CODING_INPUT_OLDER,
        Some(_) => &of::CODING_INPUT_OLD,
    }
}

/// Where a coding session has got to.
struct Steps {
    shared: Tokens,
    prompt: Tokens,
    wide: bool,
    /// Steps since the context was begun; none before the first.
    age: Option<u64>,
    compactions: u32,
    inputs: Wave,
    answers: Series,
    tools: Series,
    people: Series,
    /// Requests until a person writes.
    until_user: u64,
}

impl Steps {
    fn turn(&mut self, dice: &mut Dice) -> Turn {
        let answer = self.answers.tokens(dice);
        let input = inputs(self.age).whole(below(self.inputs.next(dice))).max(1);
        let (tool, person) = (self.tools.millis(dice), self.people.millis(dice));
        self.until_user -= 1;
        let (from, wait_ms) = if self.until_user == 0 {
            self.until_user = of::CODING_USER_TURN.whole(dice.uniform()).max(1);
            (From::User, person)
        } else {
            (From::Tool, tool)
        };
        let mut turn = plain(answer, input, from, wait_ms);
        if dice.chance(CARRIES_LESS) {
            // Half of them carry 0.92 of it or more.
            turn.carry = whole(float(answer) * libm::pow(dice.uniform(), 0.125));
        }
        let first = self.age.is_none();
        self.age = Some(self.age.map_or(1, |age| age + 1));
        let room = self.longest().saturating_sub(self.prompt + turn.carry);
        if dice.chance(self.compacts()) || (input > room && !first) {
            self.compact(&mut turn, dice);
        } else if dice.chance(if first { EDITS.0 } else { EDITS.1 }) {
            self.edit(&mut turn, dice);
        } else {
            turn.input = input.min(room.max(1));
        }
        self.prompt = turn.keep.unwrap_or(self.prompt + turn.carry) + turn.input;
        turn
    }

    fn longest(&self) -> Tokens {
        if self.wide { LONGEST.1 } else { LONGEST.0 }
    }

    /// The chance of a step to start from a summary.
    fn compacts(&self) -> f64 {
        let above = COMPACTS.iter().find(|(above, _)| !self.wide && self.prompt > *above);
        above.map_or(EARLY, |(_, chance)| *chance)
    }

    fn compact(&mut self, turn: &mut Turn, dice: &mut Dice) {
        let leaves = float(self.prompt) * COMPACTION_LEAVES;
        let to = whole(of::CODING_COMPACTED.at(dice.uniform()).min(leaves)).max(1);
        let keep = if dice.chance(COMPACTS_ALL) { 0 } else { self.shared.min(to - 1) };
        (turn.keep, turn.input) = (Some(keep), to - keep);
        self.age = Some(0);
        self.compactions += 1;
    }

    /// What is edited comes again behind what is kept.
    fn edit(&self, turn: &mut Turn, dice: &mut Dice) {
        let (none, shared) = EDITS_ALL;
        let kept = dice.uniform();
        let keep = if kept < none {
            0
        } else if kept < shared {
            self.shared.min(self.prompt)
        } else {
            let share = of::CODING_EDIT_KEEPS.at(dice.uniform());
            whole(float(self.prompt) * share).min(self.prompt)
        };
        let grown = float(self.prompt) + of::CODING_EDIT.at(dice.uniform());
        let to = whole(grown.max(float(self.prompt) * EDIT_LEAVES));
        turn.keep = Some(keep);
        turn.input = to.min(self.longest().max(self.prompt + 1)).max(keep + 1) - keep;
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
fn float(tokens: Tokens) -> f64 {
    tokens as f64
}
