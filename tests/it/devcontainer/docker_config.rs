//! A docker configuration that others write too.

use serde_json::{Value, json};

use super::{CANARY, PASSWORD, config, inspect, private_registry};
use crate::support::engine::DEBIAN;
use crate::support::test_workspace::TestWorkspace;

/// What the other Feature writes, as a whole.
const OTHERS: &str =
    r#"{"credsStore":"other","credHelpers":{"other.example.com":"other"},"psFormat":"table"}"#;

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn another_feature_that_replaces_the_docker_configuration_keeps_its_entries_and_so_does_the_agent()
{
    let registry = private_registry();
    let features = json!({"./other": {}, "./registry-agent": {}});
    let config = config(&registry, json!({"image": DEBIAN, "features": features}));
    let mut test_workspace = TestWorkspace::new(config);
    let replace = format!(
        "mkdir -p ~/.docker\n\
         printf '%s' '{OTHERS}' > ~/.docker/other\n\
         mv ~/.docker/other ~/.docker/config.json\n\
         echo replaced >> ~/replaced\n"
    );
    // Once before the agent's own hook, and once after it: the order of the Features decides.
    let hook = "/usr/local/share/other";
    test_workspace.write_feature(
        &json!({"id": "other", "onCreateCommand": hook, "postCreateCommand": hook}),
        &format!("cat > {hook} <<'END'\n#!/bin/sh\nset -e\n{replace}END\nchmod +x {hook}\n"),
    );
    test_workspace.up(&json!({PASSWORD: CANARY}));
    assert_eq!(test_workspace.stdout("dev", "cat ~/replaced"), "replaced\nreplaced");
    // The agent watches the file, because no hook of it runs after the last change.
    test_workspace
        .eventually("dev", &format!("grep -q '{}' ~/.docker/config.json", registry.server()));
    assert_eq!(inspect(&test_workspace, &registry), "linux");

    let text = test_workspace.stdout("dev", "cat ~/.docker/config.json");
    let found: Value = serde_json::from_str(&text).unwrap();
    let mut expected: Value = serde_json::from_str(OTHERS).unwrap();
    expected["credHelpers"][registry.server()] = json!("registry-agent");
    assert_eq!(found, expected);
}
