//! Certifies the tokenizers whose files or folders are named, and prints a table of what was found.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use trie_tokens::{
    ChatError, ChatOptions, Composer, Part, Places, Role, StableSubset, Tally, ToolCall, Turn,
    Vocabulary,
};

/// Random tokens that are re-encoded beyond the certificate's own.
const TOKENS: u64 = 1 << 20;

/// Tokens of one prompt, filled and re-encoded as a whole.
const PROMPT: u64 = 1 << 15;

/// Turns of the chat whose every prompt is re-encoded.
const TURNS: u64 = 20;

/// Tokens of each answer in that chat, drawn from the whole vocabulary.
const ANSWER: u64 = 60;

/// Tokens filled to take the time: a third of a millisecond, which another process seldom interrupts.
const TIMED: u64 = 1 << 16;

/// Times that they are filled; the best is shown.
const ROUNDS: usize = 600;

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
        "{:<34} {:>7} {:>6} {:>6} {:>6} {:>6} {:>7} {:>7} {:>5} {:>5} {:>9} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>8}",
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
        "again s",
        "chat",
        "recount"
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
        "{:<34} {:>7} {:>6} {:>6} {:>6} {:>6} {:>7} {:>7} {:>5} {:>5} {:>9} {:>6.2} {:>7.0} {:>7.0} {:>7.0} {:>7.2} {:>7.3} {:>8} {:>8}",
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
        again.as_secs_f64(),
        chats(&vocabulary),
        recounts(&vocabulary)
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

/// How many prompts of a chat whose answers are random tokens are exactly as long as planned: with tools,
/// or without where the template takes none.
fn chats(vocabulary: &Vocabulary) -> String {
    match vocabulary.chat_template() {
        Ok(None) => "-".to_owned(),
        Err(error) => error.to_string(),
        Ok(Some(_)) => match chat(vocabulary, Role::Tool) {
            Ok(exact) => format!("{exact}/{TURNS} t"),
            Err(_) => match chat(vocabulary, Role::User) {
                Ok(exact) => format!("{exact}/{TURNS} u"),
                Err(error) => error.to_string(),
            },
        },
    }
}

fn chat(vocabulary: &Vocabulary, after: Role) -> Result<u64, ChatError> {
    let template = vocabulary.chat_template()?.expect("it was there a moment ago");
    let options = ChatOptions::default();
    let tools = match after {
        Role::Tool => vec![Composer::tool(vocabulary, "find", 3, 500)],
        Role::System | Role::User | Role::Assistant => Vec::new(),
    };
    let composer = Composer::new(vocabulary.clone(), template.clone(), tools, options.clone());
    let filled = |role, key| Turn::new(role, vec![Part::Filled { key, range: 0..1 }]);
    let mut turns = vec![filled(Role::System, 1), filled(Role::User, 2)];
    let (mut tally, mut exact) = (Tally::default(), 0);
    for turn in 0..TURNS {
        let planned = 1_000 + turn * 1_000;
        composer.fit(&mut turns, planned, &mut tally)?;
        let messages = composer.messages(&turns);
        let prompt = template.render(&messages, composer.tools(), &options)?;
        exact += u64::from(vocabulary.count(&prompt) as u64 == planned);
        let mut answer = Turn::new(Role::Assistant, vec![Part::Text(answer(vocabulary, turn))]);
        let mut next = filled(after, 10 + u128::from(turn));
        if after == Role::Tool {
            let arguments = r#"{"query": "all"}"#.to_owned();
            let (id, name) = (format!("call_{turn}"), "find".to_owned());
            answer.calls.push(ToolCall { id: id.clone(), name, arguments });
            next.call_id = Some(id);
        }
        turns.extend([answer, next]);
    }
    Ok(exact)
}

/// The text of tokens drawn from the whole vocabulary.
fn answer(vocabulary: &Vocabulary, seed: u64) -> String {
    let size = u32::try_from(vocabulary.size()).expect("ids are 32 bits");
    // Any fixed scatter will do: multiples of an odd constant.
    let draw = |at: u64| (seed * ANSWER + at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let ids: Vec<_> = (0..ANSWER)
        .map(|at| u32::try_from((draw(at) * u64::from(size)) >> 32).expect("less than the size"))
        .collect();
    vocabulary.decode(&ids)
}

/// How many random answers between two segments are recounted without context as they are with it.
fn recounts(vocabulary: &Vocabulary) -> String {
    let text = |range| {
        let mut text = String::new();
        vocabulary.stable().fill_text(4, range, &mut text);
        text
    };
    let exact = |&seed: &u64| {
        let mut answer = answer(vocabulary, seed);
        if seed % 4 == 0 {
            answer.push(' ');
        }
        let whole = [text(0..9), answer.clone(), text(9..20)].concat();
        let recounted = vocabulary.recount(&text(8..9), &answer, &text(9..10));
        vocabulary.count(vocabulary.prompt_text(&whole)) == recounted + 8 + 10
    };
    format!("{}/1000", (0..1_000).filter(exact).count())
}

/// Bytes of text a token, and millions of tokens a second as text, ids and JSON.
#[expect(clippy::cast_precision_loss, reason = "figures of a table")]
fn speeds(subset: &StableSubset) -> (f64, [f64; 3]) {
    let (mut text, mut ids, mut json) = (String::new(), Vec::new(), Vec::new());
    let mut best = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
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
