//! The result of each step, printed as soon as it is known.

use std::io::{self, Write};

use clap::builder::styling::AnsiColor;
use serde::Serialize;

use crate::cli::line_wrap::wrapped;
use crate::cli::output::for_people;
use crate::cli::terminal;
use crate::domain::printable::{into_printable, printable};
use crate::domain::reasons::{Reason, Step};
use crate::wire::api::{ProblemEntry, RegistryDocument, RemarkEntry};

/// What is wrong, or a remark, with its fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The code that `explain` takes.
    pub(super) code: Option<String>,
    /// What it says.
    pub(super) text: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

/// The outcome of one step.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The step passed, perhaps with remarks.
    Passed(String, Vec<Finding>),
    /// The step was not tried, for this reason, perhaps with remarks.
    Skipped(String, Vec<Finding>),
    /// The step failed.
    Failed(Finding, Vec<Finding>),
    /// There is no such step for this login.
    NotApplicable,
}

impl Outcome {
    /// The step passed without remarks.
    pub(super) fn passed(detail: impl Into<String>) -> Self {
        Self::Passed(detail.into(), Vec::new())
    }

    /// The step failed.
    pub(super) fn failed(finding: impl Into<Finding>) -> Self {
        Self::Failed(finding.into(), Vec::new())
    }
}

/// The login that steps are about; empty for the agent itself.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Subject {
    /// The `<NAME>`, or the file of a problem.
    pub(super) login: Option<String>,
    /// The canonical server.
    pub(super) server: Option<String>,
}

/// One element of the JSON output.
#[derive(Debug, Serialize)]
struct StepDocument {
    #[serde(flatten)]
    subject: Subject,
    step: Step,
    outcome: &'static str,
    detail: Option<String>,
    code: Option<String>,
    fix: Option<String>,
    remarks: Vec<Finding>,
}

/// The output of `check`.
pub(super) struct Report {
    json: bool,
    steps: Vec<StepDocument>,
    subject: Subject,
    counts: bool,
    failed: bool,
}

impl Report {
    /// An empty report. JSON is printed at the end, text as it comes.
    pub(super) fn new(json: bool) -> Self {
        Self { json, steps: Vec::new(), subject: Subject::default(), counts: true, failed: false }
    }

    /// Whether a step failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Begins the steps of another login.
    pub(super) fn begin(&mut self, subject: Subject, heading: &str) -> io::Result<()> {
        let heading = printable(heading);
        self.subject = subject;
        self.counts = true;
        if self.json { Ok(()) } else { writeln!(anstream::stdout(), "\n{heading}") }
    }

    /// Sets whether a failure of this login makes the command fail.
    pub(super) fn set_counts(&mut self, counts: bool) {
        self.counts = counts;
    }

    /// Adds the result of a step, and returns whether the walk goes on.
    pub(super) fn add(&mut self, step: Step, outcome: Outcome) -> io::Result<bool> {
        let (name, detail, failure, remarks) = match outcome {
            Outcome::Passed(detail, remarks) => ("passed", Some(detail), None, remarks),
            Outcome::Skipped(detail, remarks) => ("skipped", Some(detail), None, remarks),
            Outcome::Failed(failure, more) => ("failed", None, Some(failure), more),
            Outcome::NotApplicable => return Ok(true),
        };
        let (detail, failure) = (detail.map(into_printable), failure.map(Finding::printable));
        let remarks: Vec<Finding> = remarks.into_iter().map(Finding::printable).collect();
        let failed = failure.is_some();
        if !self.json {
            print(step, name, detail.as_deref(), failure.as_ref(), &remarks)?;
        }
        self.failed |= failed && self.counts;
        let (code, text, fix) = failure
            .map_or((None, None, None), |failure| (failure.code, Some(failure.text), failure.hint));
        self.steps.push(StepDocument {
            subject: self.subject.clone(),
            step,
            outcome: name,
            detail: detail.or(text),
            code,
            fix,
            remarks,
        });
        Ok(!failed)
    }

