//! A real `docker-registry` from Debian with its own storage, port and configuration.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

/// A running registry, stopped on drop.
pub(crate) struct Registry {
    child: Child,
    port: u16,
    directory: TempDir,
}

/// Access control.
pub(crate) enum Auth<'a> {
    /// Anonymous access.
    Open,
    /// Basic authentication with users and passwords.
    Htpasswd(&'a [(&'a str, &'a str)]),
    /// Bearer authentication with tokens of this issuer.
    Token {
        /// The URL of the token server.
        realm: &'a str,
        /// The name of the registry at the token server.
        service: &'a str,
        /// The issuer of the tokens.
        issuer: &'a str,
        /// The issuer's certificate, PEM.
        certificate: &'a Path,
    },
}

/// A certificate and its key, PEM files.
pub(crate) struct TlsFiles {
    /// The certificate.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

impl Registry {
    /// Starts a registry on a free port of 127.0.0.1 and returns once it listens.
    pub(crate) fn start(auth: &Auth<'_>, tls: Option<&TlsFiles>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.yml");
        std::fs::write(&config, configuration(directory.path(), auth, tls)).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env_clear()
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry, from the Debian package of that name");
        let log = BufReader::new(child.stderr.take().unwrap());
        let (say, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                // A full pipe would block the registry, so the whole log is read.
                let _ = say.send(line);
            }
        });
        let mut output_text = String::new();
        while let Ok(line) = heard.recv_timeout(Duration::from_secs(30)) {
            if let Some(port) = listening_port(&line) {
                return Self { child, port, directory };
            }
            output_text += &line;
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("docker-registry does not listen: {output_text}");
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn server(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Replaces the users of a registry with users; takes effect at the next request.
    pub(crate) fn set_users(&self, users: &[(&str, &str)]) {
        write_htpasswd(&self.directory().join("htpasswd"), users);
    }

    /// Kills it; the port refuses connections from now on.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Its configuration as JSON, which is also YAML.
fn configuration(directory: &Path, auth: &Auth<'_>, tls: Option<&TlsFiles>) -> String {
    let mut config = json!({
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {
            "filesystem": {"rootdirectory": directory.join("storage")},
            "delete": {"enabled": true},
        },
        "http": {"addr": "127.0.0.1:0", "secret": "not-a-secret"},
    });
    if let Some(tls) = tls {
        config["http"]["tls"] = json!({"certificate": tls.certificate, "key": tls.key});
    }
    match auth {
        Auth::Open => {}
        Auth::Htpasswd(users) => {
            let path = directory.join("htpasswd");
            write_htpasswd(&path, users);
            config["auth"] = json!({"htpasswd": {"realm": "Registry", "path": path}});
        }
        Auth::Token { realm, service, issuer, certificate } => {
            config["auth"] = json!({"token": {
                "realm": realm, "service": service, "issuer": issuer, "rootcertbundle": certificate,
            }});
        }
    }
    config.to_string()
}

fn write_htpasswd(path: &Path, users: &[(&str, &str)]) {
    std::fs::write(path, users.iter().map(htpasswd_line).collect::<String>()).unwrap();
}

/// A line of the password file, created by `htpasswd` with its cheapest bcrypt. The password goes
/// through a pipe so that it may contain any character.
fn htpasswd_line((user, password): &(&str, &str)) -> String {
    let mut child = Command::new("htpasswd")
        .args(["-niB", "-C", "4", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("htpasswd, from the Debian package apache2-utils");
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "htpasswd refuses {user:?}");
    format!("{}\n", String::from_utf8(output.stdout).unwrap().trim_end())
}

fn listening_port(line: &str) -> Option<u16> {
    let (_, after) = line.split_once("listening on 127.0.0.1:")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
