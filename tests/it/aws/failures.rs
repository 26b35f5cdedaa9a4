//! Each failure of AWS has its own reason.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::probe::{KEY, PRIVATE, Probe, SECRET};
use crate::support::aws::{Answer, FakeAws};

const REJECTED: &str = "Rejected AwsRefused";
const INVALID: &str = "Invalid AwsRefused";
const TRANSIENT: &str = "Unreachable Transient";

fn refuse(code: &'static str, message: &str) -> Answer {
    Answer::Refuse(403, code, message.to_owned())
}

#[test]
fn an_unknown_access_key_has_its_own_reason() {
    let aws = FakeAws::start();
    let probe = Probe::of(PRIVATE, &aws);
    aws.state().keys.clear();
    let (code, sentence, what, _) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-unknown-access-key", REJECTED));
    assert_eq!(sentence, "AWS does not recognize the access key AKIA…MPLE in eu-west-1");
    assert_eq!(aws.calls_of("ecr"), 1, "the SDK must not retry by itself");
}

#[test]
fn a_wrong_secret_has_its_own_reason() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    probe.keys = Some((KEY.to_owned(), "another-secret".to_owned(), None));
    let (code, sentence, what, _) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-wrong-secret", REJECTED));
    assert_eq!(sentence, "the secret key of the access key AKIA…MPLE is wrong");
}

#[test]
fn an_expired_session_has_its_own_reason() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    let id = "ASIAIOSFODNN7EXAMPLE";
    aws.add_key(id, SECRET, Some("the-new-one"));
    probe.keys = Some((id.to_owned(), SECRET.to_owned(), Some("the-old-one".to_owned())));
    let (code, _, what, _) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-session-expired", REJECTED));
}

#[test]
fn a_temporary_key_without_its_session_token_is_not_sent() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    probe.keys = Some(("ASIAIOSFODNN7EXAMPLE".to_owned(), SECRET.to_owned(), None));
    let (code, _, what, _) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-session-token-missing", "Invalid none"));
    assert!(aws.state().calls.is_empty());
}

#[test]
fn a_denied_action_is_named_with_the_identity() {
    let cases = [
        (PRIVATE, "ecr", "ecr:GetAuthorizationToken"),
        ("public.ecr.aws", "ecr-public", "ecr-public:GetAuthorizationToken"),
        ("public.ecr.aws", "ecr-public", "sts:GetServiceBearerToken"),
    ];
    for (server, service, action) in cases {
        let aws = FakeAws::start();
        let probe = Probe::of(server, &aws);
        let message = format!(
            "User: arn:aws:iam::111122223333:user/dev is not authorized to perform: {action} on resource: * because no identity-based policy allows the {action} action"
        );
        aws.answer(service, refuse("AccessDeniedException", &message));
        let (code, sentence, what, _) = probe.refusal();
        assert_eq!((code.as_str(), what.as_str()), ("aws-access-denied", REJECTED));
        let expected =
            format!("AWS does not allow arn:aws:iam::111122223333:user/dev to call {action}");
        assert_eq!(sentence, expected);
    }
}

#[test]
fn a_denial_without_details_still_names_the_action() {
    let aws = FakeAws::start();
    let probe = Probe::of(PRIVATE, &aws);
    aws.answer("ecr", refuse("AccessDeniedException", "no"));
    let (_, sentence, ..) = probe.refusal();
    assert_eq!(sentence, "AWS does not allow AKIA…MPLE to call ecr:GetAuthorizationToken");
}

#[test]
fn a_role_that_may_not_be_assumed_is_named() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    let role = "arn:aws:iam::111122223333:role/puller";
    probe.role = Some(role.to_owned());
    let message = format!(
        "User: arn:aws:iam::111122223333:user/dev is not authorized to perform: sts:AssumeRole on resource: {role}"
    );
    aws.answer("sts", refuse("AccessDenied", &message));
    let (code, sentence, what, _) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-role-refused", REJECTED));
    assert_eq!(
        sentence,
        format!("AWS does not allow arn:aws:iam::111122223333:user/dev to assume {role}")
    );
    assert_eq!(aws.calls_of("ecr"), 0);
}

#[test]
fn a_region_that_is_not_enabled_is_named() {
    let aws = FakeAws::start();
    let probe = Probe::of("111122223333.dkr.ecr.ap-south-2.amazonaws.com", &aws);
    aws.answer("ecr", refuse("OptInRequired", "not subscribed"));
    let (code, sentence, what, _) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-region-not-enabled", REJECTED));
    assert_eq!(sentence, "the AWS region ap-south-2 is not enabled in this account");
}

#[test]
fn throttling_has_its_own_reason_and_keeps_the_retry_after() {
    let aws = FakeAws::start();
    let probe = Probe::of(PRIVATE, &aws);
    aws.answer("ecr", Answer::Throttle { retry_after: 17 });
    let (code, _, what, retry_after) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-throttled", "RateLimited Transient"));
    assert_eq!(retry_after, Some(17));
    assert_eq!(aws.calls_of("ecr"), 1, "the SDK must not retry by itself");
}

