//! The rules for a registry's responses, as tables and without a network.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::credentials::precheck;
use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::registry_protocol::challenge::Challenge;
use registry_agent::domain::registry_protocol::realm::{self, RealmRule};
use registry_agent::domain::registry_protocol::response::{
    RawResponse, RegistryResponse, RequestStep,
};
use registry_agent::domain::registry_protocol::verdict::{
    Outcome, after_authenticated_request, after_ping, after_token,
};
use registry_agent::domain::servers::server::Server;
use serde::Deserialize;

fn server(name: &str) -> Server {
    Server::parse(name).unwrap().0
}

#[derive(Deserialize)]
struct Challenges {
    cases: Vec<ChallengeCase>,
}

#[derive(Deserialize)]
struct ChallengeCase {
    headers: Vec<String>,
    challenges: Option<Vec<BTreeMap<String, String>>>,
    #[serde(default)]
    error: bool,
}

#[test]
fn every_challenge_is_parsed_as_the_table_says() {
    let table: Challenges = serde_json::from_str(include_str!("fixtures/challenges.json")).unwrap();
    for case in table.cases {
        let parsed = Challenge::parse_all(case.headers.iter().map(String::as_str));
        let Some(expected) = case.challenges else {
            assert!(case.error && parsed.is_err(), "{:?} became {parsed:?}", case.headers);
            continue;
        };
        let flat: Vec<BTreeMap<String, String>> = parsed
            .unwrap_or_else(|fault| panic!("{:?}: {fault}", case.headers))
            .into_iter()
            .map(|challenge| {
                let mut all = challenge.parameters;
                all.insert("scheme".to_owned(), challenge.scheme);
                all
            })
            .collect();
        assert_eq!(flat, expected, "{:?}", case.headers);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_header_makes_the_parser_panic(lines in prop::collection::vec("\\PC{0,60}|[a-zA-Z=\",\\\\ \t]{0,60}", 0..4)) {
        let _ = Challenge::parse_all(lines.iter().map(String::as_str));
    }

    #[test]
    fn quoted_values_are_unquoted(value in "\\PC{0,40}") {
        let quoted: String =
            value.chars().flat_map(|c| if "\"\\".contains(c) { vec!['\\', c] } else { vec![c] }).collect();
        let line = format!("Negotiate, BEARER a=b , ReaLM=\"{quoted}\", Basic realm=\"\"");
        let challenges = Challenge::parse_all([line.as_str()]).unwrap();
        prop_assert_eq!(challenges.len(), 3);
        prop_assert_eq!(challenges[1].parameter("realm"), Some(value.as_str()));
    }

    #[test]
    fn an_allowed_realm_is_on_the_registrys_host(realm in "(https?://)?([a-z.@:/]|registry\\.test|%2e|\\\\){0,20}") {
        if let RealmRule::Send(url) = realm::rule_for(&server("registry.test"), &realm, &[]) {
            prop_assert_eq!(url.origin().ascii_serialization(), "https://registry.test");
            prop_assert_eq!(url.username(), "");
        }
    }
}

#[test]
fn the_realm_rule_holds() {
    // Server, realm, allowed hosts, and what may be done: send, ask, never, or no URL at all.
    for (name, realm, allowed, rule) in [
        ("r.test", "https://r.test/token", "", "send"),
        ("r.test", "HTTPS://R.TEST:443/token", "", "send"),
        ("r.test:5000", "https://r.test:5000/token", "", "send"),
        ("https://r.test", "https://r.test/token?a=b#c", "", "send"),
        ("[2001:db8::1]:5000", "https://[2001:0db8::1]:5000/token", "", "send"),
        ("10.0.0.5:5000", "https://10.0.0.5:5000/token", "", "send"),
        // Another host, or another port.
        ("r.test", "https://r.test:5000/token", "", "ask"),
        ("r.test:5000", "https://r.test/token", "", "ask"),
        ("r.test", "https://auth.r.test/token", "", "ask"),
        ("r.test", "https://r.test.evil.test/token", "", "ask"),
        ("r.test", "https://auth.docker.io/token", "", "ask"),
        ("r.test", "https://auth.r.test/token", "auth.r.test", "send"),
        ("r.test", "https://auth.r.test:8443/token", "auth.r.test", "ask"),
        ("r.test", "https://auth.r.test:8443/token", "AUTH.r.test:8443", "send"),
        ("r.test", "https://xauth.r.test/token", "auth.r.test", "ask"),
        // The known pairs, and nothing like them.
        ("docker.io", "https://auth.docker.io/token", "", "send"),
        ("docker.io", "https://auth.docker.io:8443/token", "", "ask"),
        ("docker.io", "https://auth.docker.io.evil.test/token", "", "ask"),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth", "", "send"),
        ("registry.gitlab.com.evil.test", "https://gitlab.com/jwt/auth", "", "ask"),
        ("registry.gitlab.com:5000", "https://gitlab.com/jwt/auth", "", "ask"),
        // Plain, userinfo, addresses, this machine, metadata services: never, allowed or not.
        ("r.test", "http://r.test/token", "", "never"),
        ("r.test", "http://auth.r.test/token", "auth.r.test", "never"),
        ("docker.io", "http://auth.docker.io/token", "", "never"),
        ("r.test", "https://user@r.test/token", "", "never"),
        ("r.test", "https://:pass@r.test/token", "", "never"),
        ("r.test", "https://r.test@evil.test/token", "", "never"),
        ("r.test", "https://10.0.0.5/token", "", "never"),
        ("r.test", "https://0x0a000005/token", "", "never"),
        ("r.test", "https://[::1]/token", "", "never"),
        ("r.test", "https://127.0.0.1/token", "", "never"),
        ("r.test", "https://localhost/token", "", "never"),
        ("r.test", "https://169.254.169.254/token", "", "never"),
        ("r.test", "https://169.254.169.254/token", "169.254.169.254", "never"),
        ("r.test", "https://[fe80::1]/token", "[fe80::1]", "never"),
        ("r.test", "https://[::ffff:169.254.169.254]/token", "", "never"),
        ("10.0.0.5:5000", "https://10.0.0.5:5001/token", "", "never"),
        ("10.0.0.5:5000", "https://10.0.0.5:5001/token", "10.0.0.5:5001", "send"),
        // Loopback: any port of the same address, plain or not; never another one.
        ("127.0.0.1:5000", "http://127.0.0.1:5001/token", "", "send"),
        ("127.0.0.1:5000", "https://127.0.0.1:5001/token", "", "send"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", "", "send"),
        ("https://127.0.0.1:5000", "http://127.0.0.1:5001/token", "", "never"),
        ("localhost:5000", "http://localhost:5001/token", "", "send"),
        ("[::1]:5000", "http://[::1]:5001/token", "", "send"),
        ("localhost:5000", "http://127.0.0.1:5001/token", "", "never"),
        ("127.0.0.1:5000", "http://127.0.0.2:5001/token", "", "never"),
        ("127.0.0.1:5000", "http://r.test/token", "", "never"),
        ("127.0.0.1:5000", "https://r.test/token", "", "ask"),
        ("127.0.0.1:5000", "http://u@127.0.0.1:5001/token", "", "never"),
        // Declared plain: its own origin, which sees the password anyway, and no other.
        ("http://r.test:5000", "http://r.test:5000/token", "", "send"),
        ("http://r.test:5000", "http://r.test:5001/token", "", "never"),
        ("http://r.test:5000", "https://r.test:5001/token", "", "ask"),
        // Nothing to send to.
        ("r.test", "/token", "", "none"),
        ("r.test", "", "", "none"),
        ("r.test", "token", "", "none"),
        ("r.test", "https://", "", "none"),
        ("r.test", "file:///etc/passwd", "", "none"),
        ("r.test", "ftp://r.test/token", "", "none"),
        ("r.test", "javascript:alert(1)", "", "none"),
    ] {
        let allowed: Vec<String> =
            [allowed].iter().filter(|it| !it.is_empty()).map(ToString::to_string).collect();
        let outcome = realm::rule_for(&server(name), realm, &allowed);
        let is = match outcome {
            RealmRule::Send(_) => "send",
            RealmRule::Ask { .. } => "ask",
            RealmRule::Never { .. } => "never",
            RealmRule::NotAUrl => "none",
        };
        assert_eq!(is, rule, "{name} names {realm}, allowed {allowed:?}: {outcome:?}");
    }
}

fn answer(step: RequestStep, status: u16, content_type: &str, body: &str) -> RegistryResponse {
    let response = RawResponse {
        status,
        api_version: false,
        content_type: Some(content_type),
        retry_after: Some("120"),
        date: None,
        body: body.as_bytes(),
    };
    RegistryResponse::read(step, &response, &[])
}

const JSON: &str = "application/json; charset=utf-8";

/// Name, status, content type, body; and outcome and code.
type Row<'a> = (&'a str, u16, &'a str, &'a str, Outcome, &'a str);

#[test]
fn a_response_to_a_ping_without_a_challenge_gets_the_verdict_of_the_table() {
    let rows: [Row<'_>; 11] = [
        ("r.test", 200, JSON, "{}", Outcome::Unverified, "not-asked"),
        ("r.test", 200, "text/plain", "{}", Outcome::Unverified, "not-asked"),
        ("r.test", 200, "text/html", "<html>", Outcome::Unreachable, "not-a-registry"),
        ("r.test", 200, "text/plain", "ok", Outcome::Unreachable, "not-a-registry"),
        ("r.test", 404, JSON, "{}", Outcome::Unreachable, "not-a-registry"),
        ("r.test", 401, JSON, "{}", Outcome::Unreachable, "not-a-registry"),
        ("r.test", 403, JSON, "{}", Outcome::Unreachable, "registry-failing"),
        ("r.test", 403, "text/html", "<html>", Outcome::Unreachable, "not-a-registry"),
        ("r.test", 429, "text/html", "", Outcome::RateLimited, "rate-limited"),
        ("r.test", 503, "text/html", "", Outcome::Unreachable, "registry-failing"),
        (
            "public.ecr.aws",
            400,
            JSON,
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}"#,
            Outcome::RateLimited,
            "rate-limited",
        ),
    ];
    for (name, status, kind, body, outcome, code) in rows {
        let seen = answer(RequestStep::Ping, status, kind, body);
        let verdict = after_ping(&server(name), &seen, Ok(Vec::new()), &[], &[]).unwrap_err();
        assert_eq!(verdict.outcome, outcome, "{status} {kind} {body}");
        assert_eq!(verdict.reason.unwrap().code(), code, "{status} {kind} {body}");
        let rate_limited_or_failing =
            matches!(status, 429 | 503) || outcome == Outcome::RateLimited;
        assert_eq!(verdict.retry_after, rate_limited_or_failing.then_some(120), "{status}");
    }
}

#[test]
fn a_response_to_a_credential_gets_the_verdict_of_the_table() {
    let ecr = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
    let expired = r#"{"errors":[{"code":"DENIED","message":"Your Authorization Token has expired. Please log in again."}]}"#;
    let plain = "denied: Your authorization token has expired. Reauthenticate and try again.";
    for step in [RequestStep::Token, RequestStep::Authenticated] {
        let rows: [Row<'_>; 13] = [
            ("r.test", 401, JSON, "{}", Outcome::Rejected, "refused"),
            ("r.test", 403, JSON, "{}", Outcome::Rejected, "refused"),
            ("r.test", 429, JSON, "{}", Outcome::RateLimited, "rate-limited"),
            ("r.test", 500, JSON, "{}", Outcome::Unreachable, "registry-failing"),
            (ecr, 401, JSON, expired, Outcome::Rejected, "token-expired"),
            (ecr, 403, JSON, expired, Outcome::Rejected, "token-expired"),
            (ecr, 403, "text/plain; charset=utf-8", plain, Outcome::Rejected, "token-expired"),
            ("public.ecr.aws", 400, JSON, expired, Outcome::Rejected, "token-expired"),
            ("public.ecr.aws", 400, JSON, "{}", Outcome::Rejected, "refused-ecr"),
            (ecr, 401, JSON, "{}", Outcome::Rejected, "refused-ecr"),
            ("r.test", 401, JSON, expired, Outcome::Rejected, "refused"),
            ("r.test", 403, "text/html", "<html>", Outcome::Rejected, "refused"),
            ("docker.io", 429, "text/plain", "", Outcome::RateLimited, "rate-limited"),
        ];
        for (name, status, kind, body, outcome, code) in rows {
            let credential = Credential::plain("u", Secret::new("p"));
            let seen = answer(step, status, kind, body);
            let verdict = match step {
                RequestStep::Token => after_token(&server(name), &credential, &seen),
                _ => after_authenticated_request(&server(name), &credential, &seen),
            };
            assert_eq!(verdict.outcome, outcome, "{step}: {name} {status} {body}");
            assert_eq!(verdict.reason.unwrap().code(), code, "{step}: {name} {status} {body}");
        }
    }
}

#[test]
fn a_400_from_the_token_server_is_a_rejection_only_if_it_says_so() {
    let credential = Credential::plain("u", Secret::new("p"));
    let judged = |body| {
        after_token(
            &server("a.azurecr.io"),
            &credential,
            &answer(RequestStep::Token, 400, JSON, body),
        )
    };
    assert_eq!(judged(r#"{"error":"invalid_grant"}"#).outcome, Outcome::Rejected);
    assert_eq!(judged(r#"{"error":"invalid_request"}"#).outcome, Outcome::Unreachable);
    assert_eq!(judged("{}").outcome, Outcome::Unreachable);
}

#[test]
fn a_quoted_response_is_one_printable_line_without_secrets() {
    let secret = Secret::new("correct horse battery staple");
    let says = |text: &str| {
        let body = serde_json::json!({"errors": [{"code": "DENIED", "message": text}]}).to_string();
        let response = RawResponse {
            status: 401,
            api_version: true,
            content_type: Some(JSON),
            retry_after: None,
            date: None,
            body: body.as_bytes(),
        };
        RegistryResponse::read(RequestStep::Token, &response, &[&secret])
            .message
            .unwrap_or_default()
    };
    assert_eq!(says("no\u{1b}[31m\r\n\tsuch \u{202e}user"), "no [31m such user");
    assert_eq!(says(" \u{0}\n"), "");
    assert!(says(&"x".repeat(70_000)).chars().count() <= 161);
    for echo in [
        "you said correct horse battery staple",
        "you said orrect horse battery s",
        "you said correct%20horse%20battery%20staple",
        "you said correct\nhorse battery staple",
        "you said correct\u{200b} horse battery staple",
    ] {
        let shown = says(echo);
        assert!(!shown.contains("horse"), "{echo:?} became {shown:?}");
    }
}

#[test]
fn a_retry_after_is_seconds_or_a_date_by_the_services_own_clock() {
    let wait = |retry_after, date| {
        let response = RawResponse {
            status: 429,
            api_version: false,
            content_type: None,
            retry_after: Some(retry_after),
            date,
            body: b"",
        };
        RegistryResponse::read(RequestStep::Ping, &response, &[]).retry_after
    };
    let date = Some("Tue, 24 Nov 2026 04:00:00 GMT");
    assert_eq!(wait("120", None), Some(Duration::from_mins(2)));
    assert_eq!(wait(" 0 ", None), Some(Duration::ZERO));
    assert_eq!(wait("Tue, 24 Nov 2026 04:01:30 GMT", date), Some(Duration::from_secs(90)));
    assert_eq!(wait("Tue, 24 Nov 2026 03:00:00 GMT", date), Some(Duration::ZERO));
    assert_eq!(wait("999999999", None), Some(Duration::from_hours(24)));
    for nonsense in ["", "soon", "-1", "Tue, 24 Nov 2026 04:01:30 GMT"] {
        assert_eq!(wait(nonsense, None), None, "{nonsense:?}");
    }
}

#[test]
fn an_invalid_key_file_is_reported_and_not_sent() {
    let key = r#"{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----\nx\n","client_email":"a@b.iam.gserviceaccount.com"}"#;
    let encoded = STANDARD.encode(key);
    let wrapped = format!("{}\n{}", &encoded[..76], &encoded[76..]);
    let user = r#"{"type":"authorized_user","refresh_token":"x"}"#;
    for (name, password, code) in [
        ("_json_key", key, ""),
        ("_json_key", &format!("\n{key}\n"), ""),
        ("_json_key", &encoded, "the password is base64"),
        (
            "_json_key",
            "/run/secrets/key.json",
            "the password is the path of a file, not its content",
        ),
        ("_json_key", "key.json", "the password is the path of a file, not its content"),
        ("_json_key", &key[..40], "the password is not valid JSON"),
        ("_json_key", "", "the password is not valid JSON"),
        ("_json_key", user, "the password is a credential file of another type"),
        ("_json_key", "{}", "the key file lacks private_key or client_email"),
        ("_json_key_base64", &encoded, ""),
        ("_json_key_base64", key, "the password is JSON, not base64"),
        ("_json_key_base64", &wrapped, "the base64 has line breaks"),
        (
            "_json_key_base64",
            &STANDARD.encode(user),
            "the password is a credential file of another type",
        ),
        (
            "_json_key_base64",
            "/run/key.json",
            "the password is the path of a file, not its content",
        ),
        ("oauth2accesstoken", "ya29.x", ""),
    ] {
        for host in ["eu.gcr.io", "europe-west1-docker.pkg.dev"] {
            let credential = Credential::plain(name, Secret::new(password));
            let fault = precheck::fault_of(&server(host).into(), &credential);
            let output_text = fault.map(|it| it.to_string()).unwrap_or_default();
            assert!(
                output_text.ends_with(code) && output_text.is_empty() == code.is_empty(),
                "{password:?}: {output_text}"
            );
        }
        let elsewhere =
            precheck::fault_of(&server("r.test").into(), &Credential::plain(name, password.into()));
        assert_eq!(elsewhere, None);
    }
}

#[test]
fn an_invalid_azure_refresh_token_is_reported_and_not_sent() {
    let zero = "00000000-0000-0000-0000-000000000000";
    let jwt = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"exp":1}"#));
    let fault = |user: &str, password: &str| {
        let credential = Credential::plain(user, password.into());
        precheck::fault_of(&server("a.azurecr.io").into(), &credential)
    };
    assert_eq!(fault(zero, &jwt), None);
    assert_eq!(fault(zero, "hunter2").unwrap().code(), "not-a-refresh-token");
    assert_eq!(fault("admin", "hunter2"), None);
}
