//! Python's package clients, with real indexes: one with a login, and one for everybody.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{feature_variable, recorded_helper, table};
use crate::support::pypi_server::{PypiServer, python};
use crate::support::test_home::{TestHome, output_text, succeed};

mod keyring;
mod pip;
mod poetry;
mod twine;
mod uv;

/// A password that has to be quoted in URLs, JSON and shells. pip and poetry send Latin-1.
pub(super) const LOGIN: (&str, &str) = ("reader", "p:a@s/s %20\"'$w");

/// A home with a login for the private index, and the environment of the Feature.
pub(super) struct PythonTest {
    pub(super) test_home: TestHome,
    pub(super) private: PypiServer,
    pub(super) public: PypiServer,
}

impl PythonTest {
    /// Starts both indexes and the agent.
    pub(super) fn new() -> Self {
        let (private, public) = (PypiServer::start(Some(LOGIN)), PypiServer::start(None));
        private.add("acme_private", "1.0");
        public.add("acme_public", "1.0");
        let mut test_home = TestHome::new();
        let (user, password) = LOGIN;
        test_home.declare_packages(
            "ACME",
            &[("SERVER", &private.url("/")), ("USER", user), ("PASSWORD", password)],
        );
        recorded_helper(&test_home, "keyring");
        test_home.start();
        test_home.exit_of(&["wait"]);
        Self { test_home, private, public }
    }

    /// Makes the registry refuse the login, so that the agent withholds it.
    pub(super) fn withhold(&self) {
        self.private.set_login(("another", "login"));
        self.test_home.exit_of(&["refresh", "ACME"]);
        assert_eq!(self.test_home.login("ACME")["state"], "rejected");
    }

    /// Records the row of the client in the table: the words of its version, and what it asks.
    pub(super) fn record(&self, client: &str, version: &mut Command, words: usize, what: &str) {
        let version = output_text(&succeed(version));
        let version: Vec<&str> = version.split_whitespace().take(words).collect();
        let mut asked = self.test_home.asked();
        // A question for a host, which has no answer.
        asked.retain(|call| call.contains("://"));
        if asked.is_empty() {
            // The backend runs the helper itself.
            asked.push("keyring-registry-agent --mode=creds --output=json get URL".to_owned());
        }
        table::record(client, &version.join(" "), what, &asked);
    }

    /// A module of the virtual environment as a program, with what the Feature sets.
    pub(super) fn module(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(python());
        command.args(["-m", name]).args(arguments);
        command
    }

    /// A program with what the Feature sets.
    pub(super) fn command(&self, program: PathBuf) -> Command {
        let mut command = self.test_home.command(program);
        for name in ["PIP_KEYRING_PROVIDER", "UV_KEYRING_PROVIDER"] {
            command.env(name, feature_variable(&self.test_home, name));
        }
        command
    }

    /// The module that was installed in the directory `name` of the home, if it was.
    pub(super) fn installed(&self, name: &str, module: &str) -> Option<String> {
        fs::read_to_string(self.test_home.path(name).join(module).with_extension("py")).ok()
    }
}
