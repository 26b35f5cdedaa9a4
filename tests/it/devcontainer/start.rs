//! The entrypoint of the Feature beside others: that of the image, and one that blocks.

use serde_json::json;

use super::{
    CANARY, PASSWORD, config, get, inspect, owner_of_the_agent, private_registry,
    says_that_the_password_is_missing,
};
use crate::support::engine::DEBIAN;
use crate::support::test_workspace::TestWorkspace;

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn an_image_with_an_entrypoint_of_its_own_keeps_it() {
    let registry = private_registry();
    let config =
        config(&registry, json!({"build": {"dockerfile": "Dockerfile"}, "overrideCommand": false}));
    let mut test_workspace = TestWorkspace::new(config);
    test_workspace.write(
        "Dockerfile",
        &format!(
            "FROM {DEBIAN}\n\
             RUN printf '#!/bin/sh\\ntouch /tmp/entered\\nexec \"$@\"\\n' > /enter && chmod +x /enter\n\
             ENTRYPOINT [\"/enter\"]\n\
             CMD [\"sleep\", \"infinity\"]\n"
        ),
    );
    test_workspace.up(&json!({PASSWORD: CANARY}));
    assert_eq!(inspect(&test_workspace, &registry), "linux");
    test_workspace.stdout("dev", "test -e /tmp/entered");
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn behind_an_entrypoint_that_blocks_the_hooks_and_the_helper_start_the_agent() {
    let registry = private_registry();
    let features = json!({"./blocking": {}, "./registry-agent": {}});
    let config = config(&registry, json!({"image": DEBIAN, "features": features}));
    let mut test_workspace = TestWorkspace::new(config);
    test_workspace.write_feature(
        &json!({"id": "blocking", "entrypoint": "/usr/local/share/blocking"}),
        "printf '#!/bin/sh\\n: > /tmp/blocking\\nexec sleep infinity\\n' > /usr/local/share/blocking\n\
         chmod +x /usr/local/share/blocking\n",
    );
    test_workspace.up(&json!({PASSWORD: CANARY}));
    assert_eq!(inspect(&test_workspace, &registry), "linux");
    assert_eq!(owner_of_the_agent(&test_workspace, "dev"), "dev");

    test_workspace.stdout("root", "rm /tmp/blocking");
    test_workspace.stop_and_start();
    test_workspace.eventually("root", "test -e /tmp/blocking");
    let status = test_workspace.run("dev", "registry-agent status");
    assert!(!status.status.success(), "the entrypoint before that of the agent does not block");
    assert!(!test_workspace.run("dev", &get(&registry)).status.success());
    says_that_the_password_is_missing(&test_workspace);
    assert_eq!(owner_of_the_agent(&test_workspace, "dev"), "dev");
}
