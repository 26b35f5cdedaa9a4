//! A real package index of Python with its own packages, port and login.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::engine::target;
use super::test_home::succeed;

const SERVER: &str = include_str!("../fixtures/pypi_server.py");

/// Writes a wheel: PATH DISTRIBUTION VERSION.
const WHEEL: &str = r#"
import sys, zipfile
path, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info"
files = {
    f"{name}.py": f"version = {version!r}\n",
    f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
with zipfile.ZipFile(f"{path}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    for file, text in {**files, f"{info}/RECORD": record}.items():
        wheel.writestr(file, text)
"#;

/// A running `pypiserver`, stopped on drop.
pub(crate) struct PypiServer {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl PypiServer {
    /// Starts an index that everybody may read, or that only this login may read and write.
    pub(crate) fn start(login: Option<(&str, &str)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("packages")).unwrap();
        if let Some(login) = login {
            write_login(directory.path(), login);
        }
        let mut child = Command::new(python())
            .args(["-c", SERVER])
            .args([path("packages"), path("login"), path("log")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("pypiserver, which `make setup` installs");
        Self { child, port, directory }
    }

    /// The URL of this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host())
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Replaces the login from the next request on.
    pub(crate) fn set_login(&self, login: (&str, &str)) {
        write_login(self.directory.path(), login);
    }

    /// Lets requests for paths that begin so wait until [`release`](Self::release).
    pub(crate) fn hold(&self, path: &str) {
        fs::write(self.directory.path().join("hold.new"), path).unwrap();
        fs::rename(self.directory.path().join("hold.new"), self.directory.path().join("hold"))
            .unwrap();
    }

    /// Whether such a request waits.
    pub(crate) fn is_holding(&self) -> bool {
        self.directory.path().join("held").exists()
    }

    /// Lets them go on.
    pub(crate) fn release(&self) {
        fs::remove_file(self.directory.path().join("hold")).unwrap();
    }

    /// Adds a package with one module of its name.
    pub(crate) fn add(&self, name: &str, version: &str) {
        write_wheel(&self.packages(), name, version);
    }

    /// Where its packages are.
    pub(crate) fn packages(&self) -> PathBuf {
        self.directory.path().join("packages")
    }

    /// The requests so far: the user of the login or `-`, the method and the path.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for PypiServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The interpreter of the virtual environment in which `make setup` installs Python packages.
pub(crate) fn python() -> PathBuf {
    target().join("venv/bin/python")
}

/// Writes a wheel with one module of its name.
pub(crate) fn write_wheel(directory: &Path, name: &str, version: &str) {
    succeed(Command::new(python()).args(["-c", WHEEL]).arg(directory).args([name, version]));
}

/// With a rename, because a request may read it at any time.
fn write_login(directory: &Path, (user, password): (&str, &str)) {
    fs::write(directory.join("login.new"), format!("{user}:{password}")).unwrap();
    fs::rename(directory.join("login.new"), directory.join("login")).unwrap();
}
