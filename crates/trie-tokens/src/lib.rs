//! trie-tokens.
