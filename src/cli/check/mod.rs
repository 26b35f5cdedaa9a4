//! `check`: follows a login from its variables to the client and stops at the first failure.

mod agent;
mod clients;
mod declared;
mod docker_version;
mod helper_program;
mod image;
mod package_clients;
mod package_target;
mod report;
mod shell;
mod subjects;
mod verdict;

use std::collections::BTreeMap;
use std::io::{Write as _, stderr};
use std::process::ExitCode;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use self::agent::RunningAgent;
use self::clients::Clients;
use self::report::{Finding, Outcome, Report, Subject};
use self::shell::ShellDifferences;
use self::subjects::Walk;
use crate::adapters::agent_client::{AgentClient, AgentResponse, ClientError};
use crate::adapters::paths::Paths;
use crate::cli::terminal;
use crate::domain::declarations::discovery::AMBIENT_NAME;
use crate::domain::reasons::{Reason, Step};
use crate::domain::servers::check_target::CheckTarget;
use crate::wire::api::{ProblemEntry, RegistryDocument, parse_printable};

/// Longer than the agent takes to verify everything.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(65);

/// `registry-agent check`
pub fn check(what: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let mut report = Report::new(json);
    match agent::ask(&paths) {
        Err(reason) => {
            report.add(Step::Agent, Outcome::failed(Reason::from(reason)))?;
        }
        Ok((agent, mut outcome)) => {
            let shell = ShellDifferences::ask(&paths);
            if let Outcome::Passed(_, remarks) = &mut outcome {
                remarks.extend(shell.of(None));
            }
            report.add(Step::Agent, outcome)?;
            match what.map(|what| subjects::target(what, &agent.status)).transpose() {
                Ok(target) => {
                    let image = match &target {
                        Some(CheckTarget::Image(image)) => Some(image),
                        _ => None,
                    };
                    let clients = Clients::new(&paths, &agent, image);
                    let verdicts = Verdicts { paths: &paths, stream: None, known: BTreeMap::new() };
                    let target = target.as_ref();
                    Checker { paths: &paths, agent: &agent, target, shell, verdicts, clients }
                        .run(&mut report)?;
                }
                Err(not_understood) => {
                    report.add(Step::Declared, Outcome::failed(not_understood))?;
                }
            }
        }
    }
    let failed = report.has_failed();
    report.finish()?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Checker<'a> {
    paths: &'a Paths,
    agent: &'a RunningAgent,
    target: Option<&'a CheckTarget>,
    shell: ShellDifferences,
    verdicts: Verdicts<'a>,
    clients: Clients<'a>,
}

impl Checker<'_> {
    fn run(mut self, report: &mut Report) -> anyhow::Result<()> {
        for walk in subjects::walks(&self.agent.status, self.target) {
            match walk {
                Walk::Login(registry, problems) => self.login(registry, &problems, report)?,
                Walk::Broken(name, problems) => {
                    begin(report, Some(name.clone()), None, "")?;
                    let (step, outcome) =
                        declared::step_of_problems(&problems, self.shell.of(Some(&name)));
                    report.add(step, outcome)?;
                }
                Walk::Unknown(name, mut findings) => {
                    begin(report, Some(name), None, "")?;
                    let first = findings.remove(0);
                    report.add(Step::Declared, Outcome::Failed(first, findings))?;
                }
            }
            report.end();
        }
        Ok(())
    }

    fn login(
        &mut self,
        registry: &RegistryDocument,
        problems: &[&ProblemEntry],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let shown = verdict::shown(registry);
        let name = registry.name.clone().or_else(|| registry.covers.clone());
        // Nobody asked for the automatic login of `GITHUB_TOKEN`.
        let counts = self.target.is_some() || name.as_deref() != Some(AMBIENT_NAME);
        begin(report, name.clone(), Some(registry.server.clone()), &shown)?;
        report.set_counts(counts);
        let differs = name.and_then(|name| self.shell.of(Some(&name)));
        for (step, outcome) in declared::steps_of_login(registry, problems, differs) {
            if !report.add(step, outcome)? {
                return Ok(());
            }
        }
        let fresh = match self.verdicts.of(registry, self.target.is_some()) {
            Ok(fresh) => fresh,
            Err(error) => {
                let text = error.to_string();
                let hint = Some(format!("run `registry-agent check {shown}` again"));
                let finding = Finding { code: None, text, hint };
                report.add(Step::Credential, Outcome::failed(finding))?;
                return Ok(());
            }
        };
        for (step, outcome) in verdict::steps(&fresh, self.target.is_some()) {
            if !report.add(step, outcome)? {
                return Ok(());
            }
        }
        if let Some(CheckTarget::Image(image)) = self.target {
            let note = Note::show(&image.name());
            let outcome = image::step(self.paths, image);
            drop(note);
            if !report.add(Step::ImageAccess, outcome)? {
                return Ok(());
            }
        }
        for (step, outcome) in self.clients.steps(&fresh) {
            if !report.add(step, outcome)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn begin(
    report: &mut Report,
    login: Option<String>,
    server: Option<String>,
    shown: &str,
) -> std::io::Result<()> {
    let heading = [login.as_deref().unwrap_or_default(), shown].join(" ");
    report.begin(Subject { login, server }, heading.trim())
}

/// The agent's fresh verdicts, which it sends as they come.
struct Verdicts<'a> {
    paths: &'a Paths,
    stream: Option<AgentResponse>,
    known: BTreeMap<String, RegistryDocument>,
}

impl Verdicts<'_> {
    /// The login after a verification that was asked for by this command. If it is not `alone`, all
    /// logins are verified with one request, so that those of one AWS identity share one call, and
    /// none that was refused is sent again.
    fn of(
        &mut self,
        registry: &RegistryDocument,
        alone: bool,
    ) -> Result<RegistryDocument, ClientError> {
        if self.stream.is_none() {
            let target = if alone {
                let server = utf8_percent_encode(&registry.server, NON_ALPHANUMERIC);
                format!("/v1/refresh?follow=true&registry={server}")
            } else {
                "/v1/refresh?follow=true&except=refused".to_owned()
            };
            let client = AgentClient::connect(self.paths, REFRESH_TIMEOUT)?;
            self.stream = Some(client.send("POST", &target, b"")?.succeeded()?);
        }
        let note = Note::show(&verdict::shown(registry));
        while !self.known.contains_key(&registry.server) {
            let line = self.stream.as_mut().map(AgentResponse::line).transpose()?.flatten();
            let Some(line) = line else { break };
            // An agent that does not know `follow` sends one array.
            let sent = parse_printable(line.as_bytes()).map(|one| vec![one]);
            let sent: Vec<RegistryDocument> = sent
                .or_else(|_| parse_printable(line.as_bytes()))
                .map_err(|error| ClientError::Garbled(error.to_string()))?;
            self.known.extend(sent.into_iter().map(|one| (one.server.clone(), one)));
        }
        drop(note);
        // A login that was removed meanwhile is shown as it was.
        Ok(self.known.remove(&registry.server).unwrap_or_else(|| registry.clone()))
    }
}

/// A note on a terminal while the agent verifies a login.
struct Note(bool);

impl Note {
    fn show(server: &str) -> Self {
        let on_terminal = terminal::can_redraw(&stderr());
        if on_terminal {
            let _ = write!(stderr(), "asking {server} …\r");
        }
        Self(on_terminal)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if self.0 {
            // Clears the line.
            let _ = write!(stderr(), "\x1b[K");
        }
    }
}
