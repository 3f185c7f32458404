//! Which of our crates may name which.

use crate::repo::{Dependency, Package};

/// A crate, what it may name, and what only its tests may name besides.
struct Arrows {
    from: &'static str,
    to: &'static [&'static str],
    tests: &'static [&'static str],
}

/// The table of ARCHITECTURE.md, with the places of crates that are still to come.
const TABLE: [Arrows; 9] = [
    Arrows { from: "trie-core", to: &[], tests: &[] },
    Arrows { from: "trie-tokens", to: &[], tests: &[] },
    Arrows { from: "trie-import", to: &["trie-core", "trie-tokens"], tests: &[] },
    Arrows { from: "trie-sim", to: &["trie-core", "trie-tokens"], tests: &[] },
    Arrows { from: "trie-replay", to: &["trie-core", "trie-tokens"], tests: &["trie-sim"] },
    Arrows {
        from: "trie-cli",
        to: &["trie-core", "trie-tokens", "trie-import", "trie-sim", "trie-replay"],
        tests: &[],
    },
    Arrows {
        from: "trie-py",
        to: &["trie-core", "trie-tokens", "trie-import", "trie-sim", "trie-replay", "trie-cli"],
        tests: &[],
    },
    Arrows {
        from: "trie-bench",
        to: &["trie-core", "trie-tokens", "trie-import", "trie-sim", "trie-replay", "trie-cli"],
        tests: &[],
    },
    Arrows { from: "xtask", to: &[], tests: &[] },
];

/// What trie-core may not depend on: sockets, clocks, the machine.
const OUTSIDE_OF_CORE: [&str; 5] = ["tokio", "hyper", "nix", "libc", "mio"];

/// Every arrow between our crates that is not in the table, and every crate that is not in it.
pub(super) fn violations(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(violations_of).collect()
}

fn violations_of(package: &Package) -> Vec<String> {
    let Some(arrows) = TABLE.iter().find(|arrows| arrows.from == package.name) else {
        return vec![format!("{}: not in the table of crates", package.name)];
    };
    package.dependencies.iter().filter_map(|to| violation(arrows, to)).collect()
}

fn violation(arrows: &Arrows, to: &Dependency) -> Option<String> {
    let name = to.name.as_str();
    let in_tests = to.kind.as_deref() == Some("dev");
    let ours_and_barred = to.path.is_some()
        && !arrows.to.contains(&name)
        && !(in_tests && arrows.tests.contains(&name));
    let barred_from_core = arrows.from == "trie-core" && OUTSIDE_OF_CORE.contains(&name);
    (ours_and_barred || barred_from_core).then(|| {
        let kind = to.kind.as_deref().unwrap_or("normal");
        format!("{} -> {name}: not in the table of crates ({kind} dependency)", arrows.from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `from -> to` (with `dev` or `build` before the arrow), and whether it is refused.
    fn check(arrow: &str, refused: bool) {
        let (from, to) = arrow.split_once(" -> ").expect("an arrow");
        let (from, kind) = match from.split_once(' ') {
            Some((from, kind)) => (from, Some(kind.to_owned())),
            None => (from, None),
        };
        let path = (to.starts_with("trie") || to == "xtask").then(|| to.into());
        let dependencies = vec![Dependency { name: to.to_owned(), kind, path }];
        let found = violations(&[Package { name: from.to_owned(), dependencies }]);
        assert_eq!(!found.is_empty(), refused, "{arrow}: {found:?}");
    }

    #[test]
    fn arrows_of_the_table_pass() {
        check("trie-sim -> trie-core", false);
        check("trie-replay -> trie-tokens", false);
        check("trie-cli -> trie-sim", false);
        check("trie-bench -> trie-cli", false);
        check("trie-core -> serde", false);
        check("trie-replay -> tokio", false);
    }

    #[test]
    fn arrows_against_the_table_are_refused() {
        check("trie-core -> trie-tokens", true);
        check("trie-core dev -> trie-sim", true);
        check("trie-sim -> trie-replay", true);
        check("trie-sim dev -> trie-replay", true);
        check("trie-tokens build -> trie-core", true);
        check("trie-bench -> trie-py", true);
        check("xtask -> trie-core", true);
        check("trie-core -> tokio", true);
        check("trie-core dev -> nix", true);
    }

    #[test]
    fn only_the_tests_of_the_real_driver_may_name_the_simulated_engine() {
        check("trie-replay dev -> trie-sim", false);
        check("trie-replay -> trie-sim", true);
    }

    #[test]
    fn a_crate_outside_the_table_is_refused() {
        let package = Package { name: "trie-extra".to_owned(), dependencies: Vec::new() };
        assert_eq!(violations(&[package]), ["trie-extra: not in the table of crates"]);
    }
}
