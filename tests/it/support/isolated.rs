//! An isolated system for one test: a network with only loopback, and its own `/etc`.
//!
//! Both are namespaces of one thread. Inside, real host names can be served on their real ports, and
//! the product reads real system files. Requires root.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tokio::runtime::Builder;

/// The content of `/etc`, besides an empty `resolv.conf`.
#[derive(Default)]
pub(crate) struct Etc<'a> {
    /// Host names and their addresses.
    pub(crate) hosts: &'a [(&'a str, &'a str)],
    /// The authorities that the system trusts, as PEM; none if empty.
    pub(crate) roots: &'a str,
    /// More files, by their paths below `/etc`.
    pub(crate) files: &'a [(&'a str, &'a str)],
}

/// Runs `test` inside, on a single-threaded runtime.
pub(crate) fn run<F: Future>(etc: &Etc<'_>, test: impl FnOnce() -> F + Send) {
    run_on(etc, Builder::new_current_thread, test);
}

/// Runs `test` inside, on a runtime whose servers answer while the test waits for a command.
pub(crate) fn run_threaded<F: Future>(etc: &Etc<'_>, test: impl FnOnce() -> F + Send) {
    run_on(etc, Builder::new_multi_thread, test);
}

fn run_on<F: Future>(etc: &Etc<'_>, runtime: fn() -> Builder, test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            enter(etc);
            // The threads of the runtime inherit the namespaces of this one.
            runtime().enable_all().build().unwrap().block_on(test());
        });
        if let Err(panic) = inside.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn enter(etc: &Etc<'_>) {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .expect("namespaces, for which these tests need root");
    // From iproute2; a child inherits the namespaces of the thread that starts it.
    for command in ["link set lo up", "addr add 169.254.169.254/32 dev lo"] {
        assert!(
            Command::new("ip").args(command.split(' ')).status().unwrap().success(),
            "{command}"
        );
    }
    let none = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).expect("a mount namespace of its own");
    mount(Some("etc"), "/etc", Some("tmpfs"), MsFlags::empty(), none).expect("an /etc of its own");
    let hosts: Vec<_> =
        etc.hosts.iter().map(|(name, address)| [*address, *name].join(" ")).collect();
    write("hosts", &(hosts.join("\n") + "\n"));
    write("resolv.conf", "");
    write("passwd", "root:x:0:0:root:/root:/bin/sh\n");
    if !etc.roots.is_empty() {
        write("ssl/certs/ca-certificates.crt", etc.roots);
    }
    for (path, text) in etc.files {
        write(path, text);
    }
}

/// Writes a file below `/etc` and creates its directories.
pub(crate) fn write(path: &str, text: &str) {
    let path = Path::new("/etc").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
