//! The status as text, and the exit status it leads to.

use jiff::Timestamp;

use super::line_wrap::wrapped;
use super::login_table::login_table;
use super::output::{HOW_TO_DECLARE, server_for_people};
use super::reason_text::ReasonText;
use crate::domain::declarations::discovery::AMBIENT_NAME;
use crate::domain::declarations::variable::is_proxy;
use crate::domain::reasons::{ReasonKind, Severity};
use crate::wire::api::{ProblemEntry, RegistryDocument, StatusDocument};

/// Exit status when a login is not usable, or a problem keeps clients from one.
pub const NOT_WELL: u8 = 3;

/// The exit status for a status document. The automatic login of `GITHUB_TOKEN` does not count,
/// because nobody asked for it.
pub fn exit_code(status: &StatusDocument) -> u8 {
    let well = status
        .registries
        .iter()
        .filter(|registry| registry.name.as_deref() != Some(AMBIENT_NAME))
        .all(is_well);
    if well && !status.problems.iter().any(keeps_clients_away) { 0 } else { NOT_WELL }
}

/// Whether clients get the login, and the registry accepts it as far as it says.
pub fn is_well(registry: &RegistryDocument) -> bool {
    matches!(registry.state.as_str(), "ready" | "unverified")
}

/// Whether a problem keeps clients from a login that somebody asked for.
pub fn keeps_clients_away(problem: &ProblemEntry) -> bool {
    problem.severity == Severity::Error && problem.name != AMBIENT_NAME
}

/// The logins, then what is wrong, worst first, each with its fix. Fits lines of `width`.
pub fn status_text(status: &StatusDocument, now: Timestamp, width: Option<usize>) -> String {
    let mut text = if status.registries.is_empty() {
        wrapped(&nothing_declared(&status.problems), 0, width) + "\n"
    } else {
        login_table(&status.registries, now, width)
    };
    let (proxies, problems) = proxies_first(&status.problems);
    let mut reasons: Vec<ReasonText> = proxies.into_iter().map(ReasonText::of_problem).collect();
    reasons.extend(status.registries.iter().filter_map(ReasonText::of_login));
    let remarks = status.registries.iter().flat_map(ReasonText::of_remarks);
    let problems = problems.into_iter().map(ReasonText::of_problem);
    for reason in remarks.chain(problems) {
        // The reason of an expired login is a problem as well.
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.sort_by_key(|reason| reason.severity == Severity::Remark);
    for reason in reasons {
        text.push('\n');
        text.push_str(&reason.text(width));
    }
    text
}

/// The problems of proxies, which may cause all others, and the others.
pub fn proxies_first<'a>(
    problems: impl IntoIterator<Item = &'a ProblemEntry>,
) -> (Vec<&'a ProblemEntry>, Vec<&'a ProblemEntry>) {
    problems.into_iter().partition(|problem| is_proxy(&problem.name))
}

/// What the values of these logins show beside their reasons, and the remarks among `problems`.
pub fn remarks<'a>(
    registries: impl IntoIterator<Item = &'a RegistryDocument> + Clone,
    problems: impl IntoIterator<Item = &'a ProblemEntry>,
) -> Vec<ReasonText> {
    let given: Vec<ReasonText> =
        registries.clone().into_iter().filter_map(ReasonText::of_login).collect();
    let mut remarks: Vec<ReasonText> = Vec::new();
    let problems = problems.into_iter().filter(|it| it.severity == Severity::Remark);
    let found = registries.into_iter().flat_map(ReasonText::of_remarks);
    for remark in found.chain(problems.map(ReasonText::of_problem)) {
        if !given.contains(&remark) && !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
    remarks.sort_by_key(|remark| remark.severity == Severity::Remark);
    remarks
}

/// Why there is no login.
pub fn nothing_declared(problems: &[ProblemEntry]) -> String {
    if hides_declarations(problems) {
        "no registry has a login, because variables or their files have problems".to_owned()
    } else {
        format!("no registry is declared; {HOW_TO_DECLARE}")
    }
}

/// Whether registries may be declared although there is no login.
pub fn hides_declarations(problems: &[ProblemEntry]) -> bool {
    let kinds = [ReasonKind::Variables.as_str(), ReasonKind::Source.as_str()];
    problems.iter().any(|it| keeps_clients_away(it) && kinds.contains(&it.kind.as_str()))
}

/// The short name of a login.
pub fn label(registry: &RegistryDocument) -> &str {
    registry.name.as_deref().unwrap_or_else(|| server_for_people(&registry.server))
}
