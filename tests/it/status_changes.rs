//! Changes of the status that no event tells: `wait` and `status --watch` notice each of them.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::de::IoRead;
use serde_json::{Deserializer, StreamDeserializer, Value};

use crate::support::processes::{self, only_pair};
use crate::support::test_home::TestHome;

const SERVER: &str = "registry.test";

fn set(name: &str) -> String {
    let prefix = format!("{name}_CONTAINER_REGISTRY");
    format!("{prefix}_SERVER={SERVER}\n{prefix}_USER=user\n{prefix}_PASSWORD=password\n")
}

/// A home whose agent reads this file.
fn home_with_a_file(content: &str) -> (TestHome, PathBuf) {
    let test_home = TestHome::new();
    let file = test_home.path("env");
    fs::write(&file, content).unwrap();
    fs::create_dir_all(test_home.path(".config/registry-agent")).unwrap();
    let config = format!("verify = false\nsources = ['{}']\n", file.display());
    fs::write(test_home.path(".config/registry-agent/config.toml"), config).unwrap();
    test_home.start();
    test_home.exit_of(&["wait"]);
    (test_home, file)
}

/// A client that runs for at most 30 s.
struct Client(Child);

impl Client {
    fn start(test_home: &TestHome, arguments: &[&str]) -> Self {
        let mut command = test_home.command("timeout");
        command.args(["30", env!("CARGO_BIN_EXE_registry-agent")]).args(arguments);
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    fn documents(&mut self) -> StreamDeserializer<'static, IoRead<ChildStdout>, Value> {
        Deserializer::from_reader(self.0.stdout.take().unwrap()).into_iter()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

#[test]
fn a_wait_for_a_name_ends_when_a_known_login_gets_that_name() {
    let (test_home, file) = home_with_a_file(&set("OLD"));
    let agent = only_pair(&test_home.lock()).agent.pid;
    let connections = || processes::fds(agent).len();
    let before = connections();
    let mut wait = Client::start(&test_home, &["wait", "NEW", "--timeout", "20s"]);
    processes::wait_until("it does not wait", || connections() > before);
    fs::write(&file, set("NEW")).unwrap();
    assert_eq!(wait.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_watched_status_is_printed_when_nothing_but_a_problem_or_a_name_changes() {
    let (test_home, file) = home_with_a_file(&set("OLD"));
    let mut watch = Client::start(&test_home, &["status", "--watch", "--json"]);
    let mut printed = watch.documents();
    let mut until = |what: &str, holds: &dyn Fn(&Value) -> bool| {
        let found = printed.by_ref().map(Result::unwrap).find(holds);
        assert!(found.is_some(), "{what} is not printed");
    };
    let has_problem = |status: &Value| !status["problems"].as_array().unwrap().is_empty();
    until("the login", &|status| status["registries"][0]["name"] == "OLD" && !has_problem(status));
    fs::write(&file, set("OLD") + "OTHER_CONTAINER_REGISTRY_SERVER=other.test\n").unwrap();
    until("the problem", &has_problem);
    fs::write(&file, set("OLD")).unwrap();
    until("its end", &|status| !has_problem(status));
    fs::write(&file, set("NEW")).unwrap();
    until("the new name", &|status| status["registries"][0]["name"] == "NEW");
}

#[test]
fn a_watched_status_is_printed_once_while_nothing_changes() {
    let (test_home, file) = home_with_a_file(&set("OLD"));
    let mut watch = Client::start(&test_home, &["status", "--watch", "--json"]);
    let mut printed = watch.documents().map(Result::unwrap);
    let name = |status: &Value| status["registries"][0]["name"].clone();
    assert_eq!(printed.next().map(|status| name(&status)), Some("OLD".into()));
    // Each makes the agent publish what it knows, without a difference.
    for _ in 0..3 {
        test_home.exit_of(&["status"]);
        test_home.credential("unknown.test");
    }
    fs::write(&file, set("NEW")).unwrap();
    assert_eq!(printed.next().map(|status| name(&status)), Some("NEW".into()));
}
