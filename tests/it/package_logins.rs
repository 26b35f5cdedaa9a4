//! Logins of package registries: declared beside those of container registries, verified, and served by
//! URL.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::support::package_registry::PackageRegistry;
use crate::support::processes::wait_until;
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, succeed};

/// `user:secret`
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";
const BEARER: &str = "Bearer secret";

/// An agent with the login of `user` for this URL.
fn home_with(url: &str) -> TestHome {
    let mut test_home = TestHome::new();
    test_home.declare_packages("NPM", &[("SERVER", url), ("USER", "user"), ("PASSWORD", "secret")]);
    test_home.start();
    test_home
}

#[test]
fn a_login_is_verified_and_served_for_every_url_below_its_own() {
    let registry = PackageRegistry::start(&[BASIC]);
    let test_home = home_with(&registry.url("/npm/feed"));
    let login = test_home.login("NPM");
    assert_eq!((&login["state"], &login["family"]), (&json!("ready"), &json!("package")));
    assert_eq!(login["kind"], "packages");
    assert_eq!(
        (&login["server"], &login["keys"]),
        (&json!(registry.url("/npm/feed/")), &json!([]))
    );
    let (status, body) = test_home.package_credential(&registry.url("/npm/feed/@a%2fb/-/x.tgz?y"));
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({
            "url_prefix": registry.url("/npm/feed/"), "server": registry.url("/npm/feed/"),
            "scheme": "basic", "username": "user", "secret": "secret", "authorization": BASIC,
            "expires_at": null, "usable_until": null,
        })
    );
    for url in ["/npm/feeds/", "/npm", "/npm/feed%2f", "/"] {
        let (status, body) = test_home.package_credential(&registry.url(url));
        assert_eq!((status, &body["code"]), (404, &json!("unknown-registry")), "{url}");
    }
    assert_eq!(test_home.exit_of(&["status"]), 0);
}

#[test]
fn of_several_logins_the_one_with_the_longest_url_answers() {
    let registry = PackageRegistry::start(&["Bearer a", "Bearer b", "Bearer c"]);
    let mut test_home = TestHome::new();
    for (name, path, token) in [("A", "/", "a"), ("B", "/team/", "b"), ("C", "/team/feed/", "c")] {
        let url = registry.url(path);
        test_home.declare_packages(name, &[("SERVER", &url), ("PASSWORD", token)]);
    }
    test_home.start_agent();
    for (path, header) in [
        ("/x", "Bearer a"),
        ("/teams/x", "Bearer a"),
        ("/team", "Bearer b"),
        ("/team/feeds", "Bearer b"),
        ("/team/feed/x", "Bearer c"),
    ] {
        assert_eq!(test_home.authorization(&registry.url(path)).as_deref(), Some(header), "{path}");
    }
}

#[test]
fn each_scheme_is_verified_and_served() {
    let registry = PackageRegistry::start(&[BASIC, BEARER, "Token abc"]);
    let mut test_home = TestHome::new();
    for (name, variables) in [
        ("BASIC", &[("USER", "user"), ("PASSWORD", "secret")][..]),
        ("BEARER", &[("PASSWORD", "secret")][..]),
        ("FORCED", &[("USER", "user"), ("PASSWORD", "secret"), ("SCHEME", "Bearer")][..]),
        ("RAW", &[("PASSWORD", "Token abc"), ("SCHEME", "raw")][..]),
    ] {
        let url = registry.url(&format!("/{name}/"));
        test_home.declare_packages(name, &[("SERVER", url.as_str())]);
        test_home.declare_packages(name, variables);
    }
    test_home.start_agent();
    for (name, scheme, header) in [
        ("BASIC", "basic", BASIC),
        ("BEARER", "bearer", BEARER),
        ("FORCED", "bearer", BEARER),
        ("RAW", "raw", "Token abc"),
    ] {
        assert_eq!(test_home.login(name)["state"], "ready", "{name}");
        let (_, body) = test_home.package_credential(&registry.url(&format!("/{name}/x")));
        assert_eq!((&body["scheme"], &body["authorization"]), (&json!(scheme), &json!(header)));
    }
    let (_, body) = test_home.package_credential(&registry.url("/BEARER/"));
    assert_eq!(body["username"], json!(null));
}

