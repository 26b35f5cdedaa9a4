//! The token of an npm registry: what pnpm and yarn send in the `Authorization` header.

use std::io::Write;
use std::process::ExitCode;

use super::finish;
use super::package_login::PackageLogins;

/// The name of the helper.
pub(super) const PROGRAM: &str = "npm-credential-registry-agent";

/// One call of pnpm or yarn.
pub(super) struct NpmHelper {
    pub(super) logins: PackageLogins,
}

impl NpmHelper {
    pub(super) fn run(
        &self,
        verb: Option<&str>,
        url: Option<&str>,
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        let (Some("get"), Some(url)) = (verb, url) else {
            return finish(stderr, &format!("usage: {PROGRAM} get URL"), ExitCode::from(2));
        };
        match self.logins.find(url) {
            Ok(Some(login)) => finish(output, login.authorization.0.reveal(), ExitCode::SUCCESS),
            Ok(None) => ExitCode::FAILURE,
            Err(notice) => {
                notice.print(stderr, None);
                ExitCode::FAILURE
            }
        }
    }
}
