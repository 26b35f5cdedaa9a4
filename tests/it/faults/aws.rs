//! AWS: keys, sessions, policies, profiles, pasted tokens and clocks.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;

use super::{Fault, NOT_WELL};
use crate::support::authority::Authority;
use crate::support::aws::{Answer, FakeAws};
use crate::support::isolated::{self, Etc};
use crate::support::processes::wait_until;
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json};
use crate::support::test_home::{TestHome, output_text};

const REGISTRY: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const SSO: &str = "portal.sso.eu-west-1.amazonaws.com";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const TEMPORARY_KEY: &str = "ASIAIOSFODNN7EXAMPLE";
const USER: &str = "ACME_CONTAINER_REGISTRY_USER";
const PASSWORD: &str = "ACME_CONTAINER_REGISTRY_PASSWORD";
const SESSION_TOKEN: &str = "ACME_CONTAINER_REGISTRY_SESSION_TOKEN";

/// The registry and the SSO portal. The registry accepts any token but `expired`; the portal accepts
/// the access token `renewed`.
fn world(heard: &ReceivedRequest) -> Vec<u8> {
    if heard.line.starts_with(&format!("GET https://{SSO}/")) {
        if heard.header("x-amz-sso_bearer_token") != Some("renewed") {
            return json(401, &[], r#"{"message":"Session token not found or invalid"}"#);
        }
        let keys = format!(
            r#"{{"roleCredentials":{{"accessKeyId":"{KEY}","secretAccessKey":"secret","sessionToken":"t","expiration":4000000000000}}}}"#
        );
        return json(200, &[], &keys);
    }
    match heard.header("authorization") {
        Some(login) if login != basic("AWS", &expired_token()) => json(200, &[], "{}"),
        Some(_) => json(
            403,
            &[],
            r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#,
        ),
        None => json(
            401,
            &[&format!(
                r#"WWW-Authenticate: Basic realm="https://{REGISTRY}/",service="ecr.amazonaws.com""#
            )],
            "{}",
        ),
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// An ECR token that expired in 2020.
fn expired_token() -> String {
    STANDARD.encode(r#"{"payload":"x","version":"2","type":"DATA_KEY","expiration":1600000000}"#)
}

/// Runs a test where the registry and the SSO portal have their real names, beside a fake AWS that
/// knows [`KEY`] with the secret `secret`. The home declares `ACME` with that login.
fn with_aws(test: impl FnOnce(FakeAws, TestHome) + Send) {
    let authority = Authority::new("The authority");
    let acceptor = authority.sign(&[REGISTRY, SSO]).acceptor();
    let hosts = [(REGISTRY, "127.0.0.1"), (SSO, "127.0.0.1")];
    let etc = Etc { hosts: &hosts, roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let _world = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), world).await;
        let aws = FakeAws::start();
        aws.add_key(KEY, "secret", None);
        let mut home = TestHome::new();
        home.declare("ACME", REGISTRY, (KEY, "secret"));
        home.set("AWS_EC2_METADATA_DISABLED", "true");
        for (variable, value) in aws.variables() {
            home.set(&variable, &value);
        }
        test(aws, home);
    });
}

/// Waits until nothing is wrong with the login, and the helper serves a token for it.
fn assert_token_is_served(home: &TestHome) {
    home.exit_of(&["wait"]);
    wait_until(&format!("not well: {:#}", home.status()), || home.exit_of(&["status"]) == 0);
    assert_eq!(home.login("ACME")["state"], "ready", "{:#}", home.status());
    assert_eq!(home.credential(REGISTRY).map(|(user, _)| user).as_deref(), Some("AWS"));
    let check = home.agent(&["check", "ACME"]).output().unwrap();
    assert!(check.status.success(), "{}", output_text(&check));
}

fn assert_starts(fault: &Fault, start: &str) {
    assert!(fault.fix.starts_with(start), "{}", fault.fix);
}

#[test]
fn an_unknown_access_key_is_replaced_in_its_variables() {
    with_aws(|_aws, mut home| {
        home.set(USER, "AKIAUNKNOWN000000000");
        home.start();
        let fault = Fault::error(&home, "aws-unknown-access-key");
        fault.says(&["AWS does not recognize the access key AKIA", "eu-west-1"]);
        fault.checked(&home, &["ACME"], 1);
        assert_starts(
            &fault,
            &format!("set {USER} (from `start`) to an active AWS access key ID and {PASSWORD} "),
        );
        home.set(USER, KEY);
        fault.paste_last(&home);
        assert_token_is_served(&home);
    });
}

#[test]
fn a_wrong_secret_key_is_replaced_in_its_variable() {
    with_aws(|_aws, mut home| {
        home.set(PASSWORD, "wrong-secret");
        home.start();
        let fault = Fault::error(&home, "aws-wrong-secret");
        fault.says(&["the secret key of the access key AKIA"]).checked(&home, &["ACME"], 1);
        assert_starts(
            &fault,
            &format!(
                "set {PASSWORD} (from `start`) to the secret access key of this access key ID"
            ),
        );
        home.set(PASSWORD, "secret");
        fault.paste_last(&home);
        assert_token_is_served(&home);
    });
}

#[test]
fn an_expired_session_is_replaced_in_its_three_variables() {
    with_aws(|aws, mut home| {
        aws.add_key(TEMPORARY_KEY, "secret", Some("new-session"));
        home.set(USER, TEMPORARY_KEY);
        home.set(SESSION_TOKEN, "old-session");
        home.start();
        let fault = Fault::error(&home, "aws-session-expired");
        fault.says(&["the AWS session of the access key ASIA"]).checked(&home, &["ACME"], 1);
        for variable in [USER, PASSWORD, SESSION_TOKEN] {
            assert!(fault.fix.contains(variable), "{}", fault.fix);
        }
        home.set(SESSION_TOKEN, "new-session");
        fault.paste_last(&home);
        assert_token_is_served(&home);
    });
}

#[test]
fn a_temporary_key_without_its_session_token_is_not_sent_and_completed_as_told() {
    with_aws(|aws, mut home| {
        aws.add_key(TEMPORARY_KEY, "secret", Some("session"));
        home.set(USER, TEMPORARY_KEY);
        home.start();
        let fault = Fault::error(&home, "aws-session-token-missing");
        fault.says(&["is temporary, but its session token is not set"]);
        fault.checked(&home, &["ACME"], 1);
        assert_eq!(aws.calls_of("ecr"), 0);
        assert_starts(
            &fault,
            &format!("set {SESSION_TOKEN} to the session token that AWS issued with the key"),
        );
        home.set(SESSION_TOKEN, "session");
        fault.paste_last(&home);
        assert_token_is_served(&home);
    });
}

#[test]
fn a_denied_action_is_named_and_check_asks_again_once_it_is_allowed() {
    with_aws(|aws, home| {
        let message = "User: arn:aws:iam::111122223333:user/dev is not authorized to perform: ecr:GetAuthorizationToken on resource: *";
        aws.answer("ecr", Answer::Refuse(400, "AccessDeniedException", message.to_owned()));
        home.start();
        let fault = Fault::error(&home, "aws-access-denied");
        fault.says(&[
            "does not allow arn:aws:iam::111122223333:user/dev to call ecr:GetAuthorizationToken",
        ]);
        fault.checked(&home, &["ACME"], 1);
        assert_starts(
            &fault,
            "allow ecr:GetAuthorizationToken on resource * in an IAM policy of this identity, then run `registry-agent check ACME`",
        );
        aws.answer("ecr", Answer::Grant);
        fault.paste(&home);
        assert_token_is_served(&home);
    });
}

/// Declares the profile `staging` instead of keys.
fn use_profile(home: &mut TestHome, config: &str) {
    home.unset(USER);
    home.unset(PASSWORD);
    home.set("ACME_CONTAINER_REGISTRY_PROFILE", "staging");
    fs::create_dir_all(home.path(".aws")).unwrap();
    fs::write(home.path(".aws/config"), config).unwrap();
}

/// Installs an AWS CLI that does `script` when it is called with exactly `arguments`.
fn install_aws_cli(home: &TestHome, arguments: &str, script: &str) {
    let program = home.path("bin/aws");
    fs::write(&program, format!("#!/bin/sh\n[ \"$*\" = '{arguments}' ] || exit 9\n{script}\n"))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Pastes every command of the fix, one after the other.
fn paste_both(fault: &Fault, home: &TestHome) {
    fault.paste(home);
    fault.paste_last(home);
}

#[test]
fn an_sso_session_that_ended_is_renewed_by_the_pasted_commands() {
    with_aws(|aws, mut home| {
        aws.add_key(KEY, "secret", Some("t"));
        let config = "[profile staging]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = dev\n\
                      [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n";
        use_profile(&mut home, config);
        // The file that the AWS CLI writes: its name is the SHA-1 of the session's name.
        let cached = |token: &str, end: &str| {
            format!(
                r#"{{"startUrl":"https://corp.awsapps.com/start","region":"eu-west-1","accessToken":"{token}","expiresAt":"{end}"}}"#
            )
        };
        let cache = home.path(".aws/sso/cache");
        fs::create_dir_all(&cache).unwrap();
        let file = cache.join("ee0bfd2552fbd840c02cc48b6e823320543c450f.json");
        fs::write(&file, cached("ended", "2020-01-01T00:00:00Z")).unwrap();
        home.start();
        let fault = Fault::error(&home, "aws-sso-ended");
        fault.says(&["the AWS SSO session of profile staging has expired"]);
        fault.checked(&home, &["ACME"], 1);
        assert_starts(
            &fault,
            "run `aws sso login --profile staging` (AWS CLI) as the agent's user, then run `registry-agent check ACME`",
        );
        let renewed = cached("renewed", "2096-01-01T00:00:00Z");
        install_aws_cli(
            &home,
            "sso login --profile staging",
            &format!("echo '{renewed}' > {}", file.display()),
        );
        paste_both(&fault, &home);
        assert_token_is_served(&home);
    });
}

#[test]
fn a_session_of_aws_login_that_ended_is_renewed_by_the_pasted_commands() {
    with_aws(|_aws, mut home| {
        use_profile(
            &mut home,
            "[profile staging]\nlogin_session = arn:aws:iam::111122223333:user/dev\nregion = eu-west-1\n",
        );
        home.start();
        let fault = Fault::error(&home, "aws-login-ended");
        fault.says(&["the AWS login session of profile staging"]).checked(&home, &["ACME"], 1);
        assert_starts(
            &fault,
            "run `aws login --profile staging` (AWS CLI) as the agent's user, then run `registry-agent check ACME`",
        );
        // A session needs a browser; keys in its place lead to the same result.
        let keys = format!(
            r"printf '[profile staging]\naws_access_key_id = {KEY}\naws_secret_access_key = secret\n'"
        );
        install_aws_cli(
            &home,
            "login --profile staging",
            &format!("{keys} > {}", home.path(".aws/config").display()),
        );
        paste_both(&fault, &home);
        assert_token_is_served(&home);
    });
}

#[test]
fn a_pasted_token_that_expired_is_called_expired_whatever_the_registry_says() {
    for reachable in [true, false] {
        with_aws(|_aws, mut home| {
            home.set(USER, "AWS");
            home.set(PASSWORD, &expired_token());
            if !reachable {
                isolated::write("hosts", &format!("127.0.0.2 {REGISTRY}\n"));
            }
            home.start();
            let fault = Fault::error(&home, "token-ended");
            fault.says(&["expired at 2020-09-13 12:26:40 UTC"]).checked(&home, &["ACME"], 1);
            assert_eq!(home.login("ACME")["state"], "expired");
            assert!(home.credential(REGISTRY).is_none());
            assert_starts(
                &fault,
                &format!("set {USER} (from `start`) to an AWS access key ID and {PASSWORD} "),
            );
            isolated::write("hosts", &format!("127.0.0.1 {REGISTRY}\n"));
            home.set(USER, KEY);
            home.set(PASSWORD, "secret");
            fault.paste_last(&home);
            assert_token_is_served(&home);
        });
    }
}

#[test]
fn swapped_keys_are_named_and_the_secret_is_not_sent_in_place_of_its_id() {
    with_aws(|aws, mut home| {
        home.set(USER, "secret");
        home.set(PASSWORD, KEY);
        home.sync_in_vain();
        let fault = Fault::error(&home, "aws-keys-swapped");
        fault.says(&[USER, PASSWORD, "are swapped"]).checked(&home, &["ACME"], 1);
        assert_eq!(aws.calls_of("ecr"), 0, "AWS was asked");
        fault.paste(&home);
        assert_token_is_served(&home);
    });
}

#[test]
fn a_clock_that_is_an_hour_off_is_a_remark_on_a_login_that_works() {
    with_aws(|aws, home| {
        aws.state().clock_ahead = SignedDuration::from_hours(1);
        home.start();
        let fault = Fault::remark(&home, "aws-clock-off");
        fault.says(&["this machine's clock is 60 min behind AWS's"]);
        assert_starts(&fault, "correct the clock");
        assert_token_is_served(&home);
        assert_eq!(home.login("ACME")["code"], "aws-clock-off");
        aws.state().clock_ahead = SignedDuration::ZERO;
        assert_eq!(home.exit_of(&["check", "ACME"]), 0);
        assert_eq!(home.login("ACME")["code"], serde_json::Value::Null);
    });
}

#[test]
fn a_service_that_fails_is_tried_again_by_itself_and_says_when() {
    with_aws(|aws, home| {
        aws.answer("ecr", Answer::Throttle { retry_after: 7200 });
        home.start();
        let fault = Fault::error(&home, "aws-throttled");
        assert_starts(&fault, "no action needed; retried in 2 h");
        assert_eq!(home.exit_of(&["status"]), NOT_WELL);
        aws.answer("ecr", Answer::Grant);
        assert_eq!(home.exit_of(&["check", "ACME"]), 0);
        assert_token_is_served(&home);
    });
}
