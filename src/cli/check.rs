//! `check`: from variable to client, step by step, up to the first thing that is broken.

use std::env;
use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::output::{ask_status, is_called, stdout};
use super::status_report::{keeps_a_login_away, label};
use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::client_obstacles::{ClientEnvironment, obstacles};
use crate::adapters::paths::Paths;
use crate::domain::docker_config::HELPER;
use crate::domain::servers::server::Server;
use crate::wire::api::{RegistryDocument, StatusDocument};

/// One step of the way.
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

/// Where the way ends, and why.
type Broken = (String, String);

/// `registry-agent check`
pub fn check(what: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let status = match ask_status(&paths) {
        Err(ClientError::NoAgent) => {
            bail!("no agent is running; start it with: registry-agent start")
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
        bail!(
            "nothing is declared; set NAME_CONTAINER_REGISTRY_SERVER, _USER and _PASSWORD, then run registry-agent sync"
        );
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

/// What is wrong with what was declared.
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
                ok: !keeps_a_login_away(problem, status),
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
            fix: Some(
                "set NAME_CONTAINER_REGISTRY_SERVER, _USER and _PASSWORD, then run registry-agent sync"
                    .to_owned(),
            ),
        });
    }
}

fn walk(paths: &Paths, registry: &RegistryDocument, steps: &mut Vec<CheckStep>) {
    let name = label(registry).to_owned();
    let way: [(&'static str, Result<String, Broken>); 4] = [
        ("declared", Ok(format!("{} by {}", registry.server, registry.source))),
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

/// Has the registry asked anew.
fn login(paths: &Paths, registry: &RegistryDocument) -> Result<String, Broken> {
    let server = utf8_percent_encode(&registry.server, NON_ALPHANUMERIC);
    let target = format!("/v1/refresh?registry={server}");
    let answer = agent_client::ask(paths, "POST", &target, b"", Duration::from_secs(65))
        .map_err(|error| (error.to_string(), "run registry-agent check again".to_owned()))?;
    let now: Vec<RegistryDocument> = serde_json::from_slice(&answer).unwrap_or_default();
    let now = now.first().unwrap_or(registry);
    match now.state.as_str() {
        "ready" => Ok("the registry accepts the credential".to_owned()),
        "unverified" => Ok(now.reason.clone().unwrap_or_else(|| "not verified".to_owned())),
        state => Err((
            now.reason.clone().unwrap_or_else(|| format!("the login is {state}")),
            now.hint.clone().unwrap_or_else(|| "wait and check again".to_owned()),
        )),
    }
}

/// Whether the docker configuration names the helper.
fn published(paths: &Paths, registry: &RegistryDocument) -> Result<String, Broken> {
    let dir = env::var("DOCKER_CONFIG").ok();
    let file = paths.docker_config_file(dir.as_deref());
    let text = fs::read_to_string(&file).map_err(|error| {
        (
            format!("{}: {error}", file.display()),
            "see the problems in registry-agent status".to_owned(),
        )
    })?;
    let document: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        (format!("{}: {error}", file.display()), format!("repair {}", file.display()))
    })?;
    for key in &registry.keys {
        match document["credHelpers"][key].as_str() {
            Some(HELPER) => {}
            // With `mode = "auths"` the login itself stands there.
            None if document["auths"][key]["auth"].is_string() => {}
            Some(other) => {
                return Err((
                    format!("{} gives {key} to the helper {other}", file.display()),
                    format!("remove the entry of {key} from credHelpers in {}", file.display()),
                ));
            }
            None => {
                return Err((
                    format!("{} does not name the helper for {key}", file.display()),
                    "see the problems in registry-agent status".to_owned(),
                ));
            }
        }
    }
    Ok(file.display().to_string())
}

/// Whether something keeps clients that are run from here from asking the helper.
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
        None => Ok("nothing keeps them from asking the helper".to_owned()),
        Some(obstacle) => Err((obstacle.to_string(), obstacle.fix())),
    }
}
