//! From the command line to a chore.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{
    ci,
    engines::{self, Conformance},
    generate::{self, Mode, Profile},
    layers,
    repo::{Repo, succeed},
    talk::say,
};

const USAGE: &str = "\
usage: cargo xtask CHORE

  ci                                               everything the repository checks, each step timed
  layers                                           refuse arrows that the architecture does not have
  generate [--check]                               make the generated files, or name the stale ones
  engines llamacpp|vllm [--work DIR] [--keep]      run against a real engine on loopback
                                                   (--work: set it up there; --keep: keep the runs)
  fuzz sse|chunk [--seconds N] [--seed N]          compare two readings of mutated streams, chunks
  fuzz import [FORMAT] [--seconds N] [--seed N]    import mutated traces of one format, or of all";

/// One chore with its settings.
#[derive(Debug, PartialEq)]
enum Chore {
    Ci,
    Layers,
    Generate(Mode),
    Engines(Conformance),
    /// The words behind it go to the program that fuzzes.
    Fuzz(Vec<String>),
}

/// Does the chore that `args` (without the program's name) ask for. Exit codes: 0 done, 1 the
/// chore found something wrong, 2 the command line is not one.
pub fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let chore = match parse(&words) {
        Ok(chore) => chore,
        Err(error) => {
            say(format_args!("{error}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match perform(&chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn parse(words: &[&str]) -> Result<Chore> {
    Ok(match words {
        ["ci"] => Chore::Ci,
        ["layers"] => Chore::Layers,
        ["generate"] => Chore::Generate(Mode::Write),
        ["generate", "--check"] => Chore::Generate(Mode::Check),
        ["engines", engine, settings @ ..] => Chore::Engines(Conformance::parse(engine, settings)?),
        ["fuzz", target @ ("sse" | "chunk" | "import"), settings @ ..] => {
            let words = [target].into_iter().chain(settings);
            Chore::Fuzz(words.map(|&word| word.to_owned()).collect())
        }
        [] => bail!("no chore given"),
        other => bail!("no such chore: {}", other.join(" ")),
    })
}

fn perform(chore: &Chore) -> Result<()> {
    let repo = Repo::find()?;
    match chore {
        Chore::Ci => ci::run(&repo),
        Chore::Layers => layers::run(&repo),
        Chore::Generate(mode) => generate::run(&repo, *mode, Profile::Dev),
        Chore::Engines(conformance) => engines::run(&repo, conformance),
        Chore::Fuzz(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let program = ["run", "--release", "--package", "trie-bench", "--", "fuzz"];
            succeed(&mut repo.cargo(&[&program[..], &words].concat()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&Chore>) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(parse(&words).ok().as_ref(), expected, "{line}");
    }

    #[test]
    fn a_chore_is_named_by_its_words() {
        check("ci", Some(&Chore::Ci));
        check("layers", Some(&Chore::Layers));
        check("generate", Some(&Chore::Generate(Mode::Write)));
        check("generate --check", Some(&Chore::Generate(Mode::Check)));
        let words = ["chunk", "--seconds", "600"].map(str::to_owned);
        check("fuzz chunk --seconds 600", Some(&Chore::Fuzz(words.to_vec())));
        let words = ["import", "weka", "--seconds", "60"].map(str::to_owned);
        check("fuzz import weka --seconds 60", Some(&Chore::Fuzz(words.to_vec())));
    }

    #[test]
    fn what_is_not_a_chore_is_refused() {
        check("", None);
        check("tests", None);
        check("ci --fast", None);
        check("generate --chekc", None);
        check("engines", None);
        check("fuzz", None);
        check("fuzz json", None);
        check("engines sglang", None);
        check("engines vllm --work", None);
    }
}
