//! What a checked-out project can make a client ask for: no helper answers beyond the declared URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::ask;
use crate::support::test_home::{TestHome, output_text};

const SECRET: &str = "canary-of-a-package-login";

/// How a client asks for a URL: the name of the helper, its arguments and its input.
type Question = fn(&str) -> (&'static str, Vec<String>, String);

const QUESTIONS: [Question; 8] = [
    |url| {
        let input = json!({"uri": url}).to_string();
        ("bazel-credential-registry-agent", vec!["get".to_owned()], input)
    },
    |url| {
        let registry = json!({"index-url": format!("sparse+{url}")});
        let request = json!({"v": 1, "kind": "get", "operation": "read", "registry": registry});
        let arguments = vec!["--cargo-plugin".to_owned()];
        ("cargo-credential-registry-agent", arguments, format!("{request}\n"))
    },
    |url| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let input = format!("protocol={scheme}\nhost={host}\npath={path}\n\n");
        ("git-credential-registry-agent", vec!["get".to_owned()], input)
    },
    |url| {
        let arguments = ["--mode=creds", "--output=json", "get", url].map(str::to_owned);
        ("keyring-registry-agent", arguments.to_vec(), String::new())
    },
    |url| {
        let arguments = vec!["get".to_owned(), url.to_owned()];
        ("npm-credential-registry-agent", arguments, String::new())
    },
    |url| ("goauth-registry-agent", vec![url.to_owned()], String::new()),
    |url| {
        let payload = json!({"Uri": url, "IsRetry": false, "IsNonInteractive": true});
        let request = json!({
            "RequestId": "1", "Type": "Request", "Method": "GetAuthenticationCredentials",
            "Payload": payload,
        });
        ("nuget-plugin-registry-agent", vec!["-Plugin".to_owned()], format!("{request}\n"))
    },
    |url| {
        let host = url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/');
        let arguments = vec!["get".to_owned(), host.to_owned()];
        ("terraform-credentials-registry-agent", arguments, String::new())
    },
];

const FOREIGN: [&str; 24] = [
    "",
    "acme.invalid",
    "https://acme.invalid",
    "https://acme.invalid/",
    "https://acme.invalid/artifact",
    "https://acme.invalid/artifacts-of-others/x",
    "https://acme.invalid/ARTIFACTS/x",
    "https://acme.invalid:8443/artifacts/x",
    "http://acme.invalid/artifacts/x",
    "http://acme.invalid:443/artifacts/x",
    "https://acme.invalid.evil.invalid/artifacts/x",
    "https://evil.invalid/artifacts/x",
    "https://evil.invalid/https://acme.invalid/artifacts/x",
    "https://acme.invalid@evil.invalid/artifacts/x",
    "https://acme.invalid:443@evil.invalid/artifacts/x",
    "https://user@acme.invalid/artifacts/x",
    "https://user:password@acme.invalid/artifacts/x",
    "https://acme.invalid\\@evil.invalid/artifacts/x",
    "https://acme.invalid%2fartifacts/x",
    "https://acme.invalid/artifacts%2fx",
    "https://acme.invalid/artifacts/../x",
    "https://acme.invalid/artifacts/%2e%2e/x",
    "https://acme.invalid/artifacts/..%2fx",
    "//acme.invalid/artifacts/x",
];

#[test]
fn no_helper_answers_for_a_url_that_is_not_below_the_declared_one() {
    let mut test_home = TestHome::new();
    let server = "https://acme.invalid/artifacts/";
    let login = [("SERVER", server), ("USER", "builder"), ("PASSWORD", SECRET)];
    test_home.declare_packages("ACME", &login);
    test_home.start();
    test_home.exit_of(&["wait"]);
    let basic = STANDARD.encode(format!("builder:{SECRET}"));
    let answer = |question: &Question, url: &str| {
        let (program, arguments, input) = question(url);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = ask(&test_home, program, &arguments, &input);
        let text = output_text(&output);
        // Their clients take a failure for no login.
        let may_fail = program.starts_with("keyring") || program.starts_with("npm");
        assert!(output.status.success() || may_fail, "{program} {url}: {text}");
        // git may ask for the host of a login because nobody told it to name paths.
        let lacks_path =
            program.starts_with("git") && url.trim_end_matches('/') == "https://acme.invalid";
        let names_setting = text.contains("credential.https://acme.invalid.useHttpPath true");
        let is_silent = output.stderr.is_empty();
        assert!(if lacks_path { names_setting } else { is_silent }, "{program} {url}: {text}");
        text.contains(SECRET) || text.contains(&basic)
    };
    for question in &QUESTIONS {
        let program = question("").0;
        // Terraform asks for a host, and this login is not one of a whole host.
        let is_asked = !program.starts_with("terraform");
        assert_eq!(answer(question, "https://acme.invalid/artifacts/x"), is_asked, "{program}");
        for url in FOREIGN {
            assert!(!answer(question, url), "{program} answers for {url}");
        }
    }
}
