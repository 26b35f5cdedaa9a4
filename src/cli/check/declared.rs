//! The steps that need nobody to be asked: what is declared, and what its values show.

use super::report::{Finding, Outcome};
use crate::cli::status_report::keeps_clients_away;
use crate::domain::declarations::variable::is_proxy;
use crate::domain::reasons::{Severity, Step};
use crate::wire::api::{ProblemEntry, RegistryDocument, RemarkEntry};

/// The steps of a login.
pub(super) fn steps_of_login(
    registry: &RegistryDocument,
    problems: &[&ProblemEntry],
    shell: Option<Finding>,
) -> Vec<(Step, Outcome)> {
    let of = |step: Step| {
        let named = problems.iter().filter(move |it| it.step.as_deref() == Some(step.as_str()));
        named.map(|problem| Finding::from(*problem)).collect::<Vec<_>>()
    };
    let mut remarks = of(Step::Declared);
    remarks.extend(shell);
    let declared = Outcome::Passed(declared_in(registry), remarks);
    let is_of_values = |step: &Option<String>| step.as_deref() == Some(Step::Values.as_str());
    let mut found: Vec<&RemarkEntry> =
        registry.remarks.iter().filter(|remark| is_of_values(&remark.step)).collect();
    let given = registry.state != "ready" && is_of_values(&registry.step);
    let given = if given { Finding::of_login(registry) } else { None };
    // A proxy that is none comes before all that a request shows.
    let proxy = problems.iter().find(|it| is_proxy(&it.name)).map(|it| Finding::from(*it));
    let first = proxy.or(given).or_else(|| {
        let at = found.iter().position(|remark| remark.severity == Severity::Error)?;
        Some(found.remove(at).into())
    });
    let mut remarks: Vec<Finding> = found.into_iter().map(Finding::from).collect();
    // The agent may name the same fault as a problem.
    let code = first.as_ref().and_then(|first| first.code.clone());
    remarks.extend(of(Step::Values).into_iter().filter(|finding| finding.code != code));
    let values = match first {
        Some(failure) => Outcome::Failed(failure, remarks),
        None => Outcome::Passed("no mistake shows in the values".to_owned(), remarks),
    };
    vec![(Step::Declared, declared), (Step::Values, values)]
}

/// The step of a set or a file that is no login.
pub(super) fn step_of_problems(
    problems: &[&ProblemEntry],
    shell: Option<Finding>,
) -> (Step, Outcome) {
    let named = |problem: &&ProblemEntry| Step::named(problem.step.as_deref()?);
    let step = problems.iter().find_map(named).unwrap_or(Step::Declared);
    let mut findings: Vec<Finding> =
        problems.iter().map(|problem| Finding::from(*problem)).collect();
    match problems.iter().position(|problem| keeps_clients_away(problem)) {
        Some(at) => {
            let failure = findings.remove(at);
            findings.extend(shell);
            (step, Outcome::Failed(failure, findings))
        }
        None => (step, Outcome::Passed("it declares no login of its own".to_owned(), findings)),
    }
}

/// The variables of a login by their sources.
fn declared_in(registry: &RegistryDocument) -> String {
    let mut parts: Vec<(&str, Vec<&str>)> = Vec::new();
    for variable in &registry.variables {
        match parts.iter_mut().find(|(source, _)| *source == variable.source) {
            Some((_, names)) => names.push(&variable.name),
            None => parts.push((&variable.source, vec![&variable.name])),
        }
    }
    if parts.is_empty() {
        let key = registry.stored_as.as_deref().unwrap_or(&registry.server);
        let over = registry.covers.as_ref();
        let over = over.map_or_else(String::new, |name| format!(", above the declared {name}"));
        return format!("stored by `docker login` for {key}{over}");
    }
    let part = |(source, names): (&str, Vec<&str>)| {
        format!("{} from {}", names.join(", "), source_label(source))
    };
    parts.into_iter().map(part).collect::<Vec<_>>().join("; ")
}

/// A source as messages name it: a path, or a command in backquotes.
fn source_label(source: &str) -> String {
    if source.starts_with('/') { source.to_owned() } else { format!("`{source}`") }
}
