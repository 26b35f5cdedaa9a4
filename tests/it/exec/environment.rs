//! The variables that `exec` sets, by the conventions of the clients.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_agent::domain::credentials::authorization::AuthScheme;
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::package_clients::client_login::ClientLogin;
use registry_agent::domain::package_clients::environment::ClientEnvironment;
use registry_agent::domain::servers::package_server::PackageServer;

const CODE_ARTIFACT: &str = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/";

fn login(name: &str, url: &str, scheme: AuthScheme, user: &str, secret: &str) -> ClientLogin {
    let server = PackageServer::parse(url).unwrap();
    let credential = Credential::plain(user, secret.into());
    ClientLogin { name: name.to_owned(), server, scheme, credential }
}

fn environment(logins: &[ClientLogin]) -> ClientEnvironment {
    ClientEnvironment::of(logins, |_| None)
}

fn set(logins: &[ClientLogin]) -> BTreeMap<String, String> {
    let set = environment(logins).set.into_iter();
    set.map(|(name, value)| (name, value.reveal().to_owned())).collect()
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_registry_of_any_format_sets_the_variables_of_every_client() {
    let url = "https://nexus.example.com/repository/my-packages/";
    let found = set(&[login("ACME_EU", url, AuthScheme::Basic, "ci", "p:w@+")]);
    let auth = STANDARD.encode("ci:p:w@+");
    let composer = r#"{"http-basic":{"nexus.example.com":{"username":"ci","password":"p:w@+"}}}"#;
    assert_eq!(
        found,
        expected(&[
            ("BUNDLE_HTTPS://NEXUS__EXAMPLE__COM/REPOSITORY/MY___PACKAGES/", "ci:p%3Aw%40%2B"),
            ("COMPOSER_AUTH", composer),
            ("NuGetPackageSourceCredentials_ACME_EU", "Username=ci;Password=p:w@+"),
            ("ORG_GRADLE_PROJECT_acmeEuPassword", "p:w@+"),
            ("ORG_GRADLE_PROJECT_acmeEuUsername", "ci"),
            ("REGISTRY_AGENT_ACME_EU_PASSWORD", "p:w@+"),
            ("REGISTRY_AGENT_ACME_EU_USER", "ci"),
            ("npm_config_//nexus.example.com/repository/my-packages/:_auth", &auth),
        ])
    );
}

#[test]
fn a_token_is_sent_as_one() {
    let found =
        set(&[login("ACME", "https://packages.example.com:8443", AuthScheme::Bearer, "", "t0k")]);
    assert_eq!(
        found,
        expected(&[
            ("COMPOSER_AUTH", r#"{"bearer":{"packages.example.com:8443":"t0k"}}"#),
            ("ORG_GRADLE_PROJECT_acmeAuthHeaderName", "Authorization"),
            ("ORG_GRADLE_PROJECT_acmeAuthHeaderValue", "Bearer t0k"),
            ("REGISTRY_AGENT_ACME_PASSWORD", "t0k"),
            ("npm_config_//packages.example.com:8443/:_authToken", "t0k"),
        ])
    );
    let found = set(&[login("ACME", "https://packages.example.com", AuthScheme::Raw, "", "t0k")]);
    assert_eq!(
        found,
        expected(&[
            ("ORG_GRADLE_PROJECT_acmeAuthHeaderName", "Authorization"),
            ("ORG_GRADLE_PROJECT_acmeAuthHeaderValue", "t0k"),
            ("REGISTRY_AGENT_ACME_PASSWORD", "t0k"),
        ])
    );
}

#[test]
fn a_registry_of_one_format_sets_the_variables_of_its_clients_alone() {
    let own = |url: &str, scheme| {
        let found = set(&[login("GH", url, scheme, "octo", "t0k")]).into_keys();
        found.filter(|name| !name.starts_with("REGISTRY_AGENT_")).collect::<Vec<_>>()
    };
    for (url, scheme, names) in [
        (
            "https://npm.pkg.github.com/",
            AuthScheme::Bearer,
            &["npm_config_//npm.pkg.github.com/:_authToken"][..],
        ),
        (
            "https://rubygems.pkg.github.com/",
            AuthScheme::Basic,
            &["BUNDLE_RUBYGEMS__PKG__GITHUB__COM"],
        ),
        (
            "https://rubygems.pkg.github.com/acme/",
            AuthScheme::Basic,
            &["BUNDLE_HTTPS://RUBYGEMS__PKG__GITHUB__COM/ACME/"],
        ),
        (
            "https://nuget.pkg.github.com/acme/",
            AuthScheme::Basic,
            &["NuGetPackageSourceCredentials_GH"],
        ),
        (
            "https://maven.pkg.github.com/acme/",
            AuthScheme::Basic,
            &["ORG_GRADLE_PROJECT_ghPassword", "ORG_GRADLE_PROJECT_ghUsername"],
        ),
        ("https://us-python.pkg.dev/project/repository/", AuthScheme::Basic, &[]),
    ] {
        assert_eq!(own(url, scheme), names, "{url}");
    }
}

#[test]
fn a_token_of_code_artifact_has_the_name_that_aws_gives_it_and_npm_sends_it_as_one() {
    let found = set(&[login("WORK", CODE_ARTIFACT, AuthScheme::Basic, "aws", "t0k")]);
    let host = "acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com";
    assert_eq!(found["CODEARTIFACT_AUTH_TOKEN"], "t0k");
    assert_eq!(found[&format!("npm_config_//{host}/:_authToken")], "t0k");
    let host = "ACME___111122223333__D__CODEARTIFACT__EU___WEST___1__AMAZONAWS__COM";
    assert_eq!(found[&format!("BUNDLE_{host}")], "aws:t0k");
    assert_eq!(found["ORG_GRADLE_PROJECT_workUsername"], "aws");
}

#[test]
fn bundler_gets_a_login_by_host_only_where_no_other_port_or_scheme_could_take_it() {
    for (url, name) in [
        ("https://gems.example.com/", "BUNDLE_GEMS__EXAMPLE__COM"),
        ("https://gems.example.com:8443/", "BUNDLE_HTTPS://GEMS__EXAMPLE__COM:8443/"),
        ("http://gems.example.com/", "BUNDLE_HTTP://GEMS__EXAMPLE__COM/"),
    ] {
        let found = set(&[login("A", url, AuthScheme::Basic, "ci", "t0k")]);
        assert_eq!(found.get(name).map(String::as_str), Some("ci:t0k"), "{url}: {found:?}");
    }
}

#[test]
fn a_variable_that_two_logins_need_is_set_for_neither() {
    let basic = |name, url, secret| login(name, url, AuthScheme::Basic, "ci", secret);
    let (one, other) = ("https://nexus.example.com/one/", "https://nexus.example.com/other/");
    let found = environment(&[basic("ONE", one, "1"), basic("OTHER", other, "2")]);
    assert_eq!(found.ambiguous.iter().collect::<Vec<_>>(), ["COMPOSER_AUTH"]);
    assert!(!found.set.contains_key("COMPOSER_AUTH"));
    assert!(found.set.contains_key("REGISTRY_AGENT_ONE_PASSWORD"));
    assert!(found.set.contains_key("REGISTRY_AGENT_OTHER_PASSWORD"));

    let second = CODE_ARTIFACT.replace("acme-", "second-");
    for (secret, set) in [("1", true), ("2", false)] {
        let found =
            environment(&[basic("ONE", CODE_ARTIFACT, "1"), basic("OTHER", &second, secret)]);
        assert_eq!(found.set.contains_key("CODEARTIFACT_AUTH_TOKEN"), set, "{found:?}");
        assert_eq!(found.ambiguous.contains("CODEARTIFACT_AUTH_TOKEN"), !set, "{found:?}");
    }

    let hosts = environment(&[
        basic("ONE", "https://one.example.com/", "1"),
        login("OTHER", "https://other.example.com/", AuthScheme::Bearer, "", "2"),
    ]);
    let composer: serde_json::Value =
        serde_json::from_str(hosts.set["COMPOSER_AUTH"].reveal()).unwrap();
    assert_eq!(
        composer,
        serde_json::json!({
            "http-basic": {"one.example.com": {"username": "ci", "password": "1"}},
            "bearer": {"other.example.com": "2"},
        })
    );
}

#[test]
fn a_value_that_a_client_would_read_otherwise_is_left_out() {
    let found =
        set(&[login("A", "https://nexus.example.com/a=b/", AuthScheme::Basic, "ci", "x;y")]);
    let names: Vec<_> = found.into_keys().collect();
    assert_eq!(
        names,
        [
            "COMPOSER_AUTH",
            "ORG_GRADLE_PROJECT_aPassword",
            "ORG_GRADLE_PROJECT_aUsername",
            "REGISTRY_AGENT_A_PASSWORD",
            "REGISTRY_AGENT_A_USER",
        ]
    );
}

#[test]
fn a_variable_of_the_user_is_kept_unless_it_has_the_same_value() {
    let logins = [login("A", "https://npm.pkg.github.com/", AuthScheme::Bearer, "", "t0k")];
    let variable = "npm_config_//npm.pkg.github.com/:_authToken";
    for (value, kept) in [("t0k", false), ("other", true)] {
        let found =
            ClientEnvironment::of(&logins, |name| (name == variable).then(|| value.to_owned()));
        assert_eq!(found.kept.contains(variable), kept);
        assert_eq!(found.set.contains_key(variable), !kept);
        assert!(found.set.contains_key("REGISTRY_AGENT_A_PASSWORD"));
    }
}
