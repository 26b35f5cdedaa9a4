//! The command of Go's `GOAUTH` (`go help goauth`).
//!
//! Go runs it first without a URL, when it does not yet know what it will need, and then for each URL that
//! a server refuses. It ignores a command that fails, and shows its standard error with `-x`.

use std::io::Write;
use std::process::ExitCode;

use super::package_login::PackageLogins;
use super::{Text, finish};

/// The name of the command.
pub(super) const PROGRAM: &str = "goauth-registry-agent";

/// One call of Go.
pub(super) struct GoAuth {
    pub(super) logins: PackageLogins,
}

impl GoAuth {
    /// Prints the login for `url`. Standard input has the head of the server's response, which nothing
    /// needs.
    pub(super) fn run(
        &self,
        url: Option<&str>,
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        let Some(url) = url else { return ExitCode::SUCCESS };
        let login = match self.logins.find(url) {
            // Go compares hosts and paths only, and would send the login to the https URL as well.
            Ok(login) => login.filter(|login| login.url_prefix.starts_with("https://")),
            Err(notice) => {
                notice.print(stderr, None);
                return ExitCode::FAILURE;
            }
        };
        let Some(login) = login else { return ExitCode::SUCCESS };
        // Go 1.24 keeps a slash at the end, and then finds nothing below it.
        let prefix = login.url_prefix.trim_end_matches('/');
        let header = login.authorization.0.reveal();
        let text = Text::new(format!("{prefix}\n\nAuthorization: {header}\n\n"));
        finish(output, &text, ExitCode::SUCCESS)
    }
}