#[test]
fn a_rejected_login_is_withheld_and_named() {
    let registry = PackageRegistry::start(&[BEARER]);
    let test_home = home_with(&registry.url("/"));
    let login = test_home.login("NPM");
    assert_eq!((&login["state"], &login["code"]), (&json!("rejected"), &json!("refused")));
    let hint = login["hint"].as_str().unwrap();
    assert!(hint.contains("NPM_PACKAGE_REGISTRY_PASSWORD"), "{hint}");
    let (status, body) = test_home.package_credential(&registry.url("/x"));
    assert_eq!((status, &body["code"]), (404, &json!("credential-withheld")), "{body}");
    assert!(!body.to_string().contains("secret\""), "{body}");
    // It is sent once.
    assert_eq!(registry.received(), [("/".to_owned(), BASIC.to_owned())]);
    assert_eq!(test_home.exit_of(&["status"]), 3);

    registry.state().accepted.push(BASIC.to_owned());
    assert_eq!(test_home.exit_of(&["refresh", "NPM"]), 0);
    assert_eq!(test_home.authorization(&registry.url("/x")).as_deref(), Some(BASIC));
}

#[test]
fn a_login_is_not_sent_where_it_is_not_asked_for() {
    let registry = PackageRegistry::start(&[BASIC]);
    for (challenges, protected) in [
        (vec!["Basic realm=\"a\""], "/elsewhere"),
        (vec!["Basic realm=\"unterminated"], "/elsewhere"),
    ] {
        registry.state().challenges = challenges.iter().map(|it| (*it).to_owned()).collect();
        registry.state().protected = vec![protected.to_owned()];
        let test_home = home_with(&registry.url("/feed/"));
        let login = test_home.login("NPM");
        assert_eq!(login["state"], "unverified", "{challenges:?}: {login:#}");
        assert_eq!((&login["code"], &login["severity"]), (&json!("not-asked"), &json!("remark")));
        assert_eq!(test_home.authorization(&registry.url("/feed/")).as_deref(), Some(BASIC));
    }
    assert_eq!(registry.received(), []);
}

#[test]
fn the_resource_that_asks_for_a_login_verifies_it() {
    let registry = PackageRegistry::start(&[BASIC]);
    for (protected, found, state) in [
        ("/f/-/whoami", true, "ready"),
        ("/f/simple/", true, "ready"),
        ("/f/config.json", true, "ready"),
        ("/f/info/refs", true, "ready"),
        ("/f/simple/", false, "unverified"),
    ] {
        let reply = (if found { 200 } else { 404 }, String::new());
        registry.state().protected = vec![protected.to_owned()];
        registry.state().replies = [(protected.to_owned(), reply)].into();
        registry.state().requests.clear();
        let test_home = home_with(&registry.url("/f/"));
        let login = test_home.login("NPM");
        assert_eq!(login["state"], state, "{protected}: {login:#}");
        assert_eq!(registry.received(), [(protected.to_owned(), BASIC.to_owned())]);
    }
}

#[test]
fn no_redirect_is_followed_with_a_login_and_none_leads_to_a_plain_login() {
    let evil = PackageRegistry::start(&[]);
    let registry = PackageRegistry::start(&[BASIC]);
    registry.state().replies = [("/a/".to_owned(), (302, evil.url("/stolen")))].into();
    let test_home = home_with(&registry.url("/a/"));
    // The other resources answer.
    assert_eq!(test_home.login("NPM")["state"], "ready");
    drop(test_home);

    registry.state().protected.clear();
    let test_home = home_with(&registry.url("/a/"));
    assert_eq!(test_home.login("NPM")["state"], "unverified");
    drop(test_home);
    assert_eq!(evil.state().requests, []);

    let secure = registry.url("/a/").replace("http://", "https://");
    registry.state().replies = [("/a/".to_owned(), (301, secure))].into();
    registry.state().requests.clear();
    let test_home = home_with(&registry.url("/a/"));
    let login = test_home.login("NPM");
    assert_eq!((&login["state"], &login["code"]), (&json!("unreachable"), &json!("speaks-tls")));
    assert_eq!(registry.received(), []);
}

