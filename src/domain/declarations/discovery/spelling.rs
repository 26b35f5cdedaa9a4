//! Finds the intended sets where variables of one set are spelled as if they belonged to several.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::variable_set::Set;
use crate::domain::declarations::variable::{Family, Field};
use crate::domain::servers::package_server;
use crate::domain::spelling::{is_typo_of, tolerated_typos};

/// The intended sets, sorted by name. Names are case-sensitive, but if `Acme_…_PASSWORD` is exactly
/// what `ACME` lacks, it is a misspelling and not a set of its own.
pub(super) fn merge_misspelt<'a>(sets: BTreeMap<(Family, &'a str), Set<'a>>) -> Vec<Set<'a>> {
    let mut groups: BTreeMap<(Family, String), Vec<Set<'_>>> = BTreeMap::new();
    for ((family, name), set) in sets {
        groups.entry((family, name.to_ascii_uppercase())).or_default().push(set);
    }
    let mut intended: Vec<Set<'_>> = groups.into_values().flat_map(merge_group).collect();
    intended.retain(Set::is_intended);
    let mut intended = merge_families(intended);
    intended.sort_by_key(|set| (set.name, set.family));
    hint_at_neighbours(&mut intended);
    intended
}

/// Merges two incomplete sets of one name and both families that are one set together: the server
/// tells its family.
fn merge_families(sets: Vec<Set<'_>>) -> Vec<Set<'_>> {
    let mut merged: Vec<Set<'_>> = Vec::new();
    for set in sets {
        let is_half = |known: &&mut Set<'_>| known.name == set.name && known.completes(&set);
        let Some(known) = merged.iter_mut().find(is_half) else {
            merged.push(set);
            continue;
        };
        let server = known.values.get(&Field::Server).or(set.values.get(&Field::Server));
        let is_package = server.is_some_and(|server| package_server::is_meant_by(server.text));
        let meant = if is_package { Family::Package } else { Family::Container };
        if known.family == meant {
            known.take_misspelt(set);
        } else {
            let other = std::mem::replace(known, set);
            known.take_misspelt(other);
        }
    }
    merged
}

/// Adds to each of two incomplete sets of similar names the variables of the other, if they are one set
/// together. They count as a hint only, because either name may be the right one.
fn hint_at_neighbours(sets: &mut [Set<'_>]) {
    let mut hints = Vec::new();
    for (at, set) in sets.iter().enumerate() {
        let is_half = |other: &&Set<'_>| {
            set.family == other.family && is_similar(set.name, other.name) && set.completes(other)
        };
        let mut halves = sets.iter().filter(is_half);
        // Of several, nobody knows which one is meant.
        if let (Some(half), None) = (halves.next(), halves.next()) {
            hints.push((at, half.sourced_values().collect::<Vec<_>>()));
        }
    }
    for (at, hint) in hints {
        sets[at].other_names.extend(hint);
    }
}

/// Whether one name is probably the other one mistyped. Names that differ in a digit are numbered.
fn is_similar(one: &str, other: &str) -> bool {
    let letters = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
    let shorter = one.len().min(other.len());
    shorter >= SIMILAR_LENGTH
        && one != other
        && letters(one) != letters(other)
        && is_typo_of(one, other, tolerated_typos(one))
}

/// In a shorter name, another letter makes another name.
const SIMILAR_LENGTH: usize = 3;

/// Adds the sets that only fill gaps of the most complete set to it, as misspelt variables.
fn merge_group(mut group: Vec<Set<'_>>) -> Vec<Set<'_>> {
    group.sort_by_key(|set| (Reverse(set.strength()), set.name));
    let mut group = group.into_iter();
    let Some(mut leader) = group.next() else { return Vec::new() };
    let mut others = Vec::new();
    for other in group {
        if other.values.keys().any(|field| leader.values.contains_key(field)) {
            others.push(other);
            continue;
        }
        leader.take_misspelt(other);
    }
    others.push(leader);
    others
}
