//! What the agent learns from the resources of a package registry, and what it says of them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::support::authority::Authority;
use crate::support::package_registry::PackageRegistry;
use crate::support::processes::{kill_9, only_pair};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, reply};
use crate::support::test_home::TestHome;

/// `user:secret`
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";
const BEARER: &str = "Bearer secret";

fn home_with(url: &str, more: &[(&str, &str)]) -> TestHome {
    let mut test_home = TestHome::new();
    test_home.declare_packages("NPM", &[("SERVER", url), ("PASSWORD", "secret")]);
    test_home.declare_packages("NPM", more);
    test_home.start();
    test_home
}

fn found(login: &Value) -> (&str, &str) {
    (login["state"].as_str().unwrap(), login["code"].as_str().unwrap_or_default())
}

#[test]
fn a_login_that_may_not_use_a_resource_is_not_rejected() {
    let registry = PackageRegistry::start(&[BASIC]);
    let all = ["/f/", "/f/-/whoami", "/f/simple/", "/f/config.json", "/f/info/refs"];
    for (forbidden, expected) in
        [(&all[..1], ("ready", "")), (&all[..], ("unverified", "login-forbidden"))]
    {
        let reply = |path: &&str| ((*path).to_owned(), (403, String::new()));
        registry.state().replies = forbidden.iter().map(reply).collect();
        let test_home = home_with(&registry.url("/f/"), &[("USER", "user")]);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), expected, "{login:#}");
        let reason = login["reason"].as_str().unwrap_or("403");
        assert!(reason.contains("403"), "{reason}");
        assert_eq!(test_home.authorization(&registry.url("/f/x")).as_deref(), Some(BASIC));
    }
}

#[test]
fn a_login_is_sent_in_the_scheme_that_the_registry_asks_for() {
    for (challenge, user, header) in [
        ("Cargo login_url=\"https://h.test/me\"", "", "secret"),
        ("Bearer realm=\"https://h.test/token\"", "user", BEARER),
        ("Basic realm=\"packages\"", "", "Basic OnNlY3JldA=="),
        ("Basic realm=\"packages\", Bearer", "", BEARER),
        ("Basic realm=\"packages\", Cargo", "user", BASIC),
    ] {
        let registry = PackageRegistry::start(&[header]);
        registry.state().challenges = vec![challenge.to_owned()];
        let variables = [("USER", user)];
        let variables = if user.is_empty() { &[][..] } else { &variables[..] };
        let test_home = home_with(&registry.url("/"), variables);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), ("ready", ""), "{challenge}: {login:#}");
        let served = test_home.authorization(&registry.url("/x"));
        assert_eq!(served.as_deref(), Some(header), "{challenge}");
    }
}

#[test]
fn a_rejected_password_without_a_user_asks_for_the_user() {
    let registry = PackageRegistry::start(&[]);
    registry.state().challenges = vec!["Basic realm=\"packages\"".to_owned()];
    let test_home = home_with(&registry.url("/"), &[]);
    let login = test_home.login("NPM");
    assert_eq!(found(&login), ("rejected", "refused"), "{login:#}");
    let (reason, hint) = (login["reason"].as_str().unwrap(), login["hint"].as_str().unwrap());
    assert!(reason.contains("it asks for a user, and none is set"), "{reason}");
    assert!(hint.contains("set NPM_PACKAGE_REGISTRY_USER to"), "{hint}");
    // The empty user is sent: some registries take a token so.
    assert_eq!(registry.received(), [("/".to_owned(), "Basic OnNlY3JldA==".to_owned())]);
}

#[test]
fn a_login_that_every_resource_forbids_is_sent_twice() {
    let registry = PackageRegistry::start(&[BEARER]);
    let all = ["/f/", "/f/-/whoami", "/f/simple/", "/f/config.json", "/f/info/refs"];
    registry.state().replies = all.map(|path| (path.to_owned(), (403, String::new()))).into();
    let test_home = home_with(&registry.url("/f/"), &[]);
    assert_eq!(found(&test_home.login("NPM")), ("unverified", "login-forbidden"));
    let paths: Vec<_> = registry.received().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, all[..2]);
}

