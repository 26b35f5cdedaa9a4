//! One set of variables, complete or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::declarations::layers::Value;
use crate::domain::declarations::variable::{Family, Field};
use crate::domain::reasons::SourcedVariable;

/// The variables of one family and name.
pub(super) struct Set<'a> {
    /// Whether it is a set of a container registry or of a package registry.
    pub(super) family: Family,
    /// The `<NAME>`.
    pub(super) name: &'a str,
    /// Variables with the exact spelling and a value.
    pub(super) values: BTreeMap<Field, Value<'a>>,
    /// Misspelt variables, and the variable that each was meant to be.
    pub(super) look_alikes: Vec<(Field, SourcedVariable)>,
    /// Variables with another program's name for a variable of the set. They count as a hint only.
    pub(super) other_names: Vec<(Field, SourcedVariable)>,
    /// The source of an empty `_SERVER`.
    pub(super) empty_server: Option<&'a str>,
}

impl<'a> Set<'a> {
    /// An empty set.
    pub(super) fn new(family: Family, name: &'a str) -> Self {
        Self {
            family,
            name,
            values: BTreeMap::new(),
            look_alikes: Vec::new(),
            other_names: Vec::new(),
            empty_server: None,
        }
    }

    /// The full name of a variable of this set.
    pub(super) fn variable(&self, field: Field) -> String {
        field.variable(self.family, self.name)
    }

    /// Adds a variable.
    pub(super) fn add(&mut self, field: Field, exact: bool, variable: &str, value: Value<'a>) {
        match (exact, value.text.is_empty()) {
            (true, false) => {
                self.values.insert(field, value);
            }
            (false, false) => {
                self.look_alikes.push((field, SourcedVariable::new(variable, value.source)));
            }
            (true, true) if field == Field::Server => self.empty_server = Some(value.source),
            (_, true) => {}
        }
    }

    /// The variable that is set instead of `field`, which is missing.
    pub(super) fn instead_of(&self, field: Field) -> Option<&SourcedVariable> {
        let mut alike = self.look_alikes.iter().chain(&self.other_names);
        alike.find(|(meant, _)| *meant == field).map(|(_, variable)| variable)
    }

    /// Takes the variables of another set as misspelt ones of this set.
    pub(super) fn take_misspelt(&mut self, other: Self) {
        self.look_alikes.extend(other.sourced_values());
        self.look_alikes.extend(other.look_alikes);
    }

    /// The variables with the exact spelling.
    pub(super) fn sourced_values(&self) -> impl Iterator<Item = (Field, SourcedVariable)> {
        self.values.iter().map(|(field, value)| {
            (*field, SourcedVariable::new(self.variable(*field), value.source))
        })
    }

    /// The misspelt variable of each field, with its correct name, if no variable is spelled correctly.
    pub(super) fn all_misspelt(&self) -> Option<Vec<(SourcedVariable, String)>> {
        if !self.values.is_empty() {
            return None;
        }
        let is_lower = |text: &str| !text.contains(|c: char| c.is_ascii_uppercase());
        let all_lower = self.look_alikes.iter().all(|(_, it)| is_lower(&it.variable));
        // Nobody writes a part of a name in another case.
        let name = if all_lower { self.name.to_ascii_uppercase() } else { self.name.to_owned() };
        let mut by_field: BTreeMap<Field, SourcedVariable> = BTreeMap::new();
        for (field, variable) in &self.look_alikes {
            by_field.entry(*field).or_insert_with(|| variable.clone());
        }
        let named = |(field, variable): (Field, SourcedVariable)| {
            (variable, field.variable(self.family, &name))
        };
        Some(by_field.into_iter().map(named).collect())
    }

    /// Whether neither set is complete, and both are one complete set together.
    pub(super) fn completes(&self, other: &Self) -> bool {
        let [own, theirs] = [self, other].map(Self::required_values);
        // A package registry may take the password as a token.
        let needs_user = ![self.family, other.family].contains(&Family::Package);
        let has = |field: &Field| own.contains(field) || theirs.contains(field);
        own.is_disjoint(&theirs)
            && !own.is_empty()
            && !theirs.is_empty()
            && REQUIRED.iter().all(|field| has(field) || (!needs_user && *field == Field::User))
    }

    /// The required variables that are set; a file holds a password as well.
    fn required_values(&self) -> BTreeSet<Field> {
        let meant = |field: &Field| match field {
            Field::PasswordFile => Field::Password,
            field => *field,
        };
        self.values.keys().map(meant).filter(|field| REQUIRED.contains(field)).collect()
    }

    /// Whether the set is meant to declare a registry. Misspelt variables count only if two of the three
    /// required ones are there, because other programs use names such as
    /// `AZURE_CONTAINER_REGISTRY_ENDPOINT`.
    pub(super) fn is_intended(&self) -> bool {
        let alike: BTreeSet<Field> = self
            .look_alikes
            .iter()
            .map(|(field, _)| *field)
            .filter(|field| REQUIRED.contains(field))
            .collect();
        !self.values.is_empty() || alike.len() >= 2
    }

    /// The number of required variables that are set.
    pub(super) fn strength(&self) -> usize {
        REQUIRED.iter().filter(|field| self.values.contains_key(field)).count()
    }

    /// The source to name in problems of the whole set.
    pub(super) fn source(&self) -> Option<String> {
        let fields = [Field::Password, Field::PasswordFile, Field::Server, Field::User];
        let value = fields.iter().find_map(|field| self.values.get(field));
        value.or_else(|| self.values.values().next()).map(|value| value.source.to_owned())
    }
}

const REQUIRED: [Field; 3] = [Field::Server, Field::User, Field::Password];
