//! The sources merged variable by variable, the highest first.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, Variables};
use super::variable::{self, Family, Field};
use crate::domain::credentials::secret::Secret;

/// The merged value of each variable.
#[derive(Default)]
pub struct Layers<'a> {
    values: BTreeMap<&'a str, Value<'a>>,
}

/// A value and its source.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    /// The value without its last line end; empty if it is empty in every source.
    pub text: &'a str,
    /// The label of the source.
    pub source: &'a str,
}

impl<'a> Layers<'a> {
    /// Merges `sources` by their kind and, within a kind, in the given order. An empty value counts as
    /// unset and hides nothing.
    pub fn of(sources: &'a [Source]) -> Self {
        let mut ranked: Vec<&Source> = sources.iter().collect();
        ranked.sort_by_key(|source| source.kind);
        let mut values: BTreeMap<&str, Value<'_>> = BTreeMap::new();
        for source in ranked {
            for (variable, secret) in &source.variables {
                let value = Value { text: trim_line_end(secret.reveal()), source: &source.name };
                let known = values.entry(variable).or_insert(value);
                if known.text.is_empty() {
                    *known = value;
                }
            }
        }
        Self { values }
    }

    /// The variable's value, unless it is unset or empty.
    pub fn get(&self, variable: &str) -> Option<Value<'a>> {
        self.values.get(variable).copied().filter(|value| !value.text.is_empty())
    }

    /// The variables of all sources, including empty ones, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.values.iter().map(|(variable, value)| (*variable, *value))
    }
}

/// The variables that configure AWS, proxies, TLS and docker: `AWS_*`, `*_PROXY`, `SSL_CERT_*`,
/// `DOCKER_CONFIG`. A value that no process could have in its environment, because it contains NUL,
/// is left out.
pub fn merged_environment(sources: &[Source]) -> Variables {
    Layers::of(sources)
        .iter()
        .filter(|(variable, _)| variable::is_tool_variable(variable))
        .filter(|(_, value)| !value.text.is_empty() && !value.text.contains('\0'))
        .map(|(variable, value)| (variable.to_owned(), Secret::new(value.text)))
        .collect()
}

/// The name of this codespace, if it is one.
pub fn codespace_name(sources: &[Source]) -> Option<String> {
    Layers::of(sources).get("CODESPACE_NAME").map(|value| value.text.to_owned())
}

/// Whether a pushed environment replaces the previous one, `held`. One that declares no registry
/// does not, because it comes from a shell without the secrets. Neither does `GITHUB_TOKEN` alone, or a
/// misspelt set: it is a login or a problem too, but must not remove declared ones.
pub fn push_counts(held: Option<&Variables>, pushed: &Variables) -> bool {
    let has_token = pushed.get("GITHUB_TOKEN").is_some_and(|token| !token.is_empty());
    let is_something = has_token || has_misspelt_set(pushed);
    declares_registry(pushed) || (is_something && !held.is_some_and(declares_registry))
}

/// Whether at least two required variables of one set are there in another spelling.
fn has_misspelt_set(variables: &Variables) -> bool {
    let set = variables.iter().filter(|(_, value)| !value.is_empty());
    let parsed = set.filter_map(|(variable, _)| variable::parse(variable));
    let required = [Field::Server, Field::User, Field::Password];
    let misspelt = parsed.filter(|it| !it.exact && required.contains(&it.field));
    let mut fields: BTreeMap<(Family, String), BTreeSet<Field>> = BTreeMap::new();
    for it in misspelt {
        let name = it.name.to_ascii_uppercase();
        fields.entry((it.family, name)).or_default().insert(it.field);
    }
    fields.values().any(|fields| fields.len() >= 2)
}

/// Whether a set has one of its required variables.
pub fn declares_registry(variables: &Variables) -> bool {
    variables.iter().any(|(variable, value)| {
        variable::parse(variable).is_some_and(|parsed| {
            let essential = [Field::Server, Field::User, Field::Password, Field::PasswordFile];
            parsed.exact && essential.contains(&parsed.field) && !value.is_empty()
        })
    })
}

/// The text without its last line end, which `echo` and editors add.
pub fn trim_line_end(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::source::SourceKind;
    use super::*;

    fn source(kind: SourceKind, name: &str, variables: &[(&str, &str)]) -> Source {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
        Source { kind, name: name.to_owned(), variables: variables.collect() }
    }

    #[test]
    fn the_highest_source_with_a_value_wins() {
        let sources = [
            source(SourceKind::Environment, "start", &[("A", "low"), ("B", "low"), ("C", "low")]),
            source(SourceKind::Pushed, "sync", &[("A", "high"), ("B", "\n")]),
        ];
        let layers = Layers::of(&sources);
        let heard = ["A", "B", "C"].map(|name| layers.get(name).unwrap().text);
        assert_eq!(heard, ["high", "low", "low"]);
    }

    #[test]
    fn one_line_end_is_dropped_and_no_more() {
        for (text, trimmed) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\r", "a\r")] {
            assert_eq!(trim_line_end(text), trimmed, "{text:?}");
        }
    }

    #[test]
    fn the_merged_environment_holds_only_what_tools_read_and_a_process_can_have() {
        let sources = [source(
            SourceKind::Pushed,
            "sync",
            &[("AWS_PROFILE", "p\n"), ("PATH", "/bin"), ("no_proxy", "x"), ("AWS_REGION", "a\0b")],
        )];
        let names: Vec<String> = merged_environment(&sources).into_keys().collect();
        assert_eq!(names, ["AWS_PROFILE", "no_proxy"]);
    }

    #[test]
    fn a_push_without_registries_removes_nothing() {
        let set = Variables::from([("A_CONTAINER_REGISTRY_USER".to_owned(), "u".into())]);
        let token = Variables::from([("GITHUB_TOKEN".to_owned(), "t".into())]);
        let shell = Variables::from([("AWS_PROFILE".to_owned(), "p".into())]);
        assert!(push_counts(Some(&token), &set));
        assert!(push_counts(None, &token) && push_counts(Some(&token), &token));
        assert!(!push_counts(Some(&set), &token));
        let lower = ["a_container_registry_server", "a_container_registry_user"];
        let lower = Variables::from(lower.map(|name| (name.to_owned(), "x".into())));
        assert!(push_counts(None, &lower) && !push_counts(Some(&set), &lower));
        assert!(!push_counts(None, &shell) && !push_counts(Some(&set), &shell));
    }
}
