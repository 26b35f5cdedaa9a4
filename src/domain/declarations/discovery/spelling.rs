//! Which sets were meant, where names differ in case only.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::variable_set::Set;
use crate::domain::declarations::variable::Field;

/// The sets that were meant, sorted by name. Names are case-sensitive; but where `Acme_…_PASSWORD` is
/// just what `ACME` lacks, it is a misspelling of that set and not a set of its own.
pub(super) fn settle<'a>(sets: BTreeMap<&'a str, Set<'a>>) -> Vec<Set<'a>> {
    let mut groups: BTreeMap<String, Vec<Set<'_>>> = BTreeMap::new();
    for (name, set) in sets {
        groups.entry(name.to_ascii_uppercase()).or_default().push(set);
    }
    let mut meant: Vec<Set<'_>> = groups.into_values().flat_map(gather).collect();
    meant.retain(Set::is_meant);
    meant.sort_by_key(|set| set.name);
    meant
}

/// Gives the strongest set of a group the ones that only fill its gaps, as look-alikes.
fn gather(mut group: Vec<Set<'_>>) -> Vec<Set<'_>> {
    group.sort_by_key(|set| (Reverse(set.strength()), set.name));
    let mut group = group.into_iter();
    let Some(mut leader) = group.next() else { return Vec::new() };
    let mut others = Vec::new();
    for other in group {
        if other.values.keys().any(|field| leader.values.contains_key(field)) {
            others.push(other);
            continue;
        }
        let misnamed: Vec<Field> = other.values.keys().copied().collect();
        leader
            .look_alikes
            .extend(misnamed.into_iter().map(|field| (field, field.variable(other.name))));
        leader.look_alikes.extend(other.look_alikes);
    }
    others.push(leader);
    others
}
