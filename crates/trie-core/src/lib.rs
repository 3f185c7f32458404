//! trie-core.
