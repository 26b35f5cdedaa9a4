//! Files of certificates that never end, or never respond, keep no other login waiting.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::processes::only_pair;
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::TestHome;
use crate::support::unresponsive_mount::UnresponsiveMount;

const USER: (&str, &str) = ("puller", "a password");

#[test]
fn a_certificate_file_that_is_no_file_is_named_and_keeps_no_other_login_waiting() {
    let registry = Registry::start(&Auth::Htpasswd(&[USER]), None);
    let mut home = TestHome::new();
    mkfifo(&home.path("fifo"), Mode::S_IRWXU).unwrap();
    for (name, target) in [("ZERO", "/dev/zero"), ("TERMINAL", "/dev/ptmx"), ("FIFO", "fifo")] {
        let file = home.path(&format!("{name}.pem"));
        symlink(target, &file).unwrap();
        home.declare(name, &format!("{}.test", name.to_lowercase()), USER);
        home.set(&format!("{name}_CONTAINER_REGISTRY_CA_FILE"), file.to_str().unwrap());
    }
    home.declare("ACME", &registry.server(), USER);
    home.start();
    for (name, file) in [("ZERO", "ZERO.pem"), ("TERMINAL", "TERMINAL.pem"), ("FIFO", "FIFO.pem")] {
        let login = home.login(name);
        let (reason, fix) = (login["reason"].as_str().unwrap(), login["hint"].as_str().unwrap());
        assert!(reason.contains("is not a regular file") && reason.contains(file), "{reason}");
        assert!(fix.starts_with(&format!("set {name}_CONTAINER_REGISTRY_CA_FILE")), "{fix}");
    }
    assert_eq!(home.login("ACME")["state"], "ready");
}

#[test]
fn certificates_of_the_system_that_are_no_file_are_not_read() {
    let registry = Registry::start(&Auth::Htpasswd(&[USER]), None);
    for target in ["/dev/zero", "fifo"] {
        let mut home = TestHome::new();
        mkfifo(&home.path("fifo"), Mode::S_IRWXU).unwrap();
        symlink(target, home.path("roots.pem")).unwrap();
        home.set("SSL_CERT_FILE", home.path("roots.pem").to_str().unwrap());
        home.declare("ACME", &registry.server(), USER);
        home.declare("OTHER", "other.test", USER);
        home.start();
        assert_eq!(home.login("ACME")["state"], "ready", "{target}");
        assert_eq!(home.login("OTHER")["state"], "unreachable", "{target}");
    }
}

#[test]
fn a_certificate_file_on_a_file_system_that_hangs_keeps_no_other_login_waiting() {
    let registry = Registry::start(&Auth::Htpasswd(&[USER]), None);
    let mut home = TestHome::new();
    fs::create_dir(home.path("share")).unwrap();
    let _hangs = UnresponsiveMount::new(&home.path("share"));
    let file = home.path("share/ca.pem");
    home.declare("HUNG", "hung.test", USER);
    home.set("HUNG_CONTAINER_REGISTRY_CA_FILE", file.to_str().unwrap());
    home.declare("ACME", &registry.server(), USER);
    home.start();
    assert_eq!(home.exit_of(&["wait", "ACME"]), 0);
    let reason = home.login("HUNG")["reason"].as_str().unwrap().to_owned();
    let shown = Path::new(&file).display().to_string();
    assert!(reason.contains("does not respond") && reason.contains(&shown), "{reason}");

    // Each attempt leaves a thread behind that no time limit ends.
    for _ in 0..5 {
        assert_eq!(home.exit_of(&["refresh", "HUNG"]), 1);
    }
    let tasks = format!("/proc/{}/task", only_pair(&home.lock()).agent.pid);
    let names = fs::read_dir(tasks).unwrap().flatten().map(|task| task.path().join("comm"));
    let waiting =
        names.filter(|name| fs::read_to_string(name).is_ok_and(|it| it.trim() == "files"));
    assert!(waiting.count() <= 4);
}
