//! Refuses an arrow that the architecture does not have: between crates, between the modules of
//! trie-core, and from trie-core to the world outside; and a second file that spawns or reads a
//! clock where one may.

mod crates;
mod duties;
mod modules;
mod source;

use anyhow::{Result, bail};

use crate::{repo::Repo, talk::say};

/// Names every arrow that may not be; an error if there is one.
pub(crate) fn run(repo: &Repo) -> Result<()> {
    let mut found = crates::violations(&repo.packages);
    found.extend(modules::violations(&source::read_all(&repo.root, "crates/trie-core/src")?));
    for folder in ["crates/trie-replay/src", "crates/trie-sim/src"] {
        found.extend(duties::violations(folder, &source::read_all(&repo.root, folder)?));
    }
    for violation in &found {
        say(violation);
    }
    match found.len() {
        0 => Ok(()),
        n => bail!("{n} arrows are not in the architecture (ARCHITECTURE.md has the table)"),
    }
}
