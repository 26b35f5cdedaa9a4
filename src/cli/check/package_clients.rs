//! The package clients of this shell: whether they ask the agent, and other logins that they use.

use std::collections::BTreeSet;
use std::path::Path;

use super::report::{Finding, Outcome};
use crate::adapters::package_client_setup::{Asking, PackageClients};
use crate::adapters::paths::Paths;
use crate::cli::output::package_server;
use crate::domain::client_files::npmrc;
use crate::domain::declarations::discovery::AMBIENT_NAME;
use crate::domain::reasons::Reason;
use crate::wire::api::{RegistryDocument, StatusDocument};

/// What the agent writes below its home.
const DOCKER_CONFIG: &str = "/.docker/config.json";

/// No other login takes precedence in the files that the agent writes.
pub(super) fn not_shadowed(
    registry: &RegistryDocument,
    status: &StatusDocument,
    paths: &Paths,
) -> Outcome {
    let setting = package_server(registry).and_then(|server| npmrc::setting(&server));
    let Some((key, _)) = setting else { return Outcome::NotApplicable };
    let path = paths.npmrc().display().to_string();
    // A file that could not be written concerns all logins.
    let concerns = |text: &str| !text.contains("`//") || text.contains(&format!("`{key}:"));
    let of_file = status.problems.iter().filter(|problem| problem.name == path);
    let remarks: Vec<Finding> =
        of_file.filter(|problem| concerns(&problem.problem)).map(Finding::from).collect();
    if remarks.is_empty() { Outcome::NotApplicable } else { Outcome::Passed(path, remarks) }
}

/// The clients on `PATH` ask the agent. Nobody uses all of them, so a fault is a remark, and `told` says
/// it once.
pub(super) fn helper(
    registry: &RegistryDocument,
    status: &StatusDocument,
    paths: &Paths,
    variable: &dyn Fn(&str) -> Option<String>,
    told: &mut BTreeSet<String>,
) -> Outcome {
    let server = package_server(registry);
    let Some(server) = server.filter(|_| registry.name.as_deref() != Some(AMBIENT_NAME)) else {
        return Outcome::NotApplicable;
    };
    let agent_home = status.docker_config.as_deref().and_then(|it| it.strip_suffix(DOCKER_CONFIG));
    let clients = PackageClients {
        variable,
        home: &paths.home,
        agent_home: agent_home.map(Path::new),
        user: registry.user.as_deref(),
    };
    let (mut asking, mut remarks) = (Vec::new(), Vec::new());
    for (client, state) in clients.of(&server) {
        match state {
            Asking::Otherwise => {}
            Asking::Yes => asking.push(client.programs()[0]),
            Asking::No(reason) => {
                let finding = Finding::from(Reason::from(reason));
                if told.insert(finding.text.clone()) {
                    remarks.push(finding);
                }
            }
        }
    }
    match (asking.as_slice(), remarks.is_empty()) {
        ([], true) => Outcome::NotApplicable,
        ([], false) => Outcome::Skipped(
            "no package client of this shell is set up to ask the agent".to_owned(),
            remarks,
        ),
        (asking, _) => {
            Outcome::Passed(format!("set up to ask the agent: {}", asking.join(", ")), remarks)
        }
    }
}
