//! What is changed of sessions before they are written.

use super::dice::Dice;
use super::session::{Fan, From, Session, Turn};
use super::table::whole;
use crate::units::Tokens;

/// What is changed of sessions; the default changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Knobs {
    /// Factor of the number of turns. Further turns are drawn from the session's own.
    pub turn_scale: f64,
    /// Factor of the first prompt behind what is shared.
    pub prompt_scale: f64,
    /// Factor of what comes back in a turn.
    pub growth_scale: f64,
    /// Factor of answers.
    pub output_scale: f64,
    /// Factor of waits for tools, and of those the source does not say more of.
    pub tool_wait_scale: f64,
    /// Factor of waits for people.
    pub user_wait_scale: f64,
    /// Tokens that all first prompts share, in place of what they share now.
    pub shared_prefix: Option<Tokens>,
    /// Agents that work beside each session for a while.
    pub fan_out: Option<u32>,
    /// The longest prompt and answer: the history is cut to what is shared, and a summary, before a request
    /// that would be longer.
    pub compact_at: Option<Tokens>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            turn_scale: 1.0,
            prompt_scale: 1.0,
            growth_scale: 1.0,
            output_scale: 1.0,
            tool_wait_scale: 1.0,
            user_wait_scale: 1.0,
            shared_prefix: None,
            fan_out: None,
            compact_at: None,
        }
    }
}

/// The most requests of an agent beside a session: half of those of real sessions have fewer.
const AGENT_TURNS: u64 = 11;

impl Knobs {
    /// The session with all of it changed. Prompts stay sums of what they take over and what is new, and no
    /// cut keeps more than there is.
    pub(super) fn turn(&self, mut session: Session, dice: &mut Dice) -> Session {
        let beside = session.fan.take();
        self.turn_lane(&mut session, dice);
        session.fan = match self.fan_out {
            Some(agents) => fan(&session, agents, dice),
            None => beside.and_then(|fan| self.turn_fan(fan, &session, dice)),
        };
        session
    }

    fn turn_lane(&self, session: &mut Session, dice: &mut Dice) {
        self.scale(session, dice);
        if let Some(tokens) = self.shared_prefix {
            share(session, tokens);
        }
        fit_cuts(session);
        if let Some(most) = self.compact_at {
            compact(session, most, dice);
        }
    }

    /// Agents that a session had, at the same turn or its last one.
    fn turn_fan(&self, mut fan: Fan, session: &Session, dice: &mut Dice) -> Option<Fan> {
        fan.at = fan.at.min(session.turns.len().checked_sub(1)?);
        for agent in &mut fan.agents {
            self.turn_lane(agent, dice);
        }
        Some(fan)
    }

    fn scale(&self, session: &mut Session, dice: &mut Dice) {
        let own = session.turns.clone();
        let turns = index(whole(float(own.len() as u64) * self.turn_scale));
        session.turns.truncate(turns);
        while session.turns.len() < turns && !own.is_empty() {
            let drawn = own[index(dice.below(own.len() as u64))];
            session.turns.push(Turn { keep: None, ..drawn });
        }
        session.own = scaled(session.own, self.prompt_scale);
        session.last = scaled(session.last, self.output_scale);
        for turn in &mut session.turns {
            turn.answer = scaled(turn.answer, self.output_scale);
            turn.carry = scaled(turn.carry, self.output_scale).min(turn.answer);
            turn.input = scaled(turn.input, self.growth_scale);
            let factor = match turn.from {
                From::Tool | From::Unknown => self.tool_wait_scale,
                From::User => self.user_wait_scale,
            };
            turn.wait_ms = whole(float(turn.wait_ms) * factor);
        }
    }
}

/// To the nearest; what had a token keeps one.
fn scaled(tokens: Tokens, factor: f64) -> Tokens {
    whole(float(tokens) * factor).max(tokens.min(1))
}

/// Puts one shared segment in place of those there are. Cuts that kept them keep it.
fn share(session: &mut Session, tokens: Tokens) {
    let before = session.shared();
    session.prefix = if tokens > 0 { vec![("shared".to_owned(), tokens)] } else { Vec::new() };
    session.own = session.own.max(1);
    for turn in &mut session.turns {
        turn.keep =
            turn.keep.map(|keep| if keep >= before { keep - before + tokens } else { keep });
    }
}

/// Lowers what a cut keeps to the prompt it cuts, and leaves no prompt empty.
fn fit_cuts(session: &mut Session) {
    let mut prompt = session.prompt();
    for turn in &mut session.turns {
        prompt = match &mut turn.keep {
            Some(keep) => {
                *keep = (*keep).min(prompt);
                turn.input = turn.input.max(Tokens::from(*keep == 0));
                *keep + turn.input
            }
            None => prompt + turn.carry + turn.input,
        };
    }
}

/// Cuts the history before each request that would be too long; what comes back is then a summary.
fn compact(session: &mut Session, most: Tokens, dice: &mut Dice) {
    let shared = session.shared();
    let mut prompt = session.prompt();
    for number in 0..session.turns.len() {
        let answer = session.turns.get(number + 1).map_or(session.last, |next| next.answer);
        let turn = &mut session.turns[number];
        let history = |turn: &Turn| turn.keep.unwrap_or(prompt + turn.carry);
        if history(turn) + turn.input + answer > most {
            let room = most.saturating_sub(shared + answer);
            turn.keep = Some(shared.min(prompt));
            turn.input = summary(dice).min(room / 2).max(1);
        }
        prompt = history(turn) + turn.input;
    }
}

/// What is new behind what a compaction keeps: half of them 26 k tokens or less.
fn summary(dice: &mut Dice) -> Tokens {
    whole(libm::exp(10.15 + 0.75 * dice.normal()))
}

/// Agents at one of the turns, each with the shared prefix, a part of the session's own first prompt and
/// some of its turns. A session without turns has none.
pub(super) fn fan(session: &Session, agents: u32, dice: &mut Dice) -> Option<Fan> {
    let turns = session.turns.len() as u64;
    if turns == 0 || agents == 0 {
        return None;
    }
    let at = index(dice.below(turns));
    let agents = (0..agents).map(|_| {
        let length = index(1 + dice.below(turns.min(2 * AGENT_TURNS - 1)));
        let from = index(dice.below(turns - length as u64 + 1));
        let turns = session.turns[from..from + length].iter();
        let turns: Vec<Turn> =
            turns.map(|turn| Turn { keep: None, from: From::Tool, ..*turn }).collect();
        let (last, turns) = turns.split_last().expect("it has at least one");
        Session {
            prefix: session.prefix.clone(),
            own: session.own.div_ceil(2).max(1),
            turns: turns.to_vec(),
            last: last.answer,
            fan: None,
        }
    });
    Some(Fan { at, agents: agents.collect() })
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a count of turns is an index into memory")
}

#[expect(clippy::cast_precision_loss, reason = "lengths and times are far below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}
