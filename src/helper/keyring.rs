//! The `keyring` program that pip and uv run (`keyring get URL [USER]`), as that of jaraco's keyring
//! answers.
//!
//! It takes the place of another `keyring` on `PATH`, so it runs that one for everything that is not
//! about a login of the agent. pip and uv also ask for a host without a scheme; whoever checked out an
//! index URL with `http://` would get the password in plain text then, so that has no answer.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde::Serialize;

use super::keyring_question::{Mode, Output, Question};
use super::notice::Notice;
use super::package_login::PackageLogins;
use super::{Text, finish, json_text, refuse};
use crate::adapters::client_obstacles::is_program;
use crate::domain::credentials::authorization::AuthScheme;
use crate::wire::exposed_secret::ExposedSecret;

/// The name of the program that pip and uv run.
pub(super) const PROGRAM: &str = "keyring";
/// The name by which the Python backend asks: the other `keyring` would load that backend again.
pub(super) const PROGRAM_OF_BACKEND: &str = "keyring-registry-agent";
/// The `keyring` programs that one of ours has run for this question: none is run twice, so that two of ours
/// do not run each other, and a third one gets its turn.
const PASSED_ON: &str = "REGISTRY_AGENT_KEYRING_PASSED_ON";
/// The user of a token that is sent without one, as Python's package index has it.
const TOKEN_USER: &str = "__token__";

/// One call of pip or uv.
pub(super) struct KeyringHelper {
    pub(super) logins: PackageLogins,
    /// Whether another `keyring` answers what this one does not.
    pub(super) passes_on: bool,
}

/// A login as JSON, or its lines in plain output.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    password: ExposedSecret,
}

impl KeyringHelper {
    pub(super) fn run(
        &self,
        arguments: &[OsString],
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        let question = Question::parse(arguments);
        match &question {
            Some(Question::Get { url, user, mode, output: form }) => {
                match self.login(url, user.as_deref()) {
                    Ok(Some(answer)) => {
                        return finish(output, &text_of(answer, *mode, *form), ExitCode::SUCCESS);
                    }
                    Ok(None) => {}
                    Err(notice) => notice.print(stderr, None),
                }
            }
            Some(Question::Change { url }) => {
                if let Some(why) = self.logins.refusal_to_store(url) {
                    return refuse(stderr, &format!("registry-agent: this is {why}"));
                }
            }
            _ => {}
        }
        if self.passes_on
            && let Some(other) = other_keyring()
        {
            let passed_on = env::join_paths(passed_on().chain([other.clone()])).unwrap_or_default();
            let error = Command::new(&other).args(arguments).env(PASSED_ON, passed_on).exec();
            let why = format!("{} cannot be run: {error}", other.display());
            Notice::new(why, "remove it, or make it executable").print(stderr, None);
        } else if !matches!(question, Some(Question::Get { .. })) {
            Notice::new(
                "this `keyring` knows only the logins of the agent, and there is no other one on PATH",
                "run `pip install keyring` for one that stores passwords",
            )
            .print(stderr, None);
        }
        ExitCode::FAILURE
    }

    /// The login for `url`, unless it is that of another user than `asked`.
    fn login(&self, url: &str, asked: Option<&str>) -> Result<Option<Answer>, Notice> {
        // Nothing else can be ours, and the agent need not run for it.
        if !url.contains("://") {
            return Ok(None);
        }
        let Some(login) = self.logins.find(url)? else { return Ok(None) };
        let server = login.server;
        if login.scheme == AuthScheme::Raw.as_str() {
            let why =
                format!("the login for {server} is sent as it is, which Python's tools cannot do");
            return Err(Notice::new(why, "set its `_SCHEME` to `basic` or `bearer`"));
        }
        match (login.username, asked) {
            (Some(user), Some(asked)) if user != asked => Err(Notice::new(
                format!("the login for {server} belongs to the user {user}, not to {asked}"),
                format!("write `{user}@` before the host in the URL of the index"),
            )),
            (user, asked) => {
                let user =
                    user.or(asked.map(str::to_owned)).unwrap_or_else(|| TOKEN_USER.to_owned());
                Ok(Some(Answer { username: Some(user), password: login.secret }))
            }
        }
    }
}

fn text_of(answer: Answer, mode: Mode, output: Output) -> Text {
    let username = answer.username.filter(|_| mode == Mode::Credentials);
    let answer = Answer { username, ..answer };
    match output {
        Output::Json => json_text(&answer),
        Output::Plain => {
            let user = answer.username.map(|user| user + "\n").unwrap_or_default();
            format!("{user}{}\n", answer.password.0.reveal()).into()
        }
    }
}

/// The first `keyring` on `PATH` that is another program than this one, and was not run yet.
fn other_keyring() -> Option<PathBuf> {
    let this = env::current_exe().and_then(fs::canonicalize).ok();
    let known: Vec<PathBuf> = passed_on().collect();
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join(OsStr::new(PROGRAM)))
        .filter(|program| is_program(program) && !known.contains(program))
        .find(|program| fs::canonicalize(program).ok() != this)
}

fn passed_on() -> impl Iterator<Item = PathBuf> {
    let known = env::var_os(PASSED_ON).unwrap_or_default();
    env::split_paths(&known).collect::<Vec<_>>().into_iter()
}