#[test]
fn a_login_that_every_url_forbids_may_have_a_wrong_password() {
    let registry = PackageRegistry::start(&[BASIC, BEARER]);
    let rest = ["/f/-/whoami", "/f/simple/", "/f/config.json", "/f/info/refs"];
    let forbid = |first: u16| {
        let rest = rest.map(|path| (path.to_owned(), (403, String::new())));
        registry.state().replies = rest.into();
        registry.state().replies.insert("/f/".to_owned(), (first, String::new()));
    };
    for (user, said) in [("user", "user may not read"), ("", "it may not read")] {
        forbid(403);
        let variables = [("USER", user)];
        let variables = if user.is_empty() { &[][..] } else { &variables[..] };
        let test_home = home_with(&registry.url("/f/"), variables);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), ("unverified", "login-forbidden"), "{login:#}");
        assert_eq!(login["severity"], json!("remark"));
        let (reason, hint) = (login["reason"].as_str().unwrap(), login["hint"].as_str().unwrap());
        assert!(reason.contains("403") && reason.contains(said), "{reason}");
        assert!(hint.starts_with("set NPM_PACKAGE_REGISTRY_PASSWORD (from `start`) to"), "{hint}");
        assert!(!hint.contains("no action needed"), "{hint}");
    }
    // Another answer tells that the login is not forbidden everywhere.
    forbid(404);
    let test_home = home_with(&registry.url("/f/"), &[("USER", "user")]);
    assert_eq!(found(&test_home.login("NPM")), ("unverified", "not-decided"));
}

#[test]
fn a_url_at_which_nothing_answers_is_named() {
    let registry = PackageRegistry::start(&[BASIC]);
    registry.state().protected.clear();
    let resources = ["", "-/whoami", "simple/", "config.json", "info/refs"];
    for (path, missing, code) in [
        ("/f/", 5, "nothing-at-url"),
        ("/f/", 4, "not-asked"),
        // GitLab has nothing at this URL, and packages below it.
        ("/api/v4/", 5, "not-asked"),
    ] {
        let missing = resources[..missing].iter();
        let reply = |it: &&str| (format!("{path}{it}"), (404, String::new()));
        registry.state().replies = missing.map(reply).collect();
        let test_home = home_with(&registry.url(path), &[("USER", "user")]);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), ("unverified", code), "{path}: {login:#}");
        let hint = login["hint"].as_str().unwrap();
        let is_named = hint.starts_with("set NPM_PACKAGE_REGISTRY_SERVER (from `start`) to");
        assert_eq!(is_named, code == "nothing-at-url", "{hint}");
    }
}

/// The status and the location of a resource.
type Answer = Box<dyn Fn(&str) -> (u16, String)>;

#[test]
fn a_registry_that_redirects_everything_says_where_to() {
    let registry = PackageRegistry::start(&[BASIC]);
    registry.state().protected.clear();
    let resources = ["", "-/whoami", "simple/", "config.json", "info/refs"];
    let moved = |base: &'static str| move |it: &str| (302, format!("{base}{it}"));
    let page = |it: &str| (303, format!("https://sso.test/login?next=/f/{it}&token=secret"));
    let gone = |_: &str| (404, String::new());
    let no_answer = |_: &str| (200, String::new());
    let (new, away) = ("https://new.test/npm/", "redirects-away");
    for (first, rest, code, fix) in [
        (
            Box::new(moved(new)) as Answer,
            Box::new(moved(new)) as Answer,
            away,
            "to https://new.test/npm/ if the registry has moved there,",
        ),
        (Box::new(moved("/g/")), Box::new(moved("/g/")), away, "/g/ if the registry has moved"),
        (Box::new(gone), Box::new(moved(new)), away, "to https://new.test/npm/ if"),
        (Box::new(page), Box::new(page), away, "because https://sso.test/login is probably"),
        // A page for people, and packages below it.
        (Box::new(page), Box::new(gone), "not-asked", "no action"),
        (Box::new(page), Box::new(no_answer), "not-asked", "no action"),
        (Box::new(moved("/f")), Box::new(no_answer), "not-asked", "no action"),
    ] {
        let rest = resources[1..].iter().map(|it| (format!("/f/{it}"), rest(it)));
        registry.state().replies =
            [("/f/".to_owned(), first(""))].into_iter().chain(rest).collect();
        let test_home = home_with(&registry.url("/f/"), &[("USER", "user")]);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), ("unverified", code), "{login:#}");
        let hint = login["hint"].as_str().unwrap();
        assert!(hint.contains(fix), "{hint}");
        assert!(!login.to_string().contains("token="), "{login:#}");
        assert_eq!(test_home.authorization(&registry.url("/f/x")).as_deref(), Some(BASIC));
    }
    assert_eq!(registry.received(), [], "nothing is sent to a URL that redirects");
}

#[test]
fn a_page_for_people_at_the_url_of_a_repository_is_no_move() {
    let registry = PackageRegistry::start(&[]);
    registry.state().protected.clear();
    let repository = "/artifactory/api/maven/all/";
    let page = (302, "/ui/login".to_owned());
    registry.state().replies = [(repository.to_owned(), page)].into();
    let login = home_with(&registry.url(repository), &[("USER", "user")]).login("NPM");
    assert_eq!(found(&login), ("unverified", "not-asked"), "{login:#}");
}

