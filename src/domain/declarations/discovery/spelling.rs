//! Finds the intended sets where names differ only in case.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::variable_set::Set;
use crate::domain::declarations::variable::Family;
use crate::domain::reasons::SourcedVariable;

/// The intended sets, sorted by name. Names are case-sensitive, but if `Acme_…_PASSWORD` is exactly
/// what `ACME` lacks, it is a misspelling and not a set of its own.
pub(super) fn merge_misspelt<'a>(sets: BTreeMap<(Family, &'a str), Set<'a>>) -> Vec<Set<'a>> {
    let mut groups: BTreeMap<(Family, String), Vec<Set<'_>>> = BTreeMap::new();
    for ((family, name), set) in sets {
        groups.entry((family, name.to_ascii_uppercase())).or_default().push(set);
    }
    let mut intended: Vec<Set<'_>> = groups.into_values().flat_map(merge_group).collect();
    intended.retain(Set::is_intended);
    intended.sort_by_key(|set| (set.name, set.family));
    intended
}

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
        let misnamed = other.values.iter();
        leader.look_alikes.extend(misnamed.map(|(field, value)| {
            (*field, SourcedVariable::new(other.variable(*field), value.source))
        }));
        leader.look_alikes.extend(other.look_alikes);
    }
    others.push(leader);
    others
}
