//! A home directory for one test, with an agent and clients that use it.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::unistd::geteuid;
use serde_json::Value;
use tempfile::TempDir;

/// The longest that any command may take.
const SECONDS: &str = "300";

/// The home, its agent, and a record of what clients ask the helper.
pub(crate) struct TestHome {
    home: TempDir,
    declared: Vec<(String, String)>,
}

impl TestHome {
    /// An empty home with a helper on `PATH` that records each request and then runs ours.
    pub(crate) fn new() -> Self {
        Self::in_directory(tempfile::tempdir().unwrap())
    }

    /// The same, below a directory.
    pub(crate) fn within(parent: &Path) -> Self {
        Self::in_directory(tempfile::tempdir_in(parent).unwrap())
    }

    fn in_directory(home: TempDir) -> Self {
        let test_home = Self { home, declared: Vec::new() };
        fs::create_dir(test_home.path("bin")).unwrap();
        let recorder = test_home.path("bin/docker-credential-registry-agent");
        fs::write(&recorder, recording_helper(&test_home.path("asked"))).unwrap();
        fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755)).unwrap();
        test_home
    }

    /// The directory that the supervisor and the agent lock.
    pub(crate) fn lock(&self) -> PathBuf {
        self.path("agent.sock.lock")
    }

    /// A file of this home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Declares a registry to the agent only.
    pub(crate) fn declare(&mut self, name: &str, server: &str, (user, password): (&str, &str)) {
        for (suffix, value) in [("SERVER", server), ("USER", user), ("PASSWORD", password)] {
            self.declared.push((format!("{name}_CONTAINER_REGISTRY_{suffix}"), value.to_owned()));
        }
    }

    /// Declares a package registry to the agent only: the ends of variables and their values.
    pub(crate) fn declare_packages(&mut self, name: &str, variables: &[(&str, &str)]) {
        for (suffix, value) in variables {
            self.set(&format!("{name}_PACKAGE_REGISTRY_{suffix}"), value);
        }
    }

    /// The status and the body of the agent's response to a request for the credential of `url`.
    pub(crate) fn package_credential(&self, url: &str) -> (u16, Value) {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("url", url);
        self.get(&format!("/v1/credential?{}", query.finish()))
    }

    /// The status and the body of the agent's response to a `GET`.
    pub(crate) fn get(&self, target: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.path("agent.sock")).unwrap();
        let request = format!("GET {target} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    /// The value of the `Authorization` header that package clients send in a request to `url`.
    pub(crate) fn authorization(&self, url: &str) -> Option<String> {
        let (status, body) = self.package_credential(url);
        (status == 200).then(|| body["authorization"].as_str().unwrap().to_owned())
    }

    /// Replaces what was declared under this name.
    pub(crate) fn declare_anew(&mut self, name: &str, server: &str, login: (&str, &str)) {
        self.declared.retain(|(variable, _)| !variable.starts_with(&format!("{name}_CONTAINER_")));
        self.declare(name, server, login);
    }

    /// Sets a variable for the agent only.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.unset(variable);
        self.declared.push((variable.to_owned(), value.to_owned()));
    }

    /// Removes a variable.
    pub(crate) fn unset(&mut self, variable: &str) {
        self.declared.retain(|(name, _)| name != variable);
    }

    /// Starts the agent with the declarations and waits until every login is ready.
    pub(crate) fn start_agent(&self) {
        self.start();
        succeed(&mut self.agent(&["wait"]));
    }

    /// Starts the agent with the declarations, whatever becomes of the logins.
    pub(crate) fn start(&self) {
        succeed(&mut self.with_declared(self.agent(&["start"])));
    }

    /// A `registry-agent` command in an environment without declarations.
    pub(crate) fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_registry-agent"));
        command.args(arguments);
        command
    }

    /// A `registry-agent` command in an environment with all declarations.
    pub(crate) fn with_declared(&self, mut command: Command) -> Command {
        command.envs(self.declared.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `sync` with declarations of which one cannot work.
    pub(crate) fn sync_in_vain(&self) {
        let sync = self.with_declared(self.agent(&["sync"])).output().unwrap();
        assert_eq!(sync.status.code(), Some(1), "{}", output_text(&sync));
    }

    /// Runs `sync` with the declarations and returns the line that says what changed.
    pub(crate) fn sync(&self) -> String {
        let sync = self.with_declared(self.agent(&["sync"])).output().unwrap();
        assert!(sync.status.success(), "{}", output_text(&sync));
        let output = String::from_utf8(sync.stdout).unwrap();
        output.lines().next().unwrap().to_owned()
    }

    /// The exit status of a `registry-agent` command.
    pub(crate) fn exit_of(&self, arguments: &[&str]) -> i32 {
        self.agent(arguments).output().unwrap().status.code().unwrap()
    }

    /// What `status --json` prints.
    pub(crate) fn status(&self) -> Value {
        let output = self.agent(&["status", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", output_text(&output)))
    }

    /// The status of one login, once none is pending.
    pub(crate) fn login(&self, name: &str) -> Value {
        self.exit_of(&["wait"]);
        let status = self.status();
        let named = |entry: &&Value| entry["name"] == name || entry["server"] == name;
        let found = status["registries"].as_array().unwrap().iter().find(named);
        found.unwrap_or_else(|| panic!("{name} is not in {status:#}")).clone()
    }

    /// The problems of one name, each with its sentence and fix.
    pub(crate) fn problems(&self, name: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let status = self.status();
        let problems = status["problems"].as_array().unwrap().iter();
        problems
            .filter(|problem| problem["name"] == name)
            .map(|problem| (text(&problem["problem"]), text(&problem["hint"])))
            .collect()
    }

    /// Runs our helper in an environment without declarations.
    pub(crate) fn helper(&self, verb: &str, input: &str) -> Output {
        run_with_input(
            self.command(env!("CARGO_BIN_EXE_docker-credential-registry-agent")).arg(verb),
            input,
        )
    }

    /// The user and secret that our helper returns for a server.
    pub(crate) fn credential(&self, server: &str) -> Option<(String, String)> {
        credential(&self.helper("get", server))
    }

    /// A command in this home. It knows only the registries in the docker configuration.
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

    /// The requests to the helper since the last call, such as `get 127.0.0.1:5000`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let record = self.path("asked");
        let text = fs::read_to_string(&record).unwrap_or_default();
        let _ = fs::remove_file(&record);
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for TestHome {
    fn drop(&mut self) {
        // No agent of this user runs in a directory that a test gave to another user.
        let _ = chown(self.path(""), Some(geteuid().as_raw()), None);
        let stop = self.command(env!("CARGO_BIN_EXE_registry-agent")).arg("stop").output();
        if !std::thread::panicking() {
            assert!(stop.unwrap().status.success(), "the agent does not stop");
        }
    }
}

/// Runs a command; fails the test with its output if the command fails.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?} {}: {}", output.status, output_text(&output));
    output
}

/// Standard output followed by standard error.
pub(crate) fn output_text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a command with this standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The command may end without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The user and secret in the output of a helper.
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
