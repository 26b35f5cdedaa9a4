//! Package clients of JavaScript, with a real registry that has private packages and others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::support::engine::target;
use crate::support::processes::wait_until;
use crate::support::test_home::{TestHome, output_text};
use crate::support::verdaccio::{Verdaccio, node};

mod pnpm;
mod yarn;

/// A password that has to be quoted in JSON and shells.
const LOGIN: (&str, &str) = ("reader", "p@s/s %20\"'$w");

/// A home with a login for the registry.
struct JavascriptTest {
    test_home: TestHome,
    registry: Verdaccio,
}

impl JavascriptTest {
    /// Starts the registry and the agent.
    fn new() -> Self {
        let registry = Verdaccio::start(LOGIN);
        let mut test_home = TestHome::new();
        let (user, password) = LOGIN;
        test_home.declare_packages(
            "ACME",
            &[("SERVER", &registry.url()), ("USER", user), ("PASSWORD", password)],
        );
        test_home.start_agent();
        wait_until("pnpm's settings are not published", || test_home.path(".npmrc").exists());
        Self { test_home, registry }
    }

    /// Makes the registry refuse the login, so that the agent withholds it.
    fn withhold(&self) {
        self.registry.set_login(("another", "login"));
        self.test_home.exit_of(&["refresh", "ACME"]);
        assert_eq!(self.test_home.login("ACME")["state"], "rejected");
        wait_until("pnpm's settings stay", || !self.test_home.path(".npmrc").exists());
    }

    /// Changes the password everywhere but in what a client already knows.
    fn change_password(&mut self, password: &str) {
        self.registry.set_login((LOGIN.0, password));
        self.test_home.set("ACME_PACKAGE_REGISTRY_PASSWORD", password);
        self.test_home.sync();
        assert_eq!(self.test_home.login("ACME")["state"], "ready");
    }

    /// A new directory with a package of this name, which has no dependencies.
    fn package(&self, directory: &str, name: &str) -> PathBuf {
        let directory = self.test_home.path(directory);
        fs::create_dir_all(&directory).unwrap();
        let package = json!({"name": name, "version": "1.0.0", "license": "MIT"});
        fs::write(directory.join("package.json"), package.to_string()).unwrap();
        fs::write(directory.join(".npmrc"), format!("registry={}\n", self.registry.url())).unwrap();
        directory
    }

    /// A program of Node.js, in this directory.
    fn node(&self, script: &str, directory: &Path) -> Command {
        let mut command = self.test_home.command(node());
        command.arg(target().join("npm/node_modules").join(script)).current_dir(directory);
        command.env("npm_config_cache", self.test_home.path("npm-cache"));
        // `pnpm publish` runs npm, which is next to Node.js.
        let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap();
        let path = format!("{}:{}", node().parent().unwrap().display(), path.display());
        command.env("PATH", path);
        command
    }
}

/// Whether the client succeeded; fails with what it says otherwise.
fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", output_text(output));
}
