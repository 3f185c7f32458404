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

/// How many standard errors off is more than chance.
const MOST_ERRORS: f64 = 3.0;

impl Checked {
    /// What is further off than chance has it, a sentence each.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let tables = self.tables.iter().map(|table| (table.name, table.off_by_errors));
        let shares = self.shares.iter().map(|share| (share.name, share.off_by_errors()));
        let far = tables.chain(shares).filter(|(_, off)| off.abs() > MOST_ERRORS);
        far.map(|(name, off)| format!("{name} is off by {off:.1} standard errors: not by chance"))
            .collect()
    }
}

impl CheckedShare {
    /// How far it is from the data, in standard errors of the difference.
    #[must_use]
    pub fn off_by_errors(&self) -> f64 {
        (self.found - self.expected) / self.error
    }
}

/// Numbers that were drawn from a table.
///
/// A figure of the data has an error too: the data has so many sessions and no more. `off_by_errors` counts
/// in standard errors of the difference of both, sessions counted instead of numbers, since those of one
/// session are alike. The error of the data is what as many sessions of the preset have.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedTable {
    /// What they are of.
    pub name: &'static str,
    /// How many there are.
    pub n: u64,
    /// Sessions of the data that the table was worked out of.
    pub data_sessions: u64,
    /// The table's 10, 50 and 90 %.
    pub expected: [f64; 3],
    /// Theirs.
    pub found: [f64; 3],
    /// How far, in percent of the numbers, the share below a knot of the table (5 to 95 %) is from what it
    /// should be, at the knot where that is most standard errors.
    pub off_by_pct: f64,
    /// The same in standard errors.
    pub off_by_errors: f64,
}

/// A figure of whole sessions, which was drawn from no table.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedShare {
    /// What it is.
    pub name: &'static str,
    /// Sessions of the data that it was worked out of.
    pub data_sessions: u64,
    /// In the data.
    pub expected: f64,
    /// In what was made.
    pub found: f64,
    /// Standard error of the difference, as of [`CheckedTable`].
    pub error: f64,
}

/// Numbers of a session that a table stands for, and the sessions of the data behind it.
type Column = (Table, u64, fn(&Session) -> Vec<f64>);

