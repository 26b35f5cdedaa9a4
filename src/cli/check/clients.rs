//! The last steps: what the clients of this shell read, and what the helper returns to them.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::agent::RunningAgent;
use super::docker_version;
use super::helper_program::HelperProgram;
use super::package_clients;
use super::report::{Finding, Outcome};
use super::verdict::{is_exchanged, is_judged};
use crate::adapters::client_obstacles::{
    ClientEnvironment, obstacles, shadowed_image, shadowed_parts,
};
use crate::adapters::paths::{NO_HOME_CONFIG, Paths};
use crate::adapters::{agent_client, clock, docker_config};
use crate::cli::absence::calling_user;
use crate::cli::output::REQUEST_TIMEOUT;
use crate::domain::declarations::variable::Family;
use crate::domain::docker_config::{HELPER, LoginPlace, check, place_of, plain_auth};
use crate::domain::reasons::{ClientReason, PublishReason, Reason, Severity, Step};
use crate::domain::servers::image::Image;
use crate::domain::servers::server::Server;
use crate::wire::api::{ProblemEntry, RegistryDocument, StatusDocument, parse_printable};
use crate::wire::helper::HelperCredential;

/// The first version of docker that reads `DOCKER_AUTH_CONFIG`.
const READS_VARIABLE: (u32, u32) = (28, 3);
/// How long an entry that another program removed may take to come back.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than the agent makes a client wait.
const CREDENTIAL_TIMEOUT: Duration = Duration::from_secs(12);

/// The clients of this shell.
pub(super) struct Clients<'a> {
    paths: &'a Paths,
    agent: &'a RunningAgent,
    /// The image that the user asked about.
    image: Option<&'a Image>,
    /// What the agent knows since it published again at the request of this command.
    status: Option<StatusDocument>,
    file: PathBuf,
    /// What was said of package clients already.
    told: BTreeSet<String>,
    /// The program, and the remarks on it; empty before the step `helper`.
    helper: Option<(HelperProgram, Vec<Finding>)>,
}

impl<'a> Clients<'a> {
    /// The clients of this process's environment.
    pub(super) fn new(paths: &'a Paths, agent: &'a RunningAgent, image: Option<&'a Image>) -> Self {
        let file = paths.docker_config_file(variable("DOCKER_CONFIG").as_deref());
        let file = std::path::absolute(&file).unwrap_or(file);
        Self { paths, agent, image, status: None, file, told: BTreeSet::new(), helper: None }
    }

    /// The steps for one login. The first one that failed is the last.
    pub(super) fn steps(&mut self, registry: &RegistryDocument) -> Vec<(Step, Outcome)> {
        if registry.family == Family::Package {
            let status = &self.agent.status;
            let shadowed = package_clients::not_shadowed(registry, status, self.paths);
            let (paths, told) = (self.paths, &mut self.told);
            let helper = package_clients::helper(registry, status, paths, &variable, told);
            let served = self.served_to_package_clients(registry);
            return vec![
                (Step::NotShadowed, shadowed),
                (Step::Helper, helper),
                (Step::Served, served),
            ];
        }
        if self.status.is_none() {
            let status = agent_client::ask(self.paths, "GET", "/v1/status", b"", REQUEST_TIMEOUT);
            self.status = status.ok().and_then(|body| parse_printable(&body).ok());
        }
        let mut done = Vec::new();
        for step in [Step::Published, Step::NotShadowed, Step::Helper, Step::Served] {
            let outcome = match step {
                Step::Published => self.published(registry),
                Step::NotShadowed => self.not_shadowed(registry),
                Step::Helper => self.helper(registry),
                _ => self.served(registry),
            };
            let failed = matches!(outcome, Outcome::Failed(..));
            done.push((step, outcome));
            if failed {
                break;
            }
        }
        done
    }

    /// The configuration that docker reads names the helper for each key, or holds the login.
    fn published(&self, registry: &RegistryDocument) -> Outcome {
        let deadline = Instant::now() + RESTORE_TIMEOUT;
        loop {
            let fault = match docker_config::read(&self.file) {
                Err(reason) => Some(self.known_problem(&reason.into())),
                Ok(text) => self.missing_key(text.as_deref().map_or("", |text| text), registry),
            };
            match fault {
                None => {
                    return match self.problem_with(registry) {
                        Some(problem) => Outcome::failed(problem),
                        None => Outcome::passed(format!("in {}", self.file.display())),
                    };
                }
                Some(fault)
                    if fault.code.as_deref() != Some("not-published")
                        || Instant::now() > deadline =>
                {
                    return Outcome::failed(fault);
                }
                Some(_) => clock::pause(Duration::from_millis(50)),
            }
        }
    }

