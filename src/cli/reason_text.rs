//! A reason as people see it: the sentence, the fix, and where to read more.

use std::fmt::Write;

use super::line_wrap::wrapped;
use super::output::for_people;
use super::status_report::label;
use crate::domain::reasons::{Reason, Severity};
use crate::wire::api::{ProblemEntry, RegistryDocument};

/// How far the lines after the first are indented.
const INDENT: usize = 2;

/// A reason and its fix.
#[derive(Debug, PartialEq, Eq)]
pub struct ReasonText {
    /// Whether it keeps clients from a login.
    pub severity: Severity,
    subject: String,
    sentence: String,
    fix: Option<String>,
    code: Option<String>,
}

impl ReasonText {
    /// Why a login is not `ready`, or a remark on it.
    pub fn of_login(registry: &RegistryDocument) -> Option<Self> {
        let reason = for_people(registry.reason.as_ref()?);
        Some(Self {
            severity: registry.severity.unwrap_or_default(),
            subject: label(registry).to_owned(),
            sentence: reason,
            fix: registry.hint.clone(),
            code: registry.code.clone(),
        })
    }

    /// A reason about the set or the login `subject`.
    pub fn of(subject: &str, reason: &Reason) -> Self {
        Self {
            severity: reason.severity(),
            subject: subject.to_owned(),
            sentence: for_people(&reason.to_string()),
            fix: Some(reason.fix()),
            code: Some(reason.code().to_owned()),
        }
    }

    /// What the values of a login show.
    pub fn of_remarks(registry: &RegistryDocument) -> impl Iterator<Item = Self> {
        registry.remarks.iter().map(|remark| Self {
            severity: remark.severity,
            subject: label(registry).to_owned(),
            sentence: for_people(&remark.text),
            fix: Some(remark.hint.clone()),
            code: Some(remark.code.clone()),
        })
    }

    /// A problem, with its source where the sentence does not name it.
    pub fn of_problem(problem: &ProblemEntry) -> Self {
        let source = problem.source.as_ref().filter(|source| !problem.problem.contains(*source));
        let source = source.map_or_else(String::new, |source| format!(" (in {source})"));
        let sentence = match problem.kind.as_str() {
            // A key of the docker configuration is shown as it is there.
            "docker-configuration" | "client" => problem.problem.clone(),
            _ => for_people(&problem.problem),
        };
        Self {
            severity: problem.severity,
            subject: problem.name.clone(),
            sentence: sentence + &source,
            fix: Some(problem.hint.clone()),
            code: Some(problem.code.clone()),
        }
    }

    /// The reason in lines of at most `width`, with a line end.
    pub fn text(&self, width: Option<usize>) -> String {
        let word = match self.severity {
            Severity::Error => "problem",
            Severity::Remark => "remark",
        };
        let line = format!("{word}: {}", introduced(&self.subject, &self.sentence));
        wrapped(&line, INDENT, width) + &self.advice(width)
    }

    /// The reason below a line that names the login, in lines of at most `width`, with a line end.
    pub fn below_login(&self, width: Option<usize>) -> String {
        wrapped(&format!("  {}", self.sentence), INDENT, width) + &self.advice(width)
    }

    fn advice(&self, width: Option<usize>) -> String {
        let mut text = String::new();
        if let Some(fix) = &self.fix {
            let _ = write!(text, "\n{}", wrapped(&format!("  fix: {fix}"), INDENT + 2, width));
        }
        if let Some(code) = &self.code {
            let _ = write!(text, "\n  more: registry-agent explain {code}");
        }
        text.push('\n');
        text
    }
}

/// A sentence after what it is about, unless it begins with that itself, or names a file anyway.
fn introduced(subject: &str, sentence: &str) -> String {
    let rest = sentence.strip_prefix(subject);
    let names_file = subject.starts_with('/') && sentence.contains(subject);
    if names_file || rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)) {
        sentence.to_owned()
    } else {
        format!("{subject}: {sentence}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sentence_is_about_is_said_once() {
        let lines = [
            ("A", "A_SERVER is empty"),
            ("A", "AWS failed"),
            ("/a", "/a cannot be read"),
            ("/a", "K is in /a"),
        ]
        .map(|(subject, sentence)| introduced(subject, sentence));
        let expected = ["A_SERVER is empty", "A: AWS failed", "/a cannot be read", "K is in /a"];
        assert_eq!(lines, expected);
    }
}
