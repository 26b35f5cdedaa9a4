//! Users, rights and images: what the Feature does without.

use serde_json::{Value, json};

use super::{
    CANARY, PASSWORD, USER, config, get, inspect, inspect_as, owner_of_the_agent, private_registry,
    says_that_the_password_is_missing,
};
use crate::support::engine::{BUSYBOX, DEBIAN};
use crate::support::test_workspace::TestWorkspace;

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn a_container_user_without_sudo_is_enough() {
    let registry = private_registry();
    let config = config(&registry, json!({"image": DEBIAN, "containerUser": "dev"}));
    let mut test_workspace = TestWorkspace::new(config);
    test_workspace.up(&json!({PASSWORD: CANARY}));
    assert_eq!(inspect(&test_workspace, &registry), "linux");
    assert_eq!(owner_of_the_agent(&test_workspace, "dev"), "dev");
    test_workspace.stop_and_start();
    says_that_the_password_is_missing(&test_workspace);
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn without_any_capability_the_hooks_start_the_agent() {
    let registry = private_registry();
    let config = config(&registry, json!({"image": DEBIAN, "runArgs": ["--cap-drop=ALL"]}));
    let mut test_workspace = TestWorkspace::new(config);
    test_workspace.up(&json!({PASSWORD: CANARY}));
    assert_eq!(inspect(&test_workspace, &registry), "linux");
    assert_eq!(owner_of_the_agent(&test_workspace, "dev"), "dev");
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn an_image_with_nothing_but_a_shell_is_enough() {
    let registry = private_registry();
    let mut test_workspace = TestWorkspace::new(config(&registry, json!({"image": BUSYBOX})));
    test_workspace.up(&json!({PASSWORD: CANARY}));
    let served = test_workspace.stdout("dev", &get(&registry));
    let served: Value = serde_json::from_str(&served).unwrap();
    assert_eq!(
        (served["Username"].as_str(), served["Secret"].as_str()),
        (Some(USER), Some(CANARY))
    );
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn a_compose_service_whose_remote_user_is_root_has_its_agent() {
    let registry = private_registry();
    let mut config =
        config(&registry, json!({"dockerComposeFile": "compose.yml", "service": "app"}));
    config["remoteUser"] = json!("root");
    let mut test_workspace = TestWorkspace::new(config);
    test_workspace.write(
        "compose.yml",
        &format!(
            "version: '3'\n\
             services:\n  \
               app:\n    \
                 image: {DEBIAN}\n    \
                 network_mode: host\n    \
                 command: sleep infinity\n"
        ),
    );
    test_workspace.up(&json!({PASSWORD: CANARY}));
    assert_eq!(inspect_as("root", &test_workspace, &registry), "linux");
    assert_eq!(owner_of_the_agent(&test_workspace, "root"), "root");
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn the_user_may_get_another_uid_when_the_container_is_created() {
    let registry = private_registry();
    let mut test_workspace = TestWorkspace::new(config(&registry, json!({"image": DEBIAN})));
    test_workspace.set_uid_of_the_host(4242);
    test_workspace.up(&json!({PASSWORD: CANARY}));
    assert_eq!(test_workspace.stdout("dev", "id -u"), "4242", "the CLI did not change the uid");
    assert_eq!(inspect(&test_workspace, &registry), "linux");
    assert_eq!(owner_of_the_agent(&test_workspace, "dev"), "dev");
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn a_read_only_file_system_is_enough() {
    let registry = private_registry();
    let run_args = json!(["--read-only", "--tmpfs=/run", "--tmpfs=/tmp"]);
    let config = config(&registry, json!({"image": DEBIAN, "runArgs": run_args}));
    let mut test_workspace = TestWorkspace::new(config);
    let log = test_workspace.up(&json!({PASSWORD: CANARY}));
    assert!(
        !test_workspace.run("dev", "touch ~/file").status.success(),
        "the home is not read-only"
    );
    assert!(log.contains("/home/dev/.docker/config.json cannot be written"), "{log}");
    assert!(log.contains("fix: set DOCKER_CONFIG to a directory that you may write to"), "{log}");
    assert_eq!(owner_of_the_agent(&test_workspace, "dev"), "dev");

    // As the fix says.
    let set = "export DOCKER_CONFIG=/tmp/docker";
    test_workspace.stdout("dev", &format!("{set}; {PASSWORD}='{CANARY}' registry-agent sync"));
    let served = test_workspace.stdout("dev", &get(&registry));
    assert!(served.contains(CANARY), "the helper does not serve the login");
    let image = format!("docker://{}/private/app:1", registry.server());
    let inspect = format!("{set}; skopeo inspect --tls-verify=false {image}");
    assert!(test_workspace.stdout("dev", &inspect).contains("linux"));
}
