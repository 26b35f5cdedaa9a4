//! cargo, with the real program of the toolchain.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{ask, feature_variable, recorded_helper, table, write};
use crate::codeartifact::{declare, with_aws};
use crate::support::crate_registry::{self, CrateRegistry};
use crate::support::test_home::{TestHome, output_text, run_with_input, succeed};

const PROGRAM: &str = "cargo-credential-registry-agent";
const PROVIDERS: &str = "CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS";

/// A way in which registries take a login.
struct Scheme {
    challenge: &'static str,
    login: &'static [(&'static str, &'static str)],
    header: &'static str,
}

const BASIC: Scheme = Scheme {
    challenge: "Basic realm=\"crates\"",
    login: &[("USER", "builder"), ("PASSWORD", "p\"ass")],
    header: "Basic YnVpbGRlcjpwImFzcw==",
};
const RAW: Scheme = Scheme {
    challenge: "Cargo login_url=\"https://crates.invalid/me\"",
    login: &[("PASSWORD", "raw token")],
    header: "raw token",
};

/// cargo in a directory of this home, with what the Feature sets and no login of its own.
fn cargo(test_home: &TestHome, directory: &str, arguments: &[&str]) -> Command {
    let cargo = Path::new(env!("CARGO"));
    let mut command = test_home.command(cargo);
    let path = format!(
        "{}:{}:{}",
        test_home.path("bin").display(),
        cargo.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    command.env("PATH", path).env(PROVIDERS, feature_variable(test_home, PROVIDERS));
    command.args(arguments).current_dir(test_home.path(directory));
    command
}

/// A home whose cargo knows this registry as `acme`.
fn home_with(url: &str) -> TestHome {
    let test_home = TestHome::new();
    recorded_helper(&test_home, PROGRAM);
    let config = format!("[registries.acme]\nindex = \"sparse+{url}/\"\n");
    write(&test_home.path(".cargo/config.toml"), &config);
    test_home
}

fn write_package(test_home: &TestHome, name: &str, needed: &str, code: (&str, &str)) {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\ndescription = \"a test\"\n\
         license = \"MIT\"\n[dependencies]\n{needed}\n[workspace]\n"
    );
    write(&test_home.path(name).join("Cargo.toml"), &manifest);
    write(&test_home.path(name).join("src").join(code.0), code.1);
}

fn write_app(test_home: &TestHome) {
    let needed = "greeter = { version = \"1\", registry = \"acme\" }";
    let main = "fn main() { println!(\"{}\", greeter::greeting()); }";
    write_package(test_home, "app", needed, ("main.rs", main));
}

fn credentials(test_home: &TestHome) -> PathBuf {
    test_home.path(".cargo/credentials.toml")
}

#[test]
fn a_crate_is_published_and_installed_without_a_password() {
    for Scheme { challenge, login, header } in [BASIC, RAW] {
        let registry = CrateRegistry::start(Some(header), challenge);
        let mut test_home = home_with(&registry.url);
        test_home.declare_packages("ACME", &[("SERVER", registry.url.as_str())]);
        test_home.declare_packages("ACME", login);
        test_home.start();
        assert_eq!(test_home.login("ACME")["state"], "ready");

        let code = "pub fn greeting() -> &'static str { \"hello from a private crate\" }";
        write_package(&test_home, "greeter", "", ("lib.rs", code));
        let publish = ["publish", "--registry", "acme", "--no-verify"];
        succeed(&mut cargo(&test_home, "greeter", &publish));
        write_app(&test_home);
        let run = succeed(&mut cargo(&test_home, "app", &["run", "--quiet"]));
        assert_eq!(output_text(&run), "hello from a private crate\n");

        let refused = &registry.state().refused;
        assert!(refused.is_empty(), "{refused:?}");
        assert!(!credentials(&test_home).exists(), "a login is on the disk");
        let version = succeed(&mut cargo(&test_home, "app", &["--version"]));
        let what = "`cargo publish`, `cargo run` with a private crate";
        table::record("cargo", output_text(&version).trim(), what, &test_home.asked());
    }
}

/// cargo's own convention is the token as it is, unless the registry asked for something else.
#[test]
fn a_token_is_sent_as_it_is_while_nobody_knows_what_the_registry_asks_for() {
    for login in
        [&[("PASSWORD", "raw token")][..], &[("USER", "builder"), ("PASSWORD", "raw token")]]
    {
        let registry = CrateRegistry::start(Some("raw token"), RAW.challenge);
        let mut test_home = home_with(&registry.url);
        let files = crate_registry::crate_files(&registry.url, "/", "greeter", None);
        registry.state().files.extend(files);
        write_app(&test_home);
        write(&test_home.path("app/src/main.rs"), "fn main() {}");
        write(&test_home.path(".config/registry-agent/config.toml"), "verify = false\n");
        test_home.declare_packages("ACME", &[("SERVER", registry.url.as_str())]);
        test_home.declare_packages("ACME", login);
        test_home.start();
        assert_eq!(test_home.login("ACME")["state"], "unverified");
        succeed(&mut cargo(&test_home, "app", &["fetch"]));
        assert!(registry.state().refused.is_empty());
    }
}

