//! Successful exchanges.

use jiff::SignedDuration;
use sha2::Digest as _;

use super::probe::{KEY, Outcome, PRIVATE, Probe, SECRET};
use crate::support::aws::FakeAws;

const HOURS_12: i64 = 12 * 3600;

fn token(probe: &Probe) -> (String, Option<i64>, Option<String>) {
    match probe.run() {
        Outcome::Token { user, password, life, remark } => {
            assert_eq!(user, "AWS");
            (password, life, remark)
        }
        refusal @ Outcome::ExchangeFailure { .. } => panic!("{refusal:?}"),
    }
}

#[test]
fn keys_become_a_token_that_the_registry_accepts() {
    let aws = FakeAws::start();
    let (password, life, remark) = token(&Probe::of(PRIVATE, &aws));
    assert!((HOURS_12 - 2..=HOURS_12).contains(&life.unwrap()), "{life:?}");
    assert_eq!(remark, None);
    assert_eq!(aws.state().calls, [format!("ecr eu-west-1 {KEY}")]);
    let registry = format!("http://{}/v2/", aws.host());
    let status = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let request = reqwest::Client::new().get(registry).basic_auth("AWS", Some(password));
            request.send().await.unwrap().status().as_u16()
        });
    assert_eq!(status, 200);
}

#[test]
fn the_public_gallery_is_asked_in_us_east_1() {
    let aws = FakeAws::start();
    let (_, life, _) = token(&Probe::of("public.ecr.aws", &aws));
    assert!(life.is_some());
    assert_eq!(aws.state().calls, [format!("ecr-public us-east-1 {KEY}")]);
}

#[test]
fn temporary_keys_are_sent_with_their_session_token() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    aws.add_key("ASIAIOSFODNN7EXAMPLE", SECRET, Some("session"));
    probe.keys =
        Some(("ASIAIOSFODNN7EXAMPLE".to_owned(), SECRET.to_owned(), Some("session".to_owned())));
    token(&probe);
}

#[test]
fn a_token_made_by_a_role_ends_with_the_roles_session() {
    let aws = FakeAws::start();
    aws.state().role_life = SignedDuration::from_mins(15);
    let mut probe = Probe::of(PRIVATE, &aws);
    probe.role = Some("arn:aws:iam::111122223333:role/puller".to_owned());
    let (_, life, _) = token(&probe);
    assert!((897..=900).contains(&life.unwrap()), "{life:?}");
    let calls = aws.state().calls.clone();
    assert_eq!(
        calls,
        [format!("sts eu-west-1 {KEY}"), "ecr eu-west-1 ASIAROLESESSIONKEY00".to_owned()]
    );
}

#[test]
fn the_default_chain_finds_keys_in_the_environment_and_in_shared_files() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    probe.keys = None;
    token(&probe.clone().set("AWS_ACCESS_KEY_ID", KEY).set("AWS_SECRET_ACCESS_KEY", SECRET));

    let file = tempfile::NamedTempFile::new().unwrap();
    let profile = format!("aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n");
    std::fs::write(file.path(), format!("[default]\n{profile}")).unwrap();
    token(&probe.set("AWS_SHARED_CREDENTIALS_FILE", file.path().to_str().unwrap()));
}

#[test]
fn a_declared_profile_beats_keys_in_the_environment() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    probe.keys = None;
    probe.profile = Some("staging".to_owned());
    let file = tempfile::NamedTempFile::new().unwrap();
    let profile =
        format!("[staging]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n");
    std::fs::write(file.path(), profile).unwrap();
    let probe = probe
        .set("AWS_SHARED_CREDENTIALS_FILE", file.path().to_str().unwrap())
        .set("AWS_ACCESS_KEY_ID", "AKIAANOTHERIDENTITY0")
        .set("AWS_SECRET_ACCESS_KEY", "x");
    token(&probe);
    assert_eq!(aws.state().calls, [format!("ecr eu-west-1 {KEY}")]);
}

