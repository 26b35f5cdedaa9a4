//! Clients in a user namespace: rootless podman runs the helper as root of one.

use std::path::Path;

use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text};

const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");
const LOGIN: (&str, &str) = ("puller", "password");

#[test]
fn rootless_podman_without_a_runtime_directory_uses_the_agent_of_its_user() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let server = registry.server();
    // The registry says that an image is unknown only to those who are logged in.
    let message = as_dev(
        &server,
        "",
        "registry-agent sync\n\
         podman pull --tls-verify=false \"$SERVER/private/app\"\n\
         podman unshare sh -c 'printf %s \"$SERVER\" | docker-credential-registry-agent get'\n\
         podman unshare registry-agent status; echo \"status $?\"",
    );
    assert!(message.contains("manifest unknown"), "{message}");
    assert!(message.contains("\"Secret\":\"password\""), "{message}");
    assert!(message.contains("status 0"), "{message}");
    assert_eq!(message.matches("an agent of uid").count(), 1, "{message}");
    assert!(message.contains("an agent of uid 1234"), "{message}");
}

#[test]
fn an_agent_that_a_helper_starts_in_a_user_namespace_is_the_agent_of_its_user() {
    let message = as_dev(
        "127.0.0.1:1",
        "user = \"dev\"",
        "printf %s \"$SERVER\" | SUDO_UID=4321 unshare --user --map-root-user \\\n\
             docker-credential-registry-agent get\n\
         printf %s \"$SERVER\" | docker-credential-registry-agent get\n\
         unshare --user --map-root-user registry-agent check",
    );
    assert_eq!(message.matches("\"Secret\":\"password\"").count(), 2, "{message}");
    assert!(message.contains("of dev, process "), "{message}");
    assert_eq!(message.matches("an agent of uid").count(), 1, "{message}");
    assert!(message.contains("an agent of uid 1234"), "{message}");
}

/// Runs a script as the user `dev`, who declares the registry, and returns its output with the
/// agents that it leaves.
fn as_dev(server: &str, config: &str, script: &str) -> String {
    let test_home = TestHome::new();
    let programs = Path::new(AGENT).parent().unwrap().display();
    let inside = format!(
        "set -e\n\
         mount -t tmpfs -o mode=755 tmpfs /run && mount -t tmpfs tmpfs /tmp && chmod 1777 /tmp\n\
         mkdir /run/etc && cp -a /etc/. /run/etc && mount --bind /run/etc /etc\n\
         echo 'dev:x:1234:1234::/tmp/home:/bin/sh' >> /etc/passwd && echo 'dev:x:1234:' >> /etc/group\n\
         echo dev:100000:65536 | tee /etc/subuid > /etc/subgid\n\
         mkdir -p /etc/registry-agent && printf %s '{config}' > /etc/registry-agent/config.toml\n\
         mkdir -m 700 /tmp/home && chown 1234:1234 /tmp/home && cd /tmp/home\n\
         exec setpriv --reuid=1234 --regid=1234 --clear-groups env -i HOME=/tmp/home \\\n\
             PATH='{programs}':/usr/bin:/bin:/usr/sbin:/sbin SERVER={server} \\\n\
             ACME_CONTAINER_REGISTRY_SERVER={server} ACME_CONTAINER_REGISTRY_USER={user} \\\n\
             ACME_CONTAINER_REGISTRY_PASSWORD={password} sh -c '{script}\n\
             for dir in /tmp/registry-agent-*; do echo \"an agent of uid ${{dir##*-}}\"; done\n\
             registry-agent stop; unshare --user --map-root-user registry-agent stop'\n",
        user = LOGIN.0,
        password = LOGIN.1,
        script = script.replace('\'', "'\\''"),
    );
    let mut command = test_home.command("unshare");
    command.args(["--mount", "sh", "-c", &inside]).env_remove("REGISTRY_AGENT_SOCKET");
    output_text(&command.output().unwrap())
}
