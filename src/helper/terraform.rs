//! The credentials helper protocol of Terraform and `OpenTofu` ("Credentials Helpers Internals").
//!
//! They ask for a host, always over TLS, and send the token as a Bearer token. They fail if the helper
//! fails, also for public modules.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

use super::package_login::PackageLogins;
use super::{finish, json_text, refuse};
use crate::wire::exposed_secret::ExposedSecret;

/// The name of the helper.
pub(super) const PROGRAM: &str = "terraform-credentials-registry-agent";

/// One call of Terraform.
pub(super) struct TerraformHelper {
    pub(super) logins: PackageLogins,
}

#[derive(Serialize)]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<ExposedSecret>,
}

impl TerraformHelper {
    pub(super) fn run(
        &self,
        verb: Option<&str>,
        host: Option<&str>,
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        let (Some(verb @ ("get" | "store" | "forget")), Some(host)) = (verb, host) else {
            let usage = format!("usage: {PROGRAM} get HOST");
            return finish(stderr, &usage, ExitCode::from(2));
        };
        let url = format!("https://{host}/");
        if verb != "get" {
            let why = self.logins.refusal_to_store(&url).unwrap_or_else(|| {
                format!(
                    "not supported: set NAME_PACKAGE_REGISTRY_SERVER={url} and \
                     NAME_PACKAGE_REGISTRY_PASSWORD, and run `registry-agent sync`"
                )
            });
            let line = format!("registry-agent: `{verb}` is {why}");
            return refuse(stderr, &line);
        }
        let login = self.logins.find_or_print(&url, stderr);
        // The password of a user is no token.
        let token = login.filter(|login| match login.scheme.as_str() {
            "bearer" => true,
            "basic" => login.username.is_none(),
            _ => false,
        });
        let token = token.map(|login| login.secret);
        let text = json_text(&Response { token });
        finish(output, &text, ExitCode::SUCCESS)
    }
}
