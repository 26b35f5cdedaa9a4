//! One `<NAME>_CONTAINER_REGISTRY_*` set, complete or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::declarations::layers::Value;
use crate::domain::declarations::variable::Field;
use crate::domain::reasons::SourcedVariable;

/// The variables of one name.
pub(super) struct Set<'a> {
    /// The `<NAME>`.
    pub(super) name: &'a str,
    /// Variables with the exact spelling and a value.
    pub(super) values: BTreeMap<Field, Value<'a>>,
    /// Misspelt variables, and the variable that each was meant to be.
    pub(super) look_alikes: Vec<(Field, SourcedVariable)>,
    /// The source of an empty `_SERVER`.
    pub(super) empty_server: Option<&'a str>,
}

impl<'a> Set<'a> {
    /// An empty set.
    pub(super) fn new(name: &'a str) -> Self {
        Self { name, values: BTreeMap::new(), look_alikes: Vec::new(), empty_server: None }
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
