//! What the variables of this shell declare, and what they were meant to declare.

use std::collections::BTreeMap;
use std::env;

use super::launch::matching_environment;
use super::reason_text::ReasonText;
use super::status_report::hides_declarations;
use crate::domain::declarations::discovery::{self, Discovery};
use crate::domain::declarations::other_names;
use crate::domain::declarations::push;
use crate::domain::declarations::source::{Source, SourceKind};
use crate::domain::declarations::variable::{Family, Field};
use crate::domain::reasons::sourced_variable::THIS_SHELL;
use crate::domain::reasons::{DeclarationReason, Reason, Severity, SourcedVariable};
use crate::domain::servers::package_server;
use crate::wire::api::StatusDocument;

/// What the variables of this shell declare.
pub(super) fn of_this_shell() -> Discovery {
    let variables = matching_environment();
    let source = Source { kind: SourceKind::Pushed, name: THIS_SHELL.to_owned(), variables };
    discovery::discover(&[source], &BTreeMap::new())
}

/// Why sets of this shell that the agent does not know declare nothing, by `<NAME>`.
pub(super) fn undeclared(status: &StatusDocument) -> BTreeMap<String, Vec<Reason>> {
    let is_known = |name: &str| {
        let logins = status.registries.iter().flat_map(|it| [&it.name, &it.covers]).flatten();
        let mut known = logins.chain(status.problems.iter().map(|problem| &problem.name));
        known.any(|known| known.eq_ignore_ascii_case(name))
    };
    let mut sets: BTreeMap<String, Vec<Reason>> = BTreeMap::new();
    for problem in of_this_shell().problems {
        let is_of_known = push::sets_of(&problem).iter().any(|(_, name)| is_known(name));
        if problem.reason.severity() == Severity::Error && !is_of_known {
            sets.entry(problem.name).or_default().push(problem.reason);
        }
    }
    // Other programs have a use for such names, so they are a mistake only if nothing is declared.
    if status.registries.is_empty() && sets.is_empty() && !hides_declarations(&status.problems) {
        sets.extend(misnamed_sets().into_iter().map(|(name, reason)| (name, vec![reason])));
    }
    sets
}

/// Why sets of this shell declare nothing, each with its fix, in lines of at most `width`.
pub(super) fn undeclared_text(
    sets: &BTreeMap<String, Vec<Reason>>,
    width: Option<usize>,
) -> String {
    let of_set = |(name, reasons): (&String, &Vec<Reason>)| -> String {
        reasons.iter().map(|reason| ReasonText::of(name, reason).text(width)).collect()
    };
    sets.iter().map(of_set).collect()
}

/// The sets that have at least two of the variables that a set needs under other names, by `<NAME>`.
/// Where one has a correct name, the agent names the others itself.
pub(super) fn misnamed_sets() -> BTreeMap<String, Reason> {
    let variables = env::vars_os().filter(|(_, value)| !value.is_empty());
    let variables = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut sets: BTreeMap<String, BTreeMap<Field, (String, String)>> = BTreeMap::new();
    for (variable, value) in variables {
        let Some(parsed) = other_names::parse(&variable) else { continue };
        if matches!(parsed.field, Field::Server | Field::User | Field::Password) {
            let (name, field) = (parsed.name.to_owned(), parsed.field);
            sets.entry(name).or_default().entry(field).or_insert((variable, value));
        }
    }
    sets.retain(|_, variables| variables.len() >= 2);
    sets.into_iter().map(|(name, variables)| (name.clone(), misnamed(&name, variables))).collect()
}

fn misnamed(name: &str, variables: BTreeMap<Field, (String, String)>) -> Reason {
    let server = variables.get(&Field::Server).map(|(_, value)| value.as_str());
    let is_package = server.is_some_and(package_server::is_meant_by);
    let family = if is_package { Family::Package } else { Family::Container };
    let pair = |(field, (other, _)): (Field, (String, String))| {
        (SourcedVariable::new(other, THIS_SHELL), field.variable(family, name))
    };
    DeclarationReason::Misnamed { variables: variables.into_iter().map(pair).collect() }.into()
}