    fn missing_key(&self, text: &str, registry: &RegistryDocument) -> Option<Finding> {
        let path = self.file.display().to_string();
        if let Err(reason) = check(&path, text) {
            return Some(self.known_problem(&reason.into()));
        }
        registry.keys.iter().find_map(|key| match place_of(text, key) {
            LoginPlace::Helper(helper) if helper == HELPER => None,
            // `mode = "auths"` writes the login itself.
            LoginPlace::File => None,
            LoginPlace::Store(_) if holds_login(text, registry) => None,
            LoginPlace::Helper(helper) => {
                let (path, key) = (path.clone(), key.clone());
                Some(self.known_problem(&PublishReason::OtherHelper { path, key, helper }.into()))
            }
            LoginPlace::Store(_) | LoginPlace::Nowhere => {
                Some(self.not_published(path.clone(), key.clone()))
            }
        })
    }

    fn status(&self) -> &StatusDocument {
        self.status.as_ref().unwrap_or(&self.agent.status)
    }

    /// The agent's own problem with this registry's entry, such as another login in its place.
    fn problem_with(&self, registry: &RegistryDocument) -> Option<Finding> {
        let concerns = |problem: &&ProblemEntry| {
            problem.step.as_deref() == Some(Step::Published.as_str())
                && Path::new(&problem.name) == self.file
                && problem.registry.as_ref().is_some_and(|key| registry.keys.contains(key))
        };
        self.status().problems.iter().find(concerns).map(Finding::from)
    }

    /// Why the file has no entry: the agent's own problem with it, or it writes another file.
    fn not_published(&self, path: String, key: String) -> Finding {
        let problems = &self.status().problems;
        let about = |problem: &&ProblemEntry| {
            problem.name == path && problem.step.as_deref() == Some(Step::Published.as_str())
        };
        if let Some(problem) = problems.iter().find(about) {
            return problem.into();
        }
        let other = self.status().docker_config.clone().filter(|written| *written != path);
        let reason = match (other, calling_user(self.paths)) {
            (Some(written), None) if self.paths.has_no_home() && path == NO_HOME_CONFIG => {
                ClientReason::NoHome { path, written }
            }
            (Some(written), Some(_)) if self.agent.uid != 0 => {
                let directory = Path::new(&written).parent().unwrap_or(Path::new("/"));
                let directory = directory.display().to_string();
                ClientReason::RootConfiguration { path, key, directory }
            }
            (Some(written), _) => ClientReason::OtherConfiguration { path, written },
            (None, _) => ClientReason::NotPublished { path, key },
        };
        Reason::from(reason).into()
    }

    /// The agent's own problem with the file if it has one: that names the cause as the agent sees
    /// it.
    fn known_problem(&self, reason: &Reason) -> Finding {
        let path = self.file.display().to_string();
        let same = |problem: &&ProblemEntry| problem.name == path && problem.code == reason.code();
        self.status()
            .problems
            .iter()
            .find(same)
            .map_or_else(|| reason.clone().into(), Finding::from)
    }

    /// No login of a client's own takes precedence.
    fn not_shadowed(&self, registry: &RegistryDocument) -> Outcome {
        let image = self.image.and_then(|it| shadowed_image(&self.environment(&variable), it));
        let mut found: Vec<PublishReason> = image.into_iter().collect();
        found.extend(self.obstacles(registry));
        found.extend(self.store_first(registry));
        found.retain(|reason| reason.step() == Step::NotShadowed);
        let failure = found.iter().position(|reason| reason.severity() == Severity::Error);
        let failure = failure.map(|at| found.remove(at));
        let finding = |reason| Finding::from(Reason::from(reason));
        let others = found.into_iter().map(finding).collect();
        match failure {
            None => {
                let detail =
                    format!("no client has another login for it{}", self.but_for(registry));
                Outcome::Passed(detail, others)
            }
            Some(failure) => Outcome::Failed(finding(failure), others),
        }
    }

    /// The parts of the registry for which podman, skopeo and buildah have another login.
    fn but_for(&self, registry: &RegistryDocument) -> String {
        // The image that the user asked about has been looked for already.
        let server = Server::parse(&registry.server).ok().filter(|_| self.image.is_none());
        let environment = self.environment(&variable);
        let parts = server.map(|(server, _)| shadowed_parts(&environment, &server));
        let in_file = |(path, entries): (PathBuf, Vec<String>)| {
            format!("{} (in {})", entries.join(", "), path.display())
        };
        let parts: Vec<String> = parts.into_iter().flatten().map(in_file).collect();
        match parts[..] {
            [] => String::new(),
            _ => format!(", except podman, skopeo and buildah for {}", parts.join(", ")),
        }
    }

    /// docker ignores a login in `auths` if it has a store for all.
    fn store_first(&self, registry: &RegistryDocument) -> Option<PublishReason> {
        let text = docker_config::read(&self.file).ok()??;
        let path = self.file.display().to_string();
        registry.keys.iter().find_map(|key| match place_of(&text, key) {
            LoginPlace::Store(store) => {
                Some(PublishReason::StoreFirst { path: path.clone(), store })
            }
            _ => None,
        })
    }

