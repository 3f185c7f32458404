//! trie-sim.
