//! The packages of a release: checked by `lintian`, installed, run and removed in a clean Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::engine::{DEBIAN, Engine, docker};
use crate::support::test_home::{output_text, succeed};

/// Starts an agent of the user `dev`, whose docker configuration then names our helper.
const START: &str = r#"
run() { su dev -c "ACME_CONTAINER_REGISTRY_SERVER=127.0.0.1:9 ACME_CONTAINER_REGISTRY_USER=u ACME_CONTAINER_REGISTRY_PASSWORD=p $*"; }
ours() { grep -q registry-agent /home/dev/.docker/config.json; }
run registry-agent start
ours
"#;

fn packages() -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/packages");
    assert!(directory.exists(), "run `make packages` first");
    directory
}

/// Checks that each name of the helper leads to it, and that what a person reads is there.
fn what_is_installed() -> String {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("feature/links");
    let list = fs::read_to_string(list).unwrap();
    let names: Vec<_> = list.lines().map(|line| line.split_once(' ').unwrap().0).collect();
    assert!(names.contains(&"bin/registry-agent-credential-provider"), "{names:?}");
    format!(
        r#"
        registry-agent --version
        for name in {names}; do
            [ "$(readlink -f "/usr/$name")" = /usr/bin/docker-credential-registry-agent ]
        done
        registry-agent-credential-provider --version
        test -s /usr/lib/systemd/system/registry-agent.service
        test -s /usr/lib/systemd/user/registry-agent.service
        test -s /usr/share/man/man1/registry-agent-status.1.gz
        test -s /usr/share/man/man1/registry-agent-credential-provider.1.gz
        test -s /usr/share/bash-completion/completions/registry-agent
        test -s /usr/share/doc/registry-agent/examples/kubernetes/node.yaml
        test -s /usr/share/doc/registry-agent/examples/kubernetes/sidecar.yaml
        test -s /usr/share/doc/registry-agent/examples/supervisord/registry-agent.conf
        test -s /usr/share/doc/registry-agent/examples/s6/run
        "#,
        names = names.join(" ")
    )
}

/// The one package whose name ends like this.
fn package(end: &str) -> PathBuf {
    let entries = packages().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut named: Vec<_> =
        entries.filter(|path| path.to_str().is_some_and(|name| name.ends_with(end))).collect();
    assert_eq!(named.len(), 1, "{end}: {named:?}");
    named.remove(0)
}

/// Names as distributions write them: of Debian, and of everybody else.
fn architectures() -> (&'static str, &'static str) {
    match std::env::consts::ARCH {
        "aarch64" => ("arm64", "aarch64"),
        arch => ("amd64", arch),
    }
}

/// Runs a script as root in a new container with the packages in `/packages`.
fn in_debian(script: &str) -> String {
    let _engine = Engine::take();
    let packages = format!("{}:/packages:ro", packages().display());
    let mut run = docker();
    run.args(["run", "--rm", "--network", "none", "--volume", &packages, DEBIAN, "sh", "-euc"]);
    output_text(&succeed(run.arg(format!("{script}\necho passed"))))
}

#[test]
#[ignore = "needs the packages that `make test` builds"]
fn the_checksums_are_right_and_cover_everything() {
    let said = output_text(&succeed(
        Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(packages()),
    ));
    let files = packages().read_dir().unwrap().count();
    assert_eq!(said.lines().filter(|line| line.ends_with(": OK")).count(), files - 1, "{said}");
    for end in ["_amd64.deb", "_arm64.deb", ".x86_64.rpm", ".aarch64.rpm", "-x86_64.tar.gz"] {
        package(end);
    }
    for end in ["-aarch64.tar.gz", "devcontainer-feature-registry-agent.tgz"] {
        package(end);
    }
}

#[test]
#[ignore = "needs the packages that `make test` builds"]
fn lintian_finds_no_error() {
    for arch in ["amd64", "arm64"] {
        let deb = package(&format!("_{arch}.deb"));
        let mut lintian = Command::new("lintian");
        lintian.args(["--allow-root", "--fail-on", "error"]);
        succeed(lintian.arg(deb));
    }
}

