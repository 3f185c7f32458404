//! What was made against the tables it was made by.

use super::dice::Dice;
use super::preset::Preset;
use super::session::{From, Session};
use super::table::{KNOTS, Table};
use super::tables as of;
use super::write::MADE;
use crate::units::Tokens;

/// How sessions of a preset compare with the data they stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Sessions made.
    pub sessions: u64,
    /// One for each table.
    pub tables: Vec<CheckedTable>,
    /// What comes out of all of it together.
    pub shares: Vec<CheckedShare>,
}

/// Numbers that were drawn from a table.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedTable {
    /// What they are of.
    pub name: &'static str,
    /// How many there are.
    pub n: u64,
    /// The table's 10, 50 and 90 %.
    pub expected: [f64; 3],
    /// Theirs.
    pub found: [f64; 3],
    /// How far, in percent of the numbers, the share below a knot of the table is from what it should be.
    pub worst_pct: f64,
    /// What that may be by chance: three standard errors of a share, sessions counted instead of numbers.
    pub allowed_pct: f64,
}

/// A figure of whole sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedShare {
    /// What it is.
    pub name: &'static str,
    /// In the data.
    pub expected: f64,
    /// In what was made.
    pub found: f64,
}

/// Numbers of a session that a table stands for.
type Column = (Table, fn(&Session) -> Vec<f64>);

