//! Runs the credential helper as docker does: with the environment of this process.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::adapters::limited_command;
use crate::wire::helper::HelperCredential;

/// The most of the helper's message that is shown, in characters.
const MESSAGE_SHOWN: usize = 200;

/// How long a helper may run. Ours answers within 12 s.
const TIMEOUT: Duration = Duration::from_secs(13);

/// What our helper calls itself.
const NAME: &str = "docker-credential-registry-agent ";

/// A credential helper. Errors are the message of the helper.
pub(super) struct HelperProgram(pub(super) PathBuf);

impl HelperProgram {
    /// The version that it states after its name.
    pub(super) fn version(&self) -> Result<String, String> {
        let output = self.run("version", "")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.trim().strip_prefix(NAME).map(str::trim) {
            Some(version) if !version.contains(char::is_whitespace) => Ok(shortened(version)),
            _ if text.trim().is_empty() => Err("`version` prints nothing".to_owned()),
            _ => {
                let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
                Err(format!("it is another program, whose `version` prints `{}`", shortened(line)))
            }
        }
    }

    /// What it returns to a client that asks for `key`.
    pub(super) fn get(&self, key: &str) -> Result<HelperCredential, String> {
        let body = Zeroizing::new(self.run("get", key)?.stdout);
        serde_json::from_slice(&body).map_err(|_| "it does not return a login".to_owned())
    }

    fn run(&self, verb: &str, input: &str) -> Result<Output, String> {
        let mut command = Command::new(&self.0);
        let output = limited_command::output(command.arg(verb), input.as_bytes(), TIMEOUT);
        let output = output.map_err(|fault| fault.to_string())?;
        if output.status.success() {
            return Ok(output);
        }
        // On failure the protocol puts a message on standard output, and no secret.
        let said = [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text));
        let line = said.iter().flat_map(|text| text.lines()).find(|line| !line.trim().is_empty());
        Err(line.map_or_else(|| output.status.to_string(), shortened))
    }
}

fn shortened(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(MESSAGE_SHOWN).map(printable).collect()
}
