//! `check`: its steps on real parts.

mod agent;
mod arguments;
mod clients;
mod images;
mod packages;
mod users;

use std::process::Command;

use serde_json::Value;

use crate::support::aws::FakeAws;
use crate::support::isolated::{self, Etc};
use crate::support::registry::{Auth, Registry};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json, reply as raw};
use crate::support::test_home::{TestHome, output_text, succeed};

const USER: &str = "dev";
const PASSWORD: &str = "right-password";
const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

/// What `check --json` says.
pub(super) struct Checked {
    status: i32,
    steps: Vec<Value>,
}

impl Checked {
    fn of(home: &TestHome, arguments: &[&str]) -> Self {
        Self::by(&mut home.agent(&[&["check", "--json"], arguments].concat()))
    }

    /// What a command with `--json` says.
    fn by(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let steps = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", output_text(&output)));
        Self { status: output.status.code().unwrap(), steps }
    }

    /// The steps of a login with this outcome.
    fn with(&self, login: &str, outcome: &str) -> Vec<&str> {
        let is_meant = |step: &&Value| step["login"] == login && step["outcome"] == outcome;
        self.steps.iter().filter(is_meant).map(|step| step["step"].as_str().unwrap()).collect()
    }

    /// The step that failed, which must be the only one, with its code.
    fn failed(&self) -> (&str, &str) {
        let failed: Vec<&Value> =
            self.steps.iter().filter(|step| step["outcome"] == "failed").collect();
        assert!(failed.len() == 1 && self.status == 1, "{:#?}", self.steps);
        let text = |field: &str| failed[0][field].as_str().unwrap_or_default();
        assert!(!text("detail").is_empty() && !text("fix").is_empty(), "{:#}", failed[0]);
        (text("step"), text("code"))
    }

    /// The result of the first step with this identifier.
    fn step(&self, id: &str) -> &Value {
        self.steps.iter().find(|step| step["step"] == id).unwrap()
    }

    /// The codes of the remarks of a step.
    fn remarks(&self, step: &str) -> Vec<&str> {
        let named = self.steps.iter().filter(|known| known["step"] == step);
        let remarks = named.flat_map(|step| step["remarks"].as_array().unwrap());
        remarks.map(|remark| remark["code"].as_str().unwrap()).collect()
    }
}

fn registry() -> Registry {
    Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), None)
}

fn started(server: &str, password: &str) -> TestHome {
    let mut home = TestHome::new();
    home.declare("ACME", server, (USER, password));
    home.start();
    home.exit_of(&["wait"]);
    home
}

#[test]
fn a_login_that_works_passes_every_step_that_applies() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let checked = Checked::of(&home, &[]);
    assert_eq!(checked.status, 0, "{:#?}", checked.steps);
    let passed = checked.with("ACME", "passed");
    let expected = [
        "declared",
        "values",
        "server",
        "connection",
        "tls",
        "registry-api",
        "credential",
        "published",
        "not-shadowed",
        "helper",
        "served",
    ];
    assert_eq!(passed, expected);
    assert_eq!(checked.with("ACME", "skipped"), ["exchange", "name-resolution", "image-access"]);
    assert_eq!(checked.steps[0]["step"], "agent");

    let server = registry.server();
    for form in ["ACME", "acme", &server, &format!("http://{server}/v2/")] {
        let output = home.agent(&["check", form]).output().unwrap();
        let text = output_text(&output);
        assert!(output.status.success() && text.contains("ACME 127.0.0.1"), "{form}: {text}");
        for field in ["SERVER", "USER", "PASSWORD"] {
            assert!(text.contains(&format!("ACME_CONTAINER_REGISTRY_{field}")), "{text}");
        }
        assert!(text.contains("from `start`") && !text.contains(PASSWORD), "{text}");
    }
}

