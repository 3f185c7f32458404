//! `trie demo`: what a newcomer sees first.

use crate::program::{folder, trie};

/// The columns of the cache table's rows that have numbers: tokens in contexts, hit rate.
fn rows(out: &str) -> Vec<(u64, u64)> {
    let (_, table) = out.split_once("cache hit rate   TTFT p50 (ms)\n").unwrap();
    let lines = table.lines().take_while(|line| !line.is_empty());
    let number = |word: &str| word.parse().unwrap();
    lines
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            (number(words[4]), number(words[7]))
        })
        .collect()
}

#[test]
fn the_hit_rate_rises_and_falls_after_the_stated_overflow() {
    let folder = folder();
    // Half as long as by default, with agents joining twice as fast.
    let said = trie(folder.path(), "demo duration=6");
    assert_eq!(said.code, 0, "{}", said.err);
    let rows = rows(&said.out);
    let overflow = rows.iter().position(|(tokens, _)| *tokens > 21_800).unwrap();
    let mut marked = said.out.lines().filter(|line| line.contains("<- the cache overflows"));
    assert!(marked.next().unwrap().contains(&format!(" {} ", rows[overflow].0)));
    assert_eq!(marked.next(), None, "{}", said.out);
    let (before, after) = rows.split_at(overflow + 1);
    let best = before.iter().map(|(_, hits)| *hits).max().unwrap();
    assert!(best >= rows[0].1 + 10, "it rises: {rows:?}");
    assert!(after.iter().all(|(_, hits)| hits + 10 <= best), "and falls: {rows:?}");
}

#[test]
fn the_demo_says_what_was_simulated() {
    let folder = folder();
    let said = trie(folder.path(), "demo duration=1");
    assert_eq!(said.code, 0, "{}", said.err);
    for expected in [
        "simulated: an engine on loopback",
        "step times of qwen3-32b-1xh200, and time runs 5 times as fast",
        "run directory: trie-runs/",
    ] {
        assert!(said.err.contains(expected), "{}", said.err);
    }
    assert!(said.out.contains("Per-trace metrics"));
    assert!(said.out.contains("simulated engine `demo`: no endpoint was measured"), "{}", said.out);
}