#[test]
#[ignore = "needs the packages that `make test` builds"]
fn a_deb_is_installed_upgraded_removed_and_purged_without_traces() {
    let (arch, _) = architectures();
    let said = in_debian(&format!(
        r#"
        list() {{ find / -xdev -path /proc -prune -o -path /packages -prune -o -name '*registry-agent*' -print; }}
        [ -z "$(list)" ]
        dpkg -i /packages/*_{arch}.deb
        {}
        test -s /usr/share/zsh/vendor-completions/_registry-agent
        test -s /usr/share/doc/registry-agent/copyright
        {START}
        # An upgrade leaves the agent alone.
        dpkg -i /packages/*_{arch}.deb
        run registry-agent status --json > /dev/null || [ $? = 3 ]
        mkdir /etc/registry-agent
        echo 'verify = false' > /etc/registry-agent/config.toml
        dpkg --remove registry-agent
        ! ours
        test -e /etc/registry-agent/config.toml
        dpkg --purge registry-agent
        ! test -e /etc/registry-agent
        [ -z "$(list)" ]
        "#,
        what_is_installed()
    ));
    assert!(said.contains("stopped the agent"), "{said}");
    assert!(said.ends_with("\npassed\n"), "{said}");
}

#[test]
#[ignore = "needs the packages that `make test` builds"]
fn an_rpm_is_installed_and_removed_without_traces() {
    let (_, arch) = architectures();
    let engine = Engine::take();
    let tree = tempfile::tempdir().unwrap();
    // A clean file system: rpm runs on this machine, and the package's scripts in there.
    let unpack = format!(
        "id=$(docker create {DEBIAN}) && docker export $id | tar -xC {} && docker rm $id",
        tree.path().display()
    );
    succeed(Command::new("sh").args(["-euc", &unpack]).env("DOCKER_CONFIG", "/nonexistent"));
    drop(engine);
    let rpm = |arguments: &[&str]| {
        let mut rpm = Command::new("unshare");
        rpm.args([
            "--mount",
            "sh",
            "-euc",
            "mount -t proc proc $0/proc && exec rpm --root $0 \"$@\"",
        ]);
        rpm.arg(tree.path()).args(arguments);
        output_text(&succeed(&mut rpm))
    };
    let inside = |script: &str| {
        let mut chroot = Command::new("unshare");
        chroot.args([
            "--mount",
            "--net",
            "sh",
            "-euc",
            "mount -t proc proc $0/proc && exec chroot $0 \"$@\"",
        ]);
        output_text(&succeed(chroot.arg(tree.path()).args(["sh", "-euc", script])))
    };
    let file = package(&format!(".{arch}.rpm"));
    rpm(&["--install", "--nodeps", "--noplugins", file.to_str().unwrap()]);
    let license = rpm(&["--query", "--queryformat", "%{LICENSE}", "registry-agent"]);
    assert_eq!(license, "MIT OR Apache-2.0");
    inside(&what_is_installed());
    inside("test -s /usr/share/zsh/site-functions/_registry-agent");
    inside("test -s /usr/share/licenses/registry-agent/LICENSE-MIT");
    assert_eq!(rpm(&["--verify", "--nodeps", "registry-agent"]), "", "it is not as it was packed");
    inside(START);
    let said = rpm(&["--erase", "--noplugins", "registry-agent"]);
    assert!(said.contains("stopped the agent"), "{said}");
    inside("! grep -q registry-agent /home/dev/.docker/config.json");
    let left = inside("find / -xdev -name '*registry-agent*' -print");
    assert_eq!(left, "");
}

#[test]
#[ignore = "needs the packages that `make test` builds"]
fn the_archive_installs_on_a_machine_without_dev_containers() {
    let (_, arch) = architectures();
    let said = in_debian(&format!(
        r#"
        tar -xzf /packages/registry-agent-*-{arch}.tar.gz -C /tmp
        cd /tmp/registry-agent-*
        [ "$(ls bin)" = {arch} ]
        sh install.sh
        registry-agent --version
        test -s /usr/local/lib/systemd/system/registry-agent.service
        test -s examples/kubernetes/node.yaml
        {START}
        cd / && rm -r /tmp/registry-agent-*-{arch}
        sh /usr/local/share/registry-agent/install.sh uninstall
        ! ours
        find / -xdev -path /proc -prune -o -path /packages -prune -o -name '*registry-agent*' -print
        "#
    ));
    assert!(said.ends_with("\nregistry-agent is removed\npassed\n"), "{said}");
}
