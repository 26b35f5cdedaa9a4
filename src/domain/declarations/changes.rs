//! The difference between two sets of declarations.

use std::collections::BTreeMap;

/// Names whose declarations differ; each list is sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Names that are new.
    pub added: Vec<String>,
    /// Names that now declare another login.
    pub changed: Vec<String>,
    /// Names that are gone.
    pub removed: Vec<String>,
}

impl Difference {
    /// The difference as one line of text.
    pub fn summary(&self) -> String {
        let lists =
            [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let parts: Vec<String> = lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        if parts.is_empty() { "nothing changed".to_owned() } else { parts.join("; ") }
    }
}

/// The difference from `before` to `after`; both map names to fingerprints.
pub fn between(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Difference {
    let mut difference = Difference::default();
    for (name, fingerprint) in after {
        match before.get(name) {
            None => difference.added.push(name.clone()),
            Some(old) if old != fingerprint => difference.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    difference.removed = before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_the_list_it_belongs_to() {
        let set = |pairs: &[(&str, u64)]| {
            pairs.iter().map(|&(name, print)| (name.to_owned(), print)).collect()
        };
        let difference =
            between(&set(&[("A", 1), ("B", 2), ("C", 3)]), &set(&[("B", 2), ("C", 4), ("D", 5)]));
        assert_eq!(difference.added, ["D"]);
        assert_eq!(difference.changed, ["C"]);
        assert_eq!(difference.removed, ["A"]);
    }
}
