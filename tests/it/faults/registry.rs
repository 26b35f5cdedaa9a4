//! What a registry answers: a rejected login, a web page, a rate limit, a token server elsewhere.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json as value;

use super::{Fault, PASSWORD, USER, assert_well, home_for, registry};
use crate::support::authority::Authority;
use crate::support::isolated::{self, Etc};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json, reply};
use crate::support::test_home::{TestHome, output_text};

const SERVER: &str = "ACME_CONTAINER_REGISTRY_SERVER";
const USER_VARIABLE: &str = "ACME_CONTAINER_REGISTRY_USER";
const PASSWORD_VARIABLE: &str = "ACME_CONTAINER_REGISTRY_PASSWORD";

/// A registry that accepts any login.
fn friendly(heard: &ReceivedRequest) -> Vec<u8> {
    match heard.header("authorization") {
        Some(_) => json(200, &["Docker-Distribution-Api-Version: registry/2.0"], "{}"),
        None => json(401, &["WWW-Authenticate: Basic realm=\"x\""], "{}"),
    }
}

/// A script that can be told to stop misbehaving.
struct Mended(Arc<AtomicBool>);

impl Mended {
    async fn start(
        faulty: impl Fn(&ReceivedRequest) -> Vec<u8> + Send + Sync + 'static,
    ) -> (Self, ScriptedRegistry) {
        let mended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&mended);
        let script = move |heard: &ReceivedRequest| {
            if told.load(Ordering::SeqCst) { friendly(heard) } else { faulty(heard) }
        };
        (Self(mended), ScriptedRegistry::start("127.0.0.1:0", None, script).await)
    }

    fn mend(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A home that declares `ACME` for a scripted registry.
fn home_of(registry: &ScriptedRegistry) -> TestHome {
    let mut home = TestHome::new();
    home.declare("ACME", &registry.address.to_string(), (USER, PASSWORD));
    home
}

#[test]
fn a_wrong_password_is_named_by_its_variable_and_source_and_a_push_corrects_it() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    home.set(PASSWORD_VARIABLE, "wrong-password");
    home.start();
    home.sync();
    let fault = Fault::error(&home, "refused");
    fault.says(&[&server, "rejected the login of dev", "401"]).checked(&home, &["ACME"], 1);
    let named = "set ACME_CONTAINER_REGISTRY_PASSWORD (from `sync`) to the current password or token of dev, \
                 or ACME_CONTAINER_REGISTRY_USER (from `sync`) to the right user, then run ";
    assert!(fault.fix.starts_with(named), "{}", fault.fix);
    home.set(PASSWORD_VARIABLE, PASSWORD);
    fault.paste_last(&home);
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn a_wrong_user_is_suspected_too_and_each_variable_is_named_with_its_source() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    home.unset(PASSWORD_VARIABLE);
    let file = home.path("acme-password");
    fs::write(&file, PASSWORD).unwrap();
    home.set("ACME_CONTAINER_REGISTRY_PASSWORD_FILE", file.to_str().unwrap());
    home.set(USER_VARIABLE, "devv");
    home.start();
    let fault = Fault::error(&home, "refused");
    let fix = format!(
        "write the current password or token of devv into {}; or set {USER_VARIABLE} (from `start`) to \
         the right user, then run `registry-agent sync` in a shell that has it",
        file.display()
    );
    assert_eq!(fault.checked(&home, &["ACME"], 1).fix, fix);
    home.set(USER_VARIABLE, USER);
    fault.paste_last(&home);
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn quotation_marks_and_white_space_around_a_rejected_value_are_named() {
    let registry = registry();
    let server = registry.server();
    for (variable, value, right, sentence) in [
        (
            PASSWORD_VARIABLE,
            "\"right-password\"",
            PASSWORD,
            "the password is enclosed in quotation marks",
        ),
        (
            PASSWORD_VARIABLE,
            "right-password ",
            PASSWORD,
            "the password begins or ends with white space",
        ),
        (USER_VARIABLE, "'dev'", USER, "the user is enclosed in quotation marks"),
        (USER_VARIABLE, " dev", USER, "the user begins or ends with white space"),
    ] {
        let mut home = home_for(&registry);
        home.set(variable, value);
        home.start();
        let fault = Fault::error(&home, "refused");
        fault.says(&[sentence]).checked(&home, &["ACME"], 1);
        assert!(fault.fix.starts_with(&format!("set {variable} ")), "{}", fault.fix);
        home.set(variable, right);
        fault.paste_last(&home);
        assert_well(&home, &server, (USER, PASSWORD));
    }
}

#[test]
fn a_wrong_password_from_a_file_is_corrected_in_that_file() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    home.unset(PASSWORD_VARIABLE);
    let file = home.path("acme-password");
    fs::write(&file, "wrong-password\n").unwrap();
    home.set("ACME_CONTAINER_REGISTRY_PASSWORD_FILE", file.to_str().unwrap());
    home.start();
    let fault = Fault::error(&home, "refused");
    fault.checked(&home, &["ACME"], 1);
    let named = format!("write the current password or token of dev into {}; ", file.display());
    assert!(fault.fix.starts_with(&named), "{}", fault.fix);
    fs::write(&file, PASSWORD).unwrap();
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn a_wrong_password_from_a_secrets_directory_is_corrected_in_that_directory() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    home.unset(PASSWORD_VARIABLE);
    let (secrets, config) = (home.path("secrets"), home.path(".config/registry-agent"));
    fs::create_dir_all(&secrets).unwrap();
    fs::create_dir_all(&config).unwrap();
    fs::write(
        config.join("config.toml"),
        format!("sources = [{:?}]\n", secrets.display().to_string()),
    )
    .unwrap();
    fs::write(secrets.join(PASSWORD_VARIABLE), "wrong-password").unwrap();
    home.start();
    let fault = Fault::error(&home, "refused");
    fault.checked(&home, &["ACME"], 1);
    let named = format!(
        "change {PASSWORD_VARIABLE} to the current password or token of dev in {}; ",
        secrets.display()
    );
    assert!(fault.fix.starts_with(&named), "{}", fault.fix);
    fs::write(secrets.join(PASSWORD_VARIABLE), PASSWORD).unwrap();
    assert_well(&home, &server, (USER, PASSWORD));
}

