//! `NuGet`'s cross-platform plug-in protocol, version 2.0.0: JSON messages, one a line, in both directions.
//!
//! `NuGet` runs every `nuget-plugin-*` on `PATH`, gives it 5 s for each response, and fails the
//! restore if one does not arrive.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::package_login::PackageLogins;
use super::{INPUT_LIMIT, Text, finish, json_text};
use crate::wire::exposed_secret::ExposedSecret;
use crate::wire::package_credential::PackageCredential;

/// The name of the plug-in.
pub(super) const PROGRAM: &str = "nuget-plugin-registry-agent";

/// The longest that `NuGet` waits; it gives up after 5 s.
pub(super) const TIMEOUT: Duration = Duration::from_secs(4);

/// The version of the protocol.
const VERSION: &str = "2.0.0";

/// The user of a token that is declared without one, because `NuGet` sends a user and a password.
const TOKEN_USER: &str = "token";

/// One process of the plug-in, which `NuGet` asks as long as it restores packages.
pub(super) struct NuGetPlugin {
    pub(super) logins: PackageLogins,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message<P> {
    request_id: String,
    r#type: String,
    method: String,
    payload: Option<P>,
}

/// The parts of all requests that are used.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    uri: Option<String>,
    package_source_repository: Option<String>,
}

/// The parts of all messages that are sent.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Payload {
    #[serde(skip_serializing_if = "Option::is_none")]
    response_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_protocol_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<ExposedSecret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication_types: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl NuGetPlugin {
    pub(super) fn run(
        &self,
        argument: Option<&str>,
        input: &mut impl Read,
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        if argument.is_none_or(|argument| !argument.eq_ignore_ascii_case("-plugin")) {
            let usage = format!("{PROGRAM} is a plug-in; NuGet runs it");
            return finish(stderr, &usage, ExitCode::from(2));
        }
        // Both sides open with a handshake.
        let hello = Payload {
            protocol_version: Some(VERSION),
            minimum_protocol_version: Some(VERSION),
            ..Payload::default()
        };
        let mut sent = send(output, "handshake".to_owned(), "Request", "Handshake", hello);
        for line in BufReader::new(input.take(INPUT_LIMIT)).lines() {
            let (true, Ok(line)) = (sent, line.map(Text::new)) else { return ExitCode::FAILURE };
            let Ok(message) = serde_json::from_str::<Message<Request>>(&line) else { continue };
            match (message.r#type.as_str(), message.method.as_str()) {
                ("Request", "Close") => break,
                ("Request", _) => sent = self.answer(message, output),
                _ => {}
            }
        }
        ExitCode::SUCCESS
    }

    fn answer(&self, message: Message<Request>, output: &mut impl Write) -> bool {
        let request = message.payload.unwrap_or_default();
        let success = Payload { response_code: Some("Success"), ..Payload::default() };
        let payload = match message.method.as_str() {
            "Handshake" => Payload { protocol_version: Some(VERSION), ..success },
            // A question about one source is about plug-ins that download packages.
            "GetOperationClaims" => {
                let claims = match request.package_source_repository {
                    None => vec!["Authentication"],
                    Some(_) => Vec::new(),
                };
                Payload { claims: Some(claims), ..Payload::default() }
            }
            "GetAuthenticationCredentials" => {
                self.login(&request.uri.unwrap_or_default(), output).map_or_else(
                    // For `NotFound`, NuGet warns about every public feed that is down.
                    || Payload { response_code: Some("Error"), ..Payload::default() },
                    |login| Payload {
                        username: login.username.or_else(|| Some(TOKEN_USER.to_owned())),
                        password: Some(login.secret),
                        authentication_types: Some(["Basic"]),
                        ..success
                    },
                )
            }
            "Initialize" | "MonitorNuGetProcessExit" | "SetCredentials" | "SetLogLevel" => success,
            _ => Payload { response_code: Some("NotFound"), ..Payload::default() },
        };
        send(output, message.request_id, "Response", &message.method, payload)
    }

    /// The login for `url`, as user and password. `NuGet` shows what a plug-in logs, and not its standard
    /// error.
    fn login(&self, url: &str, output: &mut impl Write) -> Option<PackageCredential> {
        let login = self.logins.find(url).unwrap_or_else(|notice| {
            let (log_level, message) = (Some("Warning"), Some(notice.line(None)));
            let log = Payload { log_level, message, ..Payload::default() };
            send(output, "log".to_owned(), "Request", "Log", log);
            None
        });
        login.filter(|login| login.scheme != "raw")
    }
}

/// Returns whether the client still reads.
fn send(
    output: &mut impl Write,
    request_id: String,
    r#type: &str,
    method: &str,
    payload: Payload,
) -> bool {
    let (r#type, method) = (r#type.to_owned(), method.to_owned());
    let message = Message { request_id, r#type, method, payload: Some(payload) };
    let text = json_text(&message);
    finish(output, &text, ExitCode::SUCCESS) == ExitCode::SUCCESS
}