#[test]
fn one_name_may_declare_a_container_registry_and_a_package_registry() {
    let container = Registry::start(&Auth::Htpasswd(&[("user", "secret")]), None);
    let packages = PackageRegistry::start(&["Basic dXNlcjpwYWNrYWdlcw=="]);
    let mut test_home = TestHome::new();
    test_home.start();
    test_home.declare("ACME", &container.server(), ("user", "secret"));
    let url = packages.url("/");
    let login = [("SERVER", url.as_str()), ("USER", "user"), ("PASSWORD", "packages")];
    test_home.declare_packages("ACME", &login);
    assert_eq!(test_home.sync(), "added ACME");
    assert_eq!(test_home.exit_of(&["wait"]), 0);
    assert_eq!(test_home.status()["registries"].as_array().unwrap().len(), 2);
    assert_eq!(test_home.exit_of(&["wait", "ACME"]), 0);

    let refreshed = succeed(&mut test_home.agent(&["refresh", "ACME", "--json"]));
    let refreshed: serde_json::Value = serde_json::from_slice(&refreshed.stdout).unwrap();
    assert_eq!(refreshed.as_array().unwrap().len(), 2, "{refreshed:#}");

    let checked = succeed(&mut test_home.agent(&["check", "ACME"]));
    let text = output_text(&checked);
    assert!(text.contains(&url) && text.contains(&container.server()), "{text}");

    assert_eq!(test_home.sync(), "nothing changed");
    for (name, value) in login {
        test_home.unset(&format!("ACME_PACKAGE_REGISTRY_{name}"));
        if name != "SERVER" {
            test_home.set(&format!("ACME_PACKAGE_REGISTRY_{name}"), value);
        }
    }
    // The set of packages is incomplete now, and that of containers is not.
    let sync = test_home.with_declared(test_home.agent(&["sync"])).output().unwrap();
    assert_eq!(sync.status.code(), Some(1), "{}", output_text(&sync));
    let said = output_text(&sync);
    assert!(said.contains("ACME_PACKAGE_REGISTRY_SERVER"), "{said}");
    assert_eq!(test_home.status()["registries"].as_array().unwrap().len(), 2, "{said}");
}

#[test]
fn a_problem_with_one_set_of_a_name_is_not_taken_for_one_of_the_other() {
    let container = Registry::start(&Auth::Htpasswd(&[("user", "secret")]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &container.server(), ("user", "secret"));
    let broken = [("SERVER", "https://h.test/?x"), ("USER", "user"), ("PASSWORD", "canary")];
    test_home.declare_packages("ACME", &broken);
    test_home.start();
    test_home.login("ACME");
    let checked = test_home.agent(&["check", "ACME"]).output().unwrap();
    let text = output_text(&checked);
    assert_eq!(checked.status.code(), Some(1), "{text}");
    assert!(text.contains("ACME_PACKAGE_REGISTRY_SERVER") && text.contains("query"), "{text}");
    assert!(text.contains("clients receive the login"), "{text}");
}

#[test]
fn a_client_of_one_family_never_gets_a_login_of_the_other() {
    let container = Registry::start(&Auth::Htpasswd(&[("user", "secret")]), None);
    let packages = PackageRegistry::start(&[BASIC]);
    let mut test_home = home_with(&packages.url("/"));
    test_home.declare("ACME", &container.server(), ("user", "secret"));
    test_home.sync();
    test_home.login("ACME");
    let host = packages.url("/").trim_start_matches("http://").trim_end_matches('/').to_owned();
    for server in [packages.url("/"), packages.url(""), host.clone(), format!("{host}/v2/")] {
        assert_eq!(test_home.credential(&server), None, "{server}");
    }
    for url in [format!("http://{}/", container.server()), container.server()] {
        assert_eq!(test_home.authorization(&url), None, "{url}");
    }
    let listed = output_text(&test_home.helper("list", ""));
    assert!(listed.contains(&container.server()) && !listed.contains(&host), "{listed}");
    let file = std::fs::read_to_string(test_home.path(".docker/config.json")).unwrap();
    assert!(file.contains(&container.server()) && !file.contains(&host), "{file}");
    let exported = succeed(&mut test_home.agent(&["export", "docker-config"]));
    let exported = output_text(&exported);
    assert!(exported.contains(&container.server()) && !exported.contains(&host), "{exported}");
    assert_eq!(test_home.exit_of(&["export", "docker-config", "NPM"]), 1);
}

#[test]
fn plain_logins_in_the_docker_configuration_are_those_of_container_registries() {
    let container = Registry::start(&Auth::Htpasswd(&[("user", "secret")]), None);
    let packages = PackageRegistry::start(&[BASIC]);
    let mut test_home = TestHome::new();
    let directory = test_home.path(".config/registry-agent");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), "mode = \"auths\"\n").unwrap();
    test_home.declare("ACME", &container.server(), ("user", "secret"));
    let url = packages.url("/");
    let login = [("SERVER", url.as_str()), ("USER", "user"), ("PASSWORD", "secret")];
    test_home.declare_packages("NPM", &login);
    test_home.start_agent();
    // The file is written after the registry has accepted the login.
    let file = || std::fs::read_to_string(test_home.path(".docker/config.json"));
    wait_until("no login is written", || file().is_ok_and(|it| it.contains("\"auth\"")));
    let auths: serde_json::Value = serde_json::from_str(&file().unwrap()).unwrap();
    let keys: Vec<&String> = auths["auths"].as_object().unwrap().keys().collect();
    assert_eq!(keys, [&container.server()]);
}

