//! Names that other programs use for the values of a set, such as `ACME_REGISTRY_SERVER`. They are no
//! mistake by themselves, and most of their values are none of the agent's business.

use std::collections::BTreeSet;

use super::variable::{self, Family, SetVariable};

/// What others write instead of `_CONTAINER_REGISTRY_`.
const INFIXES: [&str; 4] = ["_DOCKER_REGISTRY_", "_REGISTRY_", "_CONTAINER_", "_DOCKER_"];

/// Splits such a name; `None` if it is the name of a set's variable, correct or misspelt, or has
/// nothing in common with one.
pub fn parse(variable: &str) -> Option<SetVariable<'_>> {
    if variable::parse(variable).is_some() {
        return None;
    }
    INFIXES.iter().find_map(|infix| {
        let at = variable.rfind(infix)?;
        let (name, suffix) = (&variable[..at], &variable[at + infix.len()..]);
        let family = Family::Container;
        let field = variable::field_of(suffix, family)?;
        (variable::is_name(name)).then_some(SetVariable { family, name, field, exact: false })
    })
}

/// The variables that the agent wants of a source: those that `sync` may send, and for a set that the
/// source has a variable of, those with another program's name, which the set may lack.
pub struct Wanted(BTreeSet<String>);

impl Wanted {
    /// What is wanted of a source with variables of these names.
    pub fn among<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let parsed = names.into_iter().filter_map(variable::parse).filter(|it| it.exact);
        Self(parsed.map(|it| it.name.to_owned()).collect())
    }

    /// Whether the variable of this name is wanted.
    pub fn has(&self, variable: &str) -> bool {
        variable::is_pushed(variable)
            || parse(variable).is_some_and(|parsed| self.0.contains(parsed.name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::variable::Field;
    use super::*;

    #[test]
    fn names_of_other_programs_are_split_like_those_of_a_set() {
        for (text, name, field) in [
            ("ACME_REGISTRY_SERVER", "ACME", Field::Server),
            ("ACME_DOCKER_REGISTRY_USERNAME", "ACME", Field::User),
            ("ACME_CONTAINER_PASSWORD", "ACME", Field::Password),
            ("ACME_DOCKER_TOKEN", "ACME", Field::Password),
            ("NPM_CONFIG_REGISTRY_SERVER", "NPM_CONFIG", Field::Server),
        ] {
            let expected = SetVariable { family: Family::Container, name, field, exact: false };
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in ["ACME_CONTAINER_REGISTRY_USER", "REGISTRY_USER", "ACME_REGISTRY_PORT", "PATH"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn they_are_wanted_only_beside_a_variable_of_their_set() {
        let names = ["ACME_CONTAINER_REGISTRY_USER", "ACME_REGISTRY_SERVER", "CI_REGISTRY_USER"];
        let wanted = Wanted::among(names);
        assert_eq!(names.map(|name| wanted.has(name)), [true, true, false]);
    }
}
