//! The run directory: made before a run, read by `report`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trie_core::record::Manifest;
use trie_replay::RecordFiles;

/// Folder for run directories that were not named.
const HOME: &str = "trie-runs";

/// Holds room on the disk for what is written at the end.
const RESERVE: &str = ".reserve";
/// Bytes of it: a manifest and a summary have some 40 kB.
const RESERVED: usize = 256 << 10;

/// A run directory.
#[derive(Clone, Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    /// Whether it was made by this run.
    made: bool,
}

impl RunDir {
    /// Makes a run directory, named by the time and `random` digits unless it has a name. One that
    /// exists must be empty.
    pub(crate) fn create(wanted: Option<&Path>, random: u64) -> anyhow::Result<Self> {
        let path = wanted.map_or_else(|| default_path(random), Path::to_path_buf);
        let made = !path.exists();
        fs::create_dir_all(&path).map_err(|error| {
            anyhow!(
                "cannot make the run directory {}: {error}\nhint: output_dir= names a folder that \
                 does not exist yet, where you may write",
                path.display()
            )
        })?;
        let mut entries = fs::read_dir(&path)
            .with_context(|| format!("cannot read the run directory {}", path.display()))?;
        if entries.next().is_some() {
            bail!(
                "the run directory {} is not empty\nhint: name a new one with output_dir=, a run \
                 never writes over another",
                path.display()
            );
        }
        let dir = Self { path, made };
        // What cannot be written should be known before an hour is spent.
        let probe = dir.path.join(".writable");
        fs::write(&probe, b"trie").and_then(|()| fs::remove_file(&probe)).with_context(|| {
            format!("cannot write into the run directory {}", dir.path.display())
        })?;
        Ok(dir)
    }

    /// Takes away a directory in which nothing was written: a run that never began leaves no trace.
    pub(crate) fn remove_if_empty(&self) {
        if self.made {
            self.release();
            // Only an empty directory can be removed; what is in it is the user's.
            drop(fs::remove_dir(&self.path));
        }
    }

    /// A run directory that exists.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.join("manifest.json").is_file() {
            bail!(
                "{} is not a run directory: it holds no manifest.json\nhint: name the folder that \
                 a run printed as its run directory",
                path.display()
            );
        }
        Ok(Self { path: path.to_path_buf(), made: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The record files, new and unbuffered: a row that was written survives `kill -9`.
    pub(crate) fn record_files(&self) -> anyhow::Result<RecordFiles> {
        let open = |name: &str| -> anyhow::Result<Box<dyn Write + Send>> {
            let path = self.path.join(name);
            let file = OpenOptions::new().append(true).create_new(true).open(&path);
            Ok(Box::new(file.with_context(|| format!("cannot make {}", path.display()))?))
        };
        // A disk that fills up in mid-run still has room to say how the run ended.
        fs::write(self.path.join(RESERVE), vec![b' '; RESERVED])
            .with_context(|| format!("no room in the run directory {}", self.path.display()))?;
        Ok(RecordFiles {
            requests: open("requests.jsonl")?,
            traces: open("traces.jsonl")?,
            client: open("client.jsonl")?,
        })
    }

    /// Gives back the room that was kept for the last documents.
    pub(crate) fn release(&self) {
        // One that is not there was given back before.
        drop(fs::remove_file(self.path.join(RESERVE)));
    }

    /// Writes a document whole or not at all.
    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(value).context("cannot make JSON")?;
        text.push('\n');
        let (whole, part) = (self.path.join(name), self.path.join(format!(".{name}.part")));
        fs::write(&part, text)
            .and_then(|()| fs::rename(&part, &whole))
            .inspect_err(|_| drop(fs::remove_file(&part)))
            .with_context(|| format!("cannot write {}", whole.display()))
    }

    /// The manifest. An older major is read, a newer one refused.
    pub(crate) fn manifest(&self) -> anyhow::Result<Manifest> {
        let path = self.path.join("manifest.json");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        trie_core::record::read_manifest(&text).with_context(|| path.display().to_string())
    }

    /// The rows of a record file, one after another. Lines that cannot be read are left out and
    /// counted, and a last line that was cut in the middle is told from them; both are asked for at
    /// the end.
    pub(crate) fn rows<T: DeserializeOwned>(&self, name: &str) -> Rows<T> {
        let path = self.path.join(name);
        match File::open(&path) {
            Ok(file) => Rows::new(Box::new(BufReader::with_capacity(1 << 20, file)), path),
            Err(error) => {
                let mut rows = Rows::new(Box::new(io::empty()), path);
                let missing = error.kind() == io::ErrorKind::NotFound;
                let fault = if missing {
                    RowFault::Missing
                } else {
                    RowFault::Unreadable(error.to_string())
                };
                rows.fault = Some(fault);
                rows
            }
        }
    }
}

