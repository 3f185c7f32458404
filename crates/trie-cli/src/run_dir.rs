//! The run directory: made before a run, read by `report`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use trie_core::record::Manifest;
use trie_replay::RecordFiles;

use crate::rows::Rows;

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
    /// Its files, where they are in memory and on no disk.
    memory: Option<Memory>,
}

/// Files in memory, by name.
type Memory = Arc<Mutex<BTreeMap<String, File>>>;

/// A file in memory: rows are added at its end while others may read it.
#[derive(Clone, Debug, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a file in memory from its start.
struct Reading {
    file: File,
    at: usize,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = (&bytes[self.at..]).read(into)?;
        self.at += read;
        Ok(read)
    }
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
        let dir = Self { path, made, memory: None };
        // What cannot be written should be known before an hour is spent.
        let probe = dir.path.join(".writable");
        fs::write(&probe, b"trie").and_then(|()| fs::remove_file(&probe)).with_context(|| {
            format!("cannot write into the run directory {}", dir.path.display())
        })?;
        Ok(dir)
    }

    /// One that is in memory and on no disk.
    pub(crate) fn in_memory() -> Self {
        Self { path: PathBuf::from("(in memory)"), made: false, memory: Some(Memory::default()) }
    }

    /// Takes away a directory in which nothing was written: a run that never began leaves no trace.
    pub(crate) fn remove_if_empty(&self) {
        if self.made {
            self.release();
            // Only an empty directory can be removed; what is in it is the user's.
            drop(fs::remove_dir(&self.path));
        }
    }

    /// A run directory of this name below this one, which holds several.
    pub(crate) fn make_below(&self, name: &str) -> anyhow::Result<Self> {
        match self.memory {
            Some(_) => Ok(Self::in_memory()),
            None => Self::create(Some(&self.path.join(name)), 0),
        }
    }

    /// A folder below this one that holds run directories, and what is made of all of them.
    pub(crate) fn folder_below(&self, name: &str) -> Self {
        match self.memory {
            Some(_) => Self::in_memory(),
            None => Self { path: self.path.join(name), made: self.made, memory: None },
        }
    }

    /// The replicates below a folder: `0`, `1` and so on; none where it is a run directory itself.
    pub(crate) fn replicates(path: &Path) -> Vec<PathBuf> {
        let below = (0_u32..).map(|number| path.join(number.to_string()));
        below.take_while(|dir| dir.join("manifest.json").is_file()).collect()
    }

    /// A run directory that exists.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.join("manifest.json").is_file() {
            let sides = ["a/0", "b/0"].iter().all(|side| path.join(side).is_dir());
            let hint = if sides {
                "it holds two sides, a and b: name one of them, or compare them"
            } else {
                "name the folder that a run printed as its run directory"
            };
            bail!(
                "{} is not a run directory: it holds no manifest.json\nhint: {hint}",
                path.display()
            );
        }
        Ok(Self { path: path.to_path_buf(), made: false, memory: None })
    }

    /// Where it is; of one in memory, words that say so.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is on the disk, if it is.
    pub(crate) fn on_disk(&self) -> Option<&Path> {
        self.memory.is_none().then_some(&self.path)
    }

    /// A file in memory, made where it is not there yet; `None` for a directory on disk.
    fn remembered(&self, name: &str) -> Option<File> {
        let mut files = self.memory.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(files.entry(name.to_owned()).or_default().clone())
    }

    /// The record files, new and unbuffered: a row that was written survives `kill -9`.
    pub(crate) fn record_files(&self) -> anyhow::Result<RecordFiles> {
        let open = |name: &str| -> anyhow::Result<Box<dyn Write + Send>> {
            if let Some(file) = self.remembered(name) {
                return Ok(Box::new(file));
            }
            let path = self.path.join(name);
            let file = OpenOptions::new().append(true).create_new(true).open(&path);
            Ok(Box::new(file.with_context(|| format!("cannot make {}", path.display()))?))
        };
        // A disk that fills up in mid-run still has room to say how the run ended.
        if self.memory.is_none() {
            fs::write(self.path.join(RESERVE), vec![b' '; RESERVED])
                .with_context(|| format!("no room in the run directory {}", self.path.display()))?;
        }
        Ok(RecordFiles {
            requests: open("requests.jsonl")?,
            traces: open("traces.jsonl")?,
            client: open("client.jsonl")?,
        })
    }

    /// Gives back the room that was kept for the last documents.
    pub(crate) fn release(&self) {
        if self.memory.is_some() {
            return;
        }
        // One that is not there was given back before.
        drop(fs::remove_file(self.path.join(RESERVE)));
    }

    /// Writes a document whole or not at all.
    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(value).context("cannot make JSON")?;
        text.push('\n');
        if let Some(File(file)) = self.remembered(name) {
            *file.lock().unwrap_or_else(PoisonError::into_inner) = text.into_bytes();
            return Ok(());
        }
        let (whole, part) = (self.path.join(name), self.path.join(format!(".{name}.part")));
        fs::write(&part, text)
            .and_then(|()| fs::rename(&part, &whole))
            .inspect_err(|_| drop(fs::remove_file(&part)))
            .with_context(|| format!("cannot write {}", whole.display()))
    }

    /// The manifest. An older major is read, a newer one refused.
    pub(crate) fn manifest(&self) -> anyhow::Result<Manifest> {
        let path = self.path.join("manifest.json");
        let mut text = String::new();
        match self.remembered("manifest.json") {
            Some(file) => Reading { file, at: 0 }.read_to_string(&mut text),
            None => fs::File::open(&path).and_then(|mut file| file.read_to_string(&mut text)),
        }
        .with_context(|| format!("cannot read {}", path.display()))?;
        trie_core::record::read_manifest(&text).with_context(|| path.display().to_string())
    }

    /// The rows of a record file, one after another. Lines that cannot be read are left out and
    /// counted, and a last line that was cut in the middle is told from them; both are asked for at
    /// the end.
    pub(crate) fn rows(&self, name: &str) -> Rows {
        let path = self.path.join(name);
        match self.remembered(name) {
            Some(file) => Rows::new(Box::new(Reading { file, at: 0 }), path),
            None => Rows::open(path),
        }
    }
}

fn default_path(random: u64) -> PathBuf {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    Path::new(HOME).join(format!("{time}-{:04x}", random & 0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_never_writes_over_another() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("summary.json"), "{}").unwrap();
        let error = RunDir::create(Some(dir.path()), 0).unwrap_err().to_string();
        assert!(error.contains("is not empty"), "{error}");
    }
}
