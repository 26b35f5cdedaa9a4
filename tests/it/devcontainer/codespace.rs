//! A prebuild, from which codespaces are created.

use serde_json::json;

use super::{
    CANARY, CHANGED, PASSWORD, TRACES, USER, config, get, inspect, owner_of_the_agent,
    private_registry,
};
use crate::support::engine::DEBIAN;
use crate::support::test_workspace::TestWorkspace;

/// A server that does not exist, with a login from `docker login`.
const STORED: &str = "127.0.0.1:1";

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn a_prebuild_gives_no_secret_to_the_codespaces_created_from_it() {
    let registry = private_registry();
    let in_codespace = |name: &str, image: &str| {
        let variable = format!("--env=CODESPACE_NAME={name}");
        let run_args = json!(["--env=CODESPACES=true", variable]);
        config(&registry, json!({"image": image, "runArgs": run_args}))
    };
    let stored = |test_workspace: &TestWorkspace| {
        let get = format!("printf {STORED} | docker-credential-registry-agent get");
        test_workspace.run("dev", &get).status.success()
    };

    let mut prebuild = TestWorkspace::new(in_codespace("prebuild", DEBIAN));
    prebuild.up(&json!({PASSWORD: CANARY}));
    assert_eq!(inspect(&prebuild, &registry), "linux");
    let login = json!({"ServerURL": STORED, "Username": USER, "Secret": "stored-in-the-prebuild"});
    prebuild.stdout("dev", &format!("echo '{login}' | docker-credential-registry-agent store"));
    assert!(stored(&prebuild), "the login is not stored");
    let snapshot = prebuild.commit();
    drop(prebuild);

    let mut config = in_codespace("created", snapshot.name());
    // They are in the metadata of the image.
    config["features"] = json!({});
    let mut codespace = TestWorkspace::new(config);
    registry.set_users(&[(USER, CHANGED)]);
    codespace.up(&json!({PASSWORD: CHANGED}));
    assert_eq!(inspect(&codespace, &registry), "linux");
    assert_eq!(owner_of_the_agent(&codespace, "dev"), "dev");
    assert!(codespace.stdout("dev", &get(&registry)).contains(CHANGED));
    assert!(!stored(&codespace), "a login of the prebuild is in another codespace");
    codespace.stdout("root", "! grep -rq stored-in-the-prebuild /home /tmp /run /var /etc");
    for trace in TRACES {
        assert!(!codespace.any_file_has(trace), "the password of the prebuild is in its image");
    }
}