/// A figure of all sessions: what it is, in the data, and of how many of its sessions.
type Figure = (&'static str, f64, u64, Of);

/// What of all sessions a figure is.
#[derive(Clone, Copy)]
enum Of {
    Mean(fn(&Session) -> f64),
    Median(fn(&Session) -> f64),
    /// A sum of all sessions in percent of another.
    Share(fn(&Session) -> (f64, f64)),
}

/// Makes sessions of a preset and compares them with its tables.
#[must_use]
pub fn check(preset: Preset, seed: u64, sessions: u64) -> Checked {
    let made: Vec<Session> =
        (0..sessions).map(|session| preset.session(&mut Dice::new(seed, session, MADE))).collect();
    let tables = columns(preset).iter().map(|column| checked(column, &made)).collect();
    let shares = figures(preset).iter().map(|figure| checked_share(figure, &made)).collect();
    Checked { sessions, tables, shares }
}

fn checked((table, data, numbers): &Column, sessions: &[Session]) -> CheckedTable {
    let each: Vec<Vec<f64>> =
        sessions.iter().map(numbers).filter(|numbers| !numbers.is_empty()).collect();
    let mut all: Vec<f64> = each.concat();
    all.sort_by(f64::total_cmp);
    let inner = KNOTS.iter().zip(table.knots).filter(|(knot, _)| (5.0..=95.0).contains(*knot));
    let (off_by_pct, off_by_errors) = inner
        .map(|(knot, value)| {
            let off = off_by(&all, value, *knot / 100.0);
            let below =
                |one: &Vec<f64>| one.iter().filter(|number| **number <= value + 0.5).count();
            let sums: Vec<(f64, f64)> =
                each.iter().map(|one| (float(below(one)), float(one.len()))).collect();
            let error = share_error(&sums) * both(sums.len(), *data);
            (off * 100.0, if off > 0.0 { off / error } else { 0.0 })
        })
        .fold((0.0, 0.0), |most, knot| if knot.1 > most.1 { knot } else { most });
    CheckedTable {
        name: table.name,
        n: all.len() as u64,
        data_sessions: *data,
        expected: [0.1, 0.5, 0.9].map(|share| table.at(share)),
        found: [0.1, 0.5, 0.9].map(|share| crate::metrics::linear(&all, share)),
        off_by_pct,
        off_by_errors,
    }
}

fn checked_share((name, expected, data, of): &Figure, sessions: &[Session]) -> CheckedShare {
    let n = sessions.len();
    let numbers = |of: &fn(&Session) -> f64| {
        let mut numbers: Vec<f64> = sessions.iter().map(of).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let (found, error) = match of {
        Of::Mean(of) => {
            let sums: Vec<(f64, f64)> = numbers(of).into_iter().map(|one| (one, 1.0)).collect();
            (share(&sums), share_error(&sums) * both(n, *data))
        }
        Of::Share(of) => {
            let sums: Vec<(f64, f64)> = sessions.iter().map(of).collect();
            (share(&sums) * 100.0, share_error(&sums) * both(n, *data) * 100.0)
        }
        Of::Median(of) => {
            let numbers = numbers(of);
            let error =
                libm::hypot(median_error(&numbers, n as u64), median_error(&numbers, *data));
            (crate::metrics::linear(&numbers, 0.5), error)
        }
    };
    CheckedShare { name, data_sessions: *data, expected: *expected, found, error }
}

/// A sum in parts of another.
fn share(sums: &[(f64, f64)]) -> f64 {
    let (part, whole) = sums.iter().fold((0.0, 0.0), |(a, b), (part, whole)| (a + part, b + whole));
    part / whole
}

/// The standard error of a share of sums that come in sessions.
fn share_error(sums: &[(f64, f64)]) -> f64 {
    let share = share(sums);
    let whole: f64 = sums.iter().map(|(_, whole)| whole).sum();
    let squares: f64 = sums.iter().map(|(part, whole)| (part - share * whole).powi(2)).sum();
    let n = float(sums.len());
    (squares * n / (n - 1.0).max(1.0)).sqrt() / whole
}

/// What the error of `made` sessions is multiplied with to be that of their difference from `data` ones.
fn both(made: usize, data: u64) -> f64 {
    (1.0 + float(made) / tokens(data)).sqrt()
}

/// The standard error of the median of `n` numbers that are spread as these are, which ascend.
fn median_error(ascending: &[f64], n: u64) -> f64 {
    let part = (0.5 / tokens(n.max(1)).sqrt()).min(0.5);
    let at = |share| crate::metrics::linear(ascending, share);
    (at(0.5 + part) - at(0.5 - part)) / 2.0
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
    let first: fn(&Session) -> Vec<f64> = |one| {
        let first = one.turns.iter().take(1).filter(|turn| turn.keep.is_none());
        each(first.map(|turn| turn.input))
    };
    let tool: fn(&Session) -> Vec<f64> = |one| waits(one, From::Tool);
    match preset {
        Preset::OfficeWork => vec![
            (of::OFFICE_TURNS, OFFICE, turns),
            (of::OFFICE_PROMPT, OFFICE, prompt),
            (of::OFFICE_FINAL, OFFICE, last),
            (of::OFFICE_ANSWER, OFFICE_ROWS, later),
            (of::OFFICE_OUTPUT, OFFICE_ROWS, inputs),
            (of::OFFICE_WAIT, OFFICE_ROWS, tool),
        ],
        Preset::AgenticCoding => vec![
            (of::CODING_REQUESTS, CODING, requests),
            (of::CODING_PROMPT, CODING, prompt),
            (of::CODING_SHARED, CODING, |one| vec![tokens(one.shared())]),
            (of::CODING_INPUT, CODING, inputs),
            (of::CODING_INPUT_FIRST, CODING, first),
            (of::CODING_ANSWER, CODING, answers),
            (of::CODING_WAIT, CODING, tool),
            (of::CODING_USER_WAIT, CODING_PEOPLE, |one| waits(one, From::User)),
        ],
        Preset::LongContextApp => vec![
            (of::LONG_PROMPT, LONG, prompt),
            (of::LONG_INPUT, LONG_TURNS, inputs),
            (of::LONG_ANSWER, LONG_TURNS, answers),
            (of::LONG_FINAL, LONG, last),
        ],
        Preset::ChatMooncake => {
            vec![(of::CHAT_PROMPT, CHATS, prompt), (of::CHAT_ANSWER, CHATS, last)]
        }
        Preset::SingleTurn => Vec::new(),
    }
}

/// Sessions of the data: office rows of which the sums are known, and whole ones.
const OFFICE: u64 = 304;
const OFFICE_ROWS: u64 = 18;
/// Coding sessions that start fresh, and those with a person's wait.
const CODING: u64 = 380;
const CODING_PEOPLE: u64 = 272;
/// Rows of long contexts, and those with a turn.
const LONG: u64 = 84;
const LONG_TURNS: u64 = 39;
/// Chats of the trace.
const CHATS: u64 = 8_156;

fn figures(preset: Preset) -> Vec<Figure> {
    let taken_over =
        |data, sessions| ("taken over, % of prompt tokens", data, sessions, Of::Share(taken_over));
    match preset {
        Preset::OfficeWork => vec![
            ("last prompt, mean", 48_900.0, OFFICE_ROWS, Of::Mean(last_prompt)),
            ("last prompt, p50", 47_600.0, OFFICE_ROWS, Of::Median(last_prompt)),
            taken_over(96.6, OFFICE_ROWS),
            ("waits a trace (s), p50", 34.0, OFFICE_ROWS, Of::Median(all_waits)),
        ],
        Preset::AgenticCoding => vec![
            ("last prompt, p50", 107_650.0, CODING, Of::Median(last_prompt)),
            ("last prompt, mean", 114_026.0, CODING, Of::Mean(last_prompt)),
            ("longest prompt, p50", 136_684.0, CODING, Of::Median(longest)),
            ("longest prompt, mean", 131_057.0, CODING, Of::Mean(longest)),
            taken_over(97.12, CODING),
            ("compactions, % of steps", 0.679, CODING, Of::Share(compactions)),
            ("compacted sessions, %", 31.6, CODING, Of::Share(compacted)),
        ],
        Preset::LongContextApp => vec![
            ("last prompt, p50", 70_776.0, LONG, Of::Median(last_prompt)),
            taken_over(27.4, LONG),
        ],
        Preset::ChatMooncake => vec![(
            "requests a trace, mean",
            12_031.0 / 8_156.0,
            CHATS,
            Of::Mean(|one| float(one.turns.len() + 1)),
        )],
        Preset::SingleTurn => Vec::new(),
    }
}

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

fn last_prompt(session: &Session) -> f64 {
    prompts(session).last().map_or(0.0, |(prompt, _)| tokens(*prompt))
}

fn longest(session: &Session) -> f64 {
    prompts(session).iter().map(|(prompt, _)| tokens(*prompt)).fold(0.0, f64::max)
}

fn all_waits(session: &Session) -> f64 {
    session.turns.iter().map(|turn| tokens(turn.wait_ms) / 1_000.0).sum()
}

/// What histories are of all prompts.
fn taken_over(session: &Session) -> (f64, f64) {
    let all = prompts(session).into_iter();
    let (histories, prompts) =
        all.fold((0, 0), |(a, b), (prompt, history)| (a + history, b + prompt));
    (tokens(histories), tokens(prompts))
}

/// Prompts that are shorter than the one before them by 30 %, and steps.
fn compactions(session: &Session) -> (f64, f64) {
    let prompts = prompts(session);
    let fell = prompts.windows(2).filter(|pair| tokens(pair[1].0) < 0.7 * tokens(pair[0].0));
    (float(fell.count()), float(session.turns.len()))
}

fn compacted(session: &Session) -> (f64, f64) {
    (compactions(session).0.min(1.0), 1.0)
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
            assert_eq!(checked.doubts(), Vec::<String>::new(), "{preset:?}");
        }
    }

    /// Of 400 numbers the share below the median has an error of 0.5 / 20, and so has that of 400 others; ten
    /// equal numbers a session are as good as one.
    #[test]
    fn errors_are_those_of_sessions() {
        let coins: Vec<(f64, f64)> = (0..400).map(|one| (f64::from(one % 2), 1.0)).collect();
        assert!((share_error(&coins) - 0.025).abs() < 1e-4);
        let tens: Vec<(f64, f64)> = coins.iter().map(|(a, b)| (a * 10.0, b * 10.0)).collect();
        assert!((share_error(&tens) - 0.025).abs() < 1e-4);
        assert!((both(400, 400) - 2.0_f64.sqrt()).abs() < 1e-12);
        let even: Vec<f64> = (0..=100).map(f64::from).collect();
        assert!((median_error(&even, 100) - 5.0).abs() < 1e-9, "5 % of 0 to 100 to either side");
    }
}
