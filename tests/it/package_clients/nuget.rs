//! `NuGet`'s plug-in, by its written protocol.

use serde_json::{Value, json};

use super::{ask, table};
use crate::support::package_registry::PackageRegistry;
use crate::support::test_home::{TestHome, output_text};

const PROGRAM: &str = "nuget-plugin-registry-agent";

fn request(id: &str, method: &str, payload: &Value) -> String {
    json!({"RequestId": id, "Type": "Request", "Method": method, "Payload": payload}).to_string()
}

fn credentials(id: &str, url: &str) -> String {
    let payload =
        json!({"Uri": url, "IsRetry": false, "IsNonInteractive": true, "CanShowDialog": false});
    request(id, "GetAuthenticationCredentials", &payload)
}

/// What the plug-in sends for these lines.
fn talk(test_home: &TestHome, lines: &[String]) -> Vec<Value> {
    let output = ask(test_home, PROGRAM, &["-Plugin"], &(lines.join("\n") + "\n"));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", output_text(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The payload of the response to a request.
fn response<'a>(messages: &'a [Value], id: &str) -> &'a Value {
    let found = messages.iter().find(|it| it["RequestId"] == id && it["Type"] == "Response");
    &found.unwrap_or_else(|| panic!("{id}: {messages:?}"))["Payload"]
}

#[test]
fn a_restore_gets_the_login_of_a_declared_feed() {
    let mut test_home = TestHome::new();
    let server = "https://nuget.invalid/team/";
    let login = [("SERVER", server), ("USER", "builder"), ("PASSWORD", "secret")];
    test_home.declare_packages("ACME", &login);
    test_home
        .declare_packages("TOKEN", &[("SERVER", "https://token.invalid/"), ("PASSWORD", "token")]);
    test_home.start();
    test_home.exit_of(&["wait"]);
    let handshake = json!({"ProtocolVersion": "2.0.0", "MinimumProtocolVersion": "1.0.0"});
    let initialize =
        json!({"ClientVersion": "6.13.0", "Culture": "en-US", "RequestTimeout": "00:00:05"});
    let source = json!({"PackageSourceRepository": server, "ServiceIndex": {}});
    let messages = talk(
        &test_home,
        &[
            request("1", "Handshake", &handshake),
            request("2", "Initialize", &initialize),
            request("3", "MonitorNuGetProcessExit", &json!({"ProcessId": 1})),
            request("4", "GetOperationClaims", &json!({})),
            request("5", "GetOperationClaims", &source),
            request("6", "SetLogLevel", &json!({"LogLevel": "Minimal"})),
            credentials("7", "https://nuget.invalid/team/v3/index.json"),
            credentials("8", "https://token.invalid/v3/index.json"),
            credentials("9", "https://nuget.invalid/teams/v3/index.json"),
            credentials("10", "https://api.nuget.org/v3/index.json"),
            request("11", "PrefetchPackage", &json!({})),
            "not JSON".to_owned(),
            json!({"RequestId": "x", "Type": "Response", "Method": "Log"}).to_string(),
            request("12", "Close", &json!({})),
            credentials("13", "https://nuget.invalid/team/v3/index.json"),
        ],
    );
    assert_eq!(
        (&messages[0]["Type"], &messages[0]["Method"]),
        (&json!("Request"), &json!("Handshake"))
    );
    let versions = json!({"ProtocolVersion": "2.0.0", "MinimumProtocolVersion": "2.0.0"});
    assert_eq!(messages[0]["Payload"], versions);
    let success = json!({"ResponseCode": "Success"});
    for (id, expected) in [
        ("1", json!({"ResponseCode": "Success", "ProtocolVersion": "2.0.0"})),
        ("2", success.clone()),
        ("3", success.clone()),
        ("4", json!({"Claims": ["Authentication"]})),
        ("5", json!({"Claims": []})),
        ("6", success),
        ("7", login_of("builder", "secret")),
        ("8", login_of("token", "token")),
        ("9", json!({"ResponseCode": "Error"})),
        ("10", json!({"ResponseCode": "Error"})),
        ("11", json!({"ResponseCode": "NotFound"})),
    ] {
        assert_eq!(*response(&messages, id), expected, "{id}");
    }
    assert_eq!(messages.len(), 12, "{messages:?}");
    let calls = [format!("{PROGRAM} -Plugin")];
    table::record("NuGet", "none", "the written protocol", &calls);
}

fn login_of(user: &str, password: &str) -> Value {
    json!({
        "ResponseCode": "Success", "Username": user, "Password": password,
        "AuthenticationTypes": ["Basic"],
    })
}

#[test]
fn a_withheld_login_is_logged_by_nuget_and_the_restore_goes_on() {
    let registry = PackageRegistry::start(&[]);
    let mut test_home = TestHome::new();
    let url = registry.url("/");
    test_home.declare_packages("ACME", &[("SERVER", url.as_str()), ("PASSWORD", "canary")]);
    test_home.start();
    assert_eq!(test_home.login("ACME")["state"], "rejected");
    let asked = [credentials("1", &registry.url("/v3/index.json"))];
    let messages = talk(&test_home, &asked);
    assert_eq!(*response(&messages, "1"), json!({"ResponseCode": "Error"}));
    let log = &messages[1];
    assert_eq!((&log["Type"], &log["Method"]), (&json!("Request"), &json!("Log")));
    assert_eq!(log["Payload"]["LogLevel"], "Warning");
    let message = log["Payload"]["Message"].as_str().unwrap();
    assert!(message.contains("run `registry-agent check ACME`"), "{message}");
    assert!(!format!("{messages:?}").contains("canary"), "{messages:?}");
    test_home.exit_of(&["stop"]);
    let messages = talk(&test_home, &asked);
    assert_eq!(*response(&messages, "1"), json!({"ResponseCode": "Error"}));
    assert_eq!(messages.len(), 2, "{messages:?}");
}

#[test]
fn whoever_runs_the_plug_in_by_hand_learns_what_it_is() {
    let test_home = TestHome::new();
    let output = ask(&test_home, PROGRAM, &[], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(output_text(&output).contains("NuGet runs it"), "{}", output_text(&output));
    test_home.exit_of(&["start"]);
}
