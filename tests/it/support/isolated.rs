//! A world of a test's own: a network of nothing but loopback, and an `/etc` of its own files.
//!
//! Both are namespaces of one thread. In there real host names can be served on their real port, and
//! what the product reads of the system is really read. Needs root, as the other tests do.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// What the thread finds in `/etc`, beside an empty `resolv.conf`.
#[derive(Default)]
pub(crate) struct Etc<'a> {
    /// Host names, and the address each has.
    pub(crate) hosts: &'a [(&'a str, &'a str)],
    /// The authorities the system trusts, PEM; none where it is empty.
    pub(crate) roots: &'a str,
    /// More files, by their path below `/etc`.
    pub(crate) files: &'a [(&'a str, &'a str)],
}

/// Runs `test` in there, on a runtime of one thread.
pub(crate) fn run<F: Future>(etc: &Etc<'_>, test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            enter(etc);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(test());
        });
        if let Err(panic) = inside.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn enter(etc: &Etc<'_>) {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .expect("namespaces, for which these tests need root");
    // From iproute2; a child has the namespaces of the thread that makes it.
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

/// Writes a file below `/etc`, its directories too.
pub(crate) fn write(path: &str, text: &str) {
    let path = Path::new("/etc").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
