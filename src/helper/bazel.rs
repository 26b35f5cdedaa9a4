//! Bazel's credential helper protocol (`EngFlow/credential-helpers-spec`).
//!
//! Bazel fails the build if the helper fails, also for public files. Without a login, the response has
//! no headers, and the request goes out without a credential.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::package_login::PackageLogins;
use super::{finish, json_text, read, refuse};
use crate::wire::exposed_secret::ExposedSecret;

/// The name of the helper.
pub(super) const PROGRAM: &str = "bazel-credential-registry-agent";

/// One call of Bazel.
pub(super) struct BazelHelper {
    pub(super) logins: PackageLogins,
}

#[derive(Deserialize)]
struct Request {
    uri: String,
}

#[derive(Serialize)]
struct Response {
    headers: BTreeMap<&'static str, [ExposedSecret; 1]>,
    /// Until when Bazel may keep the headers; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<jiff::Timestamp>,
}

impl BazelHelper {
    pub(super) fn run(
        &self,
        verb: Option<&str>,
        input: &mut impl Read,
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        if verb != Some("get") {
            let usage = format!("usage: {PROGRAM} get < request");
            return finish(stderr, &usage, ExitCode::from(2));
        }
        let request = read(input).and_then(|text| {
            serde_json::from_str::<Request>(&text).map_err(|error| {
                format!("not valid JSON at line {} column {}", error.line(), error.column())
            })
        });
        let url = match request {
            Ok(request) => request.uri,
            Err(fault) => {
                let line = format!("registry-agent: standard input is not a request: {fault}");
                return refuse(stderr, &line);
            }
        };
        let login = self.logins.find_or_print(&url, stderr);
        let expires = login.as_ref().and_then(|login| login.usable_until);
        let headers =
            login.into_iter().map(|login| ("Authorization", [login.authorization])).collect();
        let text = json_text(&Response { headers, expires });
        finish(output, &text, ExitCode::SUCCESS)
    }
}
