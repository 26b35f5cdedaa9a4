//! What a user other than the agent's may ask.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, succeed};

const USER: &str = "puller";
const PASSWORD: &str = "canary-password";

#[test]
fn another_user_may_read_the_status_and_no_credential() {
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (USER, PASSWORD));
    // Only the owner may enter the home, but other users must reach the socket.
    fs::set_permissions(test_home.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    test_home.start_agent();
    let socket = test_home.path("agent.sock");
    let credential = format!("/v1/credential?server={}", registry.server());
    let (code, body) = ask_as_nobody(&socket, "GET", &credential);
    assert_eq!(code, "403");
    assert!(body.contains("hint") && !body.contains(PASSWORD), "{body}");
    for (method, target) in [
        ("PUT", "/v1/environment"),
        ("POST", "/v1/refresh"),
        ("POST", "/v1/logins"),
        ("DELETE", "/v1/logins?server=x"),
        ("GET", "/v1/access?image=x"),
        ("POST", "/v1/environment/difference"),
        ("POST", "/v1/shutdown"),
    ] {
        assert_eq!(ask_as_nobody(&socket, method, target).0, "403", "{method} {target}");
    }
    for target in ["/v1/status", "/v1/registries/ACME", "/v1/events", "/healthz", "/metrics"] {
        let (code, body) = ask_as_nobody(&socket, "GET", target);
        assert_eq!(code, "200", "{target}");
        assert!(!body.contains(PASSWORD), "{target}: {body}");
    }
}

/// The HTTP status and the body for a user without permissions.
fn ask_as_nobody(socket: &Path, method: &str, target: &str) -> (String, String) {
    let mut curl = Command::new("setpriv");
    curl.args(["--reuid=65534", "--regid=65534", "--clear-groups", "curl", "--silent"])
        .args(["--max-time", "20", "--request", method, "--write-out", "\n%{http_code}"])
        .arg("--unix-socket")
        .arg(socket)
        .arg(format!("http://agent{target}"));
    let message = String::from_utf8(succeed(&mut curl).stdout).unwrap();
    let (body, code) = message.rsplit_once('\n').unwrap();
    (code.to_owned(), body.to_owned())
}
