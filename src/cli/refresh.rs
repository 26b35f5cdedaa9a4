//! `refresh`: renews and verifies logins now.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::login_lines::login_lines;
use super::output::{ask_status, print_note, stdout};
use super::selection::{self, NoLogin};
use super::status_report::{is_well, nothing_declared};
use super::terminal;
use crate::adapters::agent_client;
use crate::adapters::paths::Paths;
use crate::wire::api::{RegistryDocument, StatusDocument, parse_printable};

/// `registry-agent refresh`
pub fn refresh(names: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let mut targets = Vec::new();
    let mut all_found = true;
    if names.is_empty() {
        targets.push("/v1/refresh".to_owned());
    } else {
        let status = ask_status(&paths)?;
        for name in names {
            let found = selection::find(&status.registries, name);
            if found.is_empty() {
                let missing = NoLogin::of(&status, name);
                let fix = match missing {
                    NoLogin::Unusable(_, problem) => format!("; fix: {}", problem.hint),
                    NoLogin::NotDeclared(..) => String::new(),
                };
                print_note(&format!("{missing}{fix}"));
                all_found = false;
            }
            for registry in found {
                let server = utf8_percent_encode(&registry.server, NON_ALPHANUMERIC);
                targets.push(format!("/v1/refresh?registry={server}"));
            }
        }
    }
    let mut refreshed: Vec<RegistryDocument> = Vec::new();
    for target in targets {
        let answer = agent_client::ask(&paths, "POST", &target, b"", Duration::from_secs(65))?;
        refreshed.extend(parse_printable::<Vec<RegistryDocument>>(&answer)?);
    }
    if json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&refreshed)?)?;
    } else if refreshed.is_empty() && all_found {
        let StatusDocument { problems, .. } = ask_status(&paths)?;
        print_note(&nothing_declared(&problems));
    } else {
        let lines = login_lines(&refreshed, terminal::width());
        anstream::stdout().write_all(lines.as_bytes())?;
    }
    let well = all_found && refreshed.iter().all(is_well);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
