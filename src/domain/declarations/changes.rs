//! The difference between two sets of declarations.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Variables;
use super::variable::Family;

/// Names whose declarations differ; each list is sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Names that are new.
    pub added: Vec<String>,
    /// Names that now declare another login.
    pub changed: Vec<String>,
    /// Names that are gone.
    pub removed: Vec<String>,
    /// The variables of AWS, proxies, TLS and docker that differ.
    pub variables: Vec<String>,
}

impl Difference {
    /// The difference as one line of text.
    pub fn summary(&self) -> String {
        let changed = [self.changed.as_slice(), &self.variables].concat();
        let lists = [("added", &self.added), ("changed", &changed), ("removed", &self.removed)];
        let parts: Vec<String> = lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        if parts.is_empty() { "nothing changed".to_owned() } else { parts.join("; ") }
    }
}

/// The sets of declarations, with a fingerprint of each.
pub type Declared = BTreeMap<(String, Family), u64>;

/// The difference from `before` to `after`. A name is in a list once, whichever of its sets differ.
pub fn between(before: &Declared, after: &Declared) -> Difference {
    let mut difference = Difference::default();
    for (set @ (name, _), fingerprint) in after {
        match before.get(set) {
            None => difference.added.push(name.clone()),
            Some(old) if old != fingerprint => difference.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let removed = before.keys().filter(|set| !after.contains_key(*set));
    difference.removed = removed.map(|(name, _)| name.clone()).collect();
    for names in [&mut difference.added, &mut difference.changed, &mut difference.removed] {
        names.dedup();
    }
    difference
}

/// The names of the variables that are set, unset or have another value in `after`.
pub fn of_variables(before: &Variables, after: &Variables) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    changed.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_the_list_it_belongs_to() {
        use Family::{Container, Package};
        let set = |sets: &[(&str, Family, u64)]| -> Declared {
            sets.iter().map(|&(name, family, print)| ((name.to_owned(), family), print)).collect()
        };
        let difference = between(
            &set(&[("A", Container, 1), ("A", Package, 1), ("B", Container, 2), ("C", Package, 3)]),
            &set(&[("B", Container, 2), ("C", Package, 4), ("D", Container, 5)]),
        );
        assert_eq!(difference.added, ["D"]);
        assert_eq!(difference.changed, ["C"]);
        assert_eq!(difference.removed, ["A"]);
    }
}