#[test]
fn check_walks_a_package_login_by_its_name_and_by_a_url_below_it() {
    let registry = PackageRegistry::start(&[BASIC]);
    let test_home = home_with(&registry.url("/feed/"));
    for what in ["NPM", &registry.url("/feed/"), &registry.url("/feed/x/y")] {
        let checked = succeed(&mut test_home.agent(&["check", what]));
        let text = output_text(&checked);
        assert!(text.contains("package clients receive the login"), "{text}");
        assert!(!text.contains("docker"), "{text}");
    }
}

#[test]
fn an_export_without_a_container_registry_says_so() {
    let registry = PackageRegistry::start(&[BASIC]);
    let test_home = home_with(&registry.url("/"));
    for format in ["docker-config", "kubernetes-secret"] {
        let exported = test_home.agent(&["export", format]).output().unwrap();
        let text = output_text(&exported);
        assert_eq!(exported.status.code(), Some(1), "{text}");
        assert!(text.contains("no container registry is declared"), "{text}");
        assert_eq!(exported.stdout, b"");
    }
}

#[test]
fn check_understands_the_url_of_a_package_registry_that_no_login_covers() {
    let registry = PackageRegistry::start(&[BASIC]);
    let test_home = home_with(&registry.url("/feed/"));
    for (url, meant) in [
        ("https://npm.pkg.github.com/@org/pkg".to_owned(), None),
        ("http://127.0.0.1:1/zzz/".to_owned(), None),
        (registry.url("/feed/x").replace("http:", "https:"), Some("/feed/x/")),
        (registry.url("/feed").replace("127.0.0.1", "localhost"), Some("/feed/")),
        (registry.url("/other/"), Some("/feed/")),
        (registry.url("/feeds/x"), Some("/feed/")),
    ] {
        let meant = meant.map(|path| registry.url(path));
        let checked = test_home.agent(&["check", &url, "--json"]).output().unwrap();
        let text = output_text(&checked);
        assert_eq!(checked.status.code(), Some(1), "{text}");
        assert!(text.contains("server-not-declared") && !text.contains("image"), "{text}");
        assert!(text.contains("_PACKAGE_REGISTRY_SERVER"), "{text}");
        assert!(!text.contains("_CONTAINER_"), "{text}");
        // Another port is another server.
        assert_eq!(text.contains("did you mean"), meant.is_some(), "{text}");
        let Some(meant) = meant else { continue };
        assert!(text.contains(&format!("did you mean {meant}?")), "{text}");
        assert!(text.contains("; NPM is nearest, with the "), "{text}");
        let declared = registry.url("/feed/");
        let fix = format!("set NPM_PACKAGE_REGISTRY_SERVER, which is {declared}, to http");
        assert!(text.contains(&fix), "{text}");
        assert!(text.contains(&format!("run `registry-agent check {meant}`")), "{text}");
    }
    let above = test_home.agent(&["check", &registry.url("/")]).output().unwrap();
    let text = output_text(&above);
    assert!(text.contains("; NPM is below it") && !text.contains("_CONTAINER_"), "{text}");
    let checked = succeed(&mut test_home.agent(&["check", "NPM"]));
    let text = output_text(&checked);
    assert!(text.contains("answers over HTTP") && !text.contains("as a registry"), "{text}");
}

