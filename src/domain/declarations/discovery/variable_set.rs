//! One `<NAME>_CONTAINER_REGISTRY_*` set, complete or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::declarations::layers::Value;
use crate::domain::declarations::variable::Field;

/// The variables of one name.
pub(super) struct Set<'a> {
    /// The `<NAME>`.
    pub(super) name: &'a str,
    /// What is set, rightly spelt, and not empty.
    pub(super) values: BTreeMap<Field, Value<'a>>,
    /// What is spelt otherwise, and which variable it was meant to be.
    pub(super) look_alikes: Vec<(Field, String)>,
    /// The source of a `_SERVER` that is set to nothing.
    pub(super) empty_server: Option<&'a str>,
}

impl<'a> Set<'a> {
    /// A set of which nothing is known.
    pub(super) fn new(name: &'a str) -> Self {
        Self { name, values: BTreeMap::new(), look_alikes: Vec::new(), empty_server: None }
    }

    /// Takes in one variable.
    pub(super) fn add(&mut self, field: Field, exact: bool, variable: &str, value: Value<'a>) {
        match (exact, value.text.is_empty()) {
            (true, false) => {
                self.values.insert(field, value);
            }
            (false, false) => self.look_alikes.push((field, variable.to_owned())),
            (true, true) if field == Field::Server => self.empty_server = Some(value.source),
            (_, true) => {}
        }
    }

    /// Whether somebody meant to declare a registry. Look-alikes alone must be two of the three that
    /// are required, because other programs have variables like `AZURE_CONTAINER_REGISTRY_ENDPOINT`.
    pub(super) fn is_meant(&self) -> bool {
        let alike: BTreeSet<Field> = self
            .look_alikes
            .iter()
            .map(|(field, _)| *field)
            .filter(|field| REQUIRED.contains(field))
            .collect();
        !self.values.is_empty() || alike.len() >= 2
    }

    /// How many of the required variables are there.
    pub(super) fn strength(&self) -> usize {
        REQUIRED.iter().filter(|field| self.values.contains_key(field)).count()
    }

    /// The source to name when something is wrong with the set as a whole.
    pub(super) fn source(&self) -> Option<String> {
        let fields = [Field::Password, Field::PasswordFile, Field::Server, Field::User];
        let value = fields.iter().find_map(|field| self.values.get(field));
        value.or_else(|| self.values.values().next()).map(|value| value.source.to_owned())
    }
}

const REQUIRED: [Field; 3] = [Field::Server, Field::User, Field::Password];
