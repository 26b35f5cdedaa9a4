//! TLS: authorities, certificates, and servers that speak it or do not.

use std::fs;

use super::{Fault, PASSWORD, USER, assert_well};
use crate::support::authority::{Authority, Identity};
use crate::support::isolated::{self, Etc};
use crate::support::registry::{Auth, Registry};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json};
use crate::support::test_home::{TestHome, output_text};

const HOSTS: [(&str, &str); 2] = [("r.test", "127.0.0.1"), ("other.test", "127.0.0.1")];
const SERVER: &str = "ACME_CONTAINER_REGISTRY_SERVER";

/// A real registry with TLS, if there is an identity, that accepts the login.
fn registry(identity: Option<&Identity>) -> (Registry, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let files = identity.map(|identity| identity.write(directory.path()));
    (Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), files.as_ref()), directory)
}

fn home_for(server: &str) -> TestHome {
    let mut home = TestHome::new();
    home.declare("ACME", server, (USER, PASSWORD));
    home.start();
    home
}

/// A registry that accepts any login.
fn friendly(heard: &ReceivedRequest) -> Vec<u8> {
    match heard.header("authorization") {
        Some(_) => json(200, &["Docker-Distribution-Api-Version: registry/2.0"], "{}"),
        None => json(401, &["WWW-Authenticate: Basic realm=\"x\""], "{}"),
    }
}

#[test]
fn an_unknown_authority_is_trusted_after_either_way_of_the_fix() {
    let authority = Authority::new("A company's authority");
    isolated::run_threaded(&Etc { hosts: &HOSTS, ..Etc::default() }, async || {
        let (registry, _files) = registry(Some(&authority.sign(&["r.test"])));
        let server = format!("r.test:{}", registry.port());

        let home = home_for(&server);
        let fault = Fault::error(&home, "unknown-authority");
        fault.says(&[&server, "signed by an unknown authority"]).checked(&home, &["ACME"], 1);
        let path = format!("/etc/docker/certs.d/{server}/ca.crt");
        assert!(fault.fix.contains("save it as ca.pem"), "{}", fault.fix);
        fs::write(home.path("ca.pem"), authority.pem()).unwrap();
        fault.paste(&home);
        assert!(fault.fix.contains("as root, then run `registry-agent check ACME`"));
        assert_eq!(home.exit_of(&["check", "ACME"]), 0);
        assert_well(&home, &server, (USER, PASSWORD));
        fs::remove_file(&path).unwrap();

        let mut home = home_for(&server);
        let fault = Fault::error(&home, "unknown-authority");
        assert!(fault.fix.contains("set ACME_CONTAINER_REGISTRY_CA_FILE to the path of that file"));
        let file = home.path("ca.pem");
        fs::write(&file, authority.pem()).unwrap();
        home.set("ACME_CONTAINER_REGISTRY_CA_FILE", file.to_str().unwrap());
        fault.paste_last(&home);
        assert_well(&home, &server, (USER, PASSWORD));
    });
}

#[test]
fn a_certificate_out_of_time_says_since_when_and_a_renewed_one_is_noticed() {
    let authority = Authority::new("The authority");
    let etc = Etc { hosts: &HOSTS, roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        for (years, code, sentence) in [
            ((2000, 2001), "certificate-expired", "certificate expired at 2001-01-01 00:00:00 UTC"),
            (
                (2095, 2096),
                "certificate-not-yet-valid",
                "is not valid before 2095-01-01 00:00:00 UTC",
            ),
        ] {
            let bad = authority.sign_between(&["r.test"], years).acceptor();
            let bad = ScriptedRegistry::start("127.0.0.1:0", Some(bad), friendly).await;
            let address = bad.address;
            let server = format!("r.test:{}", address.port());
            let home = home_for(&server);
            let fault = Fault::error(&home, code);
            fault.says(&[sentence, "(this machine's clock says 20"]).checked(&home, &["ACME"], 1);
            drop(bad);
            let renewed = authority.sign(&["r.test"]).acceptor();
            let address = address.to_string();
            let _renewed = loop {
                // The port is free once the runtime has dropped the old listener.
                if let Some(it) =
                    ScriptedRegistry::try_start(&address, Some(renewed.clone()), friendly).await
                {
                    break it;
                }
            };
            assert_eq!(home.exit_of(&["check", "ACME"]), 0);
            assert_well(&home, &server, (USER, PASSWORD));
        }
    });
}

#[test]
fn a_certificate_for_another_name_is_solved_by_declaring_that_name() {
    let authority = Authority::new("The authority");
    let etc = Etc { hosts: &HOSTS, roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let (registry, _files) = registry(Some(&authority.sign(&["r.test"])));
        let mut home = home_for(&format!("other.test:{}", registry.port()));
        let fault = Fault::error(&home, "certificate-name");
        fault.says(&["is issued for another name: r.test"]).checked(&home, &["ACME"], 1);
        assert!(
            fault.fix.starts_with(&format!(
                "set {SERVER} (from `start`) to a name that the certificate contains"
            )),
            "{}",
            fault.fix
        );
        let server = format!("r.test:{}", registry.port());
        home.set(SERVER, &server);
        fault.paste_last(&home);
        assert_well(&home, &server, (USER, PASSWORD));
    });
}