/// An iterator over the rows of a file that remembers what went wrong.
pub(crate) struct Rows<T> {
    file: Box<dyn BufRead>,
    path: PathBuf,
    line: usize,
    text: Vec<u8>,
    /// What ended the reading.
    fault: Option<RowFault>,
    /// How many lines cannot be read, and what is wrong with the first of them.
    bad: Option<(u64, String)>,
    row: PhantomData<T>,
}

/// What is wrong with a record file.
enum RowFault {
    Missing,
    CutOff,
    Unreadable(String),
}

impl<T: DeserializeOwned> Rows<T> {
    fn new(file: Box<dyn BufRead>, path: PathBuf) -> Self {
        Self { file, path, line: 0, text: vec![], fault: None, bad: None, row: PhantomData }
    }

    /// After the last row: what is missing, in words.
    pub(crate) fn missing(&self) -> anyhow::Result<Vec<String>> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let bad = self.bad.as_ref().map(|(lines, first)| {
            format!("lines of {name} that cannot be read and are left out: {lines}; the first is {first}")
        });
        let fault = match &self.fault {
            None => None,
            Some(RowFault::Missing) => Some(format!("{name} is missing")),
            Some(RowFault::CutOff) => {
                Some(format!("the last line of {name} was cut off in the middle"))
            }
            Some(RowFault::Unreadable(why)) => bail!("{}: {why}", self.path.display()),
        };
        Ok(bad.into_iter().chain(fault).collect())
    }
}

impl<T: DeserializeOwned> Iterator for Rows<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        while self.fault.is_none() {
            self.text.clear();
            match self.file.read_until(b'\n', &mut self.text) {
                Ok(0) => return None,
                Ok(_) => self.line += 1,
                Err(error) => {
                    self.fault = Some(RowFault::Unreadable(error.to_string()));
                    return None;
                }
            }
            if self.text.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(&self.text) {
                Ok(row) => return Some(row),
                Err(_) if !self.text.ends_with(b"\n") => self.fault = Some(RowFault::CutOff),
                Err(error) => {
                    let first = || (0, format!("line {}: {error}", self.line));
                    self.bad.get_or_insert_with(first).0 += 1;
                }
            }
        }
        None
    }
}

fn default_path(random: u64) -> PathBuf {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    Path::new(HOME).join(format!("{time}-{:04x}", random & 0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &'static str) -> (Vec<u32>, Vec<String>) {
        let mut rows = Rows::new(Box::new(text.as_bytes()), PathBuf::from("rows.jsonl"));
        let read = rows.by_ref().collect();
        (read, rows.missing().unwrap())
    }

    #[test]
    fn lines_that_cannot_be_read_are_left_out_and_named() {
        let check = |text, read: &[u32], missing: &[&str]| {
            let (got, said) = rows(text);
            assert_eq!(got, read, "{text}");
            assert_eq!(said.len(), missing.len(), "{said:?}");
            assert!(
                said.iter().zip(missing).all(|(said, start)| said.starts_with(start)),
                "{said:?}"
            );
        };
        check("1\n\n2\n", &[1, 2], &[]);
        check("1\n2\n{\"a", &[1, 2], &["the last line of rows.jsonl was cut off in the middle"]);
        let one =
            "lines of rows.jsonl that cannot be read and are left out: 1; the first is line 2: ";
        check("1\n{\"a\n2\n", &[1, 2], &[one]);
        check(
            "x\n1\ny\n2",
            &[1, 2],
            &["lines of rows.jsonl that cannot be read and are left out: 2"],
        );
    }

    #[test]
    fn a_run_never_writes_over_another() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("summary.json"), "{}").unwrap();
        let error = RunDir::create(Some(dir.path()), 0).unwrap_err().to_string();
        assert!(error.contains("is not empty"), "{error}");
    }
}
