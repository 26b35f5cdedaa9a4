//! The small program that clients run for a credential. The name that it is called by says which
//! client that is, and each protocol has a file of its own.
//!
//! Every call ends within [`TOTAL_TIMEOUT`], and those of package clients earlier, because clients run the
//! helper for every build. An agent that hangs counts as one that does not run.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use zeroize::Zeroizing;

use self::agent::Agent;
use self::bazel::BazelHelper;
use self::cargo::CargoProvider;
use self::docker::DockerHelper;
use self::git::GitHelper;
use self::go::GoAuth;
use self::keyring::KeyringHelper;
use self::kubelet::KubeletPlugin;
use self::npm::NpmHelper;
use self::nuget::NuGetPlugin;
use self::package_login::PackageLogins;
use self::terraform::TerraformHelper;
use crate::adapters::paths::Paths;
use crate::domain::credentials::secret_json;
use crate::domain::printable::is_printable;
use crate::wire::helper::HelperCredential;

mod agent;
mod bazel;
mod cargo;
mod docker;
mod fallback;
mod git;
mod go;
mod keyring;
mod keyring_question;
mod kubelet;
mod notice;
mod npm;
mod nuget;
mod package_login;
mod terraform;

/// The longest that a call may take.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(12);
/// The maximum size of the input; no client sends as much.
const INPUT_LIMIT: u64 = 16 * 1024 * 1024;

/// The output of a call; it may contain a secret.
type Text = Zeroizing<String>;

/// Answers the client that called this program by the name `program` (`argv[0]`).
pub fn run(
    program: &OsStr,
    arguments: &[OsString],
    input: &mut impl Read,
    output: &mut impl Write,
    stderr: &mut impl Write,
) -> ExitCode {
    let paths = Paths::of_this_process();
    let timeout = package_login::TIMEOUT;
    let logins = PackageLogins { paths: paths.clone(), timeout, scheme: None };
    let agent = Agent { paths, deadline: Instant::now() + TOTAL_TIMEOUT };
    let argument = |at: usize| arguments.get(at).and_then(|argument| argument.to_str());
    let (first, second) = (argument(0), argument(1));
    match Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default() {
        bazel::PROGRAM => BazelHelper { logins }.run(first, input, output, stderr),
        cargo::PROGRAM => {
            let logins = PackageLogins { scheme: Some(cargo::SCHEME), ..logins };
            CargoProvider { logins }.run(first, input, output, stderr)
        }
        git::PROGRAM => GitHelper { logins }.run(first, input, output, stderr),
        go::PROGRAM => GoAuth { logins }.run(first, output, stderr),
        name @ (keyring::PROGRAM | keyring::PROGRAM_OF_BACKEND) => {
            let passes_on = name == keyring::PROGRAM;
            KeyringHelper { logins, passes_on }.run(arguments, output, stderr)
        }
        kubelet::PROGRAM => KubeletPlugin { agent }.run(first, input, output, stderr),
        npm::PROGRAM => NpmHelper { logins }.run(first, second, output, stderr),
        nuget::PROGRAM => {
            let logins = PackageLogins { timeout: nuget::TIMEOUT, ..logins };
            NuGetPlugin { logins }.run(first, input, output, stderr)
        }
        terraform::PROGRAM => TerraformHelper { logins }.run(first, second, output, stderr),
        _ => DockerHelper { agent }.run(first, input, output, stderr),
    }
}

fn finish(output: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = write!(output, "{text}{end}").and_then(|()| output.flush());
    if written.is_ok() { code } else { ExitCode::FAILURE }
}

/// Says on standard error, in one printable line, why there is no answer; what the client passed may be
/// part of it.
fn refuse(stderr: &mut impl Write, line: &str) -> ExitCode {
    finish(stderr, &line.replace(|c| !is_printable(c), " "), ExitCode::FAILURE)
}

/// The JSON of an answer, which may contain a secret.
fn json_text(answer: &impl Serialize) -> Text {
    let json = secret_json::to_json(answer).unwrap_or_default();
    Text::new(String::from_utf8_lossy(&json).into_owned())
}

fn read(input: &mut impl Read) -> Result<Text, String> {
    let mut text = Zeroizing::new(String::new());
    input
        .take(INPUT_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot read standard input: {error}"))?;
    Ok(text)
}

/// The request for the credential of a server in any spelling.
fn credential_target(server: &str) -> String {
    format!("/v1/credential?server={}", encode(server))
}

/// A response to [`credential_target`]. An agent of another version, or a program that is none, may
/// send anything.
fn parse_credential(body: &[u8]) -> Option<HelperCredential> {
    let credential: HelperCredential = serde_json::from_slice(body).ok()?;
    (!credential.username.is_empty()).then_some(credential)
}

fn encode(server: &str) -> String {
    utf8_percent_encode(server, NON_ALPHANUMERIC).to_string()
}