#[test]
fn an_unknown_aws_code_is_passed_on() {
    let aws = FakeAws::start();
    let probe = Probe::of(PRIVATE, &aws);
    aws.answer("ecr", refuse("InvalidParameterException", "x"));
    let (code, sentence, what, _) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-refused", REJECTED));
    assert_eq!(
        sentence,
        "AWS rejected ecr:GetAuthorizationToken with the error InvalidParameterException"
    );
}

#[test]
fn a_failing_service_and_an_unexpected_response_are_retried() {
    let cases = [
        (Answer::Refuse(500, "ServerException", String::new()), "aws-service-fault"),
        (Answer::Raw(503, "<html>"), "aws-service-fault"),
        (Answer::Raw(200, "<html>"), "aws-bad-answer"),
        (Answer::Raw(200, r#"{"authorizationData":[]}"#), "aws-bad-answer"),
        (Answer::Raw(404, "not here"), "aws-bad-answer"),
    ];
    for (answer, expected) in cases {
        let aws = FakeAws::start();
        let probe = Probe::of(PRIVATE, &aws);
        aws.answer("ecr", answer);
        let (code, sentence, what, _) = probe.refusal();
        assert_eq!((code.as_str(), what.as_str()), (expected, TRANSIENT), "{sentence}");
        assert_eq!(aws.calls_of("ecr"), 1, "the SDK must not retry by itself");
    }
}

#[test]
fn an_endpoint_that_hangs_times_out() {
    let aws = FakeAws::start();
    let probe = Probe::of(PRIVATE, &aws);
    aws.answer("ecr", Answer::Hang);
    let (code, sentence, what, _) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-timed-out", TRANSIENT));
    assert!(sentence.contains(&aws.host()), "{sentence}");
}

#[test]
fn a_missing_endpoint_is_unreachable() {
    let aws = FakeAws::start();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        (format!("http://{closed}"), format!("{closed} refused the connection")),
        // "no such host" or "no name server responds", depending on the machine's network.
        ("http://ecr.invalid".to_owned(), "DNS lookup of ecr.invalid failed".to_owned()),
        (format!("https://{}", aws.host()), format!("{} does not speak TLS", aws.host())),
    ];
    for (url, expected) in cases {
        let probe = Probe::of(PRIVATE, &aws).set("AWS_ENDPOINT_URL_ECR", &url);
        let (code, sentence, what, _) = probe.refusal();
        assert_eq!((code.as_str(), what.as_str()), ("aws-unreachable", TRANSIENT), "{sentence}");
        assert!(sentence.starts_with(&expected), "{sentence}");
    }
}

#[test]
fn a_proxy_failure_names_the_proxy_and_never_its_password() {
    const LOGIN: &str = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    const REFUSAL: &str = "HTTP/1.1 403 Forbidden\r\n\r\n";
    let cases = [
        ("https", Some(LOGIN), "rejected the user and the password in https_proxy"),
        ("http", Some(LOGIN), "rejected the user and the password in http_proxy"),
        ("https", Some(REFUSAL), "refused to connect to ecr.invalid"),
        ("https", None, "refused the connection"),
    ];
    for (scheme, answer, expected) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = listener.local_addr().unwrap();
        let aws = FakeAws::start();
        let probe = Probe::of(PRIVATE, &aws)
            .set(&format!("{scheme}_proxy"), &format!("http://user:canary@{proxy}"))
            .set("AWS_ENDPOINT_URL_ECR", &format!("{scheme}://ecr.invalid"));
        match answer {
            Some(answer) => drop(std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            })),
            None => drop(listener),
        }
        let (code, sentence, what, _) = probe.refusal();
        assert_eq!((code.as_str(), what.as_str()), ("aws-proxy-refused", TRANSIENT), "{sentence}");
        assert!(sentence.ends_with(&format!("http://{proxy} {expected}")), "{sentence}");
        assert!(!sentence.contains("canary"), "{sentence}");
    }
}

#[test]
fn a_machine_without_an_identity_has_its_own_reason() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    probe.keys = None;
    let (code, _, what, _) = probe.refusal();
    assert_eq!((code.as_str(), what.as_str()), ("aws-no-identity", INVALID));
    assert!(aws.state().calls.is_empty());
}

#[test]
fn a_profile_that_does_not_exist_is_named() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    probe.keys = None;
    probe.profile = Some("staging".to_owned());
    for config in ["", "[profile other]\nregion = eu-west-1\n"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config).unwrap();
        let probe = probe.clone().set("AWS_CONFIG_FILE", file.path().to_str().unwrap());
        let (code, sentence, what, _) = probe.refusal();
        assert_eq!((code.as_str(), what.as_str()), ("aws-profile-missing", INVALID), "{sentence}");
        assert_eq!(sentence, "the AWS profile staging does not exist or has no credentials");
    }
}

#[test]
fn an_expired_sso_session_has_its_own_reason() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    probe.keys = None;
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = "[default]\nsso_session = us\nsso_account_id = 111122223333\nsso_role_name = dev\n\
                  [sso-session us]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n";
    std::fs::write(file.path(), config).unwrap();
    let probe = probe.set("AWS_CONFIG_FILE", file.path().to_str().unwrap());
    let (code, sentence, ..) = probe.refusal();
    assert_eq!(code, "aws-sso-ended", "{sentence}");
}
