//! The log on a frozen disk, and in a pipe that nobody reads.

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::support::mounts::Freezable;
use crate::support::processes::wait_until;
use crate::support::test_home::{TestHome, succeed};

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";

/// Repeatedly changes the login, which the agent logs, and asks for it each time.
fn change_and_ask(test_home: &mut TestHome) {
    for number in 0..5 {
        let password = format!("password{number}");
        test_home.declare_anew("ACME", SERVER, ("user", &password));
        test_home.sync();
        assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), password)));
    }
}

#[test]
fn a_get_is_answered_while_the_disk_of_the_log_is_frozen() {
    let mut test_home = TestHome::new();
    fs::create_dir_all(test_home.path(".local/state")).unwrap();
    symlink("../../disk/state", test_home.path(".local/state/registry-agent")).unwrap();
    let disk = Freezable::ext4(&test_home.path("disk"));
    fs::create_dir(test_home.path("disk/state")).unwrap();
    test_home.set("REGISTRY_AGENT_LOG", "trace");
    test_home.declare("ACME", SERVER, ("user", "first"));
    test_home.start();
    disk.freeze();
    change_and_ask(&mut test_home);
    disk.thaw();
    let log = test_home.path("disk/state/agent.log");
    let changes = || fs::read_to_string(&log).unwrap().matches(" was changed by ").count();
    wait_until("what was logged meanwhile is not written", || changes() >= 5);
    succeed(&mut test_home.agent(&["stop"]));
    drop((test_home, disk));
}

#[test]
fn a_get_is_answered_while_nobody_reads_the_log() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", SERVER, ("user", "first"));
    let (_reader, mut writer) = std::io::pipe().unwrap();
    fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let mut run = test_home.with_declared(test_home.agent(&["run"]));
    let mut run = run.stderr(OwnedFd::from(writer)).spawn().unwrap();
    wait_until("`run` does not answer", || test_home.credential(SERVER).is_some());
    change_and_ask(&mut test_home);
    succeed(&mut test_home.agent(&["stop"]));
    run.wait().unwrap();
}
