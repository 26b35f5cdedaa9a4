//! `refresh`: renews and verifies logins now.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::login_lines::login_lines;
use super::output::{HOW_TO_DECLARE, print_note, stdout};
use super::status_report::is_well;
use super::terminal;
use crate::adapters::agent_client;
use crate::adapters::paths::Paths;
use crate::wire::api::RegistryDocument;

/// `registry-agent refresh`
pub fn refresh(names: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let targets: Vec<String> = if names.is_empty() {
        vec!["/v1/refresh".to_owned()]
    } else {
        let encoded = names.iter().map(|name| utf8_percent_encode(name, NON_ALPHANUMERIC));
        encoded.map(|name| format!("/v1/refresh?registry={name}")).collect()
    };
    let mut refreshed: Vec<RegistryDocument> = Vec::new();
    for target in targets {
        let answer = agent_client::ask(&paths, "POST", &target, b"", Duration::from_secs(65))?;
        refreshed.extend(serde_json::from_slice::<Vec<RegistryDocument>>(&answer)?);
    }
    if json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&refreshed)?)?;
    } else if refreshed.is_empty() {
        print_note(&format!("no registry is declared; {HOW_TO_DECLARE}"));
    } else {
        let lines = login_lines(&refreshed, terminal::width());
        anstream::stdout().write_all(lines.as_bytes())?;
    }
    Ok(if refreshed.iter().all(is_well) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