#[test]
fn a_login_that_nobody_judged_is_not_said_to_be_accepted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = |_: &ReceivedRequest| json(200, &[], "{}");
    let open = runtime.block_on(ScriptedRegistry::start("127.0.0.1:0", None, open));
    let foreign = |_: &ReceivedRequest| {
        let realm = "WWW-Authenticate: Bearer realm=\"https://auth.test/token\",service=\"x\"";
        json(401, &[realm], "{}")
    };
    let foreign = runtime.block_on(ScriptedRegistry::start("127.0.0.1:0", None, foreign));
    for (server, code) in [(open.address, "not-asked"), (foreign.address, "realm-not-allowed")] {
        let home = started(&server.to_string(), PASSWORD);
        let checked = Checked::of(&home, &["ACME"]);
        assert_eq!(checked.status, 0, "{:#?}", checked.steps);
        let step = checked.step("credential");
        assert_eq!(step["outcome"], "skipped", "{step:#}");
        assert_eq!(checked.remarks("credential"), [code]);
        let text = output_text(&home.agent(&["check", "ACME"]).output().unwrap());
        assert!(text.contains("skipped  credential"), "{text}");
        assert!(
            !text.contains("accepts the login") && !text.contains("as the agent verified"),
            "{text}"
        );
        assert!(text.contains(&format!("more: registry-agent explain {code}")), "{text}");
    }
}

#[test]
fn the_first_failure_ends_the_walk_with_its_fix_and_nothing_false_follows() {
    let registry = registry();
    let home = started(&registry.server(), "wrong");
    let checked = Checked::of(&home, &["ACME"]);
    assert_eq!(checked.failed(), ("credential", "refused"));
    let skipped = checked.with("ACME", "skipped");
    assert!(skipped.ends_with(&["published", "not-shadowed", "helper", "served"]), "{skipped:?}");
    let text = output_text(&home.agent(&["check", "ACME"]).output().unwrap());
    let lines: Vec<&str> = text.trim().lines().rev().map(str::trim).collect();
    assert_eq!(lines[0], "more: registry-agent explain refused", "{text}");
    assert!(lines[1].starts_with("fix: "), "{text}");
    assert!(lines[2].starts_with("failed   credential"), "{text}");
}

#[test]
fn what_is_asked_for_is_what_is_checked() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    home.set("HALF_CONTAINER_REGISTRY_SERVER", "half.example.com");
    home.set("HALF_CONTAINER_REGISTRY_USER", USER);
    home.start();
    let half = ("declared", "variable-missing");
    assert_eq!(Checked::of(&home, &[]).failed(), half);
    assert_eq!(Checked::of(&home, &["HALF"]).failed(), half);
    assert_eq!(Checked::of(&home, &["half.example.com"]).failed(), half);
    assert_eq!(Checked::of(&home, &["ACME"]).status, 0);
    assert_eq!(Checked::of(&home, &[&registry.server()]).status, 0);
    for (other, code) in [
        ("other.example.com", "server-not-declared"),
        ("alpine", "server-not-declared"),
        ("ghcr.io/org/app:v1", "server-not-declared"),
        ("OTHER", "name-not-declared"),
    ] {
        let checked = Checked::of(&home, &[other]);
        assert_eq!(checked.failed(), ("declared", code), "{other}");
        assert_eq!(checked.with("HALF", "failed"), [""; 0], "{other}");
    }
    home.declare("OTHER", "other.example.com", (USER, PASSWORD));
    for what in ["OTHER", "other.example.com", "other.example.com/app"] {
        let checked = Checked::by(&mut home.with_declared(home.agent(&["check", "--json", what])));
        assert_eq!(checked.failed(), ("declared", "not-synced"), "{what}");
    }
}

