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
