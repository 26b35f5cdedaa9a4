//! What a pushed environment keeps of the previous one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::declaration::Declaration;
use super::discovery::{self, Discovery};
use super::source::{Source, Variables};
use super::variable::{self, Family};
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{self, DeclarationReason, Reason, Severity};

/// The label of what `sync` sent.
pub const PUSHED: &str = "sync";

/// A login that `sync` declared, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedLogin {
    /// The `<NAME>`.
    pub name: String,
    /// The family of its set.
    pub family: Family,
    /// The canonical server.
    pub server: String,
    /// The keys that it is published under.
    pub keys: Vec<String>,
}

impl PushedLogin {
    /// The login, if `sync` sent a part of it.
    pub fn of(declaration: &Declaration) -> Option<Self> {
        let mut sources = declaration.variables.iter().map(|variable| &*variable.source);
        sources.any(|source| source == PUSHED).then_some(())?;
        let server = &declaration.server;
        Some(Self {
            name: declaration.set_name()?.to_owned(),
            family: declaration.family(),
            server: server.name().to_owned(),
            keys: server.keys(),
        })
    }

    /// That nothing declares it any more.
    pub fn lost(&self) -> Problem {
        let server = reasons::shown(&self.server).to_owned();
        Problem {
            family: Some(self.family),
            name: self.name.clone(),
            source: None,
            server: Some(self.server.clone()),
            reason: DeclarationReason::Lost { server }.into(),
        }
    }
}

/// The sets that are incomplete in a push.
pub struct IncompleteSets {
    /// The variables of the sets that keep their previous values.
    pub variables: Variables,
    /// What those sets lack in the push.
    pub kept: Vec<Problem>,
    /// The sets whose pushed variables do not count.
    pub ignored: BTreeSet<(Family, String)>,
    /// What the sets lack that did not work before either.
    pub others: Vec<Problem>,
}

/// Finds the sets that are incomplete in `after`. Those that were complete and valid in `before` are
/// kept, because a `sync` from a shell without the secret must not remove a login.
pub fn incomplete_sets(
    held: &Variables,
    pushed: &Variables,
    before: &[Source],
    after: &[Source],
) -> IncompleteSets {
    let nothing = discovery::PasswordFiles::new();
    let (before, after) =
        (discovery::discover(before, &nothing), discovery::discover(after, &nothing));
    let errors_before = before.problems.iter().filter(|it| it.reason.severity() == Severity::Error);
    let broken_before: BTreeSet<SetId<'_>> = errors_before.map(id_of).collect();
    let in_push: BTreeSet<SetId<'_>> = pushed
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(variable, _)| set_of(variable))
        .collect();
    let whole_before: BTreeSet<SetId<'_>> = before
        .sets
        .iter()
        .map(|(family, name)| (*family, name.as_str()))
        .filter(|set| !broken_before.contains(set))
        .collect();
    let is_kept = |set: &SetId<'_>| whole_before.contains(set);
    let incomplete = incomplete(&after);
    let of_kept_set = |variable: &str| {
        set_of(variable).is_some_and(|set| is_kept(&set) && incomplete.contains(&set))
    };
    let variables = held
        .iter()
        .filter(|(variable, _)| of_kept_set(variable))
        .map(|(variable, value)| (variable.clone(), value.clone()))
        .collect();
    let (kept, others): (Vec<&Problem>, Vec<&Problem>) = after
        .problems
        .iter()
        .filter(|problem| is_missing(problem))
        .filter(|problem| sets_of(problem).iter().any(|set| in_push.contains(set)))
        .partition(|problem| sets_of(problem).iter().any(is_kept));
    let ignored = kept.iter().flat_map(|problem| sets_of(problem));
    IncompleteSets {
        variables,
        ignored: ignored.map(|(family, name)| (family, name.to_owned())).collect(),
        kept: kept.iter().flat_map(|problem| previous_values_stay(problem, &is_kept)).collect(),
        others: others.into_iter().cloned().collect(),
    }
}

/// What the sets that keep their values lack, instead of the problem.
fn previous_values_stay(problem: &Problem, is_kept: &dyn Fn(&SetId<'_>) -> bool) -> Vec<Problem> {
    use DeclarationReason::{EmptyServer, IncompletePush, Missing, Split};
    let Reason::Declaration(reason) = &problem.reason else { return Vec::new() };
    let reasons = match reason {
        Missing { missing, misspelt, .. } => {
            vec![IncompletePush { missing: missing.clone(), misspelt: misspelt.clone() }]
        }
        EmptyServer { variable } => {
            vec![IncompletePush { missing: variable.variable.to_string(), misspelt: None }]
        }
        Split { others, rest } => {
            let all = others.iter().map(|(variable, _)| variable).chain(rest);
            let sets = sets_of(problem);
            let kept = sets.iter().find(|set| is_kept(set));
            all.filter_map(|other| {
                let (family, name) = *kept?;
                let field = variable::parse(&other.variable)?.field;
                let missing = field.variable(family, name);
                let misspelt = Some(other.clone());
                (missing != *other.variable).then_some(IncompletePush { missing, misspelt })
            })
            .collect()
        }
        _ => return Vec::new(),
    };
    let kept = sets_of(problem).into_iter().find(|set| is_kept(set));
    let (family, name) = kept.unwrap_or(id_of(problem));
    let named = |reason: DeclarationReason| Problem {
        family: Some(family),
        name: name.to_owned(),
        reason: reason.into(),
        ..problem.clone()
    };
    reasons.into_iter().map(named).collect()
}

/// The family and the `<NAME>` of a set.
pub type SetId<'a> = (Family, &'a str);

/// The set that the variable belongs to.
pub fn set_of(variable: &str) -> Option<SetId<'_>> {
    let parsed = variable::parse(variable).filter(|parsed| parsed.exact)?;
    Some((parsed.family, parsed.name))
}

/// The set that the problem is about.
pub fn id_of(problem: &Problem) -> SetId<'_> {
    (problem.family.unwrap_or_default(), &problem.name)
}

/// The sets that the problem is about: several if one has the names of several.
pub fn sets_of(problem: &Problem) -> BTreeSet<SetId<'_>> {
    let mut sets = BTreeSet::from([id_of(problem)]);
    if let Reason::Declaration(DeclarationReason::Split { others, .. }) = &problem.reason {
        sets.extend(others.iter().filter_map(|(other, _)| set_of(&other.variable)));
    }
    sets
}

fn incomplete(found: &Discovery) -> BTreeSet<SetId<'_>> {
    found.problems.iter().filter(|problem| is_missing(problem)).flat_map(sets_of).collect()
}

fn is_missing(problem: &Problem) -> bool {
    use DeclarationReason::{EmptyServer, Missing, Split};
    matches!(
        problem.reason,
        Reason::Declaration(Missing { .. } | EmptyServer { .. } | Split { .. })
    )
}
