//! ECR logins of a complete agent, with a fake AWS whose tokens are valid for seconds.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use crate::support::aws::{Answer, FakeAws};
use crate::support::test_home::{TestHome, output_text, succeed};

const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");
const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");

/// The regions of the registries; each registry has its own token.
const REGIONS: [&str; 24] = [
    "af-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-2",
];
const TOKEN_LIFE: SignedDuration = SignedDuration::from_secs(4);
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

fn host(region: &str) -> String {
    format!("111122223333.dkr.ecr.{region}.amazonaws.com")
}

/// A home without verification, because the registries' names are real ones.
fn start_agent(aws: &FakeAws, declared: &[(String, String)]) -> TestHome {
    let test_home = TestHome::new();
    let directory = test_home.path(".config/registry-agent");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), "verify = false\n").unwrap();
    let mut start = test_home.command(AGENT);
    start.arg("start").env("AWS_EC2_METADATA_DISABLED", "true").envs(aws.variables());
    start.envs(declared.iter().map(|(name, value)| (name, value)));
    succeed(&mut start);
    test_home
}

fn declaration(name: &str, server: &str, user: &str, password: &str) -> Vec<(String, String)> {
    [("SERVER", server), ("USER", user), ("PASSWORD", password)]
        .map(|(suffix, value)| (format!("{name}_CONTAINER_REGISTRY_{suffix}"), value.to_owned()))
        .into()
}

/// The user and the password that the helper returns.
fn get(test_home: &TestHome, server: &str) -> (String, String) {
    ask(test_home, server).unwrap_or_else(|output_text| panic!("{server}: {output_text}"))
}

/// The same, or the output of the helper if it returns no credential.
fn ask(test_home: &TestHome, server: &str) -> Result<(String, String), String> {
    let mut child = test_home
        .command(HELPER)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(server.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(output_text(&output));
    }
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    Ok((text("Username"), text("Secret")))
}

/// Sends a credential to the registry and returns the HTTP status.
fn pull(client: &reqwest::Client, aws: &FakeAws, (user, password): (String, String)) -> u16 {
    let request = client.get(format!("http://{}/v2/", aws.host())).basic_auth(user, Some(password));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { request.send().await.unwrap().status().as_u16() })
}

