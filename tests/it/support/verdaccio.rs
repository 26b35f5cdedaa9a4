//! A real npm registry with packages for everybody, and private ones below `@private/`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::engine::target;
use super::test_home::{output_text, succeed};

/// Publishes a package as npm does: URL NAME LOGIN.
const PUBLISH: &str = r#"
const { execFileSync } = require("child_process");
const crypto = require("crypto");
const fs = require("fs");
const [url, name, login] = process.argv.slice(1);
const version = { name, version: "1.0.0" };
fs.mkdirSync("package", { recursive: true });
fs.writeFileSync("package/package.json", JSON.stringify(version));
execFileSync("tar", ["-czf", "package.tgz", "package"]);
const data = fs.readFileSync("package.tgz");
const file = `${name}-1.0.0.tgz`;
const integrity = "sha512-" + crypto.createHash("sha512").update(data).digest("base64");
const shasum = crypto.createHash("sha1").update(data).digest("hex");
const dist = { integrity, shasum, tarball: `${url}${name}/-/${file}` };
const attachment = { content_type: "application/octet-stream", data: data.toString("base64"), length: data.length };
fetch(url + name.replace("/", "%2f"), {
  method: "PUT",
  headers: { "Content-Type": "application/json", Authorization: `Basic ${btoa(login)}` },
  body: JSON.stringify({
    _id: name,
    name,
    "dist-tags": { latest: "1.0.0" },
    versions: { "1.0.0": { ...version, dist } },
    _attachments: { [file]: attachment },
  }),
}).then((response) => process.exit(response.ok ? 0 : 1));
"#;

/// A running `verdaccio`, stopped on drop.
pub(crate) struct Verdaccio {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Verdaccio {
    /// Starts a registry with this login for publishing and for private packages.
    pub(crate) fn start(login: (&str, &str)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_login(directory.path(), login);
        let server = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(node())
            .arg(server.join("tests/it/fixtures/verdaccio_server.cjs"))
            .arg(directory.path())
            .env("NODE_PATH", target().join("npm/node_modules"))
            .env("HOME", directory.path())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("verdaccio, which `make setup` installs");
        Self { child, port, directory }
    }

    /// The URL, which ends with a slash.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Publishes version 1.0.0 of a package.
    pub(crate) fn publish(&self, name: &str) {
        let login = fs::read_to_string(self.directory.path().join("login")).unwrap();
        let mut publish = Command::new(node());
        publish.args(["--eval", PUBLISH, "--", &self.url(), name, &login]);
        succeed(publish.current_dir(self.directory.path()));
    }

    /// Replaces the login from the next request on.
    pub(crate) fn set_login(&self, login: (&str, &str)) {
        write_login(self.directory.path(), login);
    }

    /// The requests so far: the user of the login or `-`, the method and the path.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Verdaccio {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of Node.js that `make setup` found or installed.
pub(crate) fn node() -> PathBuf {
    let installed = target().join("venv/bin/node");
    if installed.exists() {
        return installed;
    }
    let found = succeed(Command::new("node").args(["--print", "process.execPath"]));
    output_text(&found).trim().into()
}

/// With a rename, because a request may read it at any time.
fn write_login(directory: &Path, (user, password): (&str, &str)) {
    fs::write(directory.join("login.new"), format!("{user}:{password}")).unwrap();
    fs::rename(directory.join("login.new"), directory.join("login")).unwrap();
}