    /// Ends the steps of this login: those that were not reached are skipped.
    pub(super) fn end(&mut self) {
        let is_known = |steps: &[StepDocument], step| {
            let same = |known: &&StepDocument| known.subject.server == self.subject.server;
            let same_login = |known: &&StepDocument| known.subject.login == self.subject.login;
            steps.iter().filter(same).filter(same_login).any(|known| known.step == step)
        };
        for step in Step::ALL.into_iter().filter(|step| *step != Step::Agent) {
            if !is_known(&self.steps, step) {
                self.steps.push(StepDocument {
                    subject: self.subject.clone(),
                    step,
                    outcome: "skipped",
                    detail: None,
                    code: None,
                    fix: None,
                    remarks: Vec::new(),
                });
            }
        }
    }

    /// Prints the JSON document.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        if self.json {
            // Within a login the steps are in order; a stable sort moves only the skipped ones.
            self.steps.sort_by_key(|step| (position(&step.subject), step.step));
            let text = serde_json::to_string_pretty(&self.steps)?;
            writeln!(anstream::stdout(), "{text}")?;
        }
        Ok(())
    }
}

fn position(subject: &Subject) -> (bool, Option<String>, Option<String>) {
    (
        subject.login.is_some() || subject.server.is_some(),
        subject.login.clone(),
        subject.server.clone(),
    )
}

/// The width of the column of the outcome.
const OUTCOME: usize = 7;
/// How far the lines below are indented.
const INDENT: usize = OUTCOME + 2;
/// The width of the column of the step.
const STEP: usize = 15;

fn print(
    step: Step,
    outcome: &str,
    detail: Option<&str>,
    failure: Option<&Finding>,
    remarks: &[Finding],
) -> io::Result<()> {
    let color = match outcome {
        "failed" => AnsiColor::Red,
        "skipped" => AnsiColor::BrightBlack,
        _ if !remarks.is_empty() => AnsiColor::Yellow,
        _ => AnsiColor::Green,
    };
    let style = color.on_default();
    // A key of the docker configuration is shown as it is there.
    let people =
        |text: &str| if step < Step::Published { for_people(text) } else { text.to_owned() };
    let width = terminal::width();
    let mut out = anstream::stdout().lock();
    let text = failure.map(|failure| failure.text.as_str()).or(detail).unwrap_or_default();
    let line = format!("{outcome:<OUTCOME$}  {:<STEP$}  {}", step.as_str(), people(text));
    let line = wrapped(&line, INDENT, width);
    writeln!(out, "{style}{outcome}{style:#}{}", &line[outcome.len()..])?;
    let failures = failure.map(|failure| (failure, true)).into_iter();
    for (finding, is_failure) in failures.chain(remarks.iter().map(|remark| (remark, false))) {
        let mut below = |text: &str| {
            let line = format!("{:INDENT$}{text}", "");
            writeln!(out, "{}", wrapped(&line, INDENT + 2, width))
        };
        if !is_failure {
            let word = if failure.is_some() { "also" } else { "remark" };
            below(&format!("{word}: {}", people(&finding.text)))?;
        }
        if let Some(hint) = &finding.hint {
            below(&format!("fix: {hint}"))?;
        }
        if let Some(code) = &finding.code {
            below(&format!("more: registry-agent explain {code}"))?;
        }
    }
    out.flush()
}

impl From<Reason> for Finding {
    fn from(reason: Reason) -> Self {
        Self {
            code: Some(reason.code().to_owned()),
            text: reason.to_string(),
            hint: Some(reason.fix()),
        }
    }
}

impl From<&ProblemEntry> for Finding {
    fn from(problem: &ProblemEntry) -> Self {
        Self {
            code: Some(problem.code.clone()),
            text: problem.problem.clone(),
            hint: Some(problem.hint.clone()),
        }
    }
}

impl From<&RemarkEntry> for Finding {
    fn from(remark: &RemarkEntry) -> Self {
        Self {
            code: Some(remark.code.clone()),
            text: remark.text.clone(),
            hint: Some(remark.hint.clone()),
        }
    }
}

impl Finding {
    /// The same as printable text: it may name a path or a value of this shell.
    fn printable(self) -> Self {
        Self {
            text: into_printable(self.text),
            hint: self.hint.map(into_printable),
            code: self.code,
        }
    }

    /// Why a login is not `ready`, or a remark although it is.
    pub(super) fn of_login(registry: &RegistryDocument) -> Option<Self> {
        Some(Self {
            code: registry.code.clone(),
            text: registry.reason.clone()?,
            hint: registry.hint.clone(),
        })
    }
}