#[test]
fn a_client_is_never_rejected_during_hundreds_of_refreshes() {
    let aws = FakeAws::start();
    aws.state().token_life = TOKEN_LIFE;
    aws.add_key(KEY, "secret", None);
    let declared: Vec<_> = REGIONS
        .iter()
        .enumerate()
        .flat_map(|(i, region)| declaration(&format!("R{i}"), &host(region), KEY, "secret"))
        .collect();
    let test_home = start_agent(&aws, &declared);
    let pulls = AtomicUsize::new(0);
    let enough = || aws.calls_of("ecr") > 300 && pulls.load(Ordering::Relaxed) > 300;
    std::thread::scope(|scope| {
        for half in REGIONS.chunks(REGIONS.len() / 2) {
            let (test_home, aws, pulls, enough) = (&test_home, &aws, &pulls, &enough);
            scope.spawn(move || {
                let client = reqwest::Client::new();
                while !enough() {
                    for region in half {
                        assert_eq!(
                            pull(&client, aws, get(test_home, &host(region))),
                            200,
                            "{region}"
                        );
                        pulls.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(aws.state().registry_refusals, 0);
}

#[test]
fn an_expired_token_is_never_served_and_a_login_recovers_after_an_outage() {
    let aws = FakeAws::start();
    aws.state().token_life = SignedDuration::from_secs(2);
    aws.add_key(KEY, "secret", None);
    let server = host("eu-west-1");
    let test_home = start_agent(&aws, &declaration("WORK", &server, KEY, "secret"));
    let client = reqwest::Client::new();
    aws.answer("ecr", Answer::Raw(503, "away"));
    let withheld = (0..500).find_map(|_| match ask(&test_home, &server) {
        Ok(credential) => {
            assert_eq!(pull(&client, &aws, credential), 200);
            None
        }
        Err(output_text) => Some(output_text),
    });
    let withheld = withheld.expect("the token lives on without AWS");
    assert!(withheld.contains("credentials not found in native keychain"), "{withheld}");
    assert!(withheld.contains("failed with HTTP status 503"), "{withheld}");

    aws.answer("ecr", Answer::Grant);
    let back = (0..600).find_map(|_| {
        std::thread::park_timeout(Duration::from_millis(100));
        ask(&test_home, &server).ok()
    });
    assert_eq!(pull(&client, &aws, back.expect("no token after the outage")), 200);
    assert_eq!(aws.state().registry_refusals, 0);
}

#[test]
fn logins_of_one_identity_and_region_share_one_call() {
    let aws = FakeAws::start();
    aws.add_key(KEY, "secret", None);
    let declared: Vec<_> = (0..20)
        .flat_map(|i| {
            let server = format!("1111222233{i:02}.dkr.ecr.eu-west-1.amazonaws.com");
            declaration(&format!("R{i}"), &server, KEY, "secret")
        })
        .collect();
    let test_home = start_agent(&aws, &declared);
    let passwords: std::collections::HashSet<_> = (0..20)
        .map(|i| get(&test_home, &format!("1111222233{i:02}.dkr.ecr.eu-west-1.amazonaws.com")).1)
        .collect();
    assert_eq!(passwords.len(), 1);
    assert_eq!(aws.calls_of("ecr"), 1);
}

#[test]
fn each_aws_rejection_is_shown_in_status_and_other_registries_still_log_in() {
    let aws = FakeAws::start();
    let refuse = |code, message: &str| Answer::Refuse(403, code, message.to_owned());
    let cases = [
        ("AKIAUNKNOWN000000000", None, "aws-unknown-access-key", "rejected"),
        ("AKIAWRONGSECRET00000", Some(Answer::Grant), "aws-wrong-secret", "rejected"),
        (
            "AKIAEXPIRED000000000",
            Some(refuse("ExpiredTokenException", "expired")),
            "aws-session-expired",
            "rejected",
        ),
        (
            "AKIADENIED0000000000",
            Some(refuse(
                "AccessDeniedException",
                "not authorized to perform: ecr:GetAuthorizationToken on resource: *",
            )),
            "aws-access-denied",
            "rejected",
        ),
        ("ASIANOTOKEN000000000", None, "aws-session-token-missing", "invalid"),
        (
            "AKIAREGION0000000000",
            Some(refuse("OptInRequired", "no")),
            "aws-region-not-enabled",
            "rejected",
        ),
        (
            "AKIATHROTTLED0000000",
            Some(Answer::Throttle { retry_after: 60 }),
            "aws-throttled",
            "rate-limited",
        ),
        (
            "AKIABROKEN0000000000",
            Some(Answer::Raw(503, "away")),
            "aws-service-fault",
            "unreachable",
        ),
    ];
    let mut declared = Vec::new();
    for (i, (key, answer, code, _)) in cases.iter().enumerate() {
        if let Some(answer) = answer {
            let secret = if *code == "aws-wrong-secret" { "another" } else { "secret" };
            aws.add_key(key, secret, None);
            aws.answer(key, answer.clone());
        }
        declared.extend(declaration(
            &format!("R{i}"),
            &host("eu-west-1").replace("1111", &format!("111{i}")),
            key,
            "secret",
        ));
    }
    aws.add_key(KEY, "secret", None);
    declared.extend(declaration("GOOD", &host("us-east-1"), KEY, "secret"));
    let test_home = start_agent(&aws, &declared);
    let _ = test_home.command(AGENT).args(["wait", "--timeout", "30s"]).output();
    let status = test_home.command(AGENT).args(["status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let login = |name: &str| {
        let all = status["registries"].as_array().unwrap();
        all.iter()
            .find(|login| login["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {status:#}"))
    };
    for (i, (key, _, code, state)) in cases.iter().enumerate() {
        let login = login(&format!("R{i}"));
        assert_eq!(login["state"], *state, "{code}: {login:#}");
        assert!(
            login["reason"].to_string().contains(code) || login["code"] == *code,
            "{code}: {login:#}"
        );
        assert!(login["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{login:#}");
        assert!(!status.to_string().contains(key), "a whole access key is shown");
    }
    assert_eq!(login("GOOD")["state"], "unverified");
    assert_eq!(get(&test_home, &host("us-east-1")).0, "AWS");
}

#[test]
fn kill_9_of_the_agent_during_its_refreshes_loses_no_token() {
    let aws = FakeAws::start();
    aws.state().token_life = TOKEN_LIFE;
    aws.add_key(KEY, "secret", None);
    let regions = &REGIONS[..4];
    let declared: Vec<_> = regions
        .iter()
        .enumerate()
        .flat_map(|(i, region)| declaration(&format!("R{i}"), &host(region), KEY, "secret"))
        .collect();
    let test_home = start_agent(&aws, &declared);
    let client = reqwest::Client::new();
    for round in 0..30 {
        registry_agent::adapters::clock::pause(Duration::from_millis(fastrand::u64(..400)));
        let pid = test_home.status()["pid"].to_string();
        succeed(std::process::Command::new("kill").args(["-9", &pid]));
        for region in regions {
            // The helper's environment has no AWS variables, so the token must have survived.
            assert_eq!(
                pull(&client, &aws, get(&test_home, &host(region))),
                200,
                "{region} in {round}"
            );
        }
    }
    assert_eq!(aws.state().registry_refusals, 0);
}
