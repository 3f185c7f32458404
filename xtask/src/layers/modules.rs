//! Which module of trie-core may name which, and what none of them may name.

use super::source::Source;

/// The modules of trie-core from left to right: each may name those to its left.
const ORDER: [&str; 11] = [
    "units", "draw", "record", "workload", "plan", "session", "metrics", "inspect", "generate",
    "compare", "report",
];

/// Parts of the standard library that reach the machine.
const MACHINE: [&str; 5] = ["net", "thread", "env", "process", "fs"];

/// Words that only code with a clock, a runtime or a terminal has.
const WORDS: [&str; 8] = [
    "Instant::now",
    "SystemTime",
    "tokio::",
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "clock_gettime",
];

/// Every arrow to the right, and everything that reaches outside.
pub(super) fn violations(sources: &[Source]) -> Vec<String> {
    sources.iter().flat_map(|source| [arrows(source), reaches(source)].concat()).collect()
}

fn arrows(source: &Source) -> Vec<String> {
    let module = source.path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    if module == "lib" {
        return Vec::new();
    }
    let Some(place) = place_of(module) else {
        return vec![format!("trie-core: module {module} has no place in the order of modules")];
    };
    let mut named = names_after(&source.code, "crate::");
    named.extend(names_after(&source.code, "super::super::"));
    named.retain(|name| place_of(name).is_some_and(|other| other > place));
    named.sort();
    named.dedup();
    let message = |name| format!("trie-core {}: {module} may not name {name}", source.path);
    named.into_iter().map(message).collect()
}

fn place_of(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

fn reaches(source: &Source) -> Vec<String> {
    let machine = names_after(&source.code, "std::").into_iter();
    let machine = machine.filter(|name| MACHINE.contains(&name.as_str()));
    let machine = machine.map(|name| format!("std::{name}"));
    let words = WORDS.iter().filter(|word| has_word(&source.code, word));
    let mut found: Vec<String> = machine.chain(words.map(|word| (*word).to_owned())).collect();
    found.sort();
    found.dedup();
    let message = |what| format!("trie-core {}: may not name {what}", source.path);
    found.into_iter().map(message).collect()
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| starts_a_word(code, at))
}

fn starts_a_word(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

/// The names that follow `prefix`: the one in `crate::a::B`, both in `crate::{a::B, c}`.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    code.match_indices(prefix)
        .filter(|(at, _)| starts_a_word(code, *at))
        .flat_map(|(at, _)| first_names(&code[at + prefix.len()..]))
        .collect()
}

fn first_names(rest: &str) -> Vec<String> {
    match rest.strip_prefix('{') {
        Some(group) => members(group).iter().map(|member| identifier(member)).collect(),
        None => vec![identifier(rest)],
    }
}

fn identifier(text: &str) -> String {
    let text = text.trim_start();
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The members of a group, from behind its opening brace to the closing one.
fn members(group: &str) -> Vec<String> {
    let mut members = vec![String::new()];
    let mut depth = 0_u32;
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(String::new()),
            _ => {
                depth = depth + u32::from(letter == '{') - u32::from(letter == '}');
                members.last_mut().expect("there is always one").push(letter);
            }
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, code: &str, expected: &[&str]) {
        let source = Source { path: path.to_owned(), code: code.to_owned() };
        assert_eq!(violations(&[source]), expected, "{code}");
    }

    #[test]
    fn a_module_may_name_those_to_its_left() {
        check("session/trace.rs", "use crate::record::TraceOutcome;", &[]);
        check("plan/mod.rs", "use crate::{units::Tokens, workload::{Step, Row}};", &[]);
        check("units.rs", "use crate::units::Nanos;", &[]);
        check("lib.rs", "pub use crate::report::text;", &[]);
    }

    #[test]
    fn a_module_may_not_name_one_to_its_right() {
        let refused = "trie-core record/rows.rs: record may not name metrics";
        check("record/rows.rs", "use crate::metrics::Summary;", &[refused]);
        check(
            "record/rows.rs",
            "use crate::{\n    units::Nanos,\n    metrics::Summary,\n};",
            &[refused],
        );
        check("record/rows.rs", "fn f(s: &crate::metrics::Summary) {}", &[refused]);
        check("record/rows.rs", "use super::super::metrics;", &[refused]);
    }

    #[test]
    fn a_module_without_a_place_is_refused() {
        check("extra.rs", "", &["trie-core: module extra has no place in the order of modules"]);
    }

    #[test]
    fn nothing_reaches_the_machine() {
        let path = "plan/mod.rs";
        check(path, "use std::time::Duration;", &[]);
        check(path, "use std::{fmt, env};", &["trie-core plan/mod.rs: may not name std::env"]);
        check(
            path,
            "std::thread::yield_now()",
            &["trie-core plan/mod.rs: may not name std::thread"],
        );
        check(
            path,
            "let now = Instant::now();",
            &["trie-core plan/mod.rs: may not name Instant::now"],
        );
        check(path, "eprintln!(\"\")", &["trie-core plan/mod.rs: may not name eprintln!"]);
    }
}
