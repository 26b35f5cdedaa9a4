//! One set of variables, complete or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::declarations::layers::Value;
use crate::domain::declarations::variable::{self, Family, Field};
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
    /// The value of a misspelt `_SERVER`, which tells what registry the set is for.
    pub(super) misspelt_server: Option<&'a str>,
}

/// A set whose variables have several names.
pub(super) struct Split {
    /// The variables with another name, and the name that each should have.
    pub(super) others: Vec<(SourcedVariable, String)>,
    /// The variables of the set.
    pub(super) rest: Vec<SourcedVariable>,
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
            misspelt_server: None,
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

    /// What is set instead of the fields that are missing, and the rest of the set, if all of them are
    /// there under names that are not those of the set.
    pub(super) fn split(&self, missing: &[Field]) -> Option<Split> {
        let instead = |field: Field| {
            let file = (field == Field::Password).then_some(Field::PasswordFile);
            let found = self.instead_of(field).map(|variable| (field, variable));
            found.or_else(|| file.and_then(|file| Some((file, self.instead_of(file)?))))
        };
        let mut others: Vec<_> =
            missing.iter().map(|field| instead(*field)).collect::<Option<_>>()?;
        let is_of_another_set = |variable: &SourcedVariable| {
            variable::parse(&variable.variable).is_some_and(|parsed| parsed.exact)
        };
        // `_USERNAME` alone in place of `_USER` is no other name of the set.
        if others.len() < 2 && !others.iter().any(|(_, variable)| is_of_another_set(variable)) {
            return None;
        }
        for (field, variable) in &self.look_alikes {
            let is_new = others.iter().all(|(known, _)| known != field);
            if is_new && !self.values.contains_key(field) && is_of_another_set(variable) {
                others.push((*field, variable));
            }
        }
        let named =
            |(field, variable): (Field, &SourcedVariable)| (variable.clone(), self.variable(field));
        Some(Split {
            others: others.into_iter().map(named).collect(),
            rest: self.sourced_values().map(|(_, variable)| variable).collect(),
        })
    }

    /// Takes the variables of another set as misspelt ones of this set.
    pub(super) fn take_misspelt(&mut self, other: Self) {
        self.add_misspelt(&other);
        self.look_alikes.extend(other.look_alikes);
    }

    /// Adds the variables of another set as misspelt ones of this set.
    pub(super) fn add_misspelt(&mut self, other: &Self) {
        self.look_alikes.extend(other.sourced_values());
        let server = other.values.get(&Field::Server).map(|value| value.text);
        self.misspelt_server = self.misspelt_server.or(server);
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

    /// The required variables that are set or misspelt; a file holds a password as well.
    pub(super) fn meant(&self) -> BTreeSet<Field> {
        let misspelt = self.look_alikes.iter().map(|(field, _)| field);
        let required = |field: &Field| match field {
            Field::PasswordFile => Field::Password,
            field => *field,
        };
        let fields = self.values.keys().chain(misspelt).map(required);
        fields.filter(|field| REQUIRED.contains(field)).collect()
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
