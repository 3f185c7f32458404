//! Certificates kept on disk, so that the checks are made once for a `tokenizer.json`.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    CONTENT_VERSION,
    certificate::{Certificate, Certified, Kept},
    disk,
    stable::{MAX_TEXT, Member},
};

/// Names the layout of the file; a file of another layout is made anew.
const SCHEMA: &str = "trie.certificate/1";

/// What a certificate must match to be used: the very files and the program that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    schema: String,
    program: String,
    tokenizer_sha256: String,
    config_sha256: Option<String>,
}

impl Identity {
    /// The identity of a tokenizer to this program, from the hashes of its files.
    pub(crate) fn of(tokenizer_sha256: &str, config: Option<&[u8]>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            tokenizer_sha256: tokenizer_sha256.to_owned(),
            config_sha256: config.map(sha256),
        }
    }

    /// The file that holds its certificate.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("stable-v{CONTENT_VERSION}-{}.json", self.tokenizer_sha256))
    }
}

/// What is learned of a tokenizer by parsing and trying it.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) size: usize,
    pub(crate) bos: Option<u32>,
    pub(crate) certified: Certified,
}

/// The second line of the file; the first is the SHA-256 of the second.
#[derive(Serialize, Deserialize)]
struct CertificateFile {
    identity: Identity,
    size: usize,
    bos: Option<u32>,
    drops_leading_space: bool,
    candidates: usize,
    stable_found: usize,
    openers_found: usize,
    sample_tokens: u64,
    joints_checked: u64,
    joints_broken: u64,
    across_words: usize,
    splits_words: bool,
    took_ns: u64,
    stable: Vec<(u32, String)>,
    openers: Vec<(u32, String)>,
}

/// What was learned of this very tokenizer before; `None` when nothing was, or when the file is
/// damaged, which then is made anew.
pub(crate) fn read(folder: &Path, identity: &Identity) -> Option<Learned> {
    let bytes = disk::read_if_there(&identity.path(folder)).ok()??;
    let (digest, body) = bytes.split_at_checked(64)?;
    let body = body.strip_prefix(b"\n")?;
    if sha256(body).as_bytes() != digest {
        return None;
    }
    let file: CertificateFile = serde_json::from_slice(body).ok()?;
    (file.identity == *identity).then_some(())?;
    file.into_learned()
}

/// Keeps what was learned; the members that the subsets use, not all that were found.
pub(crate) fn write(folder: &Path, identity: &Identity, learned: &Learned) -> io::Result<()> {
    let body = serde_json::to_vec(&CertificateFile::of(identity, learned))?;
    let mut bytes = sha256(&body).into_bytes();
    bytes.push(b'\n');
    bytes.extend(body);
    disk::write_atomically(&identity.path(folder), &bytes)
}

impl CertificateFile {
    fn of(identity: &Identity, learned: &Learned) -> Self {
        let Certified { stable, openers, drops_leading_space, certificate } = &learned.certified;
        let rows = |members: &[Member]| members.iter().map(|m| (m.id, m.text.clone())).collect();
        Self {
            identity: identity.clone(),
            size: learned.size,
            bos: learned.bos,
            drops_leading_space: *drops_leading_space,
            candidates: certificate.candidates,
            stable_found: certificate.stable,
            openers_found: certificate.openers,
            sample_tokens: certificate.sample_tokens,
            joints_checked: certificate.joints_checked,
            joints_broken: certificate.joints_broken,
            across_words: certificate.across_words,
            splits_words: certificate.splits_words,
            took_ns: u64::try_from(certificate.took.as_nanos()).unwrap_or(u64::MAX),
            stable: rows(stable),
            openers: rows(openers),
        }
    }

    /// `None` for lists that no subset can be made of.
    fn into_learned(self) -> Option<Learned> {
        let certificate = Certificate {
            candidates: self.candidates,
            stable: self.stable_found,
            openers: self.openers_found,
            sample_tokens: self.sample_tokens,
            joints_checked: self.joints_checked,
            joints_broken: self.joints_broken,
            across_words: self.across_words,
            splits_words: self.splits_words,
            took: Duration::from_nanos(self.took_ns),
            kept: Kept::Read,
        };
        let certified = Certified {
            stable: members(self.stable)?,
            openers: members(self.openers)?,
            drops_leading_space: self.drops_leading_space,
            certificate,
        };
        Some(Learned { size: self.size, bos: self.bos, certified })
    }
}

/// At least one member, none longer than a subset can hold.
fn members(rows: Vec<(u32, String)>) -> Option<Vec<Member>> {
    let members: Vec<_> = rows.into_iter().map(|(id, text)| Member { id, text }).collect();
    let usable = !members.is_empty() && members.iter().all(|member| member.text.len() <= MAX_TEXT);
    usable.then_some(members)
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