#[test]
fn a_profile_made_by_aws_login_serves_until_its_session_ends() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    let id = "ASIALOGINSESSION0000";
    aws.add_key(id, SECRET, Some("session"));
    probe.keys = None;
    probe.profile = Some("console".to_owned());
    let directory = tempfile::tempdir().unwrap();
    let (config, session) = (directory.path().join("config"), "arn:aws:iam::111122223333:user/Dev");
    let profile = format!("[profile console]\nlogin_session = {session}\nregion = eu-west-1\n");
    std::fs::write(&config, profile).unwrap();
    let end =
        registry_agent::adapters::clock::Clock::system().now() + SignedDuration::from_hours(1);
    let token = serde_json::json!({
        "accessToken": {
            "accessKeyId": id, "secretAccessKey": SECRET, "sessionToken": "session",
            "accountId": "111122223333", "expiresAt": format!("{end:.0}"),
        },
        "tokenType": "aws_sigv4", "refreshToken": "x", "idToken": "x",
        "clientId": "arn:aws:signin:::devtools/same-device", "dpopKey": "x",
    });
    let name = hex::encode(sha2::Sha256::digest(session));
    let cache = directory.path().join("login/cache");
    std::fs::create_dir_all(&cache).unwrap();
    let cached = cache.join(name).with_extension("json");
    std::fs::write(&cached, token.to_string()).unwrap();
    let probe = probe
        .set("AWS_CONFIG_FILE", config.to_str().unwrap())
        .set("AWS_LOGIN_CACHE_DIRECTORY", cache.to_str().unwrap());
    let (_, life, _) = self::token(&probe);
    assert!((3590..=3600).contains(&life.unwrap()), "{life:?}");
    assert_eq!(aws.state().calls, [format!("ecr eu-west-1 {id}")]);

    std::fs::remove_file(&cached).unwrap();
    assert_eq!(probe.refusal().0, "aws-login-ended");
}

#[test]
fn container_credentials_are_fetched_and_limit_the_lifetime_of_the_token() {
    let aws = FakeAws::start();
    let mut probe = Probe::of(PRIVATE, &aws);
    aws.add_key("ASIACONTAINERKEY0000", SECRET, Some("session"));
    probe.keys = None;
    let end =
        registry_agent::adapters::clock::Clock::system().now() + SignedDuration::from_hours(2);
    let body = format!(
        r#"{{"AccessKeyId":"ASIACONTAINERKEY0000","SecretAccessKey":"{SECRET}","Token":"session","Expiration":"{end:.0}"}}"#
    );
    let url = serve_once(body);
    let (_, life, _) = token(&probe.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url));
    assert!((7190..=7200).contains(&life.unwrap()), "{life:?}");
}

#[test]
fn a_wrong_local_clock_costs_one_more_call_and_a_remark() {
    for (ahead, calls, word) in
        [(86_400, 2, "ahead of"), (-86_400, 2, "behind"), (90, 1, "ahead of")]
    {
        let aws = FakeAws::start();
        let mut probe = Probe::of(PRIVATE, &aws);
        probe.clock_ahead = ahead;
        let (_, life, remark) = token(&probe);
        assert!((HOURS_12 - 3..=HOURS_12).contains(&life.unwrap()), "{ahead}: {life:?}");
        let remark = remark.unwrap();
        assert!(remark.ends_with(&format!("{word} AWS's")), "{remark}");
        assert_eq!(aws.calls_of("ecr"), calls);
    }
}

#[test]
fn a_service_whose_clock_is_a_day_ahead_issues_tokens_with_the_same_lifetime() {
    let aws = FakeAws::start();
    aws.state().clock_ahead = SignedDuration::from_hours(24);
    let (_, life, remark) = token(&Probe::of(PRIVATE, &aws));
    assert!((HOURS_12 - 3..=HOURS_12).contains(&life.unwrap()), "{life:?}");
    assert!(remark.unwrap().contains("behind AWS's"));
}

#[test]
fn a_token_expired_by_the_services_clock_has_an_unknown_lifetime() {
    let aws = FakeAws::start();
    aws.state().token_life = -SignedDuration::from_hours(24 * 365);
    let (_, life, _) = token(&Probe::of(PRIVATE, &aws));
    assert_eq!(life, None);
}

fn serve_once(body: String) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/credentials", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
        let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    });
    url
}