#[test]
fn the_names_of_a_certificate_are_listed_but_not_all_of_many() {
    let authority = Authority::new("The authority");
    let etc = Etc { hosts: &HOSTS, roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let names: Vec<String> = (0..8).map(|at| format!("r{at}.test")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let acceptor = authority.sign(&names).acceptor();
        let registry = ScriptedRegistry::start("127.0.0.1:0", Some(acceptor), friendly).await;
        let home = home_for(&format!("other.test:{}", registry.address.port()));
        let fault = Fault::error(&home, "certificate-name");
        fault.says(&["another name: r0.test, r1.test, r2.test, r3.test, r4.test and 3 more"]);
    });
}

#[test]
fn docker_needs_leave_to_speak_plainly_to_a_registry_that_is_not_on_this_machine() {
    isolated::run_threaded(&Etc { hosts: &HOSTS, ..Etc::default() }, async || {
        let (registry, _) = registry(None);
        let server = format!("r.test:{}", registry.port());
        let home = home_for(&format!("http://{server}"));
        let fault = Fault::remark(&home, "plain-for-docker");
        fault.says(&["docker speaks no plain HTTP", &server]).checked(&home, &["ACME"], 0);
        // As the fix says.
        let daemon = fault.fix.split_once("as in ").unwrap().1;
        let daemon = daemon.split_once(", and restart").unwrap().0;
        isolated::write("docker/daemon.json", daemon);
        assert_eq!(home.exit_of(&["check", "ACME"]), 0);
        Fault::is_gone(&home, "plain-for-docker");
        for loopback in ["127.0.0.1", "localhost"] {
            let home = home_for(&format!("http://{loopback}:{}", registry.port()));
            assert_well(&home, &format!("{loopback}:{}", registry.port()), (USER, PASSWORD));
            assert!(home.login("ACME")["code"].is_null(), "{:#}", home.status());
        }
    });
}

#[test]
fn tls_spoken_to_a_plain_registry_and_the_reverse_are_told_apart_and_solved_by_the_scheme() {
    let authority = Authority::new("The authority");
    let etc = Etc { hosts: &HOSTS, roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let (plain, _) = registry(None);
        let server = format!("r.test:{}", plain.port());
        let mut home = home_for(&server);
        let fault = Fault::error(&home, "not-tls");
        fault.says(&[&server, "does not speak TLS"]).checked(&home, &["ACME"], 1);
        assert!(
            fault.fix.starts_with(&format!("set {SERVER} (from `start`) to http://{server} (")),
            "{}",
            fault.fix
        );
        home.set(SERVER, &format!("http://{server}"));
        fault.paste_last(&home);
        assert_well(&home, &server, (USER, PASSWORD));

        let (secure, _files) = registry(Some(&authority.sign(&["r.test"])));
        let server = format!("r.test:{}", secure.port());
        let mut home = home_for(&format!("http://{server}"));
        let fault = Fault::error(&home, "speaks-tls");
        fault.says(&[&server, "speaks TLS, but the server is declared with http://"]);
        fault.checked(&home, &["ACME"], 1);
        assert!(
            fault.fix.starts_with(&format!(
                "set {SERVER} (from `start`) to {server} (without http://), "
            )),
            "{}",
            fault.fix
        );
        home.set(SERVER, &server);
        fault.paste_last(&home);
        assert_well(&home, &server, (USER, PASSWORD));
    });
}

#[test]
fn a_plain_registry_on_the_port_of_https_keeps_its_port() {
    isolated::run_threaded(&Etc { hosts: &HOSTS, ..Etc::default() }, async || {
        let _plain = ScriptedRegistry::start("127.0.0.1:443", None, friendly).await;
        let mut home = home_for("r.test");
        let fault = Fault::error(&home, "not-tls");
        let named = format!("set {SERVER} (from `start`) to http://r.test:443 (");
        assert!(fault.checked(&home, &["ACME"], 1).fix.starts_with(&named), "{}", fault.fix);
        home.set(SERVER, "http://r.test:443");
        fault.paste_last(&home);
        assert_well(&home, "r.test:443", (USER, PASSWORD));
    });
}

#[test]
fn a_server_that_speaks_tls_on_the_port_of_http_keeps_its_port() {
    let authority = Authority::new("The authority");
    let acceptor = authority.sign(&["r.test"]).acceptor();
    let etc = Etc { hosts: &HOSTS, roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let _secure = ScriptedRegistry::start("127.0.0.1:80", Some(acceptor), friendly).await;
        let mut home = home_for("http://r.test");
        let fault = Fault::error(&home, "speaks-tls");
        let named = format!("set {SERVER} (from `start`) to r.test:80 (without http://), ");
        assert!(fault.checked(&home, &["ACME"], 1).fix.starts_with(&named), "{}", fault.fix);
        home.set(SERVER, "r.test:80");
        fault.paste_last(&home);
        assert_well(&home, "r.test:80", (USER, PASSWORD));
    });
}

