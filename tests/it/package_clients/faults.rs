//! Helpers of package clients without an agent that answers: the client goes on without a login.

use std::os::unix::net::UnixListener;

use serde_json::json;

use super::ask;
use crate::support::aws::{Answer, FakeAws};
use crate::support::test_home::{TestHome, output_text};

const URL: &str = "https://acme.invalid/x";

#[test]
fn an_agent_that_hangs_keeps_no_client() {
    let test_home = TestHome::new();
    let listener = UnixListener::bind(test_home.path("agent.sock")).unwrap();
    let cargo = json!({"v": 1, "kind": "get", "operation": "read", "registry": {"index-url": URL}});
    let nuget = json!({
        "RequestId": "1", "Type": "Request", "Method": "GetAuthenticationCredentials",
        "Payload": {"Uri": URL, "IsRetry": false, "IsNonInteractive": true},
    });
    let questions = [
        ("bazel-credential-registry-agent", vec!["get"], json!({"uri": URL}).to_string(), 0),
        ("cargo-credential-registry-agent", vec!["--cargo-plugin"], format!("{cargo}\n"), 0),
        ("git-credential-registry-agent", vec!["get"], "protocol=https\nhost=h\n".to_owned(), 0),
        ("goauth-registry-agent", vec![URL], String::new(), 1),
        ("nuget-plugin-registry-agent", vec!["-Plugin"], format!("{nuget}\n"), 0),
        ("terraform-credentials-registry-agent", vec!["get", "acme.invalid"], String::new(), 0),
        ("keyring-registry-agent", vec!["get", URL, "me"], String::new(), 1),
        ("npm-credential-registry-agent", vec!["get", URL], String::new(), 1),
    ];
    std::thread::scope(|scope| {
        let count = questions.len();
        // It accepts connections, but never responds.
        let held = scope
            .spawn(move || (0..count).map(|_| listener.accept().unwrap().0).collect::<Vec<_>>());
        let answers = questions.map(|(program, arguments, input, status)| {
            let test_home = &test_home;
            let answer = move || (program, status, ask(test_home, program, &arguments, &input));
            scope.spawn(answer)
        });
        for answer in answers {
            let (program, status, output) = answer.join().unwrap();
            let text = output_text(&output);
            assert_eq!(output.status.code(), Some(status), "{program}: {text}");
            assert!(text.contains("the agent did not respond in time"), "{program}: {text}");
        }
        drop(held.join().unwrap());
    });
    std::fs::remove_file(test_home.path("agent.sock")).unwrap();
}

#[test]
fn a_login_that_takes_long_is_no_agent_that_hangs() {
    let aws = FakeAws::start();
    aws.add_key("AKIAIOSFODNN7EXAMPLE", "secret", None);
    aws.answer("codeartifact", Answer::Hang);
    let mut test_home = TestHome::new();
    for (name, value) in aws.variables() {
        test_home.set(&name, &value);
    }
    let server = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/";
    let keys = [("SERVER", server), ("USER", "AKIAIOSFODNN7EXAMPLE"), ("PASSWORD", "secret")];
    test_home.declare_packages("ACME", &keys);
    test_home.start();
    let request = json!({
        "RequestId": "1", "Type": "Request", "Method": "GetAuthenticationCredentials",
        "Payload": {"Uri": server, "IsRetry": false, "IsNonInteractive": true},
    });
    let output =
        ask(&test_home, "nuget-plugin-registry-agent", &["-Plugin"], &format!("{request}\n"));
    let text = output_text(&output);
    assert!(text.contains("run `registry-agent check ACME`"), "{text}");
    assert!(!text.contains("did not respond"), "{text}");
}
