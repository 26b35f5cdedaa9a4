//! A developer's home for one test: a home directory of its own, an agent, and clients that find both.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Longest that any command may take.
const SECONDS: &str = "300";

/// The home, the agent in it, and a record of what clients ask the helper.
pub(crate) struct TestHome {
    home: TempDir,
    declared: Vec<(String, String)>,
}

impl TestHome {
    /// An empty home, with a helper on `PATH` that writes down what it is asked and then asks ours.
    pub(crate) fn new() -> Self {
        let test_home = Self { home: tempfile::tempdir().unwrap(), declared: Vec::new() };
        fs::create_dir(test_home.path("bin")).unwrap();
        let recorder = test_home.path("bin/docker-credential-registry-agent");
        fs::write(&recorder, recording_helper(&test_home.path("asked"))).unwrap();
        fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755)).unwrap();
        test_home
    }

    /// A file of this home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Declares a registry, for the agent and nobody else.
    pub(crate) fn declare(&mut self, name: &str, server: &str, (user, password): (&str, &str)) {
        for (suffix, value) in [("SERVER", server), ("USER", user), ("PASSWORD", password)] {
            self.declared.push((format!("{name}_CONTAINER_REGISTRY_{suffix}"), value.to_owned()));
        }
    }

    /// The same, in place of what was declared under this name.
    pub(crate) fn declare_anew(&mut self, name: &str, server: &str, login: (&str, &str)) {
        self.declared.retain(|(variable, _)| !variable.starts_with(&format!("{name}_CONTAINER_")));
        self.declare(name, server, login);
    }

    /// Sets one variable, for the agent and nobody else.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.unset(variable);
        self.declared.push((variable.to_owned(), value.to_owned()));
    }

    /// Takes one variable back.
    pub(crate) fn unset(&mut self, variable: &str) {
        self.declared.retain(|(name, _)| name != variable);
    }

    /// Starts the agent with what was declared, and waits until every login is ready.
    pub(crate) fn start_agent(&self) {
        self.start();
        succeed(&mut self.agent(&["wait"]));
    }

    /// Starts the agent with what was declared, whatever comes of the logins.
    pub(crate) fn start(&self) {
        succeed(&mut self.with_declared(self.agent(&["start"])));
    }

    /// A command of the agent's, in an environment that declares nothing.
    pub(crate) fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_registry-agent"));
        command.args(arguments);
        command
    }

    /// The same command, in an environment with everything that was declared.
    pub(crate) fn with_declared(&self, mut command: Command) -> Command {
        command.envs(self.declared.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Pushes what was declared, and returns what was printed.
    pub(crate) fn sync(&self) -> String {
        let sync = self.with_declared(self.agent(&["sync"])).output().unwrap();
        assert!(sync.status.success(), "{}", output_text(&sync));
        String::from_utf8(sync.stdout).unwrap().trim().to_owned()
    }

    /// The exit status of a command of the agent's.
    pub(crate) fn exit_of(&self, arguments: &[&str]) -> i32 {
        self.agent(arguments).output().unwrap().status.code().unwrap()
    }

    /// What `status --json` prints.
    pub(crate) fn status(&self) -> Value {
        let output = self.agent(&["status", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", output_text(&output)))
    }

    /// What the status says of one login, once none is pending.
    pub(crate) fn login(&self, name: &str) -> Value {
        self.exit_of(&["wait"]);
        let status = self.status();
        let named = |entry: &&Value| entry["name"] == name || entry["server"] == name;
        let found = status["registries"].as_array().unwrap().iter().find(named);
        found.unwrap_or_else(|| panic!("{name} is not in {status:#}")).clone()
    }

    /// The problems of one name: each with its sentence and its fix.
    pub(crate) fn problems(&self, name: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let status = self.status();
        let problems = status["problems"].as_array().unwrap().iter();
        problems
            .filter(|problem| problem["name"] == name)
            .map(|problem| (text(&problem["problem"]), text(&problem["hint"])))
            .collect()
    }

    /// Asks our helper, in an environment that declares nothing.
    pub(crate) fn helper(&self, verb: &str, input: &str) -> Output {
        run_with_input(
            self.command(env!("CARGO_BIN_EXE_docker-credential-registry-agent")).arg(verb),
            input,
        )
    }

    /// The user and the secret that our helper gives for a server.
    pub(crate) fn credential(&self, server: &str) -> Option<(String, String)> {
        credential(&self.helper("get", server))
    }

    /// A command in this home. It knows of no registry but what the docker configuration says.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_registry-agent")).parent().unwrap();
        let path = format!(
            "{}:{}:{}",
            self.path("bin").display(),
            programs.display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", SECONDS])
            .arg(program)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .env("LANG", "C.UTF-8")
            .env("TMPDIR", self.home.path())
            .env("REGISTRY_AGENT_SOCKET", self.path("agent.sock"))
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// What the helper was asked since this was last called: `get 127.0.0.1:5000`, `list`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let record = self.path("asked");
        let text = fs::read_to_string(&record).unwrap_or_default();
        let _ = fs::remove_file(&record);
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for TestHome {
    fn drop(&mut self) {
        let stop = self.command(env!("CARGO_BIN_EXE_registry-agent")).arg("stop").output();
        if !std::thread::panicking() {
            assert!(stop.unwrap().status.success(), "the agent does not stop");
        }
    }
}

/// Runs a command to its end, and fails the test with its output when it fails.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?} {}: {}", output.status, output_text(&output));
    output
}

/// Both streams of a command, one after the other.
pub(crate) fn output_text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a command to its end with this on its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The user and the secret that a helper gave, if it gave any.
pub(crate) fn credential(output: &Output) -> Option<(String, String)> {
    let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    Some((text("Username")?, text("Secret")?))
}

fn recording_helper(record: &Path) -> String {
    let helper = env!("CARGO_BIN_EXE_docker-credential-registry-agent");
    format!(
        "#!/bin/sh\n\
         case $1 in\n\
         get | erase)\n\
             server=$(cat)\n\
             echo \"$1 $server\" >> '{record}'\n\
             printf %s \"$server\" | '{helper}' \"$1\" ;;\n\
         *)\n\
             echo \"$1\" >> '{record}'\n\
             exec '{helper}' \"$1\" ;;\n\
         esac\n",
        record = record.display()
    )
}