#[test]
fn a_name_of_two_families_is_the_container_registry_unless_the_family_is_given() {
    let packages = PackageRegistry::start(&[BASIC]);
    let containers = Registry::start(&Auth::Htpasswd(&[("user", "secret")]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &containers.server(), ("user", "secret"));
    let url = packages.url("/npm/");
    let set = [("SERVER", url.as_str()), ("USER", "user"), ("PASSWORD", "secret")];
    test_home.declare_packages("ACME", &set);
    test_home.start_agent();
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let host = packages.url("").replace("http://", "");
    for (asked, found) in [
        ("ACME".to_owned(), Some(containers.server())),
        ("ACME?family=container".to_owned(), Some(containers.server())),
        ("ACME?family=package".to_owned(), Some(url.clone())),
        (encoded(&url), Some(url.clone())),
        (encoded(&packages.url("/npm")), Some(url.clone())),
        (encoded(&url) + "?family=package", Some(url.clone())),
        (encoded(&url) + "?family=container", None),
        (encoded(&containers.server()) + "?family=package", None),
        (encoded(&host) + "?family=package", None),
    ] {
        let (status, body) = test_home.get(&format!("/v1/registries/{asked}"));
        assert_eq!(
            (status == 200).then(|| body["server"].clone()),
            found.map(|it| json!(it)),
            "{asked}"
        );
    }
    let (status, _) = test_home.get("/v1/registries/ACME?family=other");
    assert_eq!(status, 400);
}

#[test]
fn what_surrounds_the_url_of_a_server_is_named_and_the_fix_has_the_url_alone() {
    for (server, said) in [
        ("'https://h.test/npm/'", "quotation marks"),
        ("\"sparse+https://h.test/npm/\"", "quotation marks"),
        ("sparse+https://h.test/npm/", "sparse+"),
        ("https://user:hidden@h.test/npm/", "a user name or password"),
    ] {
        let test_home = home_with(server);
        let problem = test_home.status()["problems"][0].clone();
        assert_eq!(problem["code"], "server-not-understood", "{problem:#}");
        assert!(problem["problem"].as_str().unwrap().contains(said), "{problem:#}");
        let hint = problem["hint"].as_str().unwrap();
        assert!(hint.contains("set NPM_PACKAGE_REGISTRY_SERVER to https://h.test/npm/,"), "{hint}");
        assert!(!problem.to_string().contains("hidden"), "{problem:#}");
    }
}

#[test]
fn check_takes_a_url_as_it_is_in_a_project() {
    let registry = PackageRegistry::start(&[BASIC]);
    let url = registry.url("/feed/").replace("127.0.0.1", "localhost");
    let test_home = home_with(&url);
    let with_login = url.replace("://", "://user:hidden@");
    for what in [
        &format!("sparse+{url}"),
        &format!("registry+{url}"),
        &format!("git+{url}app.git@v1#egg=app"),
        &format!("{url}app.git@v1"),
        &format!("\"{url}\""),
        &with_login,
        &format!("{with_login}x/y"),
        "NPM",
    ] {
        let text = output_text(&succeed(&mut test_home.agent(&["check", what])));
        assert!(text.contains("package clients receive the login"), "{what}: {text}");
        assert!(text.contains("the name localhost resolves"), "{what}: {text}");
        assert!(!text.contains("hidden"), "{text}");
    }
    let other = with_login.replace("/feed/", "/other/");
    let checked = test_home.agent(&["check", &other]).output().unwrap();
    let text = output_text(&checked);
    assert!(text.contains("did you mean") && !text.contains("hidden"), "{text}");
    for user in ["bob", "bob:hidden", "us%65rs"] {
        let other = url.replace("://", &format!("://{user}@"));
        let checked = test_home.agent(&["check", &other]).output().unwrap();
        let text = output_text(&checked);
        assert_eq!(checked.status.code(), Some(1), "{text}");
        assert!(text.contains("login-of-another-user") && text.contains("user@"), "{text}");
        assert!(!text.contains("bob") && !text.contains("hidden"), "{text}");
    }
}

#[test]
fn a_misspelt_user_is_named_where_none_is_needed() {
    let registry = PackageRegistry::start(&[]);
    registry.state().challenges = vec!["Bearer".to_owned()];
    let mut test_home = TestHome::new();
    let url = registry.url("/");
    let set = [("SERVER", url.as_str()), ("USERNAME", "user"), ("PASSWORD", "secret")];
    test_home.declare_packages("NPM", &set);
    test_home.start();
    let problem = test_home.status()["problems"][0].clone();
    assert_eq!(problem["code"], "spelling-ignored", "{problem:#}");
    assert_eq!(problem["severity"], "remark", "{problem:#}");
    let hint = problem["hint"].as_str().unwrap();
    let rename = "rename NPM_PACKAGE_REGISTRY_USERNAME to NPM_PACKAGE_REGISTRY_USER";
    assert!(hint.starts_with(rename), "{hint}");
    // The password of a user may have been taken for a token.
    let login = test_home.login("NPM");
    assert_eq!(login["state"], "rejected", "{login:#}");
    let hint = login["hint"].as_str().unwrap();
    assert!(hint.ends_with("set NPM_PACKAGE_REGISTRY_USER to the user"), "{hint}");
}

#[test]
fn the_variables_of_both_families_are_named_where_nothing_is_declared() {
    let test_home = TestHome::new();
    test_home.start();
    for arguments in [&["status"][..], &["sync"], &["check"], &["check", "ACME"]] {
        let text = output_text(&test_home.agent(arguments).output().unwrap());
        assert!(text.contains("_CONTAINER_REGISTRY_"), "{arguments:?}: {text}");
        assert!(text.contains("_PACKAGE_REGISTRY_"), "{arguments:?}: {text}");
    }
}
