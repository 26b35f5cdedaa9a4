//! The Feature in real dev containers: with one line in `devcontainer.json` and three variables, a
//! client reads a private image.

mod codespace;
mod docker_config;
mod features_test;
mod hangup;
mod packages;
mod readme;
mod rights;
mod start;

use serde_json::{Value, json};

use crate::support::engine::{BUSYBOX, DEBIAN, docker, push};
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{output_text, succeed};
use crate::support::test_workspace::TestWorkspace;

const USER: &str = "puller";
const CANARY: &str = "canary-6f1c2e:with blank,$dollar";
/// What is left if the password is: the last two are the beginnings of its base64, as in
/// `.env-secrets` and plain `auths`.
const TRACES: [&str; 3] = ["canary-6f1c2e", "Y2FuYXJ5LTZmMWMy", "cHVsbGVyOmNhbmFyeS"];
const CHANGED: &str = "canary-changed-93ab41";
const PASSWORD: &str = "TEAM_CONTAINER_REGISTRY_PASSWORD";

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn a_private_image_is_read_at_create_after_a_restart_and_after_a_changed_password() {
    let registry = private_registry();
    let mut test_workspace = TestWorkspace::new(config(&registry, json!({"image": DEBIAN})));

    let log = test_workspace.up(&json!({PASSWORD: CANARY}));
    assert_eq!(inspect(&test_workspace, &registry), "linux");
    assert_eq!(owner_of_the_agent(&test_workspace, "dev"), "dev", "the entrypoint runs as root");
    nothing_secret_is_kept(&test_workspace, &log);

    test_workspace.stop_and_start();
    says_that_the_password_is_missing(&test_workspace);
    assert_eq!(owner_of_the_agent(&test_workspace, "dev"), "dev");

    registry.set_users(&[(USER, CHANGED)]);
    test_workspace.up(&json!({PASSWORD: CHANGED}));
    assert_eq!(inspect(&test_workspace, &registry), "linux");
    let served = test_workspace.stdout("dev", &get(&registry));
    assert!(served.contains(CHANGED), "the old password is served");
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn feature_options_reach_the_configuration() {
    let registry = private_registry();
    let mut config = config(&registry, json!({"image": DEBIAN}));
    config["features"]["./registry-agent"] =
        json!({"logLevel": "debug", "logFormat": "json", "verify": false});
    let mut test_workspace = TestWorkspace::new(config);
    test_workspace.up(&json!({PASSWORD: CANARY}));
    assert_eq!(
        test_workspace.stdout("dev", "grep -v '^#' /etc/registry-agent/config.toml"),
        "user = \"dev\"\nmode = \"helper\"\nverify = false\ngithub_token = true\n\
         log_level = \"debug\"\nlog_format = \"json\""
    );
    assert_eq!(inspect(&test_workspace, &registry), "linux");
}

/// Server and user are in the file, because they are not secret; `up` passes the password.
fn config(registry: &Registry, mut config: Value) -> Value {
    config["remoteUser"] = json!("dev");
    config["containerEnv"] = json!({
        "TEAM_CONTAINER_REGISTRY_SERVER": registry.server(),
        "TEAM_CONTAINER_REGISTRY_USER": USER,
    });
    config
}

fn private_registry() -> Registry {
    let login = (USER, CANARY);
    let registry = Registry::start(&Auth::Htpasswd(&[login]), None);
    push(BUSYBOX, &format!("{}/private/app:1", registry.server()), login);
    registry
}

/// The output of a real client in the container that reads the private image without a password.
fn inspect(test_workspace: &TestWorkspace, registry: &Registry) -> String {
    inspect_as("dev", test_workspace, registry)
}

fn inspect_as(user: &str, test_workspace: &TestWorkspace, registry: &Registry) -> String {
    let image = format!("docker://{}/private/app:1", registry.server());
    let inspect = format!("skopeo inspect --tls-verify=false --format '{{{{.Os}}}}' {image}");
    test_workspace.stdout(user, &inspect)
}

fn get(registry: &Registry) -> String {
    format!("printf {} | docker-credential-registry-agent get", registry.server())
}

/// The owner of the agent that this user's commands find.
fn owner_of_the_agent(test_workspace: &TestWorkspace, user: &str) -> String {
    let status = test_workspace.run(user, "registry-agent status --json").stdout;
    let status: Value = serde_json::from_slice(&status).unwrap();
    test_workspace.stdout("root", &format!("stat -c %U /proc/{}", status["pid"]))
}

/// Hooks do not run at `docker start`, so the agent has only the variables of the container.
fn says_that_the_password_is_missing(test_workspace: &TestWorkspace) {
    test_workspace.eventually("dev", &format!("registry-agent status --json | grep -q {PASSWORD}"));
}

/// Searches for the password where it could have been left. Checks first that the search works.
fn nothing_secret_is_kept(test_workspace: &TestWorkspace, build_log: &str) {
    let agent_log = test_workspace.stdout("dev", "cat ~/.local/state/registry-agent/agent.log");
    let environment = test_workspace.stdout("dev", "cat /etc/environment 2> /dev/null || true");
    let history =
        output_text(&succeed(docker().args(["history", "--no-trunc", &test_workspace.image()])));
    let settings_of_the_image =
        output_text(&succeed(docker().args(["image", "inspect", &test_workspace.image()])));
    let places = [
        ("build log", build_log.to_owned(), "registry-agent"),
        ("agent's log", agent_log, ""),
        ("/etc/environment", environment, ""),
        ("history of the image", history, "registry-agent"),
        ("settings of the image", settings_of_the_image, USER),
        ("container's log", test_workspace.engine_says(&["logs"]), ""),
        ("container's settings", test_workspace.engine_says(&["inspect"]), USER),
    ];
    for (place, text, expected) in places {
        assert!(text.contains(expected), "the search of the {place} finds nothing");
        for trace in TRACES {
            assert!(!text.contains(trace), "the password is in the {place}");
        }
    }
    assert!(test_workspace.any_file_has("credHelpers"), "the search of the files finds nothing");
    for trace in TRACES {
        assert!(!test_workspace.any_file_has(trace), "the password is in a file");
    }
}
