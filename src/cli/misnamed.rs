//! Variables of this shell that have the names of another program, so that they declare nothing.

use std::collections::BTreeMap;
use std::env;

use crate::domain::declarations::other_names;
use crate::domain::declarations::variable::{Family, Field};
use crate::domain::reasons::ClientReason;

/// The sets that have at least two of the variables that a set needs under other names, by `<NAME>`.
/// Where one has a correct name, the agent names the others itself.
pub(super) fn misnamed_sets() -> BTreeMap<String, ClientReason> {
    let named = env::vars_os().filter(|(_, value)| !value.is_empty());
    let mut sets: BTreeMap<String, BTreeMap<Field, String>> = BTreeMap::new();
    for variable in named.filter_map(|(name, _)| name.into_string().ok()) {
        let Some(parsed) = other_names::parse(&variable) else { continue };
        if matches!(parsed.field, Field::Server | Field::User | Field::Password) {
            let (name, field) = (parsed.name.to_owned(), parsed.field);
            sets.entry(name).or_default().entry(field).or_insert(variable);
        }
    }
    sets.retain(|_, variables| variables.len() >= 2);
    let reason = |(name, variables): (String, BTreeMap<Field, String>)| {
        let pairs = variables
            .into_iter()
            .map(|(field, other)| (other, field.variable(Family::Container, &name)));
        let variables = pairs.collect();
        (name, ClientReason::Misnamed { variables })
    };
    sets.into_iter().map(reason).collect()
}
