//! cargo's credential provider protocol (the cargo book, "Credential Provider Protocol"), version 1.
//!
//! An error ends the command, so cargo gets one only for what is asked of a registry that is ours and that
//! no other provider should do. In all other cases cargo asks its next provider.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::package_login::PackageLogins;
use super::{INPUT_LIMIT, Text, finish, json_text};
use crate::adapters::clock::Clock;
use crate::domain::credentials::authorization::AuthScheme;
use crate::wire::exposed_secret::ExposedSecret;
use crate::wire::package_credential::PackageCredential;

/// The name of the provider.
pub(super) const PROGRAM: &str = "cargo-credential-registry-agent";

/// cargo sends a token as it is (the cargo book, "Registry Web API").
pub(super) const SCHEME: AuthScheme = AuthScheme::Raw;

/// How long cargo keeps a login whose expiry is unknown: a password that is replaced during a long
/// installation has to arrive there. cargo stops using a login one minute before it expires.
const UNKNOWN_LIFETIME: SignedDuration = SignedDuration::from_mins(6);

/// One process of the provider, which cargo may ask several times.
pub(super) struct CargoProvider {
    pub(super) logins: PackageLogins,
}

/// What cargo sends. It also has headers of the registry's response, which may contain anything.
#[derive(Deserialize)]
struct Request {
    kind: String,
    registry: Registry,
}

#[derive(Deserialize)]
struct Registry {
    #[serde(rename = "index-url")]
    index_url: String,
}

#[derive(Serialize)]
enum Response {
    Ok(Login),
    Err(Refusal),
}

#[derive(Serialize)]
struct Login {
    kind: &'static str,
    /// The whole value of the `Authorization` header.
    token: ExposedSecret,
    cache: &'static str,
    /// Seconds since 1970.
    expiration: i64,
    /// Whether the login serves every operation.
    operation_independent: bool,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Refusal {
    /// cargo asks its next provider.
    UrlNotSupported,
    /// cargo ends the command with this message.
    Other { message: String },
}

impl CargoProvider {
    pub(super) fn run(
        &self,
        argument: Option<&str>,
        input: &mut impl Read,
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        if argument != Some("--cargo-plugin") {
            let usage = format!("{PROGRAM} is a credential provider; cargo runs it");
            return finish(stderr, &usage, ExitCode::from(2));
        }
        if finish(output, r#"{"v":[1]}"#, ExitCode::SUCCESS) != ExitCode::SUCCESS {
            return ExitCode::FAILURE;
        }
        for line in BufReader::new(input.take(INPUT_LIMIT)).lines() {
            let Ok(line) = line.map(Text::new) else { return ExitCode::FAILURE };
            let response = self.answer(&line, stderr);
            let text = json_text(&response);
            if finish(output, &text, ExitCode::SUCCESS) != ExitCode::SUCCESS {
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }

    fn answer(&self, line: &str, stderr: &mut impl Write) -> Response {
        // A request of a later version of the protocol is for another provider.
        let Ok(Request { kind, registry }) = serde_json::from_str(line) else {
            return Response::Err(Refusal::UrlNotSupported);
        };
        let url = index_url(&registry.index_url);
        match kind.as_str() {
            "get" => match self.logins.find_or_print(url, stderr) {
                Some(login) => Response::Ok(Login::of(login)),
                None => Response::Err(Refusal::UrlNotSupported),
            },
            "login" | "logout" => Response::Err(match self.logins.refusal_to_store(url) {
                Some(why) => Refusal::Other { message: format!("`cargo {kind}` is {why}") },
                None => Refusal::UrlNotSupported,
            }),
            _ => Response::Err(Refusal::UrlNotSupported),
        }
    }
}

impl Login {
    fn of(login: PackageCredential) -> Self {
        let until = login.usable_until.unwrap_or_else(|| after(UNKNOWN_LIFETIME));
        Self {
            kind: "get",
            token: login.authorization,
            cache: "expires",
            expiration: until.as_second(),
            operation_independent: true,
        }
    }
}

fn after(time: SignedDuration) -> Timestamp {
    Clock::system().now().saturating_add(time).unwrap_or(Timestamp::MAX)
}

/// The URL of an index, which cargo writes with the index's protocol in front.
fn index_url(index: &str) -> &str {
    index.strip_prefix("sparse+").or_else(|| index.strip_prefix("registry+")).unwrap_or(index)
}
