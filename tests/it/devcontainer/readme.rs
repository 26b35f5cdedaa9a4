//! The first example of the README, as a reader copies it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{CANARY, USER, inspect, private_registry};
use crate::support::engine::DEBIAN;
use crate::support::test_workspace::TestWorkspace;

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn the_first_example_of_the_readme_reads_a_private_image() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (before, rest) = readme.split_once("\n```json\n").unwrap();
    assert!(before.lines().count() < 25, "it is not on the first screen");
    let mut config: Value = serde_json::from_str(rest.split_once("\n```").unwrap().0).unwrap();

    // The image and the other Feature come from the network, and the reader has another registry.
    assert!(config["image"].is_string());
    config["image"] = json!(DEBIAN);
    let features = config["features"].as_object_mut().unwrap();
    features.retain(|feature, _| feature.starts_with("./"));
    assert_eq!(features.keys().collect::<Vec<_>>(), ["./registry-agent"]);
    let registry = private_registry();
    let variables = config["containerEnv"].as_object_mut().unwrap();
    let names = ["ACME_CONTAINER_REGISTRY_SERVER", "ACME_CONTAINER_REGISTRY_USER"];
    assert_eq!(variables.keys().collect::<Vec<_>>(), names);
    for (name, value) in names.iter().zip([registry.server(), USER.to_owned()]) {
        variables[*name] = json!(value);
    }
    let secrets = config["secrets"].as_object().unwrap().keys();
    let password = "ACME_CONTAINER_REGISTRY_PASSWORD";
    assert_eq!(secrets.collect::<Vec<_>>(), [password]);

    config["remoteUser"] = json!("dev");
    let mut test_workspace = TestWorkspace::new(config);
    test_workspace.up(&json!({password: CANARY}));
    assert_eq!(inspect(&test_workspace, &registry), "linux");
}