/// What docker sends to its helper when a user logs in.
fn docker_login(home: &TestHome, server: &str, user: &str, secret: &str) {
    let login = format!(r#"{{"ServerURL":"{server}","Username":"{user}","Secret":"{secret}"}}"#);
    assert!(home.helper("store", &login).status.success());
}

#[test]
fn a_wrong_password_and_an_identity_token_of_docker_login_are_replaced_by_docker_login() {
    let registry = registry();
    let server = registry.server();
    for (user, secret, code) in
        [(USER, "wrong-password", "refused"), ("<token>", "token", "identity-token-useless")]
    {
        let home = TestHome::new();
        home.start();
        docker_login(&home, &server, user, secret);
        let fault = Fault::error(&home, code);
        fault.checked(&home, &[&server], 1);
        let named = format!("run `docker login {server}` with ");
        assert!(fault.fix.starts_with(&named), "{}", fault.fix);
        let dropped = format!("; or run `docker logout {server}` to remove the stored login");
        assert!(fault.fix.ends_with(&dropped), "{}", fault.fix);
        docker_login(&home, &server, USER, PASSWORD);
        assert_well(&home, &server, (USER, PASSWORD));
    }
}

#[test]
fn a_rejected_docker_login_above_a_declared_login_is_removed_by_docker_logout() {
    let registry = registry();
    let server = registry.server();
    let home = home_for(&registry);
    home.start();
    docker_login(&home, &server, USER, "wrong-password");
    let fault = Fault::error(&home, "refused");
    let named = format!(
        "run `docker logout {server}` to use the declared login ACME again; or run `docker login {server}` with "
    );
    assert!(fault.checked(&home, &["ACME"], 1).fix.starts_with(&named), "{}", fault.fix);
    fault.paste(&home);
    assert_well(&home, &server, (USER, PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_is_named_and_the_registrys_host_replaces_it() {
    let page =
        |_: &ReceivedRequest| reply(200, &["Content-Type: text/html; charset=utf-8"], "<html>");
    let site = ScriptedRegistry::start("127.0.0.1:0", None, page).await;
    let registry = registry();
    let mut home = home_of(&site);
    home.start();
    let fault = Fault::error(&home, "not-a-registry");
    fault.says(&["200", "a web page (text/html)"]).checked(&home, &["ACME"], 1);
    assert!(fault.fix.contains("; if it is a package registry, run `export "), "{}", fault.fix);
    home.set(SERVER, &registry.server());
    let fix = fault.fix.split("; if it is").next().unwrap().to_owned();
    Fault { fix, ..fault }.paste_last(&home);
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_registry_in_a_set_for_images_is_named_and_one_line_renames_the_set() {
    let packages = |request: &ReceivedRequest| {
        let is_resource = request.line.ends_with("/-/whoami");
        match request.header("authorization") {
            Some("Basic ZGV2OnJpZ2h0") if is_resource => json(200, &[], "{}"),
            _ if is_resource => json(401, &[], "{}"),
            _ => json(404, &[], "{}"),
        }
    };
    let registry = ScriptedRegistry::start("127.0.0.1:0", None, packages).await;
    let mut home = TestHome::new();
    home.start();
    home.declare("ACME", &format!("http://{}", registry.address), ("dev", "right"));
    home.sync();
    let fault = Fault::error(&home, "not-a-registry");
    fault.says(&["is a package registry"]).checked(&home, &["ACME"], 1);
    assert!(!fault.fix.contains("the host that image names begin with"), "{}", fault.fix);
    fault.paste(&home);
    home.exit_of(&["wait"]);
    let login = home.login("ACME");
    assert_eq!((&login["family"], &login["state"]), (&value!("package"), &value!("ready")));
    assert_eq!(home.status()["problems"], value!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_says_how_long_it_lasts_and_ends_by_itself() {
    let limit = |_: &ReceivedRequest| json(429, &["Retry-After: 1"], "{}");
    let (mended, registry) = Mended::start(limit).await;
    let home = home_of(&registry);
    home.start();
    let fault = Fault::error(&home, "rate-limited");
    fault.says(&["is rate-limiting requests and asks to wait 1 s"]);
    mended.mend();
    assert_well(&home, &registry.address.to_string(), (USER, PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_says_when_it_is_tried_again_and_check_asks_at_once() {
    for (headers, sentence, fix) in [
        (&["Retry-After: 7200"][..], "asks to wait 2 h", "no action needed; retried in 2 h"),
        (&[], "is rate-limiting requests (", "no action needed; retried "),
    ] {
        let limit = move |_: &ReceivedRequest| json(429, headers, "{}");
        let (mended, registry) = Mended::start(limit).await;
        let home = home_of(&registry);
        home.start();
        let fault = Fault::error(&home, "rate-limited");
        fault.says(&[sentence]);
        assert!(fault.fix.starts_with(fix), "{}", fault.fix);
        assert_eq!(home.exit_of(&["check", "ACME"]), 1);
        mended.mend();
        assert_eq!(home.exit_of(&["check", "ACME"]), 0);
        assert_well(&home, &registry.address.to_string(), (USER, PASSWORD));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_off_is_a_remark_until_it_is_corrected() {
    let yesterday = |heard: &ReceivedRequest| {
        let mut answer = friendly(heard);
        let at = answer.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
        answer.splice(at..at, *b"Date: Tue, 24 Nov 2020 04:00:00 GMT\r\n");
        answer
    };
    let (mended, registry) = Mended::start(yesterday).await;
    let home = home_of(&registry);
    home.start();
    let fault = Fault::remark(&home, "clock-off");
    fault.says(&["this machine's clock is ", " ahead of 127.0.0.1:"]);
    assert!(fault.fix.starts_with("correct the clock"), "{}", fault.fix);
    assert_eq!(home.login("ACME")["state"], "ready");
    assert_eq!(home.exit_of(&["check", "ACME"]), 0);
    mended.mend();
    assert_eq!(home.exit_of(&["check", "ACME"]), 0);
    assert_eq!(home.login("ACME")["code"], serde_json::Value::Null);
    assert_well(&home, &registry.address.to_string(), (USER, PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_server_that_may_never_get_a_password_is_for_the_operator_to_correct() {
    let realm = |_: &ReceivedRequest| {
        json(401, &[r#"WWW-Authenticate: Bearer realm="http://auth.example.com/token""#], "{}")
    };
    let (mended, registry) = Mended::start(realm).await;
    let home = home_of(&registry);
    home.start();
    let fault = Fault::error(&home, "realm-forbidden");
    fault.says(&["http://auth.example.com", "not https"]).checked(&home, &["ACME"], 1);
    assert!(fault.fix.starts_with("ask the registry's operator"), "{}", fault.fix);
    mended.mend();
    fault.paste(&home);
    assert_well(&home, &registry.address.to_string(), (USER, PASSWORD));
}

#[test]
fn an_email_address_as_the_user_of_docker_hub_is_replaced_by_the_docker_id() {
    let authority = Authority::new("The authority");
    let names = ["registry-1.docker.io", "auth.docker.io"];
    let acceptor = authority.sign(&names).acceptor();
    let etc =
        Etc { hosts: &names.map(|name| (name, "127.0.0.1")), roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let hub = |heard: &ReceivedRequest| match heard.header("authorization") {
            Some("Bearer t") => json(200, &[], "{}"),
            // dev:right-password
            Some("Basic ZGV2OnJpZ2h0LXBhc3N3b3Jk") => json(200, &[], r#"{"token":"t"}"#),
            Some(_) => json(401, &[], r#"{"details":"incorrect username or password"}"#),
            None => json(
                401,
                &[
                    r#"WWW-Authenticate: Bearer realm="https://auth.docker.io/token",service="registry.docker.io""#,
                ],
                "{}",
            ),
        };
        let _hub = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), hub).await;
        let mut home = TestHome::new();
        home.declare("ACME", "docker.io", ("dev@example.com", PASSWORD));
        home.start();
        let fault = Fault::error(&home, "refused-docker-hub");
        fault.says(&["docker.io rejected", "an e-mail address, not a Docker ID"]);
        fault.checked(&home, &["ACME"], 1);
        home.set(USER_VARIABLE, USER);
        fault.paste_last(&home);
        assert_well(&home, "https://index.docker.io/v1/", (USER, PASSWORD));
    });
}

#[test]
fn a_fine_grained_token_is_replaced_by_a_classic_one() {
    let authority = Authority::new("The authority");
    let acceptor = authority.sign(&["ghcr.io"]).acceptor();
    let etc = Etc { hosts: &[("ghcr.io", "127.0.0.1")], roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let ghcr = |heard: &ReceivedRequest| match heard.header("authorization") {
            Some("Bearer t") => json(200, &[], "{}"),
            // dev:ghp_classic
            Some("Basic ZGV2OmdocF9jbGFzc2lj") => json(200, &[], r#"{"token":"t"}"#),
            Some(_) => json(403, &[], r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#),
            None => json(
                401,
                &[r#"WWW-Authenticate: Bearer realm="https://ghcr.io/token",service="ghcr.io""#],
                "{}",
            ),
        };
        let _ghcr = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), ghcr).await;
        let mut home = TestHome::new();
        home.declare("ACME", "ghcr.io", (USER, "github_pat_fine"));
        home.start();
        let fault = Fault::error(&home, "refused-ghcr");
        fault.says(&["fine-grained tokens are not supported"]);
        // The value alone shows it, so `check` names it before the registry does.
        let check = output_text(&home.agent(&["check", "ACME"]).output().unwrap());
        assert!(check.contains("fine-grained-token"), "{check}");
        assert!(fault.fix.contains("settings/tokens/new?scopes=read:packages"), "{}", fault.fix);
        home.set(PASSWORD_VARIABLE, "ghp_classic");
        fault.paste_last(&home);
        assert_well(&home, "ghcr.io", (USER, "ghp_classic"));
    });
}

#[test]
fn a_codespaces_token_that_may_not_read_is_replaced_by_a_declared_one() {
    let authority = Authority::new("The authority");
    let acceptor = authority.sign(&["ghcr.io"]).acceptor();
    let etc = Etc { hosts: &[("ghcr.io", "127.0.0.1")], roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let ghcr = |heard: &ReceivedRequest| match heard.header("authorization") {
            // dev:ghp_classic
            Some("Basic ZGV2OmdocF9jbGFzc2lj") => json(200, &[], "{}"),
            Some(_) => json(403, &[], r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#),
            None => json(401, &["WWW-Authenticate: Basic realm=\"x\""], "{}"),
        };
        let _ghcr = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), ghcr).await;
        let mut home = TestHome::new();
        home.set("GITHUB_TOKEN", "ghu_codespace");
        home.set("GITHUB_USER", USER);
        home.start();
        // What the platform provides keeps nobody from a login that was declared.
        let fault = Fault::remark(&home, "refused-ghcr");
        fault.says(&["GITHUB_TOKEN is expired or not allowed to read packages"]);
        for (variable, value) in
            [("SERVER", "ghcr.io"), ("USER", USER), ("PASSWORD", "ghp_classic")]
        {
            let variable = format!("GHCR_CONTAINER_REGISTRY_{variable}");
            assert!(fault.fix.contains(&variable), "{}", fault.fix);
            home.set(&variable, value);
        }
        fault.paste_last(&home);
        assert_well(&home, "ghcr.io", (USER, "ghp_classic"));
    });
}