#[test]
fn values_that_cannot_work_are_named_before_anything_is_asked() {
    let mut home = TestHome::new();
    // No name server answers: nothing can be asked.
    home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    home.declare("GH", "ghcr.io", (USER, "github_pat_11ABC"));
    home.declare("AWS", ECR, ("ASIAEXAMPLE000000001", "secret"));
    home.declare("GAR", "europe-docker.pkg.dev", ("_json_key", "/home/me/key.json"));
    home.declare("SWAP", &ECR.replace("111", "222"), ("secret", "AKIAEXAMPLE000000001"));
    home.declare("WORD", &ECR.replace("111", "333"), ("AWS", "a-plain-word"));
    home.declare("ROLE", &ECR.replace("111", "444"), ("AKIAEXAMPLE000000001", "secret"));
    home.set("ROLE_CONTAINER_REGISTRY_ROLE_ARN", "pull-images");
    home.start();
    home.exit_of(&["wait"]);
    for (name, code) in [
        ("GH", "fine-grained-token"),
        ("AWS", "aws-session-token-missing"),
        ("GAR", "not-a-service-account-key"),
        ("SWAP", "aws-keys-swapped"),
        ("WORD", "not-an-ecr-token"),
        ("ROLE", "aws-role-not-an-arn"),
    ] {
        assert_eq!(Checked::of(&home, &[name]).failed(), ("values", code));
    }
    home.declare("HUB", "docker.io", ("dev@example.com", PASSWORD));
    home.sync_in_vain();
    let checked = Checked::of(&home, &["HUB"]);
    assert_eq!(checked.failed(), ("connection", "proxy-unreachable"), "a remark ends no walk");
    assert_eq!(checked.remarks("values"), ["email-as-user"]);
    let resolution = checked.step("name-resolution");
    assert_eq!(resolution["outcome"], "skipped", "the agent resolves no name behind a proxy");
    assert_eq!(resolution["detail"], "the proxy http://127.0.0.1:9 resolves the name");
}

#[test]
fn no_refused_password_is_repeated_unless_its_login_is_named() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refusing = runtime.block_on(ScriptedRegistry::start("127.0.0.1:0", None, refuse));
    let home = started(&refusing.address.to_string(), "wrong");
    let sent = || refusing.heard().iter().filter(|it| it.header("authorization").is_some()).count();
    assert_eq!(sent(), 1);
    for _ in 0..3 {
        assert_eq!(Checked::of(&home, &[]).failed(), ("credential", "refused"));
    }
    assert_eq!(sent(), 1, "`check` repeats a refused password");
    assert_eq!(Checked::of(&home, &["ACME"]).failed(), ("credential", "refused"));
    assert_eq!(sent(), 2, "`check NAME` asks anew");
}

fn refuse(_: &ReceivedRequest) -> Vec<u8> {
    json(401, &["WWW-Authenticate: Basic realm=\"x\""], r#"{"errors": []}"#)
}

#[test]
fn a_bare_check_makes_one_call_for_each_aws_identity() {
    let aws = FakeAws::start();
    aws.add_key("AKIAONE0000000000001", "secret", None);
    aws.add_key("AKIATWO0000000000002", "secret", None);
    let mut home = TestHome::new();
    home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    for (variable, value) in aws.variables() {
        home.set(&variable, &value);
    }
    for (name, account, key) in [
        ("A", "111122223333", "AKIAONE0000000000001"),
        ("B", "444455556666", "AKIAONE0000000000001"),
        ("C", "777788889999", "AKIATWO0000000000002"),
    ] {
        let server = format!("{account}.dkr.ecr.eu-west-1.amazonaws.com");
        home.declare(name, &server, (key, "secret"));
    }
    home.start();
    home.exit_of(&["wait"]);
    let before = aws.calls_of("ecr");
    let checked = Checked::of(&home, &[]);
    assert_eq!(aws.calls_of("ecr") - before, 2, "{:#?}", checked.steps);
    for name in ["A", "B", "C"] {
        assert!(checked.with(name, "passed").contains(&"exchange"), "{:#?}", checked.steps);
        assert_eq!(checked.with(name, "failed"), ["connection"], "the registry is not there");
    }
}

#[test]
fn on_a_terminal_a_note_is_shown_while_the_agent_asks() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let program = env!("CARGO_BIN_EXE_registry-agent");
    let check = |no_color: &str| {
        // script(1) runs the command on a terminal.
        let mut command = home.command("script");
        command.args(["-qec", &format!("{program} check ACME"), "/dev/null"]);
        command.env("TERM", "xterm").env("NO_COLOR", no_color).env_remove("CI");
        output_text(&succeed(&mut command))
    };
    let note = format!("asking {} \u{2026}\r\u{1b}[K", registry.server());
    let text = check("");
    assert!(text.contains(&note) && text.contains("\u{1b}[32mpassed"), "{text:?}");
    assert!(!check("1").contains("\u{1b}[32m"));

    let mut narrow = home.command("script");
    narrow.args(["-qec", &format!("stty cols 70 rows 20; {program} check ACME"), "/dev/null"]);
    let text = output_text(&succeed(narrow.env("TERM", "dumb")));
    assert!(!text.contains('\u{1b}') && !text.contains("asking"), "{text:?}");
    for line in text.lines() {
        assert!(line.trim_end().chars().count() <= 70, "{line}");
    }
}

