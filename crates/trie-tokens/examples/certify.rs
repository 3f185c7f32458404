//! Certifies the tokenizers whose files or folders are named, and prints a table of what was found.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use trie_tokens::{Places, StableSubset, Vocabulary};

/// Random tokens that are re-encoded beyond the certificate's own.
const TOKENS: u64 = 1 << 20;

/// Tokens of one prompt, filled and re-encoded as a whole.
const PROMPT: u64 = 1 << 15;

/// Tokens filled to take the time.
const TIMED: u64 = 1 << 24;

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let names: Vec<_> = env::args().skip(1).collect();
    let done =
        header(&mut out).and_then(|()| names.iter().try_for_each(|name| row(&mut out, name)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The table is all this program prints; if that fails there is nowhere to say so.
            drop(writeln!(io::stderr(), "certify: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn header(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<34} {:>7} {:>6} {:>6} {:>6} {:>6} {:>7} {:>7} {:>5} {:>5} {:>9} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "tokenizer",
        "size",
        "cand",
        "S",
        "kept",
        "F",
        "bos",
        "joints",
        "drops",
        "split",
        "violations",
        "B/tok",
        "text M",
        "ids M",
        "json M",
        "load s",
        "again s"
    )
}

/// One tokenizer: its certificate, a larger sample of its own, and the speed of filling.
fn row(out: &mut impl Write, name: &str) -> io::Result<()> {
    let cache = env::temp_dir().join(format!("trie-certify-{}", std::process::id()));
    let places = Places { cache_dir: Some(cache.clone()), offline: true, ..Places::default() };
    let (first, loaded) = timed(|| Vocabulary::load(name, &places));
    let vocabulary = match loaded {
        Ok(vocabulary) => vocabulary,
        Err(error) => return writeln!(out, "{name}: {error}"),
    };
    let (again, _) = timed(|| Vocabulary::load(name, &places));
    remove(&cache)?;
    let certificate = vocabulary.certificate();
    let subset = vocabulary.stable();
    let (per_token, speeds) = speeds(subset);
    let joints = format!("{}/{}", certificate.joints_broken, certificate.joints_checked);
    writeln!(
        out,
        "{:<34} {:>7} {:>6} {:>6} {:>6} {:>6} {:>7} {:>7} {:>5} {:>5} {:>9} {:>6.2} {:>7.0} {:>7.0} {:>7.0} {:>7.2} {:>7.3}",
        shown(name),
        vocabulary.size(),
        certificate.candidates,
        certificate.stable,
        subset.len(),
        certificate.openers,
        vocabulary.bos().map_or("-".to_owned(), |id| id.to_string()),
        joints,
        vocabulary.drops_leading_space(),
        certificate.splits_words,
        violations(&vocabulary),
        per_token,
        speeds[0],
        speeds[1],
        speeds[2],
        first.as_secs_f64(),
        again.as_secs_f64()
    )
}

fn remove(folder: &Path) -> io::Result<()> {
    if folder.exists() { fs::remove_dir_all(folder) } else { Ok(()) }
}

/// The last two parts of a path.
fn shown(name: &str) -> String {
    let parts: Vec<_> = Path::new(name).iter().rev().take(2).collect();
    parts.iter().rev().collect::<PathBuf>().display().to_string()
}

/// Tokens that do not come back as they were, over prompts filled in uneven segments.
fn violations(vocabulary: &Vocabulary) -> u64 {
    let (mut ids, mut text, mut wrong) = (Vec::new(), String::new(), 0);
    for prompt in 0..TOKENS / PROMPT {
        ids.clear();
        text.clear();
        let (mut at, mut length) = (0, 1);
        while at < PROMPT {
            let end = (at + length).min(PROMPT);
            let key = u128::from(prompt) << 64 | u128::from(length);
            vocabulary.stable().fill_ids(key, at..end, &mut ids);
            vocabulary.stable().fill_text(key, at..end, &mut text);
            (at, length) = (end, length * 3 % 1_009);
        }
        let found = vocabulary.encode(vocabulary.prompt_text(&text));
        let same = ids.iter().zip(&found).filter(|(left, right)| left == right).count();
        wrong += (ids.len().max(found.len()) - same) as u64;
    }
    wrong
}

/// Bytes of text a token, and millions of tokens a second as text, ids and JSON.
#[expect(clippy::cast_precision_loss, reason = "figures of a table")]
fn speeds(subset: &StableSubset) -> (f64, [f64; 3]) {
    let (mut text, mut ids, mut json) = (String::new(), Vec::new(), Vec::new());
    let mut best = [f64::INFINITY; 3];
    for _ in 0..3 {
        text.clear();
        ids.clear();
        json.clear();
        let (as_text, ()) = timed(|| subset.fill_text(1, 0..TIMED, &mut text));
        let (as_ids, ()) = timed(|| subset.fill_ids(1, 0..TIMED, &mut ids));
        let (as_json, ()) = timed(|| subset.fill_json_ids(1, 0..TIMED, &mut json, true));
        for (best, took) in best.iter_mut().zip([as_text, as_ids, as_json]) {
            *best = best.min(took.as_secs_f64());
        }
    }
    (text.len() as f64 / TIMED as f64, best.map(|seconds| TIMED as f64 / seconds / 1e6))
}

#[expect(clippy::disallowed_methods, reason = "a program run by hand to take times")]
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let done = work();
    (started.elapsed(), done)
}
