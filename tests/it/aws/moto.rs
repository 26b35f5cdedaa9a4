//! The real SDK against moto, an independent AWS server that states an `expiresAt` in 2015.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::probe::{Outcome, PRIVATE, Probe};
use crate::support::aws::FakeAws;

struct Moto(Child, u16);

impl Moto {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program())
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server, from the Python package moto[server]");
        let mut moto = Self(child, port);
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return moto;
            }
            assert!(moto.0.try_wait().unwrap().is_none(), "moto_server has ended");
            pause();
        }
        panic!("moto_server does not listen");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "moto says nothing when it is ready")]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}

/// The program in the environment that `scripts/setup` creates, or else on `PATH`.
fn program() -> PathBuf {
    let made = std::env::var_os("REGISTRY_AGENT_TEST_VENV")
        .map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/venv"),
            PathBuf::from,
        )
        .join("bin/moto_server");
    if made.exists() { made } else { "moto_server".into() }
}

#[test]
fn moto_issues_a_token_with_an_unknown_lifetime_because_it_expires_in_2015() {
    let moto = Moto::start();
    let url = format!("http://127.0.0.1:{}", moto.1);
    let probe = Probe::of(PRIVATE, &FakeAws::start())
        .set("AWS_ENDPOINT_URL_ECR", &url)
        .set("AWS_ENDPOINT_URL_STS", &url);
    let with_role =
        Probe { role: Some("arn:aws:iam::111122223333:role/puller".to_owned()), ..probe.clone() };
    match probe.run() {
        Outcome::Token { user, life, password, .. } => {
            assert_eq!((user.as_str(), life), ("AWS", None));
            assert!(!password.is_empty());
        }
        refusal @ Outcome::ExchangeFailure { .. } => panic!("{refusal:?}"),
    }
    // Then only the expiry of the role's session is known.
    match with_role.run() {
        Outcome::Token { life, .. } => assert!(life.is_some_and(|life| life <= 3600), "{life:?}"),
        refusal @ Outcome::ExchangeFailure { .. } => panic!("{refusal:?}"),
    }
}
