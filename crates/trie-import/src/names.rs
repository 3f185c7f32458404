//! Names as salted hashes, and the salt.

use sha2::{Digest, Sha256};

/// Mixed into every hash: without it, a hash of a short name could be looked up.
#[derive(Clone, Copy, Debug)]
pub struct Salt(pub u64);

impl Salt {
    /// 64 bits of the hash of parts, each with its length, so that no two lists of parts are alike.
    pub(crate) fn hash(self, parts: &[&[u8]]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.0.to_le_bytes());
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        u64::from_be_bytes(*digest.first_chunk().expect("sha256 has 32 bytes"))
    }

    /// A name in 16 hexadecimal digits, after a word that says what it names.
    pub(crate) fn name(self, what: &str, name: &str) -> String {
        format!("{what}-{:016x}", self.hash(&[what.as_bytes(), name.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_the_salt_and_on_where_parts_end() {
        let salt = Salt(1);
        assert_eq!(salt.name("id", "S1"), salt.name("id", "S1"));
        assert_ne!(salt.name("id", "S1"), Salt(2).name("id", "S1"));
        assert_ne!(salt.hash(&[b"ab", b"c"]), salt.hash(&[b"a", b"bc"]));
    }
}
