//! A machine for one test: directories of its own for everything that an installation and its agents write.
//! Requires root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::mounts::Mounted;
use super::test_home::succeed;

/// What `install.sh` says that it needs.
const TOOLS: &[&str] =
    &["cat", "chmod", "cp", "dirname", "id", "ln", "mkdir", "mv", "rm", "rmdir", "sh", "uname"];
pub(crate) const PROGRAMS: [&str; 2] = ["registry-agent", "docker-credential-registry-agent"];

/// Where an installation and its agents write.
pub(crate) const PRIVATE: [&str; 8] =
    ["/etc", "/usr/local", "/home", "/root", "/run", "/tmp", "/var/tmp", "/dev/shm"];

/// A machine with nothing in these directories, and a package to install there.
pub(crate) struct Machine {
    directory: TempDir,
    _private: [Mounted; 8],
}

impl Machine {
    pub(crate) fn new() -> Self {
        let private = PRIVATE.map(|path| Mounted::tmpfs(Path::new(path), "2g"));
        let machine = Self { directory: tempfile::tempdir_in("/tmp").unwrap(), _private: private };
        write(
            Path::new("/etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nvscode:x:1000:1000::/home/vscode:/bin/sh\nother:x:1001:1001::/home/other:/bin/sh\n",
        );
        for tool in TOOLS {
            let name = machine.path("tools").join(tool);
            fs::create_dir_all(name.parent().unwrap()).unwrap();
            symlink("/bin/busybox", name).unwrap();
        }
        machine.pack("package");
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A package as `make feature` lays it out, with the programs under test.
    pub(crate) fn pack(&self, name: &str) {
        let (package, source) = (self.path(name), Path::new(env!("CARGO_MANIFEST_DIR")));
        for file in ["install.sh", "feature/entrypoint", "feature/hook", "feature/links"] {
            write(&package.join(file), &fs::read_to_string(source.join(file)).unwrap());
        }
        write(&package.join("share/man/man1/registry-agent.1"), "the manual");
        let built = Path::new(env!("CARGO_BIN_EXE_registry-agent")).parent().unwrap();
        for program in PROGRAMS {
            for arch in ["x86_64", "aarch64"] {
                let target = package.join("bin").join(arch).join(program);
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                if arch == std::env::consts::ARCH {
                    symlink(built.join(program), target).unwrap();
                } else {
                    program_file(&target, "exit 126");
                }
            }
        }
    }

    /// The script in a shell, as root, with the tools alone.
    pub(crate) fn script(
        &self,
        shell: &[&str],
        arguments: &[&str],
        options: &[(&str, &str)],
    ) -> Command {
        let mut command = Command::new(Path::new("/bin").join(shell[0]));
        command
            .args(&shell[1..])
            .arg(self.path("package/install.sh"))
            .args(arguments)
            .env_clear()
            .env("PATH", self.path("tools"))
            .envs(options.iter().copied());
        command
    }

    pub(crate) fn install(&self, options: &[(&str, &str)]) -> Output {
        self.script(&["dash"], &[], options).output().unwrap()
    }

    /// Replaces a tool by a script.
    pub(crate) fn fake(&self, tool: &str, script: &str) {
        fs::remove_file(self.path("tools").join(tool)).unwrap();
        program_file(&self.path("tools").join(tool), script);
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A shell script at `path`, with busybox as its shell.
pub(crate) fn program_file(path: &Path, script: &str) {
    write(path, &format!("#!/bin/busybox sh\n{script}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Every path below `directories`, with its mode and the length of a file.
pub(crate) fn files(directories: &[&str]) -> Vec<String> {
    let mut find = Command::new("find");
    find.args(directories).args(["-mindepth", "1", "-type", "d", "-printf", "%p/ %m\n", "-o"]);
    let output = succeed(find.args(["-printf", "%p %m %s\n"]));
    let mut lines: Vec<_> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