#[test]
fn a_long_installation_goes_on_over_tokens_that_expire() {
    with_aws(|aws, mut test_home| {
        let url = aws.codeartifact("");
        aws.state().token_life = SignedDuration::from_secs(6);
        let (path, file) = crate_registry::config(&url, "/cargo/team/", true);
        aws.state().files.insert(path, file);
        // cargo learns from each crate that it needs the next one.
        let names: Vec<String> = (0..8).map(|number| format!("link{number}")).collect();
        for (at, name) in names.iter().enumerate() {
            let needed = names.get(at + 1).map(String::as_str);
            let files = crate_registry::crate_files(&url, "/cargo/team/", name, needed);
            aws.state().files.extend(files);
        }
        aws.state().file_delay = Duration::from_secs(1);

        recorded_helper(&test_home, PROGRAM);
        let config = format!("[registries.acme]\nindex = \"sparse+{url}/cargo/team/\"\n");
        write(&test_home.path(".cargo/config.toml"), &config);
        let needed = "link0 = { version = \"1\", registry = \"acme\" }";
        write_package(&test_home, "app", needed, ("lib.rs", ""));
        declare(&mut test_home, "ACME", &aws.codeartifact("/"));
        test_home.start();
        test_home.login("ACME");
        succeed(&mut cargo(&test_home, "app", &["fetch"]));

        let aws = aws.state();
        assert!(aws.reading_tokens.len() > 1, "one token was enough");
        assert_eq!(aws.registry_refusals, 0);
    });
}

#[test]
fn public_crates_are_installed_while_a_login_is_withheld_and_no_agent_runs() {
    let public = CrateRegistry::start(None, "");
    public.state().files.extend(crate_registry::crate_files(&public.url, "/", "greeter", None));
    let private = CrateRegistry::start(Some("Basic other"), BASIC.challenge);
    // The user's own login of a registry that the agent does not know.
    let known = CrateRegistry::start(Some("token of the user"), "Cargo");
    known.state().files.extend(crate_registry::crate_files(&known.url, "/", "guest", None));

    let mut test_home = home_with(&public.url);
    let config = fs::read_to_string(test_home.path(".cargo/config.toml")).unwrap();
    let more = format!("[registries.known]\nindex = \"sparse+{}/\"\n", known.url);
    write(&test_home.path(".cargo/config.toml"), &(config + &more));
    let login = "[registries.known]\ntoken = \"token of the user\"\n";
    write(&credentials(&test_home), login);
    let needed = "greeter = { version = \"1\", registry = \"acme\" }\n\
                  guest = { version = \"1\", registry = \"known\" }";
    write_package(&test_home, "app", needed, ("lib.rs", ""));
    let fetch = |test_home: &TestHome| {
        let _ = fs::remove_dir_all(test_home.path(".cargo/registry"));
        output_text(&succeed(&mut cargo(test_home, "app", &["fetch"])))
    };
    let fetch_silently = |test_home: &TestHome| {
        let text = fetch(test_home);
        assert!(!text.contains("registry-agent"), "{text}");
    };

    // The provider starts an agent, which knows nothing, but whose predecessor may have known the login.
    let text = fetch(&test_home);
    assert!(text.contains("no agent was running; one was started"), "{text}");
    fetch_silently(&test_home);
    let login = [("SERVER", private.url.as_str()), ("USER", "builder"), ("PASSWORD", "wrong")];
    test_home.declare_packages("ACME", &login);
    test_home.sync();
    assert_eq!(test_home.login("ACME")["state"], "rejected");
    fetch_silently(&test_home);
    test_home.exit_of(&["stop"]);
    fetch_silently(&test_home);
}

#[test]
fn a_withheld_login_is_named_and_the_users_own_one_is_used() {
    let registry = CrateRegistry::start(Some("token of the user"), BASIC.challenge);
    registry.state().files.extend(crate_registry::crate_files(&registry.url, "/", "greeter", None));
    let mut test_home = home_with(&registry.url);
    let login = [("SERVER", registry.url.as_str()), ("USER", "builder"), ("PASSWORD", "wrong")];
    test_home.declare_packages("ACME", &login);
    test_home.start();
    assert_eq!(test_home.login("ACME")["state"], "rejected");
    registry.state().refused.clear();

    write_app(&test_home);
    let output = cargo(&test_home, "app", &["fetch"]).output().unwrap();
    let text = output_text(&output);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("registry-agent: the login is rejected"), "{text}");
    assert!(text.contains("run `registry-agent check ACME`"), "{text}");
    write(&credentials(&test_home), "[registries.acme]\ntoken = \"token of the user\"\n");
    succeed(&mut cargo(&test_home, "app", &["fetch"]));
    assert!(registry.state().refused.is_empty());
}

