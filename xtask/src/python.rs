//! The Python package as its users get it: a wheel, installed into an empty environment, tested there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::repo::{Repo, succeed};
use crate::talk::say;

/// What builds the wheel.
const BUILDER: &str = "maturin>=1.9.4,<2";

/// Of pyproject.toml: what the tests need, what reads records, what checks types.
const GROUPS: [&str; 3] = ["dev", "tables", "types"];

/// Builds the wheel, installs it alone, runs the tests with warnings as errors, and compares the stubs with
/// the module.
pub(crate) fn run(repo: &Repo) -> Result<()> {
    let folder = repo.target.join("python");
    let builder = environment(repo, &folder.join("builder"))?;
    install(repo, &builder, &[BUILDER])?;
    let wheel = wheel(repo, &builder, &folder.join("wheels"))?;
    say(format_args!("{}: {} kB", wheel.display(), fs::metadata(&wheel)?.len() / 1000));

    let python = environment(repo, &folder.join("clean"))?;
    install(repo, &python, &[&wheel.display().to_string()])?;
    let groups = GROUPS.map(|group| format!("--group={group}"));
    install(repo, &python, &groups.each_ref().map(String::as_str))?;
    let module = |words: &[&str]| succeed(repo.command(&python).arg("-m").args(words));
    module(&["pytest", "-W", "error", "--no-skips", "-q"])?;
    module(&["mypy.stubtest", "trie._trie", "--mypy-config-file", "pyproject.toml"])?;
    module(&["mypy"])
}

/// A new environment; its Python.
fn environment(repo: &Repo, folder: &Path) -> Result<PathBuf> {
    // The one that `.ci/run` found to be able to make environments.
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    succeed(repo.command(&python).args(["-m", "venv", "--clear"]).arg(folder))?;
    let python = folder.join("bin/python");
    // Groups of dependencies are known from this version on.
    install(repo, &python, &["pip>=25.1"])?;
    Ok(python)
}

fn install(repo: &Repo, python: &Path, words: &[&str]) -> Result<()> {
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    succeed(repo.command(python).args(quiet).args(words))
}

/// The wheel that one build makes.
fn wheel(repo: &Repo, python: &Path, folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    let mut build = repo.command(python);
    build.args(["-m", "maturin", "build", "--release", "--locked", "--out"]).arg(folder);
    succeed(build.env("CARGO_TARGET_DIR", &repo.target))?;
    let made = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let made = made.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    match &made[..] {
        [wheel] if wheel.to_string_lossy().contains("-cp310-abi3-") => Ok(wheel.clone()),
        other => bail!("one wheel for every Python from 3.10 on was to be made, found {other:?}"),
    }
}
