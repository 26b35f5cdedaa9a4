//! Faults, each set up for real against the built programs: `status` and `check` name it, and the fix
//! that they print leads to a working login.
//!
//! A test sets a fault up, calls [`Fault::error`] or [`Fault::remark`], pastes the fix, and ends with
//! [`assert_well`].

mod agent;
mod aws;
mod clients;
mod configuration;
mod docker_config;
mod first_words;
mod network;
mod registry;
mod sources;
mod spelling;
mod tls;
mod values;
mod variables;

use serde_json::Value;

use crate::support::processes::wait_until;
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, succeed};

/// The login that [`registry`] accepts.
pub(crate) const USER: &str = "dev";
/// Its password.
pub(crate) const PASSWORD: &str = "right-password";
/// Exit status of `status` when something keeps clients from a login.
const NOT_WELL: i32 = 3;

/// A real registry that accepts [`USER`] with [`PASSWORD`].
pub(crate) fn registry() -> Registry {
    Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), None)
}

/// A home in which `ACME` is declared for `registry`, completely and correctly. No agent runs.
pub(crate) fn home_for(registry: &Registry) -> TestHome {
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    home
}

/// A reason that `status` shows for a login or as a problem.
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) sentence: String,
    /// What to do about it.
    pub(crate) fix: String,
}

impl Fault {
    /// Waits for the reason with this code, which must make `status` fail.
    pub(crate) fn error(home: &TestHome, code: &str) -> Self {
        let fault = Self::shown(home, code);
        assert_eq!(home.exit_of(&["status"]), NOT_WELL, "{code}: {:#}", home.status());
        fault
    }

    /// Waits for the reason with this code, which must not make `status` fail.
    pub(crate) fn remark(home: &TestHome, code: &str) -> Self {
        let fault = Self::shown(home, code);
        assert_eq!(home.exit_of(&["status"]), 0, "{code}: {:#}", home.status());
        fault
    }

    /// Waits until `status` no longer shows a reason with this code.
    pub(crate) fn is_gone(home: &TestHome, code: &str) {
        wait_until(&format!("{code} stays"), || entry(&home.status(), code).is_none());
    }

    fn shown(home: &TestHome, code: &str) -> Self {
        home.exit_of(&["wait"]);
        wait_until(&format!("{code} is not shown: {:#}", home.status()), || {
            entry(&home.status(), code).is_some()
        });
        let found = entry(&home.status(), code);
        let found = found.unwrap_or_else(|| panic!("{code} is gone: {:#}", home.status()));
        let text = |fields: [&str; 2]| {
            let value = fields.iter().find_map(|field| found[*field].as_str());
            value.unwrap_or_default().to_owned()
        };
        Self { sentence: text(["problem", "reason"]), fix: text(["hint", "hint"]) }
    }

    /// Runs `registry-agent check` for what the fault is about. It must exit with `status`, and say
    /// the same sentence, but for the time at which it was verified, and the same fix.
    pub(crate) fn checked(&self, home: &TestHome, arguments: &[&str], status: i32) -> &Self {
        let check = home.agent(&[&["check"], arguments].concat()).output().unwrap();
        let text = unwrapped(&output_text(&check));
        assert_eq!(check.status.code(), Some(status), "{text}");
        let sentence =
            self.sentence.split(" (this machine's clock says").next().unwrap_or_default();
        for part in [sentence, &self.fix] {
            assert!(text.contains(&unwrapped(part)), "{part}\nis not in\n{text}");
        }
        self
    }

    /// Fails unless the sentence contains all of these parts.
    pub(crate) fn says(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.sentence.contains(part), "{part:?} is not in {:?}", self.sentence);
        }
        self
    }

    /// Pastes the first command of the fix, which is in backquotes, into a shell that has the declared variables.
    pub(crate) fn paste(&self, home: &TestHome) {
        self.paste_one(home, self.fix.split('`').nth(1));
    }

    /// Pastes the last command of the fix in the same way.
    pub(crate) fn paste_last(&self, home: &TestHome) {
        self.paste_one(home, self.fix.split('`').skip(1).step_by(2).last());
    }

    fn paste_one(&self, home: &TestHome, command: Option<&str>) {
        let command = command.unwrap_or_else(|| panic!("no command: {}", self.fix));
        let mut shell = home.command("sh");
        shell.args(["-c", command]);
        succeed(&mut home.with_declared(shell));
    }
}

/// Waits until `status` and `check` find nothing wrong with the login of `server`, and docker's helper
/// gives `login` for it.
pub(crate) fn assert_well(home: &TestHome, server: &str, login: (&str, &str)) {
    home.exit_of(&["wait"]);
    wait_until(&format!("not well: {:#}", home.status()), || home.exit_of(&["status"]) == 0);
    assert_eq!(home.login(server)["state"], "ready");
    let login = (login.0.to_owned(), login.1.to_owned());
    assert_eq!(home.credential(server), Some(login));
    let check = home.agent(&["check", server]).output().unwrap();
    assert!(check.status.success(), "{}", output_text(&check));
}

/// The login or the problem with this code.
fn entry(status: &Value, code: &str) -> Option<Value> {
    let lists = ["registries", "problems"].into_iter();
    let mut entries = lists.flat_map(|list| status[list].as_array().into_iter().flatten());
    entries.find(|entry| entry["code"] == code).cloned()
}

/// Text without the line ends and the indentation that a narrow terminal needs.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