#[test]
fn only_resources_of_formats_that_the_url_allows_are_asked_for() {
    let registry = PackageRegistry::start(&[]);
    registry.state().protected.clear();
    for (path, expected) in [
        ("/f/", &["", "-/whoami", "simple/", "config.json", "info/refs"][..]),
        ("/api/v4/", &["", "-/whoami", "simple/", "config.json"]),
        ("/api/v4/projects/7/packages/npm/", &["", "-/whoami"]),
        ("/artifactory/api/pypi/all/", &["", "simple/"]),
        ("/artifactory/api/maven/all/", &[""]),
    ] {
        registry.state().requests.clear();
        let test_home = home_with(&registry.url(path), &[]);
        assert_eq!(found(&test_home.login("NPM")), ("unverified", "not-asked"));
        let asked = registry.state().requests.clone();
        let asked: Vec<_> = asked.iter().map(|(it, _)| it.strip_prefix(path).unwrap()).collect();
        assert_eq!(asked, expected, "{path}");
    }
}

#[test]
fn a_registry_that_asks_everywhere_is_verified_by_the_one_resource_that_it_has() {
    let registry = PackageRegistry::start(&[BEARER]);
    let missing = ["/f/", "/f/-/whoami", "/f/simple/"];
    registry.state().replies = missing.map(|path| (path.to_owned(), (404, String::new()))).into();
    let test_home = home_with(&registry.url("/f/"), &[]);
    assert_eq!(test_home.login("NPM")["state"], "ready");
    let last = registry.received().pop().map(|(path, _)| path);
    assert_eq!(last.as_deref(), Some("/f/config.json"));
}

#[test]
fn a_fine_grained_token_for_github_packages_is_named() {
    let mut test_home = TestHome::new();
    let config = test_home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, "verify = false\n").unwrap();
    for (name, server) in
        [("NPM", "https://npm.pkg.github.com/"), ("MAVEN", "https://maven.pkg.github.com/acme/")]
    {
        let set = [("SERVER", server), ("USER", "octo"), ("PASSWORD", "github_pat_11AA")];
        test_home.declare_packages(name, &set);
    }
    test_home.start();
    for (name, host) in [("NPM", "npm.pkg.github.com"), ("MAVEN", "maven.pkg.github.com")] {
        let remark = test_home.login(name)["remarks"][0].clone();
        assert_eq!(remark["code"], "fine-grained-token", "{remark}");
        let text = remark["text"].as_str().unwrap();
        let expected = format!("is a fine-grained GitHub token, which {host} does not accept");
        assert!(text.contains(&expected) && text.contains("_PACKAGE_REGISTRY_PASSWORD"), "{text}");
    }
}

#[test]
fn a_scheme_outlives_the_agent_that_learnt_it() {
    let registry = PackageRegistry::start(&["secret"]);
    registry.state().challenges = vec!["Cargo".to_owned()];
    let test_home = home_with(&registry.url("/"), &[]);
    assert_eq!(found(&test_home.login("NPM")), ("ready", ""));
    registry.state().requests.clear();
    kill_9(&only_pair(&test_home.lock()).agent);
    let served = test_home.authorization(&registry.url("/x"));
    assert_eq!(served.as_deref(), Some("secret"));
    assert_eq!(registry.received(), []);
}

#[test]
fn a_rejection_names_the_scheme_that_the_registry_asks_for() {
    for (challenges, scheme, code, fix) in [
        (
            &["Basic realm=\"a\""][..],
            "raw",
            "refused-scheme",
            "NPM_PACKAGE_REGISTRY_SCHEME (from `start`) to basic",
        ),
        (
            &["Cargo"][..],
            "bearer",
            "refused-scheme",
            "NPM_PACKAGE_REGISTRY_SCHEME (from `start`) to raw",
        ),
        (&[][..], "bearer", "refused", "NPM_PACKAGE_REGISTRY_SCHEME"),
        (&["Bearer"][..], "bearer", "refused", "NPM_PACKAGE_REGISTRY_PASSWORD"),
    ] {
        let registry = PackageRegistry::start(&[]);
        registry.state().challenges = challenges.iter().map(|it| (*it).to_owned()).collect();
        let test_home = home_with(&registry.url("/"), &[("SCHEME", scheme)]);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), ("rejected", code), "{challenges:?}: {login:#}");
        let hint = login["hint"].as_str().unwrap();
        assert!(hint.contains(fix), "{challenges:?}: {hint}");
    }
}

