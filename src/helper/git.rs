//! git's credential helper protocol (`git help credential`, `gitcredentials`).
//!
//! Without an answer, git asks its next helper and then the user, as it does without this one.

use std::io::{Read, Write};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::notice::Notice;
use super::package_login::PackageLogins;
use super::{Text, finish, read};
use crate::domain::package_clients::setup::use_path_command;
use crate::wire::package_credential::PackageCredential;

/// The name of the helper.
pub(super) const PROGRAM: &str = "git-credential-registry-agent";

/// The user of a token that is declared without one. git needs a user, and servers that take a token as a
/// password ignore it, except that GitLab wants this one for some of its tokens.
const TOKEN_USER: &str = "oauth2";

/// One call of git.
pub(super) struct GitHelper {
    pub(super) logins: PackageLogins,
}

/// What git knows of the server.
#[derive(Default)]
struct Question {
    protocol: String,
    host: String,
    path: String,
    username: Option<String>,
    /// Whether git also takes the value of an `Authorization` header; from 2.46 on.
    takes_authorization: bool,
    /// Whether the server asks for a user and a password.
    asks_for_password: bool,
}

impl GitHelper {
    pub(super) fn run(
        &self,
        verb: Option<&str>,
        input: &mut impl Read,
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        // git sends every login that works to `store`, and every one that does not to `erase`.
        if verb != Some("get") {
            return ExitCode::SUCCESS;
        }
        let Ok(text) = read(input) else { return ExitCode::FAILURE };
        let question = Question::parse(&text);
        match self.logins.find(&question.url()) {
            Ok(Some(login)) => {
                return finish(output, &question.answer(&login), ExitCode::SUCCESS);
            }
            Ok(None) if question.path.is_empty() => self.print_missing_path(&question, stderr),
            Ok(None) => {}
            Err(notice) => notice.print(stderr, None),
        }
        ExitCode::SUCCESS
    }

    /// git asks for the host of a login that answers only below a path.
    fn print_missing_path(&self, question: &Question, stderr: &mut impl Write) {
        let Some(server) = self.logins.repositories_below(&question.url()) else { return };
        let origin = format!("{}://{}", server.scheme(), server.authority());
        let why = format!("git asks for {origin} without a path, and the login is for {server}");
        Notice::new(why, format!("run `{}`", use_path_command(&origin))).print(stderr, None);
    }
}

impl Question {
    fn parse(text: &str) -> Self {
        let mut question = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "protocol" => value.clone_into(&mut question.protocol),
                "host" => value.clone_into(&mut question.host),
                "path" => value.clone_into(&mut question.path),
                "username" => question.username = Some(value.to_owned()),
                "capability[]" => question.takes_authorization |= value == "authtype",
                "wwwauth[]" => {
                    let scheme = value.split(' ').next().unwrap_or_default();
                    question.asks_for_password |= scheme.eq_ignore_ascii_case("basic");
                }
                _ => {}
            }
        }
        question
    }

    /// Without `credential.useHttpPath`, git names no path.
    fn url(&self) -> String {
        format!("{}://{}/{}", self.protocol, self.host, self.path)
    }

    fn answer(&self, login: &PackageCredential) -> Text {
        let (secret, authorization) = (login.secret.0.reveal(), login.authorization.0.reveal());
        let user = login.username.as_deref();
        // The URL of the repository names another user.
        let is_other = |asked: &String| user.is_some_and(|user| user != asked);
        if self.username.as_ref().is_some_and(is_other) || authorization.contains(['\n', '\0']) {
            return Text::default();
        }
        let end =
            login.usable_until.map(|end| format!("password_expiry_utc={}\n", end.as_second()));
        let end = end.unwrap_or_default();
        let asks_for_password = login.scheme == "basic" || self.asks_for_password;
        if !asks_for_password && self.takes_authorization {
            return authorization
                .split_once(' ')
                .map(|(scheme, value)| header(scheme, value, &end))
                .unwrap_or_default();
        }
        if login.scheme == "raw" || secret.contains(['\n', '\0']) {
            return Text::default();
        }
        let user = user.or(self.username.as_deref()).unwrap_or(TOKEN_USER);
        if self.takes_authorization {
            // git sends a password that worked to its other helpers, which may store it. A header stays
            // in this process.
            let pair = Text::new(format!("{user}:{secret}"));
            return header("Basic", &Text::new(STANDARD.encode(pair.as_bytes())), &end);
        }
        Text::new(format!("username={user}\npassword={secret}\n{end}"))
    }
}

/// The answer with the value of an `Authorization` header, which git gives to no other helper.
fn header(scheme: &str, value: &str, end: &str) -> Text {
    Text::new(format!(
        "capability[]=authtype\nauthtype={scheme}\ncredential={value}\nephemeral=1\n{end}"
    ))
}