/// A figure of all sessions, and what it is in the data.
type Figure = (&'static str, f64, fn(&[Session]) -> f64);

/// Makes sessions of a preset and compares them with its tables.
#[must_use]
pub fn check(preset: Preset, seed: u64, sessions: u64) -> Checked {
    let made: Vec<Session> =
        (0..sessions).map(|session| preset.session(&mut Dice::new(seed, session, MADE))).collect();
    let tables = columns(preset).iter().map(|column| checked(column, &made)).collect();
    let shares = figures(preset).into_iter().map(|(name, expected, found)| CheckedShare {
        name,
        expected,
        found: found(&made),
    });
    Checked { sessions, tables, shares: shares.collect() }
}

fn checked((table, numbers): &Column, sessions: &[Session]) -> CheckedTable {
    let mut all: Vec<f64> = sessions.iter().flat_map(numbers).collect();
    all.sort_by(f64::total_cmp);
    let sample = sessions.iter().filter(|session| !numbers(session).is_empty()).count();
    // A share of a half has the largest error.
    let error = 0.5 / float(sample.max(1)).sqrt();
    let inner = KNOTS.iter().zip(table.knots).filter(|(knot, _)| (5.0..=95.0).contains(*knot));
    let off = inner.map(|(knot, value)| off_by(&all, value, *knot / 100.0));
    CheckedTable {
        name: table.name,
        n: all.len() as u64,
        expected: [0.1, 0.5, 0.9].map(|share| table.at(share)),
        found: [0.1, 0.5, 0.9].map(|share| crate::metrics::linear(&all, share)),
        worst_pct: off.fold(0.0, f64::max) * 100.0,
        allowed_pct: 300.0 * error,
    }
}

/// How far a share is from the shares below and up to a value: tables and numbers come in steps.
fn off_by(ascending: &[f64], value: f64, share: f64) -> f64 {
    let n = float(ascending.len().max(1));
    let below = float(ascending.partition_point(|number| *number < value - 0.5)) / n;
    let up_to = float(ascending.partition_point(|number| *number <= value + 0.5)) / n;
    (below - share).max(share - up_to).max(0.0)
}

fn each(turns: impl Iterator<Item = Tokens>) -> Vec<f64> {
    turns.map(tokens).collect()
}

fn waits(session: &Session, from: From) -> Vec<f64> {
    let turns = session.turns.iter().filter(|turn| turn.from == from);
    turns.map(|turn| tokens(turn.wait_ms) / 1_000.0).collect()
}

fn columns(preset: Preset) -> Vec<Column> {
    let turns: fn(&Session) -> Vec<f64> = |one| vec![float(one.turns.len())];
    let requests: fn(&Session) -> Vec<f64> = |one| vec![float(one.turns.len() + 1)];
    let prompt: fn(&Session) -> Vec<f64> = |one| vec![tokens(one.prompt())];
    let last: fn(&Session) -> Vec<f64> = |one| vec![tokens(one.last)];
    let answers: fn(&Session) -> Vec<f64> = |one| each(one.turns.iter().map(|turn| turn.answer));
    let later: fn(&Session) -> Vec<f64> =
        |one| each(one.turns.iter().skip(1).map(|turn| turn.answer));
    let inputs: fn(&Session) -> Vec<f64> =
        |one| each(one.turns.iter().filter(|turn| turn.keep.is_none()).map(|turn| turn.input));
    let tool: fn(&Session) -> Vec<f64> = |one| waits(one, From::Tool);
    match preset {
        Preset::OfficeWork => vec![
            (of::OFFICE_TURNS, turns),
            (of::OFFICE_PROMPT, prompt),
            (of::OFFICE_FINAL, last),
            (of::OFFICE_ANSWER, later),
            (of::OFFICE_OUTPUT, inputs),
            (of::OFFICE_WAIT, tool),
        ],
        Preset::AgenticCoding => vec![
            (of::CODING_REQUESTS, requests),
            (of::CODING_PROMPT, prompt),
            (of::CODING_SHARED, |one| vec![tokens(one.shared())]),
            (of::CODING_INPUT, inputs),
            (of::CODING_ANSWER, answers),
            (of::CODING_WAIT, tool),
            (of::CODING_USER_WAIT, |one| waits(one, From::User)),
        ],
        Preset::LongContextApp => vec![
            (of::LONG_PROMPT, prompt),
            (of::LONG_INPUT, inputs),
            (of::LONG_ANSWER, answers),
            (of::LONG_FINAL, last),
        ],
        Preset::ChatMooncake => vec![(of::CHAT_PROMPT, prompt), (of::CHAT_ANSWER, last)],
        Preset::SingleTurn => Vec::new(),
    }
}

/// Figures of the data: of 18 whole rows, of the 380 sessions that start fresh, of 84 rows, and of the
/// 12,031 requests.
fn figures(preset: Preset) -> Vec<Figure> {
    match preset {
        Preset::OfficeWork => vec![
            ("last prompt, mean", 48_900.0, |all| mean(&last_prompts(all))),
            ("last prompt, p50", 47_600.0, |all| median(last_prompts(all))),
            ("taken over, % of prompt tokens", 96.6, taken_over),
            ("waits a trace (s), p50", 34.0, |all| median(all.iter().map(all_waits).collect())),
        ],
        Preset::AgenticCoding => vec![
            ("last prompt, p50", 107_650.0, |all| median(last_prompts(all))),
            ("longest prompt, p50", 136_684.0, |all| median(all.iter().map(longest).collect())),
            ("taken over, % of prompt tokens", 97.1, taken_over),
        ],
        Preset::LongContextApp => vec![
            ("last prompt, p50", LONG_LAST, |all| median(last_prompts(all))),
            ("taken over, % of prompt tokens", LONG_TAKEN_OVER, taken_over),
        ],
        Preset::ChatMooncake => vec![("requests a trace, mean", 12_031.0 / 8_156.0, |all| {
            mean(&all.iter().map(|one| float(one.turns.len() + 1)).collect::<Vec<_>>())
        })],
        Preset::SingleTurn => Vec::new(),
    }
}

const LONG_LAST: f64 = 70_776.0;
const LONG_TAKEN_OVER: f64 = 27.4;

/// Prompts of a session, and what each takes over.
fn prompts(session: &Session) -> Vec<(Tokens, Tokens)> {
    let mut all = vec![(session.prompt(), 0)];
    let mut prompt = session.prompt();
    for turn in &session.turns {
        let history = turn.keep.unwrap_or(prompt + turn.carry);
        prompt = history + turn.input;
        all.push((prompt, history));
    }
    all
}

fn last_prompts(sessions: &[Session]) -> Vec<f64> {
    sessions.iter().filter_map(|session| Some(tokens(prompts(session).last()?.0))).collect()
}

fn longest(session: &Session) -> f64 {
    prompts(session).iter().map(|(prompt, _)| tokens(*prompt)).fold(0.0, f64::max)
}

fn all_waits(session: &Session) -> f64 {
    session.turns.iter().map(|turn| tokens(turn.wait_ms) / 1_000.0).sum()
}

fn taken_over(sessions: &[Session]) -> f64 {
    let all = sessions.iter().flat_map(prompts);
    let (prompts, histories) =
        all.fold((0, 0), |(a, b), (prompt, history)| (a + prompt, b + history));
    tokens(histories) / tokens(prompts) * 100.0
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / float(numbers.len().max(1))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    crate::metrics::linear(&numbers, 0.5)
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
fn tokens(tokens: Tokens) -> f64 {
    tokens as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of numbers are far below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_drawn_from_their_tables() {
        for preset in Preset::ALL {
            let checked = check(preset, 3, 400);
            for CheckedTable { name, worst_pct, allowed_pct, .. } in &checked.tables {
                assert!(worst_pct <= allowed_pct, "{preset:?} {name}: {worst_pct} > {allowed_pct}");
            }
        }
    }
}
