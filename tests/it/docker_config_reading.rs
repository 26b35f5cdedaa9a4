//! What a docker configuration says of a registry, and what keeps clients from asking the helper.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use registry_agent::adapters::client_obstacles::{ClientEnvironment, obstacles};
use registry_agent::domain::docker_config::{
    OwnEntry, credentials_store, environment_logins, own_entries, plain_auth,
};
use registry_agent::domain::reasons::PublishReason;
use registry_agent::domain::servers::server::Server;

fn server(name: &str) -> Server {
    Server::parse(name).unwrap().0
}

/// The user and the secret that an `auths` of these members holds for a registry.
fn login(members: &str, name: &str) -> Option<(String, String)> {
    let found = plain_auth(&format!("{{\"auths\": {{{members}}}}}"), &server(name))?;
    Some((found.user, found.secret.reveal().to_owned()))
}

#[test]
fn a_plain_login_is_found_in_every_form_that_clients_write() {
    let cases = [
        (r#""ghcr.io": {"auth": "dTpwOnc="}"#, "ghcr.io", Some(("u", "p:w"))),
        (r#""ghcr.io": {"auth": "dTpwOnc"}"#, "ghcr.io", Some(("u", "p:w"))),
        (r#""ghcr.io": {"auth": "dTpwAAA="}"#, "ghcr.io", Some(("u", "p"))),
        (r#""ghcr.io": {"username": "u", "password": "p"}"#, "ghcr.io", Some(("u", "p"))),
        (r#""ghcr.io": {"auth": "dTo=", "identitytoken": "t"}"#, "ghcr.io", Some(("<token>", "t"))),
        (r#""https:\/\/GHCR.io\/v1\/": {"auth": "dTpw"}"#, "ghcr.io", Some(("u", "p"))),
        (r#""docker.io": {"auth": "dTpw"}"#, "docker.io", Some(("u", "p"))),
        (r#""https://index.docker.io/v1/": {"auth": "dTpw"}"#, "docker.io", Some(("u", "p"))),
        (r#""ghcr.io": {}"#, "ghcr.io", None),
        (r#""ghcr.io": {"auth": ""}"#, "ghcr.io", None),
        (r#""ghcr.io": {"auth": "dTo="}"#, "ghcr.io", None),
        (r#""ghcr.io": {"auth": "!"}"#, "ghcr.io", None),
        (r#""ghcr.io": "dTpw""#, "ghcr.io", None),
        (r#""ghcr.io/team": {"auth": "dTpw"}"#, "ghcr.io", None),
        (r#""xghcr.io": {"auth": "dTpw"}"#, "ghcr.io", None),
        (r#""https://index.docker.io/v1/access-token": {"auth": "dTpw"}"#, "docker.io", None),
    ];
    for (members, name, expected) in cases {
        let expected = expected.map(|(user, secret)| (user.to_owned(), secret.to_owned()));
        assert_eq!(login(members, name), expected, "{members}");
    }
}

#[test]
fn the_exact_key_goes_before_others_and_a_marker_before_none() {
    let both = r#""https://ghcr.io": {"auth": "dTpw"}, "ghcr.io": {"auth": "dTpx"}"#;
    assert_eq!(login(both, "ghcr.io").unwrap().1, "q");
    let marker = r#""https://ghcr.io": {"auth": "dTpw"}, "ghcr.io": {}"#;
    assert_eq!(login(marker, "ghcr.io").unwrap().1, "p");
}

#[test]
fn an_invalid_configuration_contains_no_logins() {
    for text in ["", "[]", "{\"auths\": []}", "{\"auths\": {\"ghcr.io\": {\"auth\": \"dTpw\"}}"] {
        assert_eq!(plain_auth(text, &server("ghcr.io")), None, "{text}");
        assert_eq!(own_entries(text).of(&server("ghcr.io")), None);
        assert_eq!(credentials_store(text), None);
    }
}

#[test]
fn another_helper_counts_as_a_login_and_ours_does_not() {
    let text = r#"{"credHelpers": {"ghcr.io": "registry-agent", "docker.io": "pass"}}"#;
    let entries = own_entries(text);
    assert_eq!(entries.of(&server("ghcr.io")), None);
    let expected = OwnEntry { key: "docker.io".to_owned(), section: "credHelpers" };
    assert_eq!(entries.of(&server("docker.io")), Some(&expected));
}

#[test]
fn docker_ignores_a_variable_with_anything_but_complete_logins() {
    let login = r#""ghcr.io": {"auth": "dTpw"}"#;
    for (text, counts) in [
        (format!(r#"{{"auths": {{{login}}}}}"#), true),
        (format!(r#"{{"auths": {{{login}}}, "credsStore": "pass"}}"#), false),
        (format!(r#"{{"auths": {{{login}, "quay.io": {{}}}}}}"#), false),
        (
            format!(r#"{{"auths": {{{login}, "quay.io": {{"auth": "dTpw", "email": "x"}}}}}}"#),
            false,
        ),
        (format!(r#"{{"auths": {{{login}, "quay.io": {{"auth": "dQ=="}}}}}}"#), false),
        (format!(r#"{{"auths": {{{login}}}}} {{}}"#), false),
        (r#"{"auths": {"https://ghcr.io": {"auth": "dTpw"}}}"#.to_owned(), false),
        ("not JSON".to_owned(), false),
    ] {
        assert_eq!(environment_logins(&text).contains("ghcr.io"), counts, "{text}");
    }
}

/// Asks for what is in the way of two registries in a home of its own.
fn found(home: &Path, variables: &[(&str, &str)], names: &[&str]) -> Vec<PublishReason> {
    let variable = |name: &str| {
        let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
        Some(value.replace('~', home.to_str().unwrap()))
    };
    let environment = ClientEnvironment {
        variable: &variable,
        home,
        uid: 4_000_000,
        docker_config: &home.join(".docker/config.json"),
    };
    let servers: Vec<_> = names.iter().map(|name| server(name)).collect();
    obstacles(&environment, &servers)
}

#[test]
fn each_obstacle_for_clients_is_named() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    for directory in ["bin", ".docker", "run/containers", ".config/containers"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    let login = r#"{"auths": {"ghcr.io": {"auth": "dTpw"}, "quay.io": {"auth": "dTpw"}}}"#;
    let shadowed = |path: &str| PublishReason::Shadowed {
        path: at(path).display().to_string(),
        key: "ghcr.io".to_owned(),
        entry: "ghcr.io".to_owned(),
        section: "auths".into(),
    };
    let missing = found(home.path(), &[("PATH", "~/bin")], &["ghcr.io"]);
    assert!(matches!(missing[..], [PublishReason::HelperMissing { .. }]), "{missing:?}");

    let program = at("bin/docker-credential-registry-agent");
    fs::write(&program, "").unwrap();
    assert_eq!(missing, found(home.path(), &[("PATH", "~/bin")], &["ghcr.io"]), "no program yet");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(found(home.path(), &[("PATH", "/none:~/bin")], &["ghcr.io"]), []);

    fs::write(at(".docker/config.json"), r#"{"credsStore": "dev-containers-1"}"#).unwrap();
    fs::write(at("run/containers/auth.json"), login).unwrap();
    fs::write(at(".config/containers/auth.json"), login).unwrap();
    let variables =
        [("PATH", "~/bin"), ("XDG_RUNTIME_DIR", "~/run"), ("DOCKER_AUTH_CONFIG", login)];
    let reasons = found(home.path(), &variables, &["ghcr.io", "registry.example.com"]);
    let path = |name: &str| at(name).display().to_string();
    let key = "ghcr.io".to_owned();
    assert_eq!(
        reasons,
        [
            PublishReason::StoreMissing {
                path: path(".docker/config.json"),
                store: "dev-containers-1".to_owned()
            },
            PublishReason::ShadowedByEnvironment { key, older: None },
            shadowed("run/containers/auth.json"),
            shadowed(".config/containers/auth.json"),
        ]
    );
}

#[test]
fn the_docker_configuration_shadows_itself_under_no_other_name() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".docker")).unwrap();
    let login = r#"{"auths": {"ghcr.io": {"auth": "dTpw"}}}"#;
    fs::write(home.path().join(".docker/config.json"), login).unwrap();
    let variables = [("REGISTRY_AUTH_FILE", "~/.docker/config.json")];
    let found = found(home.path(), &variables, &["ghcr.io"]);
    assert!(matches!(found[..], [PublishReason::HelperMissing { .. }]), "{found:?}");
}
