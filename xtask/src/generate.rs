//! Generated files: made, or compared with what is checked in.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::licences;
use crate::repo::{Repo, succeed};
use crate::talk::say;

/// Below this folder everything is generated.
const REFERENCE: &str = "docs/reference";

/// What to do with the generated files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Put them into the repository.
    Write,
    /// Name those that differ from the repository's.
    Check,
}

/// Which build of `trie` describes itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Profile {
    /// The quick one.
    Dev,
    /// The one that `ci` has built already.
    Release,
}

/// Makes the generated files in a folder of the target directory, then writes or compares them.
pub(crate) fn run(repo: &Repo, mode: Mode, profile: Profile) -> Result<()> {
    let made = repo.target.join("generated");
    if made.exists() {
        fs::remove_dir_all(&made).with_context(|| format!("cannot clear {}", made.display()))?;
    }
    fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display()))?;
    put(&made.join(licences::FILE), licences::list(repo)?.as_bytes())?;
    succeed(&mut reference(repo, profile, &made))?;

    let stale = stale(&made, &repo.root)?;
    match mode {
        Mode::Write => stale.iter().try_for_each(|file| refresh(&made, &repo.root, file)),
        Mode::Check => refuse(&stale),
    }
}

/// `trie reference`, which writes the reference pages and the schemas below a folder.
fn reference(repo: &Repo, profile: Profile, made: &Path) -> std::process::Command {
    let mut command = repo.cargo(&["run", "--quiet", "--package", "trie-cli"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    command.arg("--").arg("reference").arg(format!("output={}", made.display()));
    command
}

/// Files that differ between `made` and `root`, are missing in `root`, or are no longer made.
fn stale(made: &Path, root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = files_below(made, made)?;
    if root.join(REFERENCE).exists() {
        files.extend(files_below(root, &root.join(REFERENCE))?);
    }
    files.retain(|file| fs::read(made.join(file)).ok() != fs::read(root.join(file)).ok());
    Ok(files)
}

fn refresh(made: &Path, root: &Path, file: &Path) -> Result<()> {
    let (from, to) = (made.join(file), root.join(file));
    if from.exists() {
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        put(&to, &bytes)?;
    } else {
        fs::remove_file(&to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    say(format_args!("generated {}", file.display()));
    Ok(())
}

fn refuse(stale: &BTreeSet<PathBuf>) -> Result<()> {
    for file in stale {
        say(format_args!("stale: {}", file.display()));
    }
    match stale.len() {
        0 => Ok(()),
        n => bail!("{n} generated files are stale; hint: run `cargo xtask generate`"),
    }
}

fn put(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

/// Files below `folder`, as paths below `root`.
fn files_below(root: &Path, folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.is_dir() {
            files.extend(files_below(root, &path)?);
        } else {
            files.insert(path.strip_prefix(root).expect("it lies below").to_path_buf());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as `path=content`, what was made and what is checked in, and which are stale.
    fn check(name: &str, made: &[&str], checked_in: &[&str], expected: &[&str]) {
        let top = tempfile::tempdir().expect("a folder for temporary files");
        let folders = [(top.path().join("made"), made), (top.path().join("root"), checked_in)];
        for (folder, files) in &folders {
            fs::create_dir_all(folder).expect("it is writable");
            for (path, content) in files.iter().filter_map(|file| file.split_once('=')) {
                put(&folder.join(path), content.as_bytes()).expect("it is writable");
            }
        }
        let found = stale(&folders[0].0, &folders[1].0).expect("both can be read");
        assert_eq!(found, expected.iter().map(PathBuf::from).collect(), "{name}");
    }

    #[test]
    fn files_that_differ_are_missing_or_left_over_are_stale() {
        check("same", &["a.md=1", "docs/reference/b=2"], &["a.md=1", "docs/reference/b=2"], &[]);
        check("changed", &["a.md=1"], &["a.md=2"], &["a.md"]);
        check("missing", &["docs/reference/s/b=2"], &[], &["docs/reference/s/b"]);
        check("left-over", &["a.md=1"], &["a.md=1", "docs/reference/c=3"], &["docs/reference/c"]);
        check("by-hand", &["a.md=1"], &["a.md=1", "docs/guide/d=4"], &[]);
    }
}
