//! What the user names to be imported: files, folders, patterns and standard input.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::fault::{Fault, Topic};

/// Ends of names of files in a folder that may be sources.
const ENDS: [&str; 4] = ["json", "jsonl", "ndjson", "traj"];

/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 16;

/// A file, and whether the user named it itself: one that a folder holds may be something else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Input {
    pub(crate) path: String,
    pub(crate) named: bool,
}

/// All files that the words mean: of folders and patterns in order of their names.
pub(crate) fn inputs(words: &[String]) -> Result<Vec<Input>, Fault> {
    let mut inputs = Vec::new();
    for word in words {
        let path = Path::new(word);
        if path.is_dir() {
            let mut files = Vec::new();
            below(path, 0, &mut files)?;
            if files.is_empty() {
                return Err(Fault::usage_of(
                    Topic::Workload,
                    format!(
                        "the folder {word} holds no .json or .jsonl file (.gz and .zst are read too)"
                    ),
                ));
            }
            inputs.extend(files.into_iter().map(|path| Input { path, named: false }));
        } else if word != "-" && !path.exists() && word.contains(['*', '?']) {
            let found = matches(word)?;
            if found.is_empty() {
                return Err(Fault::usage_of(
                    Topic::Workload,
                    format!("{word}: no file is called so"),
                ));
            }
            inputs.extend(found.into_iter().map(|path| Input { path, named: true }));
        } else {
            inputs.push(Input { path: word.clone(), named: true });
        }
    }
    Ok(inputs)
}

/// Opens a file, or standard input.
pub(crate) fn open(path: &str) -> Result<Box<dyn Read + Send>, Fault> {
    if path == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path);
    let file = file.map_err(|error| {
        Fault::usage_of(Topic::Workload, format!("cannot open the workload {path}: {error}"))
    })?;
    Ok(Box::new(file))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let wrong = |error: io::Error| {
        Fault::usage_of(Topic::Workload, format!("cannot list {}: {error}", folder.display()))
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        paths.push(entry.map_err(wrong)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn below(folder: &Path, depth: usize, files: &mut Vec<String>) -> Result<(), Fault> {
    for path in entries(folder)? {
        // A link to a folder above would be followed for ever.
        if path.is_dir() && !path.is_symlink() && depth < MAX_DEPTH {
            below(&path, depth + 1, files)?;
        } else if path.is_file() && may_be_source(&path) {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn may_be_source(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase());
    let name = name.unwrap_or_default();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    name.rsplit_once('.').is_some_and(|(_, end)| ENDS.contains(&end))
}

/// Files that a pattern means: `*` and `?` inside a part of a path, `**` for any folders.
fn matches(pattern: &str) -> Result<Vec<String>, Fault> {
    let absolute = pattern.starts_with('/');
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let start = if absolute { PathBuf::from("/") } else { PathBuf::new() };
    let mut found = Vec::new();
    follow(&start, &parts, 0, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn follow(at: &Path, parts: &[&str], depth: usize, found: &mut Vec<String>) -> Result<(), Fault> {
    let Some((part, rest)) = parts.split_first() else {
        if at.is_file() {
            found.push(at.to_string_lossy().into_owned());
        }
        return Ok(());
    };
    if !part.contains(['*', '?']) {
        let next = at.join(part);
        return if next.exists() { follow(&next, rest, depth, found) } else { Ok(()) };
    }
    let folder = if at.as_os_str().is_empty() { Path::new(".") } else { at };
    if *part == "**" {
        follow(at, rest, depth, found)?;
    }
    if !folder.is_dir() {
        return Ok(());
    }
    for path in entries(folder)? {
        let Some(name) = path.file_name() else { continue };
        let next = at.join(name);
        if *part == "**" {
            if path.is_dir() && !path.is_symlink() && depth < MAX_DEPTH {
                follow(&next, parts, depth + 1, found)?;
            }
        } else if is_like(&name.to_string_lossy(), part) {
            follow(&next, rest, depth, found)?;
        }
    }
    Ok(())
}

/// Whether a name is of a pattern: `*` is any letters, `?` is one.
fn is_like(name: &str, pattern: &str) -> bool {
    let (name, pattern): (Vec<char>, Vec<char>) =
        (name.chars().collect(), pattern.chars().collect());
    let (mut at, mut of, mut star) = (0, 0, None);
    while at < name.len() {
        match pattern.get(of) {
            Some('*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[at] => (at, of) = (at + 1, of + 1),
            Some(_) | None => match star {
                // The last star takes one letter more.
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, of) = (taken + 1, place + 1);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_matched() {
        let check = |name: &str, pattern: &str, expected: bool| {
            assert_eq!(is_like(name, pattern), expected, "{name} {pattern}");
        };
        check("a.jsonl", "*.jsonl", true);
        check("a.json", "*.jsonl", false);
        check("agent-1.jsonl", "agent-?.json*", true);
        check("aXbXc", "a*b*c", true);
        check("", "*", true);
        check("abc", "a*d", false);
    }

    #[test]
    fn folders_and_patterns_are_files_in_order() {
        let top = tempfile::tempdir().expect("a folder for temporary files");
        let folder = top.path().join("deep/er");
        fs::create_dir_all(&folder).expect("it is writable");
        for name in ["b.jsonl", "a.json.gz", "notes.md", "run.traj"] {
            fs::write(folder.join(name), "").expect("it is writable");
        }
        let names = |word: String| -> Vec<String> {
            let found = inputs(&[word]).expect("it can be read");
            found
                .iter()
                .map(|input| input.path.rsplit('/').next().unwrap_or("").to_owned())
                .collect()
        };
        let shown = top.path().display();
        assert_eq!(names(shown.to_string()), ["a.json.gz", "b.jsonl", "run.traj"]);
        assert_eq!(names(format!("{shown}/**/*.jsonl")), ["b.jsonl"]);
        assert_eq!(names(format!("{shown}/*/er/?.json*")), ["a.json.gz", "b.jsonl"]);
        assert!(inputs(&[format!("{shown}/*.csv")]).is_err());
    }
}
