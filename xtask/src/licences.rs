//! The list of third-party licences: every crate that is linked into `trie` with its default
//! features or into the Python module, on the platforms that are built.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result};

use crate::repo::{Repo, output_of};

/// Where the list lies.
pub(crate) const FILE: &str = "THIRD_PARTY_LICENSES.md";

/// The platforms that are built.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

const HEAD: &str = "\
# Third-party licences

Made by `cargo xtask generate` from `Cargo.lock`; not edited by hand. `trie` with its default
features and the Python module are built from these crates, grouped by the licence each one declares. The licence texts
and copyright notices are in the crates' own sources.
";

/// The list as a page.
pub(crate) fn list(repo: &Repo) -> Result<String> {
    let mut crates = BTreeSet::new();
    for target in TARGETS {
        let tree = output_of(&mut repo.cargo(&[
            "tree",
            "--package=trie-cli",
            "--package=trie-py",
            "--edges=normal",
            "--prefix=none",
            "--format={p}|{l}|{r}",
            "--target",
            target,
        ]))?;
        for line in tree.lines().filter(|line| !line.trim().is_empty()) {
            crates.extend(parse(line)?);
        }
    }
    Ok(page(&crates))
}

/// A third-party crate. Ordered by licence, then name.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Linked {
    licence: String,
    name: String,
    version: String,
    repository: String,
}

/// A line of the tree; `None` for our own crates, which are folders.
fn parse(line: &str) -> Result<Option<Linked>> {
    let mut fields = line.trim_end_matches(" (*)").split('|');
    let mut field = || fields.next().with_context(|| format!("cannot read `{line}` of cargo tree"));
    let (package, licence, repository) = (field()?, field()?, field()?);
    let mut words = package.split(' ');
    let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if words.any(|word| word.starts_with("(/")) {
        return Ok(None);
    }
    Ok(Some(Linked {
        licence: canonical(licence),
        name: name.to_owned(),
        version: version.trim_start_matches('v').to_owned(),
        repository: repository.trim_end_matches(".git").to_owned(),
    }))
}

/// One spelling for expressions that mean the same: `MIT/Apache-2.0` is `Apache-2.0 OR MIT`.
fn canonical(licence: &str) -> String {
    let spaced = licence.trim().replace('/', " OR ");
    if spaced.is_empty() {
        return "none declared".to_owned();
    }
    if spaced.contains("AND") || spaced.contains('(') {
        return spaced;
    }
    let choices: BTreeSet<&str> = spaced.split(" OR ").map(str::trim).collect();
    choices.into_iter().collect::<Vec<_>>().join(" OR ")
}

fn page(crates: &BTreeSet<Linked>) -> String {
    let mut groups: BTreeMap<&str, Vec<&Linked>> = BTreeMap::new();
    for linked in crates {
        groups.entry(&linked.licence).or_default().push(linked);
    }
    let mut page = HEAD.to_owned();
    for (licence, members) in groups {
        write!(page, "\n## {licence}\n\n").expect("a string takes everything");
        for Linked { name, version, repository, .. } in members {
            let line = match repository.as_str() {
                "" => format!("- {name} {version}\n"),
                repository => format!("- [{name}]({repository}) {version}\n"),
            };
            page.push_str(&line);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: &str) {
        let linked = lines.iter().filter_map(|line| parse(line).expect("three fields")).collect();
        assert_eq!(page(&linked), format!("{HEAD}{expected}"));
    }

    #[test]
    fn crates_are_grouped_by_licence_and_ours_left_out() {
        check(
            &[
                "trie-cli v0.1.0 (/x/crates/trie-cli)|Apache-2.0|",
                "bytes v1.0.0|MIT|https://example.org/bytes.git",
                "serde_derive v1.0.2 (proc-macro)|MIT OR Apache-2.0|",
                "csv v1.0.1|MIT/Apache-2.0| (*)",
            ],
            "\n## Apache-2.0 OR MIT\n\n- csv 1.0.1\n- serde_derive 1.0.2\n\n## MIT\n\n- [bytes](https://example.org/bytes) 1.0.0\n",
        );
    }

    #[test]
    fn an_expression_that_is_more_than_a_choice_stays_as_it_is() {
        let expression = "(MIT OR Apache-2.0) AND Unicode-3.0";
        assert_eq!(canonical(expression), expression);
        assert_eq!(canonical(""), "none declared");
        assert_eq!(canonical(" MIT OR Apache-2.0 "), "Apache-2.0 OR MIT");
    }
}
