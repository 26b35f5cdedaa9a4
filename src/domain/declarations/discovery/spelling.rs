//! Finds the intended sets where variables of one set are spelled as if they belonged to several.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::PasswordFiles;
use super::variable_set::Set;
use crate::domain::declarations::variable::{Family, Field};
use crate::domain::servers::package_server;
use crate::domain::servers::server::{Kind, Server};
use crate::domain::spelling::{is_typo_of, tolerated_typos};

/// The intended sets, sorted by name. Names are case-sensitive, but if `Acme_…_PASSWORD` is exactly
/// what `ACME` lacks, it is a misspelling and not a set of its own.
pub(super) fn merge_misspelt<'a>(sets: BTreeMap<(Family, &'a str), Set<'a>>) -> Vec<Set<'a>> {
    let mut groups: BTreeMap<(Family, String), Vec<Set<'_>>> = BTreeMap::new();
    for ((family, name), set) in sets {
        groups.entry((family, name.to_ascii_uppercase())).or_default().push(set);
    }
    let sets: Vec<Set<'_>> = groups.into_values().flat_map(merge_group).collect();
    // The other family is a more likely mistake than another letter.
    let sets = join_parts(sets, str::eq_ignore_ascii_case);
    let mut intended = join_parts(sets, is_similar);
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
        leader.take_misspelt(other);
    }
    others.push(leader);
    others
}

/// Joins the incomplete sets that are one complete set together and whose names are alike.
fn join_parts(sets: Vec<Set<'_>>, is_alike: fn(&str, &str) -> bool) -> Vec<Set<'_>> {
    let (parts, mut joined): (Vec<_>, Vec<_>) = sets.into_iter().partition(is_part);
    let mut groups: Vec<Vec<Set<'_>>> = Vec::new();
    for part in parts {
        let is_of_group =
            |group: &Vec<Set<'_>>| group.iter().any(|it| is_alike(it.name, part.name));
        let (of_group, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(is_of_group);
        groups = others;
        groups.push(of_group.into_iter().flatten().chain([part]).collect());
    }
    joined.extend(groups.into_iter().flat_map(join_group));
    joined
}

/// Whether the set may be a part of another. One that AWS serves without keys may be, too.
fn is_part(set: &Set<'_>) -> bool {
    !set.meant().is_empty() && (has_only_server(set) || is_incomplete(set))
}

fn has_only_server(set: &Set<'_>) -> bool {
    set.meant().iter().eq([&Field::Server])
}

fn is_incomplete(set: &Set<'_>) -> bool {
    let validated = || set.validate(&PasswordFiles::new());
    if has_only_server(set) {
        return validated().declaration.is_none();
    }
    set.meant().len() < 3 && validated().is_incomplete
}

/// Joins all sets of a group to the one that has most of the variables, if each variable is in one of
/// them: of several, nobody knows which one is meant.
fn join_group(mut group: Vec<Set<'_>>) -> Vec<Set<'_>> {
    let fields: BTreeSet<Field> = group.iter().flat_map(Set::meant).collect();
    let is_once = group.iter().map(|set| set.meant().len()).sum::<usize>() == fields.len();
    let family = family_of(&group, &fields);
    let has_user = family == Family::Package || fields.contains(&Field::User);
    let is_whole =
        [Field::Server, Field::Password].iter().all(|it| fields.contains(it)) && has_user;
    if group.len() < 2 || !is_once || !is_whole {
        return group;
    }
    group.sort_by_key(|set| {
        (set.family != family, Reverse(set.strength()), Reverse(set.meant().len()), set.name)
    });
    let mut parts = group.into_iter();
    let Some(mut whole) = parts.next() else { return Vec::new() };
    if !is_incomplete(&whole) {
        return [whole].into_iter().chain(parts).collect();
    }
    let mut joined = Vec::new();
    for part in parts {
        if is_incomplete(&part) {
            whole.take_misspelt(part);
        } else {
            // Its login works and stays.
            whole.add_misspelt(&part);
            joined.push(part);
        }
    }
    joined.push(whole);
    joined
}

/// The family that is meant by sets that are one set together: the server tells, or else the majority.
fn family_of(sets: &[Set<'_>], fields: &BTreeSet<Field>) -> Family {
    let server = sets.iter().find_map(|set| set.values.get(&Field::Server)).map(|it| it.text);
    let parsed = server.and_then(|text| Server::parse(text).ok());
    if server.is_some_and(package_server::is_meant_by) {
        Family::Package
    } else if parsed.is_some_and(|(server, _)| *server.kind() != Kind::Generic) {
        Family::Container
    } else {
        let of_packages = sets.iter().filter(|set| set.family == Family::Package);
        let of_packages: usize = of_packages.map(|set| set.meant().len()).sum();
        if of_packages * 2 >= fields.len() { Family::Package } else { Family::Container }
    }
}

/// Whether one name is probably the other one mistyped. Names that differ in a digit are numbered.
fn is_similar(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_uppercase(), other.to_ascii_uppercase());
    let letters = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
    one == other
        || (one.len().min(other.len()) >= SIMILAR_LENGTH
            && letters(&one) != letters(&other)
            && is_typo_of(&one, &other, tolerated_typos(&one)))
}

/// In a shorter name, another letter makes another name.
const SIMILAR_LENGTH: usize = 3;
