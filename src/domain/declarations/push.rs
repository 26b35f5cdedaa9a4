//! What a pushed environment keeps of the previous one.

use std::collections::BTreeSet;

use super::discovery::{self, Discovery};
use super::source::{Source, Variables};
use super::variable;
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{DeclarationReason, Reason};

/// Finds the sets that are incomplete in `after` but were complete in `before`: they are kept,
/// because a `sync` from a shell without the secret must not remove a login. Returns their variables
/// and what each of them lacks in `after`.
pub fn kept_sets(
    held: &Variables,
    pushed: &Variables,
    before: &[Source],
    after: &[Source],
) -> (Variables, Vec<Problem>) {
    let nothing = discovery::PasswordFiles::new();
    let (before, after) =
        (discovery::discover(before, &nothing), discovery::discover(after, &nothing));
    let incomplete_before = incomplete(&before);
    let in_push: BTreeSet<&str> = pushed
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(variable, _)| set_of(variable))
        .collect();
    let kept: BTreeSet<&str> = incomplete(&after)
        .into_iter()
        .filter(|name| in_push.contains(name) && before.names.contains(*name))
        .filter(|name| !incomplete_before.contains(name))
        .collect();
    let of_kept_set = |variable: &str| set_of(variable).is_some_and(|name| kept.contains(name));
    let variables = held
        .iter()
        .filter(|(variable, _)| of_kept_set(variable))
        .map(|(variable, value)| (variable.clone(), value.clone()));
    let missing = |problem: &&Problem| kept.contains(problem.name.as_str()) && is_missing(problem);
    let problems = after.problems.iter().filter(missing).cloned().collect();
    (variables.collect(), problems)
}

/// The `<NAME>` of the set that the variable belongs to.
pub fn set_of(variable: &str) -> Option<&str> {
    variable::parse(variable).filter(|parsed| parsed.exact).map(|parsed| parsed.name)
}

fn incomplete(found: &Discovery) -> BTreeSet<&str> {
    let problems = found.problems.iter().filter(|problem| is_missing(problem));
    problems.map(|problem| problem.name.as_str()).collect()
}

fn is_missing(problem: &Problem) -> bool {
    use DeclarationReason::{EmptyServer, Missing};
    matches!(problem.reason, Reason::Declaration(Missing { .. } | EmptyServer { .. }))
}
