//! `exec`: runs a command with the logins of package registries in its environment.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{anyhow, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::command_line::print_error;
use super::output::{ask_status, package_server, print_note};
use super::selection::{self, NoLogin};
use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::package_client_setup::{above_here, read};
use crate::adapters::paths::Paths;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::declarations::variable::Family;
use crate::domain::package_clients::client_login::ClientLogin;
use crate::domain::package_clients::environment::ClientEnvironment;
use crate::domain::reasons::list;
use crate::wire::api::{RegistryDocument, StatusDocument};
use crate::wire::package_credential::PackageCredential;

/// The exit statuses of `env`, `timeout` and `docker run` for what is not the command's own.
const FAILED: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;
/// The agent waits up to 10 s for a first login.
const CREDENTIAL_TIMEOUT: Duration = Duration::from_secs(12);
/// The fix if no package registry is declared.
const HOW_TO_DECLARE: &str = "set and export <NAME>_PACKAGE_REGISTRY_SERVER, <NAME>_PACKAGE_REGISTRY_USER and <NAME>_PACKAGE_REGISTRY_PASSWORD, then run `registry-agent sync`";

/// `registry-agent exec`: returns only if the command is not run.
pub fn exec(names: &[String], command: &[OsString]) -> anyhow::Result<ExitCode> {
    let (environment, logins) = match environment(names) {
        Ok(found) => found,
        Err(error) => {
            print_error(&error);
            return Ok(ExitCode::from(FAILED));
        }
    };
    let [program, arguments @ ..] = command else { bail!("no command to run") };
    report(&environment, &logins, program);
    report_other_tokens(&environment);
    let variables = environment.set.iter().map(|(name, value)| (name, value.reveal()));
    let error = Command::new(program).args(arguments).envs(variables).exec();
    print_note(&format!("{} cannot be run: {error}", program.display()));
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    Ok(ExitCode::from(if is_missing { NOT_FOUND } else { CANNOT_RUN }))
}

/// The variables for the logins that are named, or for all that are served. Public packages need no login,
/// so without names nothing that is missing keeps the command from running.
fn environment(names: &[String]) -> anyhow::Result<(ClientEnvironment, Vec<ClientLogin>)> {
    let logins = match logins(names) {
        Err(error) if names.is_empty() => {
            print_error(&error);
            Vec::new()
        }
        logins => logins?,
    };
    let current = |name: &str| env::var_os(name).map(|it| it.to_string_lossy().into_owned());
    Ok((ClientEnvironment::of(&logins, current), logins))
}

fn logins(names: &[String]) -> anyhow::Result<Vec<ClientLogin>> {
    let paths = Paths::of_this_process();
    let status = ask_status(&paths)?;
    let mut logins = Vec::new();
    for registry in selected(&status, names)? {
        match login(&paths, registry) {
            Ok(login) => logins.push(login),
            Err(error) if names.is_empty() => {
                print_note(&format!("{} is omitted: {error}", registry.server));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(logins)
}

/// The package registries that are named, or all.
fn selected<'a>(
    status: &'a StatusDocument,
    names: &'a [String],
) -> anyhow::Result<Vec<&'a RegistryDocument>> {
    let is_package = |registry: &&RegistryDocument| registry.family == Family::Package;
    if names.is_empty() {
        let all: Vec<_> = status.registries.iter().filter(is_package).collect();
        let is_declared = !all.is_empty();
        return is_declared
            .then_some(all)
            .ok_or_else(|| anyhow!("no package registry is declared; {HOW_TO_DECLARE}"));
    }
    let mut selected: Vec<&RegistryDocument> = Vec::new();
    for name in names {
        let found = selection::find(&status.registries, name);
        if found.is_empty() {
            let why = NoLogin::of(status, name);
            bail!("{why}; `registry-agent status` shows the declared registries");
        }
        let packages: Vec<_> = found.into_iter().filter(is_package).collect();
        if packages.is_empty() {
            bail!(
                "{name} is a container registry, and `exec` is for package registries only; {HOW_TO_DECLARE}"
            );
        }
        for registry in packages {
            if !selected.contains(&registry) {
                selected.push(registry);
            }
        }
    }
    Ok(selected)
}

/// The login of one registry, once it is served.
fn login(paths: &Paths, registry: &RegistryDocument) -> Result<ClientLogin, ClientError> {
    let url = utf8_percent_encode(&registry.server, NON_ALPHANUMERIC);
    let target = format!("/v1/credential?url={url}");
    let body = agent_client::ask(paths, "GET", &target, b"", CREDENTIAL_TIMEOUT)?;
    let served: Option<PackageCredential> = serde_json::from_slice(&body).ok();
    let understood = served.zip(package_server(registry)).and_then(|(served, server)| {
        let scheme = AuthScheme::named(&served.scheme)?;
        let user = served.username.unwrap_or_default();
        let credential = Credential::plain(user, served.secret.0);
        Some(ClientLogin { name: registry.name.clone()?, server, scheme, credential })
    });
    understood.ok_or_else(ClientError::unexpected_json)
}

/// Says which logins the program gets, which variables are set and which are not. One line for those that
/// are leaves room for what the program says.
fn report(environment: &ClientEnvironment, logins: &[ClientLogin], program: &OsString) {
    let ClientEnvironment { set, kept, ambiguous } = environment;
    for name in kept {
        print_note(&format!("{name} keeps the value that it has already"));
    }
    for name in ambiguous {
        print_note(&format!(
            "{name} is not set, because several logins need it; name one: `registry-agent exec NAME -- …`"
        ));
    }
    let program = program.display();
    if set.is_empty() {
        print_note(&format!("no variable is set for {program}"));
    } else {
        let names = list(logins.iter().map(|login| &login.name));
        let variables = set.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        print_note(&format!("{program} gets the logins of {names} in {variables}"));
    }
}

/// npm prefers a token to a user and a password, wherever each is set.
fn report_other_tokens(environment: &ClientEnvironment) {
    let mut files = vec![Paths::of_this_process().npmrc()];
    let project = above_here().into_iter().find(|directory| {
        directory.join("package.json").exists() || directory.join("node_modules").exists()
    });
    files.extend(project.or_else(|| env::current_dir().ok()).map(|it| it.join(".npmrc")));
    files.dedup();
    for path in files {
        let Some(text) = read(&path) else { continue };
        for setting in environment.overriding_tokens(&text) {
            let path = path.display();
            print_note(&format!(
                "npm uses `{setting}` of {path} instead of the agent's login; remove it from the file"
            ));
        }
    }
}
