//! Source files as far as the layers need them: code without comments and tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One source file.
pub(super) struct Source {
    /// Below the folder that was read, with `/`.
    pub(super) path: String,
    /// Its code.
    pub(super) code: String,
}

/// Every `.rs` file below `folder` of the repository, by path, without files that are modules of
/// tests.
pub(super) fn read_all(root: &Path, folder: &str) -> Result<Vec<Source>> {
    let top = root.join(folder);
    let mut files = Vec::new();
    collect(&top, &mut files)?;
    files.sort();
    let mut texts = Vec::new();
    for file in files {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        texts.push((file, text));
    }
    let tests: Vec<PathBuf> =
        texts.iter().flat_map(|(file, text)| test_modules(file, text)).collect();
    texts.retain(|(file, _)| !tests.iter().any(|test| file.with_extension("").starts_with(test)));
    Ok(texts
        .into_iter()
        .map(|(file, text)| {
            let below = file.strip_prefix(&top).expect("it was found below the folder");
            Source { path: below.to_string_lossy().into_owned(), code: code_of(&text) }
        })
        .collect())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Modules that `file` declares for tests only, as paths without `.rs`.
fn test_modules(file: &Path, text: &str) -> Vec<PathBuf> {
    let stem = file.with_extension("");
    let names_its_folder = ["lib", "main", "mod"].iter().any(|name| stem.ends_with(name));
    let folder = if names_its_folder { stem.parent().unwrap_or(&stem) } else { &stem };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| pair[0] == "#[cfg(test)]")
        .filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'))
        .map(|name| folder.join(name))
        .collect()
}

/// The code of a file: no comment, and nothing from its test module on, which stands last.
pub(super) fn code_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_test_module = |pair: &[&str]| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    };
    let end = lines.windows(2).position(is_test_module).unwrap_or(lines.len());
    let code = lines[..end].iter().filter(|line| !line.trim_start().starts_with("//"));
    code.map(|line| line.split(" // ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_no_comments_and_no_test_module() {
        let text = "//! crate::report\nuse a; // crate::plan\n    /// b\nfn c() {}\n\n#[cfg(test)]\nmod tests {\n    use d;\n}\n";
        assert_eq!(code_of(text), "use a;\nfn c() {}\n");
    }

    #[test]
    fn a_module_declared_for_tests_is_known_by_its_path() {
        let text = "mod wire;\n#[cfg(test)]\nmod fakes;\n";
        assert_eq!(test_modules(Path::new("src/lib.rs"), text), [Path::new("src/fakes")]);
        assert_eq!(test_modules(Path::new("src/a/mod.rs"), text), [Path::new("src/a/fakes")]);
        assert_eq!(test_modules(Path::new("src/a.rs"), text), [Path::new("src/a/fakes")]);
    }
}