#[test]
fn a_download_that_is_elsewhere_is_requested_without_the_login() {
    let registry = CrateRegistry::start(Some(RAW.header), RAW.challenge);
    let elsewhere = CrateRegistry::start(Some("never sent"), RAW.challenge);
    registry.state().files.extend(crate_registry::crate_files(&registry.url, "/", "greeter", None));
    registry.state().downloads = Some(elsewhere.url.clone());
    let mut test_home = home_with(&registry.url);
    test_home.declare_packages("ACME", &[("SERVER", registry.url.as_str())]);
    test_home.declare_packages("ACME", RAW.login);
    test_home.start_agent();
    write_app(&test_home);
    let output = cargo(&test_home, "app", &["fetch"]).output().unwrap();
    let text = output_text(&output);
    assert!(text.contains(&format!("failed to download from `{}/dl/", registry.url)), "{text}");
    assert!(text.contains("got 401"), "{text}");
    assert_eq!(elsewhere.state().refused, Vec::<String>::new());
}

#[test]
fn cargo_login_stores_nothing_where_the_agent_has_the_login() {
    let registry = CrateRegistry::start(Some(RAW.header), RAW.challenge);
    let other = CrateRegistry::start(None, "");
    let mut test_home = home_with(&registry.url);
    let config = fs::read_to_string(test_home.path(".cargo/config.toml")).unwrap();
    let more = format!("[registries.other]\nindex = \"sparse+{}/\"\n", other.url);
    write(&test_home.path(".cargo/config.toml"), &(config + &more));
    test_home.declare_packages("ACME", &[("SERVER", registry.url.as_str())]);
    test_home.declare_packages("ACME", RAW.login);
    test_home.start_agent();
    fs::create_dir(test_home.path("app")).unwrap();
    let log_in = |registry: &str| -> Output {
        let mut login = cargo(&test_home, "app", &["login", "--registry", registry]);
        run_with_input(&mut login, "canary-of-cargo-login\n")
    };

    let output = log_in("acme");
    let text = output_text(&output);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(
        text.contains("`cargo login` is not supported: registry-agent has the login"),
        "{text}"
    );
    assert!(text.contains("set ACME_PACKAGE_REGISTRY_PASSWORD"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    assert!(!credentials(&test_home).exists());
    let output = cargo(&test_home, "app", &["logout", "--registry", "acme"]).output().unwrap();
    assert!(output_text(&output).contains("`cargo logout` is not supported"));

    let output = log_in("other");
    assert!(output.status.success(), "{}", output_text(&output));
    let stored = fs::read_to_string(credentials(&test_home)).unwrap();
    assert!(stored.contains("canary-of-cargo-login"), "{stored}");
}

#[test]
fn each_request_gets_one_line_whatever_it_is() {
    let mut test_home = TestHome::new();
    let login =
        [("SERVER", "https://crates.invalid/"), ("PASSWORD", "token"), ("SCHEME", "bearer")];
    test_home.declare_packages("ACME", &login);
    test_home.start();
    test_home.exit_of(&["wait"]);
    let get = |url: &str| {
        let registry = json!({"index-url": url, "name": "acme", "headers": ["X-Canary: canary"]});
        json!({"v": 1, "kind": "get", "operation": "read", "registry": registry}).to_string()
    };
    let unknown = json!({"Err": {"kind": "url-not-supported"}});
    let requests = [
        get("sparse+https://crates.invalid/index/"),
        get("registry+https://crates.invalid/index"),
        get("https://crates.invalid/index"),
        get("sparse+https://other.invalid/"),
        get("sparse+sparse+https://crates.invalid/"),
        "not JSON, canary".to_owned(),
        String::new(),
        json!({"v": 1, "kind": "later", "registry": {"index-url": "https://crates.invalid/"}})
            .to_string(),
    ];
    let output = ask(&test_home, PROGRAM, &["--cargo-plugin"], &(requests.join("\n") + "\n"));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", output_text(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("canary"), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1 + requests.len(), "{text}");
    assert_eq!(lines[0], json!({"v": [1]}));
    for line in &lines[1..4] {
        assert_eq!(line["Ok"]["token"], "Bearer token", "{text}");
        assert_eq!((&line["Ok"]["kind"], &line["Ok"]["cache"]), (&json!("get"), &json!("expires")));
        assert_eq!(line["Ok"]["operation_independent"], true);
        assert!(line["Ok"]["expiration"].is_i64(), "{text}");
    }
    assert!(lines[4..].iter().all(|line| *line == unknown), "{text}");

    let output = ask(&test_home, PROGRAM, &[], "");
    assert_eq!(output.status.code(), Some(2), "{}", output_text(&output));
}
