//! A machine on which systemd is PID 1: a container in which `install.sh` was run.

use std::path::Path;
use std::process::Output;

use super::engine::{Engine, SYSTEMD, docker};
use super::processes::wait_until;
use super::test_home::{output_text, succeed};

/// The name of its container.
const NAME: &str = "registry-agent-test-machine";

/// Mounts are shared with the mount namespaces of services, as on a machine.
const INIT: &str = "mount --make-rshared / && exec /sbin/init";

/// What systemd needs of an engine. Inside of a container, an engine may not be able to grant all
/// privileges, and cgroups are those of version 1.
const RIGHTS: [&[&str]; 2] = [
    &["--privileged", "--cgroupns=private"],
    &[
        "--cap-add=ALL",
        "--cap-drop=SYS_RESOURCE",
        "--security-opt=seccomp=unconfined",
        "--security-opt=systempaths=unconfined",
        "--cgroupns=private",
        "--volume=/sys/fs/cgroup/systemd:/sys/fs/cgroup/systemd",
    ],
];

/// A running machine, removed on drop.
pub(crate) struct BootedMachine {
    container: String,
    _engine: Engine,
}

impl BootedMachine {
    pub(crate) fn boot() -> Self {
        let mut machine = Self { container: String::new(), _engine: Engine::take() };
        let mut faults = String::new();
        let boots = RIGHTS.iter().any(|rights| {
            remove();
            let mut run = docker();
            run.args([
                "run",
                "--pull=never",
                "--detach",
                "--name",
                NAME,
                "--network=host",
                "--tmpfs=/run",
            ]);
            let output = run.args(*rights).args([SYSTEMD, "sh", "-c", INIT]).output().unwrap();
            faults += &output_text(&output);
            String::from_utf8(output.stdout).unwrap().trim().clone_into(&mut machine.container);
            output.status.success()
        });
        assert!(boots, "{faults}");
        machine.until("systemctl is-system-running | grep -E 'running|degraded'");
        let feature = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/registry-agent");
        assert!(feature.exists(), "run `make feature` first");
        succeed(docker().arg("cp").arg(feature).arg(format!("{NAME}:/opt/")));
        machine.stdout("root", "sh /opt/registry-agent/install.sh && systemctl daemon-reload");
        machine
    }

    /// Runs a shell script as a user who is logged in.
    pub(crate) fn run(&self, user: &str, script: &str) -> Output {
        self.run_with(user, &[], script)
    }

    /// The same with more variables.
    pub(crate) fn run_with(&self, user: &str, set: &[(&str, &str)], script: &str) -> Output {
        let mut command = docker();
        command.args(["exec", "--user", user]);
        if user != "root" {
            command.args(["--env", "XDG_RUNTIME_DIR=/run/user/1000"]);
        }
        for (name, value) in set {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command.args([&self.container, "sh", "-c", script]).output().unwrap()
    }

    /// Runs a script that must succeed, and returns its standard output.
    pub(crate) fn stdout(&self, user: &str, script: &str) -> String {
        let output = self.run(user, script);
        assert!(output.status.success(), "{script}: {}", output_text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Waits until a script of root succeeds.
    pub(crate) fn until(&self, script: &str) {
        wait_until(script, || self.run("root", script).status.success());
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let script = "mkdir -p \"$(dirname \"$FILE\")\" && printf %s \"$TEXT\" > \"$FILE\"";
        let output = self.run_with("root", &[("FILE", path), ("TEXT", text)], script);
        assert!(output.status.success(), "{path}: {}", output_text(&output));
    }
}

impl Drop for BootedMachine {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    let _ = docker().args(["rm", "--force", NAME]).output();
}
