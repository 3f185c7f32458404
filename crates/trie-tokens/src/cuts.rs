//! Where a text may be cut so that its parts have the same tokens alone as together.

use aho_corasick::{AhoCorasick, MatchKind};

/// An added token that is sought in the text as it stands, before anything else is done with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Added {
    pub(crate) text: String,
    /// Whether it leaves what stands before it alone: it strips no space there and asks for no border
    /// of a word.
    pub(crate) leaves_before: bool,
}

/// Finds the added tokens of a tokenizer in a text: before each of them it may be cut.
///
/// A tokenizer looks for these tokens first, the leftmost and then the longest, and treats what lies
/// between two of them as a text of its own.
#[derive(Clone, Debug)]
pub(crate) struct Cuts {
    finder: AhoCorasick,
    added: Vec<Added>,
}

impl Cuts {
    pub(crate) fn new(added: Vec<Added>) -> Self {
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(added.iter().map(|token| token.text.as_str()))
            .expect("a tokenizer has far fewer than 2^31 added tokens");
        Self { finder, added }
    }

    /// The text in parts, each from one added token to before the next.
    pub(crate) fn parts<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let found = self.finder.find_iter(text);
        let safe = found.filter(|found| self.added[found.pattern()].leaves_before);
        let mut parts = Vec::new();
        let mut from = 0;
        for at in safe.map(|found| found.start()).chain([text.len()]) {
            if at > from {
                parts.push(&text[from..at]);
                from = at;
            }
        }
        parts
    }

    /// Added tokens before which a text may be cut.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.added.iter().filter(|token| token.leaves_before).map(|token| token.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{Added, Cuts};

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let added = [("<a>", true), ("<a>b", true), ("<strip>", false)];
        let added =
            added.map(|(text, leaves_before)| Added { text: text.to_owned(), leaves_before });
        assert_eq!(Cuts::new(added.to_vec()).parts(text), expected, "{text:?}");
    }

    #[test]
    fn a_text_is_cut_before_tokens_that_leave_it_alone() {
        check("", &[]);
        check("x", &["x"]);
        check("x<a>y<a>bz", &["x", "<a>y", "<a>bz"]);
        check("<a><a>", &["<a>", "<a>"]);
        check("x <strip>y<a>", &["x <strip>y", "<a>"]);
    }
}