#[test]
fn each_step_on_the_way_to_the_registry_fails_with_its_own_code() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let page = |_: &ReceivedRequest| raw(200, &["Content-Type: text/html"], "<html></html>");
    let page = runtime.block_on(ScriptedRegistry::start("127.0.0.1:0", None, page));
    let aws = FakeAws::start();
    let mut home = TestHome::new();
    for (variable, value) in aws.variables() {
        home.set(&variable, &value);
    }
    home.declare("SERVER", "ftp://mirror.example.com", (USER, PASSWORD));
    home.declare("EXCHANGE", ECR, ("AKIAUNKNOWN000000001", "secret"));
    home.declare("TLS", &format!("https://{}", page.address), (USER, PASSWORD));
    home.declare(
        "PAGE",
        &page.address.to_string().replace("127.0.0.1", "localhost"),
        (USER, PASSWORD),
    );
    home.declare("PORT", "127.0.0.1:1", (USER, PASSWORD));
    home.start();
    home.exit_of(&["wait"]);
    for (name, step, code) in [
        ("SERVER", "server", "server-not-understood"),
        ("EXCHANGE", "exchange", "aws-unknown-access-key"),
        ("TLS", "tls", "not-tls"),
        ("PAGE", "registry-api", "not-a-registry"),
        ("PORT", "connection", "connection-refused"),
    ] {
        let checked = Checked::of(&home, &[name]);
        assert_eq!(checked.failed(), (step, code), "{name}");
        let later = checked.with(name, "passed").into_iter().skip_while(|it| *it != step);
        assert_eq!(later.count(), 0, "{name}: a step after the failure passed");
    }
    isolated::run(&Etc::default(), async || {
        tokio::task::spawn_blocking(|| {
            let home = started("registry.test", PASSWORD);
            let checked = Checked::of(&home, &["ACME"]);
            assert_eq!(checked.failed().0, "name-resolution", "{:#?}", checked.steps);
        })
        .await
        .unwrap();
    });
}

#[test]
fn the_automatic_login_of_github_token_fails_no_bare_check() {
    let mut home = TestHome::new();
    home.set("GITHUB_TOKEN", "ghs_token");
    home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    home.start();
    home.exit_of(&["wait"]);
    let checked = Checked::of(&home, &[]);
    // ghcr.io, and three registries of GitHub Packages.
    let failed = checked.with("GITHUB_TOKEN", "failed");
    assert_eq!((checked.status, failed), (0, vec!["connection"; 4]));
    assert_eq!(Checked::of(&home, &["GITHUB_TOKEN"]).status, 1);
    assert_eq!([&["wait"][..], &["wait", "github_token"]].map(|it| home.exit_of(it)), [0, 1]);
}