#[test]
fn a_failing_resource_is_reported_unless_a_later_one_tells() {
    let registry = PackageRegistry::start(&[BEARER]);
    for (status, protected, expected) in [
        (429, "/elsewhere", ("rate-limited", "rate-limited")),
        (503, "/elsewhere", ("unreachable", "registry-failing")),
        (503, "/f/simple/", ("ready", "")),
        (501, "/elsewhere", ("unverified", "not-asked")),
    ] {
        registry.state().protected = vec![protected.to_owned()];
        registry.state().replies = [("/f/-/whoami".to_owned(), (status, String::new()))].into();
        let test_home = home_with(&registry.url("/f/"), &[]);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), expected, "{status} {protected}: {login:#}");
        let is_due = !login["next_refresh_at"].is_null();
        assert_eq!(is_due, expected.0 != "ready" && expected.0 != "unverified", "{login:#}");
        assert_eq!(test_home.authorization(&registry.url("/f/x")).as_deref(), Some(BEARER));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_no_answer() {
    let answer = |request: &ReceivedRequest| {
        if request.line.ends_with("whoami") { Vec::new() } else { reply(200, &[], "") }
    };
    let registry = ScriptedRegistry::start("127.0.0.1:0", None, answer).await;
    let test_home = home_with(&format!("http://{}/", registry.address), &[]);
    assert_eq!(found(&test_home.login("NPM")), ("unreachable", "broken-off"));
}

#[test]
fn an_unsupported_scheme_is_named_and_gets_no_login() {
    let registry = PackageRegistry::start(&[BASIC]);
    for (challenge, code, said) in [
        ("Negotiate", "scheme-not-supported", "Negotiate"),
        ("x-secret-scheme", "scheme-not-supported", "does not support"),
        ("Basic realm=\"unterminated", "not-decided", "401"),
    ] {
        registry.state().challenges = vec![challenge.to_owned()];
        let test_home = home_with(&registry.url("/"), &[]);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), ("unverified", code), "{challenge}: {login:#}");
        assert_eq!(login["severity"], json!("remark"));
        let reason = login["reason"].as_str().unwrap();
        assert!(reason.contains(said) && !reason.contains("x-secret"), "{reason}");
    }
    assert_eq!(registry.received(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fix_for_the_transport_keeps_the_path_of_the_url() {
    // A port that is closed.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = PackageRegistry::start(&[BEARER]);
    let plain = registry.url("/feed/");
    let target = "https://127.0.0.1:2/elsewhere";
    registry.state().replies = [("/feed/".to_owned(), (301, target.to_owned()))].into();
    registry.state().protected.clear();
    let garbage = ScriptedRegistry::start("127.0.0.1:0", None, |_: &ReceivedRequest| {
        b"this is not HTTP\r\n\r\n".to_vec()
    })
    .await;
    for (url, code, fix, said) in [
        (
            plain.replace("http:", "https:"),
            "not-tls",
            format!("to {plain} (only if passwords may cross this network unencrypted)"),
            "does not speak TLS",
        ),
        (
            plain.clone(),
            "speaks-tls",
            "to https://127.0.0.1:2/feed/,".to_owned(),
            "127.0.0.1:2 speaks TLS",
        ),
        (
            format!("http://{closed}/feed/"),
            "connection-refused",
            "to the registry's URL".to_owned(),
            "refused",
        ),
        (
            format!("http://{}/feed/", garbage.address),
            "not-http",
            "to the URL of a package registry".to_owned(),
            "not HTTP",
        ),
    ] {
        let test_home = home_with(&url, &[]);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), ("unreachable", code), "{url}: {login:#}");
        let (hint, reason) = (login["hint"].as_str().unwrap(), login["reason"].as_str().unwrap());
        assert!(hint.contains(&fix), "{url}: {hint}");
        assert!(reason.contains(said), "{url}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_speaks_tls_is_named_however_it_ends_a_request_in_plain_text() {
    let tls = Authority::new("packages").sign(&["localhost"]).acceptor();
    let ok = |_: &ReceivedRequest| reply(200, &[], "{}");
    let alerting = ScriptedRegistry::start("127.0.0.1:0", Some(tls), ok).await;
    for port in [alerting.address.port(), closing_port()] {
        let test_home = home_with(&format!("http://localhost:{port}/feed/"), &[]);
        let login = test_home.login("NPM");
        assert_eq!(found(&login), ("unreachable", "speaks-tls"), "{login:#}");
        let hint = login["hint"].as_str().unwrap();
        assert!(hint.contains(&format!("to https://localhost:{port}/feed/")), "{hint}");
    }
    assert_eq!(alerting.heard(), [], "no login was sent");
}

/// A port that answers a TLS handshake, and closes any other connection.
fn closing_port() -> u16 {
    const HANDSHAKE: u8 = 0x16;
    const HANDSHAKE_FAILURE: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut sent) = (stream.unwrap(), [0; 4096]);
            let length = stream.read(&mut sent).unwrap_or_default();
            if sent[..length].first() == Some(&HANDSHAKE) {
                let _ = stream.write_all(&HANDSHAKE_FAILURE);
            }
        }
    });
    port
}