#[test]
fn a_registry_that_leads_from_http_to_https_speaks_tls() {
    let authority = Authority::new("The authority");
    let acceptor = authority.sign(&["r.test"]).acceptor();
    let etc = Etc { hosts: &HOSTS, roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let away = |_: &ReceivedRequest| json(301, &["Location: https://r.test/v2/"], "{}");
        let plain = ScriptedRegistry::start("127.0.0.1:80", None, away).await;
        let _secure = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), friendly).await;
        let mut home = home_for("http://r.test");
        let fault = Fault::error(&home, "speaks-tls");
        fault.checked(&home, &["ACME"], 1);
        home.set(SERVER, "r.test");
        fault.paste_last(&home);
        assert_well(&home, "r.test", (USER, PASSWORD));
        assert!(!String::from_utf8_lossy(&plain.bytes()).contains("authorization"));
    });
}

#[test]
fn a_certificate_that_docker_does_not_trust_is_a_remark_until_the_printed_line_is_pasted() {
    let authority = Authority::new("A company's authority");
    // docker asks for no certificate where a name leads to loopback.
    let hosts = [("far.test", "169.254.169.254")];
    for variable in ["ACME_CONTAINER_REGISTRY_CA_FILE", "SSL_CERT_FILE"] {
        isolated::run_threaded(&Etc { hosts: &hosts, ..Etc::default() }, async || {
            let tls = authority.sign(&["far.test"]).acceptor();
            let registry = ScriptedRegistry::start("169.254.169.254:0", Some(tls), friendly).await;
            let server = format!("far.test:{}", registry.address.port());
            let mut home = TestHome::new();
            let file = home.path("the company's.pem");
            fs::write(&file, authority.pem()).unwrap();
            home.declare("ACME", &server, (USER, PASSWORD));
            home.set(variable, file.to_str().unwrap());
            home.start();

            let fault = Fault::remark(&home, "certificate-distrusted-by-clients");
            fault.says(&[&server, file.to_str().unwrap()]).checked(&home, &["ACME"], 0);
            let [docker, skopeo] = clients(&home, &server);
            assert!(docker.contains("x509") && skopeo.contains("x509"), "{docker}{skopeo}");
            fault.paste(&home);
            assert_eq!(home.exit_of(&["check", "ACME"]), 0);
            Fault::is_gone(&home, "certificate-distrusted-by-clients");
            let [docker, skopeo] = clients(&home, &server);
            assert!(docker.contains("Login Succeeded"), "{docker}");
            assert!(skopeo.contains("Login Succeeded"), "{skopeo}");
        });
    }
}

/// What docker and skopeo say when they log in.
fn clients(home: &TestHome, server: &str) -> [String; 2] {
    let mut docker = home.command("docker");
    // Without an engine, docker itself speaks to the registry.
    docker.env("DOCKER_HOST", "tcp://127.0.0.1:1");
    docker.arg("login");
    let mut skopeo = home.command("skopeo");
    skopeo.args(["login", "--authfile", "auth.json"]);
    for client in [&mut docker, &mut skopeo] {
        client.args(["--username", USER, "--password", PASSWORD, server]);
    }
    [docker, skopeo].map(|mut client| output_text(&client.output().unwrap()))
}

#[test]
fn a_ca_file_without_a_certificate_is_replaced_in_the_variable_and_not_overwritten() {
    let authority = Authority::new("A company's authority");
    isolated::run_threaded(
        &Etc { hosts: &[("r.test", "127.0.0.1")], ..Etc::default() },
        async || {
            let tls = authority.sign(&["r.test"]).acceptor();
            let registry = ScriptedRegistry::start("127.0.0.1:0", Some(tls), friendly).await;
            let server = format!("r.test:{}", registry.address.port());
            let mut home = TestHome::new();
            let (key, ca) = (home.path("server.key"), home.path("ca.pem"));
            let variable = "ACME_CONTAINER_REGISTRY_CA_FILE";
            fs::write(&ca, authority.pem()).unwrap();
            home.declare("ACME", &server, (USER, PASSWORD));
            home.set(variable, key.to_str().unwrap());
            home.sync();
            for content in ["-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", "key"]
            {
                fs::write(&key, content).unwrap();
                home.exit_of(&["refresh"]);
                let fault = Fault::error(&home, "ca-file");
                fault.says(&[key.to_str().unwrap(), "contains no certificate"]);
                fault.checked(&home, &["ACME"], 1);
                assert!(fault.fix.starts_with(&format!("set {variable} ")), "{}", fault.fix);
                assert!(!fault.fix.contains("write "), "{}", fault.fix);
            }
            home.set(variable, ca.to_str().unwrap());
            home.sync();
            assert_well(&home, &server, (USER, PASSWORD));
        },
    );
}
