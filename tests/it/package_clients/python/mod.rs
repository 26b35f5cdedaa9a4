//! Python's package clients, with real indexes: one with a login, and one for everybody.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::helper;
use crate::support::pypi_server::{PypiServer, python};
use crate::support::test_home::TestHome;

mod keyring;
mod pip;
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
        helper(&test_home, "keyring");
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

    /// A module of the virtual environment as a program, with what the Feature sets.
    pub(super) fn module(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(python());
        command.args(["-m", name]).args(arguments);
        command
    }

    /// A program with what the Feature sets.
    pub(super) fn command(&self, program: PathBuf) -> Command {
        let mut command = self.test_home.command(program);
        let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap();
        let path = format!("{}:{}", self.test_home.path("helpers").display(), path.display());
        command.env("PATH", path).envs(feature_variables("PIP_")).envs(feature_variables("UV_"));
        command
    }

    /// The module that was installed in the directory `name` of the home, if it was.
    pub(super) fn installed(&self, name: &str, module: &str) -> Option<String> {
        fs::read_to_string(self.test_home.path(name).join(module).with_extension("py")).ok()
    }
}

/// The variables that the Feature sets whose names begin with `start`.
fn feature_variables(start: &str) -> Vec<(String, String)> {
    let feature: Value =
        serde_json::from_str(include_str!("../../../../devcontainer-feature.json")).unwrap();
    let variables = feature["containerEnv"].as_object().unwrap().iter();
    let variables: Vec<_> = variables
        .filter(|(name, _)| name.starts_with(start))
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    assert!(!variables.is_empty(), "the Feature sets no variable {start}…");
    variables
}
