//! `export`: logins in plain text, for clients that cannot run a credential helper.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::output::{Failed, ask_status, print_note, stdout};
use super::selection::{self, NoLogin};
use crate::adapters::agent_client;
use crate::adapters::paths::Paths;
use crate::domain::credentials::credential::Credential;
use crate::domain::declarations::variable::Family;
use crate::domain::docker_config::export;
use crate::wire::helper::HelperCredential;

/// An output format.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ExportFormat {
    /// A docker config.json with plain-text `auths`
    DockerConfig,
    /// A Kubernetes secret for imagePullSecrets
    KubernetesSecret,
}

/// `registry-agent export`
pub fn export(format: ExportFormat, names: &[String]) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let status = ask_status(&paths)?;
    let (mut selected, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        let found = selection::find(&status.registries, name);
        let mut families = found.iter().map(|registry| registry.family);
        if found.is_empty() {
            missing.push(NoLogin::of(&status, name).to_string());
        } else if families.all(|family| family == Family::Package) {
            bail!("{name} is a package registry, and `export` is for container registries only");
        }
        selected.extend(found);
    }
    if !missing.is_empty() {
        bail!("{}; `registry-agent status` shows the declared registries", missing.join("; "));
    }
    // An empty document would look like an export.
    if !status.registries.iter().any(|registry| registry.family == Family::Container) {
        bail!("no container registry is declared, and `export` is for container registries only");
    }
    let mut logins = BTreeMap::new();
    let mut complete = true;
    for registry in &status.registries {
        let is_selected = names.is_empty() || selected.contains(&registry);
        // Both formats are for clients of container registries.
        if !is_selected || registry.family == Family::Package {
            continue;
        }
        let server = utf8_percent_encode(&registry.server, NON_ALPHANUMERIC);
        let target = format!("/v1/credential?server={server}");
        match agent_client::ask(&paths, "GET", &target, b"", Duration::from_secs(12)) {
            Ok(body) => {
                let login: HelperCredential = serde_json::from_slice(&body)?;
                let credential = Credential::plain(login.username, login.secret.0);
                if credential.is_identity_token()
                    && matches!(format, ExportFormat::KubernetesSecret)
                {
                    print_note(&format!(
                        "{} is omitted: its login is an identity token, which the kubelet cannot use",
                        registry.server
                    ));
                    complete = false;
                    continue;
                }
                for key in &registry.keys {
                    logins.insert(key.clone(), credential.clone());
                }
            }
            Err(error) => {
                print_note(&format!("{} is omitted: {error}", registry.server));
                complete = false;
            }
        }
    }
    let text = match format {
        ExportFormat::DockerConfig => export::docker_config(&logins),
        ExportFormat::KubernetesSecret => export::kubernetes_secret(&logins, "registry-agent"),
    };
    writeln!(stdout(), "{}", text.reveal().trim_end())?;
    if complete { Ok(ExitCode::SUCCESS) } else { Err(Failed(1).into()) }
}
