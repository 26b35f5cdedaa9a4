//! `metrics`: the metrics as text, or as a file for Prometheus' node exporter.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;

use super::output::{REQUEST_TIMEOUT, print_note, stdout};
use crate::adapters::agent_client::{AgentClient, AgentResponse, ClientError};
use crate::adapters::paths::Paths;
use crate::domain::printable::printable;
use crate::domain::url_paths::SecretPaths;

const UP: &str = "# HELP registry_agent_up Whether the agent responds.\n\
                  # TYPE registry_agent_up gauge\n";

/// `registry-agent metrics`
pub fn metrics(textfile: Option<&Path>) -> anyhow::Result<ExitCode> {
    let text = match from_agent() {
        Ok(metrics) => format!("{UP}registry_agent_up 1\n{}", printable_lines(&metrics)),
        // The text is true without an agent as well, and replaces what an agent left.
        Err(error) => {
            if !matches!(error, ClientError::NoAgent) {
                print_note(&error.to_string());
            }
            format!("{UP}registry_agent_up 0\n")
        }
    };
    match textfile {
        None => write!(stdout(), "{text}")?,
        Some(path) => {
            // Everybody may read the file.
            replace(path, &SecretPaths::default().hide_in(&text)).map_err(|error| {
                let cause = error.root_cause().to_string();
                // `tempfile` adds the path of its own file.
                let cause = cause.split(" at path ").next().unwrap_or_default();
                anyhow!("{} cannot be written: {cause}", path.display())
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The metrics of this user's agent: those of another user could contain any sample.
fn from_agent() -> Result<String, ClientError> {
    let client = AgentClient::connect(&Paths::of_this_process(), REQUEST_TIMEOUT)?;
    let metrics = client.send("GET", "/metrics", b"").and_then(AgentResponse::bytes)?;
    Ok(String::from_utf8_lossy(&metrics).into_owned())
}

fn printable_lines(text: &str) -> String {
    text.lines().flat_map(|line| [printable(line), "\n".into()]).collect()
}

/// Replaces the file atomically. The exporter runs as another user, whatever the umask is, and
/// ignores the temporary file because of its name.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".registry-agent-")
        .suffix(".tmp")
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}
