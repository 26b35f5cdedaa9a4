//! `check`: follows a login from its variables to the client and stops at the first failure.

use std::env;
use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::output::{HOW_TO_DECLARE, ask_status, is_called, stdout};
use super::status_report::{keeps_clients_away, label};
use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::client_obstacles::{ClientEnvironment, obstacles};
use crate::adapters::paths::Paths;
use crate::domain::docker_config::HELPER;
use crate::domain::servers::server::Server;
use crate::wire::api::{RegistryDocument, StatusDocument};

/// One step between variables and client.
#[derive(Debug, Serialize)]
struct CheckStep {
    login: String,
    #[serde(rename = "step")]
    title: &'static str,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// Why a step failed, and the fix.
type Broken = (String, String);

/// `registry-agent check`
pub fn check(what: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let status = match ask_status(&paths) {
        Err(ClientError::NoAgent) => {
            bail!("no agent is running; start one with `registry-agent sync`")
        }
        other => other?,
    };
    let mut steps = Vec::new();
    declared(&status, what, &mut steps);
    let meant = status.registries.iter().filter(|r| what.is_none_or(|what| is_called(r, what)));
    for registry in meant {
        walk(&paths, registry, &mut steps);
    }
    if steps.is_empty() {
        bail!("no registry is declared; {HOW_TO_DECLARE}");
    }
    let mut out = stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&steps)?)?;
    } else {
        for step in &steps {
            let mark = match (step.ok, &step.fix) {
                (true, None) => "ok    ",
                (true, Some(_)) => "remark",
                (false, _) => "BROKEN",
            };
            writeln!(out, "{mark}  {:<12} {:<10} {}", step.login, step.title, step.detail)?;
            if let Some(fix) = &step.fix {
                writeln!(out, "        fix: {fix}")?;
            }
        }
    }
    let well = steps.iter().all(|step| step.ok);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds the problems of the declarations that `what` selects.
fn declared(status: &StatusDocument, what: Option<&str>, steps: &mut Vec<CheckStep>) {
    let known = what.is_none_or(|what| status.registries.iter().any(|r| is_called(r, what)));
    for problem in &status.problems {
        let concerns = what.is_none_or(|what| {
            problem.name == what
                || !known
                || status
                    .registries
                    .iter()
                    .any(|r| is_called(r, what) && r.name.as_deref() == Some(problem.name.as_str()))
        });
        if concerns {
            steps.push(CheckStep {
                login: problem.name.clone(),
                title: "declared",
                ok: !keeps_clients_away(problem),
                detail: problem.problem.clone(),
                fix: Some(problem.hint.clone()),
            });
        }
    }
    if let Some(what) = what.filter(|_| !known) {
        steps.push(CheckStep {
            login: what.to_owned(),
            title: "declared",
            ok: false,
            detail: "no complete set of variables declares it".to_owned(),
            fix: Some(HOW_TO_DECLARE.to_owned()),
        });
    }
}

fn walk(paths: &Paths, registry: &RegistryDocument, steps: &mut Vec<CheckStep>) {
    let name = label(registry).to_owned();
    let way: [(&'static str, Result<String, Broken>); 4] = [
        ("declared", Ok(format!("{}, password from {}", registry.server, registry.source))),
        ("login", login(paths, registry)),
        ("published", published(paths, registry)),
        ("clients", clients(paths, registry)),
    ];
    for (title, result) in way {
        let (ok, detail, fix) = match result {
            Ok(detail) => (true, detail, None),
            Err((detail, fix)) => (false, detail, Some(fix)),
        };
        steps.push(CheckStep { login: name.clone(), title, ok, detail, fix });
        if !ok {
            return;
        }
    }
}

/// Makes the agent verify the login again.
fn login(paths: &Paths, registry: &RegistryDocument) -> Result<String, Broken> {
    let server = utf8_percent_encode(&registry.server, NON_ALPHANUMERIC);
    let target = format!("/v1/refresh?registry={server}");
    let answer = agent_client::ask(paths, "POST", &target, b"", Duration::from_secs(65))
        .map_err(|error| (error.to_string(), "run `registry-agent check` again".to_owned()))?;
    let now: Vec<RegistryDocument> = serde_json::from_slice(&answer).unwrap_or_default();
    let now = now.first().unwrap_or(registry);
    match now.state.as_str() {
        "ready" => Ok("the registry accepts the credential".to_owned()),
        "unverified" => Ok(now.reason.clone().unwrap_or_else(|| "not verified".to_owned())),
        state => Err((
            now.reason.clone().unwrap_or_else(|| format!("the login is {state}")),
            now.hint
                .clone()
                .unwrap_or_else(|| "run `registry-agent check` again in a minute".to_owned()),
        )),
    }
}

/// Whether the docker configuration names the credential helper for each key.
fn published(paths: &Paths, registry: &RegistryDocument) -> Result<String, Broken> {
    let dir = env::var("DOCKER_CONFIG").ok();
    let file = paths.docker_config_file(dir.as_deref());
    let text = fs::read_to_string(&file).map_err(|error| {
        (
            format!("{}: {error}", file.display()),
            "run `registry-agent status` and fix the problems of this file".to_owned(),
        )
    })?;
    let document: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        (format!("{}: {error}", file.display()), format!("correct {}", file.display()))
    })?;
    for key in &registry.keys {
        match document["credHelpers"][key].as_str() {
            Some(HELPER) => {}
            // `mode = "auths"` writes the login itself.
            None if document["auths"][key]["auth"].is_string() => {}
            Some(other) => {
                return Err((
                    format!("{key} uses the credential helper `{other}` in {}", file.display()),
                    format!("remove {key} from `credHelpers` in {}", file.display()),
                ));
            }
            None => {
                return Err((
                    format!("{} has no `credHelpers` entry for {key}", file.display()),
                    "run `registry-agent status` and fix the problems of this file".to_owned(),
                ));
            }
        }
    }
    Ok(file.display().to_string())
}

/// Whether anything overrides the credential helper for clients started from this shell.
fn clients(paths: &Paths, registry: &RegistryDocument) -> Result<String, Broken> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let environment = ClientEnvironment {
        variable: &variable,
        home: &paths.home,
        uid: paths.uid,
        docker_config: &paths.docker_config_file(variable("DOCKER_CONFIG").as_deref()),
    };
    let servers: Vec<Server> =
        Server::parse(&registry.server).map(|(server, _)| server).into_iter().collect();
    match obstacles(&environment, &servers).first() {
        None => Ok("nothing overrides the credential helper".to_owned()),
        Some(obstacle) => Err((obstacle.to_string(), obstacle.fix())),
    }
}
