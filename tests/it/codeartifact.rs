//! Logins of AWS `CodeArtifact` of a complete agent, with a fake AWS whose registry accepts only live
//! tokens.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::aws::{Answer, FakeAws};
use crate::support::codeartifact;
use crate::support::isolated::{self, Etc};
use crate::support::test_home::TestHome;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

/// Runs a test in which the host of the domain leads to this machine.
pub(crate) fn with_aws(test: impl FnOnce(&FakeAws, TestHome) + Send) {
    let etc = Etc { hosts: &[(codeartifact::HOST, "127.0.0.1")], ..Etc::default() };
    isolated::run(&etc, async || {
        let aws = FakeAws::start();
        aws.add_key(KEY, "secret", None);
        let mut test_home = TestHome::new();
        for (name, value) in aws.variables() {
            test_home.set(&name, &value);
        }
        test_home.set("AWS_EC2_METADATA_DISABLED", "true");
        test(&aws, test_home);
    });
}

pub(crate) fn declare(test_home: &mut TestHome, name: &str, url: &str) {
    let keys = [("SERVER", url), ("USER", KEY), ("PASSWORD", "secret")];
    test_home.declare_packages(name, &keys);
}

/// The status with which the registry answers a client that has asked the agent.
fn fetch(test_home: &TestHome, url: &str) -> u16 {
    let authorization = test_home.authorization(url);
    let request = move || {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let request = client.get(url).header("authorization", authorization.unwrap_or_default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
    };
    // The test itself runs on a runtime.
    std::thread::scope(|scope| scope.spawn(request).join().unwrap())
}

#[test]
fn keys_are_swapped_for_one_token_that_every_format_takes_in_its_own_way() {
    with_aws(|aws, mut test_home| {
        declare(&mut test_home, "ACME", &aws.codeartifact("/"));
        declare(&mut test_home, "NPM", &aws.codeartifact("/npm/team/"));
        declare(&mut test_home, "PYPI", &aws.codeartifact("/pypi/team/"));
        test_home.start_agent();
        assert_eq!(aws.calls_of("codeartifact"), 1);
        for name in ["NPM", "PYPI"] {
            let login = test_home.login(name);
            assert_eq!(
                (&login["state"], &login["kind"]),
                (&json!("ready"), &json!("codeartifact"))
            );
            assert_eq!(
                (&login["account"], &login["region"]),
                (&json!("111122223333"), &json!("eu-west-1"))
            );
            assert_eq!(login["user"], "AKIA…MPLE");
        }
        // Nothing at the root tells whether it accepts a login.
        assert_eq!(test_home.login("ACME")["state"], "unverified");
        let (_, npm) = test_home.package_credential(&aws.codeartifact("/npm/team/x"));
        let (_, pypi) = test_home.package_credential(&aws.codeartifact("/pypi/other/simple/"));
        assert_eq!((&npm["scheme"], &pypi["scheme"]), (&json!("bearer"), &json!("basic")));
        assert_eq!((&npm["secret"], &npm["username"]), (&pypi["secret"], &json!("aws")));
        assert!(npm["usable_until"].as_str() < npm["expires_at"].as_str(), "{npm}");
        for path in ["/npm/team/x", "/cargo/team/config.json", "/pypi/x/simple/", "/maven/x/y"] {
            assert_eq!(fetch(&test_home, &aws.codeartifact(path)), 200, "{path}");
        }
    });
}

#[test]
fn a_client_never_gets_a_dead_token_while_tokens_live_for_seconds() {
    with_aws(|aws, mut test_home| {
        aws.state().token_life = SignedDuration::from_secs(4);
        declare(&mut test_home, "NPM", &aws.codeartifact("/npm/team/"));
        test_home.start_agent();
        while aws.calls_of("codeartifact") < 6 {
            assert_eq!(fetch(&test_home, &aws.codeartifact("/npm/team/x")), 200);
        }
        assert_eq!(aws.state().registry_refusals, 0);
    });
}

#[test]
fn the_token_of_a_role_lives_as_long_as_its_own_expiration_says() {
    with_aws(|aws, mut test_home| {
        declare(&mut test_home, "NPM", &aws.codeartifact("/npm/team/"));
        let role = [("ROLE_ARN", "arn:aws:iam::111122223333:role/packages")];
        test_home.declare_packages("NPM", &role);
        aws.state().role_life = SignedDuration::from_mins(15);
        test_home.start_agent();
        let login = test_home.login("NPM");
        let at = |field: &str| login[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let life = at("expires_at").duration_since(at("issued_at"));
        assert!(life > SignedDuration::from_hours(11), "{life:?}");
        assert_eq!((aws.calls_of("sts"), aws.calls_of("codeartifact")), (1, 1));
    });
}

#[test]
fn each_refusal_of_aws_is_named() {
    let denied = "User: arn:aws:iam::111122223333:user/dev is not authorized to perform: \
                  sts:GetServiceBearerToken on resource: arn:aws:iam::111122223333:user/dev";
    for (answer, state, code, said) in [
        (
            Answer::Refuse(403, "AccessDeniedException", denied.to_owned()),
            "rejected",
            "aws-access-denied",
            "to call sts:GetServiceBearerToken",
        ),
        (
            Answer::Refuse(403, "UnrecognizedClientException", "no such key".to_owned()),
            "rejected",
            "aws-unknown-access-key",
            "AKIA…MPLE in eu-west-1",
        ),
        (
            Answer::Refuse(403, "InvalidSignatureException", "no match".to_owned()),
            "rejected",
            "aws-wrong-secret",
            "the secret key",
        ),
        (Answer::Throttle { retry_after: 60 }, "rate-limited", "aws-throttled", "throttling"),
        (Answer::Raw(503, "down"), "unreachable", "aws-service-fault", "503"),
        (Answer::Raw(200, "{}"), "unreachable", "aws-bad-answer", "without a usable token"),
    ] {
        with_aws(|aws, mut test_home| {
            aws.answer("codeartifact", answer);
            declare(&mut test_home, "NPM", &aws.codeartifact("/npm/team/"));
            test_home.start();
            let login = test_home.login("NPM");
            assert_eq!(
                (&login["state"], &login["code"]),
                (&json!(state), &json!(code)),
                "{login:#}"
            );
            assert!(login["reason"].as_str().unwrap().contains(said), "{login:#}");
            let (status, body) = test_home.package_credential(&aws.codeartifact("/npm/team/"));
            assert_eq!((status, &body["code"]), (404, &json!("credential-withheld")), "{body}");
        });
    }
}

#[test]
fn a_domain_that_does_not_exist_is_named() {
    with_aws(|aws, mut test_home| {
        aws.state().domains = vec!["other 111122223333".to_owned()];
        declare(&mut test_home, "NPM", &aws.codeartifact("/npm/team/"));
        test_home.start();
        let login: Value = test_home.login("NPM");
        assert_eq!(login["code"], "aws-domain-missing", "{login:#}");
        let hint = login["hint"].as_str().unwrap();
        assert!(hint.contains("--domain acme --domain-owner 111122223333"), "{hint}");
    });
}

#[test]
fn the_default_chain_is_the_identity_of_a_server_alone() {
    with_aws(|aws, mut test_home| {
        let url = aws.codeartifact("/npm/team/");
        test_home.declare_packages("NPM", &[("SERVER", url.as_str())]);
        test_home.set("AWS_ACCESS_KEY_ID", KEY);
        test_home.set("AWS_SECRET_ACCESS_KEY", "secret");
        test_home.start_agent();
        assert_eq!(fetch(&test_home, &aws.codeartifact("/npm/team/x")), 200);
    });
}