    fn obstacles(&self, registry: &RegistryDocument) -> Vec<PublishReason> {
        let server = Server::parse(&registry.server).map(|(server, _)| server);
        let servers: Vec<Server> = server.into_iter().collect();
        let mut found = obstacles(&self.environment(&variable), &servers);
        for reason in &mut found {
            if let PublishReason::ShadowedByEnvironment { older, .. } = reason {
                *older = docker_version::older_than(READS_VARIABLE);
            }
        }
        found
    }

    fn environment<'e>(
        &'e self,
        variable: &'e dyn Fn(&str) -> Option<String>,
    ) -> ClientEnvironment<'e> {
        let (home, uid) = (self.paths.home.as_path(), self.paths.uid_outside);
        ClientEnvironment { variable, home, uid, docker_config: &self.file }
    }

    /// The helper is on `PATH`, runs, and is of this version.
    fn helper(&mut self, registry: &RegistryDocument) -> Outcome {
        if self.plain_login(registry).is_some() {
            let detail = "clients read the login from the file itself".to_owned();
            return Outcome::Skipped(detail, Vec::new());
        }
        if let Some((program, remarks)) = &self.helper {
            return Outcome::Passed(program.0.display().to_string(), remarks.clone());
        }
        let Some(path) = self.environment(&variable).helper_path(HELPER) else {
            return Outcome::failed(Reason::from(self.environment(&variable).missing_helper()));
        };
        let program = HelperProgram(path);
        let version = match program.version() {
            Ok(version) => version,
            Err(fault) => {
                let path = program.0.display().to_string();
                return Outcome::failed(Reason::from(ClientReason::HelperFails { path, fault }));
            }
        };
        let (path, ours) = (program.0.display().to_string(), env!("CARGO_PKG_VERSION").to_owned());
        let mut remarks = Vec::new();
        if version != ours {
            let (helper, program) = (version, ours);
            let reason = ClientReason::HelperVersion { path: path.clone(), helper, program };
            remarks.push(Reason::from(reason).into());
        }
        self.helper = Some((program, remarks.clone()));
        Outcome::Passed(path, remarks)
    }

    /// What clients receive for each key is what the agent verified.
    fn served(&self, registry: &RegistryDocument) -> Outcome {
        for key in &registry.keys {
            let fault = self.compare(key, registry);
            // A token may be renewed between the two requests.
            let fault = fault.and_then(|_| self.compare(key, registry));
            if let Some(reason) = fault {
                return Outcome::failed(Reason::from(reason));
            }
        }
        let what = match (&registry.user, is_exchanged(registry)) {
            (Some(user), false) => format!("the login of {user}"),
            _ => "the token of AWS".to_owned(),
        };
        let verified = if is_judged(registry) { ", as the agent verified it" } else { "" };
        Outcome::passed(format!("clients receive {what}{verified}"))
    }

    /// The agent serves the login to the helpers of package clients.
    fn served_to_package_clients(&self, registry: &RegistryDocument) -> Outcome {
        let key = registry.server.clone();
        let target = format!("/v1/credential?url={}", utf8_percent_encode(&key, NON_ALPHANUMERIC));
        match agent_client::ask(self.paths, "GET", &target, b"", CREDENTIAL_TIMEOUT) {
            Ok(_) => Outcome::passed(format!("package clients receive the login below {key}")),
            Err(error) => {
                let fault = error.to_string();
                Outcome::failed(Reason::from(ClientReason::NotServed { key, fault }))
            }
        }
    }

    fn compare(&self, key: &str, registry: &RegistryDocument) -> Option<ClientReason> {
        let key = key.to_owned();
        let target =
            format!("/v1/credential?server={}", utf8_percent_encode(&key, NON_ALPHANUMERIC));
        let asked = agent_client::ask(self.paths, "GET", &target, b"", CREDENTIAL_TIMEOUT);
        let verified: HelperCredential = match asked {
            Ok(body) => serde_json::from_slice(&body).ok()?,
            Err(error) => return Some(ClientReason::NotServed { key, fault: error.to_string() }),
        };
        let given = match (&self.helper, self.plain_login(registry)) {
            (_, Some(login)) => login,
            (Some((program, _)), None) => match program.get(&key) {
                Ok(login) => login,
                Err(fault) => return Some(ClientReason::NotServed { key, fault }),
            },
            (None, None) => return None,
        };
        let same = given.username == verified.username && given.secret == verified.secret;
        (!same).then_some(ClientReason::OtherServed { key })
    }

    /// The login that the file holds in plain text where it names no helper.
    fn plain_login(&self, registry: &RegistryDocument) -> Option<HelperCredential> {
        let text = docker_config::read(&self.file).ok()??;
        let is_in_file = |key: &String| place_of(&text, key) == LoginPlace::File;
        if !registry.keys.iter().all(is_in_file) {
            return None;
        }
        let (server, _) = Server::parse(&registry.server).ok()?;
        plain_auth(&text, &server).map(|login| HelperCredential::new(server.name(), &login))
    }
}

fn holds_login(text: &str, registry: &RegistryDocument) -> bool {
    Server::parse(&registry.server).is_ok_and(|(server, _)| plain_auth(text, &server).is_some())
}

/// A variable of this process; an empty one counts as unset.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
