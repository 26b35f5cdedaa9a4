//! A developer's desk: a home directory of its own, an agent, and clients that find both.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Longest that any command may take.
const SECONDS: &str = "300";

/// The home, the agent in it, and a record of what clients ask the helper.
pub(crate) struct Desk {
    home: TempDir,
    declared: Vec<(String, String)>,
}

impl Desk {
    /// An empty home, with a helper on `PATH` that writes down what it is asked and then asks ours.
    pub(crate) fn new() -> Self {
        let desk = Self { home: tempfile::tempdir().unwrap(), declared: Vec::new() };
        fs::create_dir(desk.path("bin")).unwrap();
        let recorder = desk.path("bin/docker-credential-registry-agent");
        fs::write(&recorder, recording_helper(&desk.path("asked"))).unwrap();
        fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755)).unwrap();
        desk
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

    /// Starts the agent with what was declared, and waits until every login is ready.
    pub(crate) fn start_agent(&self) {
        let mut start = self.command(env!("CARGO_BIN_EXE_registry-agent"));
        start.arg("start").envs(self.declared.iter().map(|(name, value)| (name, value)));
        succeed(&mut start);
        succeed(self.command(env!("CARGO_BIN_EXE_registry-agent")).arg("wait"));
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

impl Drop for Desk {
    fn drop(&mut self) {
        let stop = self.command(env!("CARGO_BIN_EXE_registry-agent")).arg("stop").output();
        if !std::thread::panicking() {
            assert!(stop.unwrap().status.success(), "the agent does not stop");
        }
    }
}

/// Runs a command to its end, and fails the test with all it said when it fails.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?} {}: {}", output.status, said(&output));
    output
}

/// Both streams of a command, one after the other.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
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
