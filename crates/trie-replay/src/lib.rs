//! trie-replay.
