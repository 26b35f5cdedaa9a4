//! Host names, ports and proxies.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use super::{Fault, PASSWORD, USER, assert_well, home_for, registry};
use crate::support::authority::Authority;
use crate::support::isolated::{self, Etc};
use crate::support::network::{name_server, proxy};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json};
use crate::support::test_home::TestHome;

const SERVER: &str = "ACME_CONTAINER_REGISTRY_SERVER";

/// A registry that accepts any login.
fn friendly(heard: &ReceivedRequest) -> Vec<u8> {
    match heard.header("authorization") {
        Some(_) => json(200, &["Docker-Distribution-Api-Version: registry/2.0"], "{}"),
        None => json(401, &["WWW-Authenticate: Basic realm=\"x\""], "{}"),
    }
}

#[test]
fn a_host_that_does_not_resolve_is_named_and_its_correction_works() {
    let authority = Authority::new("The authority");
    let acceptor = authority.sign(&["dns.test"]).acceptor();
    let etc = Etc { roots: &authority.pem(), ..Etc::default() };
    isolated::run_threaded(&etc, async || {
        let _registry = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), friendly).await;
        let mut home = TestHome::new();
        home.declare("ACME", "dnz.test", (USER, PASSWORD));
        home.start();
        let fault = Fault::error(&home, "no-name-server");
        fault.says(&["DNS lookup of dnz.test failed"]).checked(&home, &["ACME"], 1);

        let _names = name_server("127.0.0.1:53").await;
        home.exit_of(&["check", "ACME"]);
        let fault = Fault::error(&home, "no-such-host");
        fault.says(&["DNS lookup of dnz.test failed: no such host"]).checked(&home, &["ACME"], 1);
        assert!(
            fault.fix.starts_with(&format!("set {SERVER} (from `start`) to ")),
            "{}",
            fault.fix
        );
        home.set(SERVER, "dns.test");
        fault.paste_last(&home);
        assert_well(&home, "dns.test", (USER, PASSWORD));
    });
}

#[test]
fn a_port_that_refuses_connections_is_named_and_its_correction_works() {
    let (registry, mut stopped) = (registry(), registry());
    let refusing = stopped.server();
    stopped.stop();
    let mut home = home_for(&registry);
    home.set(SERVER, &refusing);
    home.start();
    let fault = Fault::error(&home, "connection-refused");
    fault.says(&[&refusing, "refused the connection"]).checked(&home, &["ACME"], 1);
    assert!(fault.fix.contains(&format!("or set {SERVER} (from `start`) to ")), "{}", fault.fix);
    home.set(SERVER, &registry.server());
    fault.paste_last(&home);
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn each_fault_of_a_proxy_is_told_apart_and_solved_by_its_variable() {
    let authority = Authority::new("The authority");
    let acceptor = authority.sign(&["r.test", "other.test"]).acceptor();
    // Only other.test can be resolved here; the proxy resolves r.test, and lets nothing else through.
    let etc = Etc { hosts: &[("other.test", "127.0.0.1")], roots: &authority.pem(), files: &[] };
    isolated::run_threaded(&etc, async || {
        let _registry = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), friendly).await;
        let proxy = proxy().await;
        let right = format!("http://user:p%40ss@{proxy}");
        for (variable, wrong, code, sentence) in [
            ("HTTPS_PROXY", format!("http://{proxy}"), "proxy-login", "and HTTPS_PROXY has none"),
            (
                "HTTPS_PROXY",
                format!("http://user:p%40sS@{proxy}"),
                "proxy-login-refused",
                "rejected the user and the password in HTTPS_PROXY",
            ),
            (
                "https_proxy",
                format!("http://user:p%40sS@{proxy}"),
                "proxy-login-refused",
                "rejected the user and the password in https_proxy",
            ),
            (
                "ALL_PROXY",
                "http://127.0.0.1:1".to_owned(),
                "proxy-unreachable",
                "http://127.0.0.1:1 refused the connection",
            ),
        ] {
            let mut home = TestHome::new();
            home.declare("ACME", "r.test", (USER, PASSWORD));
            home.set(variable, &wrong);
            home.start();
            let fault = Fault::error(&home, code);
            fault.says(&[sentence]).checked(&home, &["ACME"], 1);
            assert!(!format!("{:#}", home.status()).contains("p%40s"));
            assert!(fault.fix.starts_with(&format!("set {variable} to ")), "{}", fault.fix);
            home.set(variable, &right);
            fault.paste(&home);
            assert_well(&home, "r.test", (USER, PASSWORD));
        }

        let mut home = TestHome::new();
        home.declare("ACME", "other.test", (USER, PASSWORD));
        home.set("HTTPS_PROXY", &right);
        home.start();
        let fault = Fault::error(&home, "proxy-refused");
        fault.says(&[&format!("the proxy http://{proxy} refused to connect to other.test")]);
        fault.checked(&home, &["ACME"], 1);
        assert!(
            fault.fix.contains("if other.test needs no proxy, add it to NO_PROXY"),
            "{}",
            fault.fix
        );
        home.set("NO_PROXY", "other.test");
        fault.paste(&home);
        assert_well(&home, "other.test", (USER, PASSWORD));
    });
}

#[test]
fn a_proxy_that_speaks_no_tls_is_named_and_no_plain_registry_is_suggested() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The client may have closed the connection.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let mut home = TestHome::new();
    home.declare("ACME", "r.test", (USER, PASSWORD));
    home.set("HTTPS_PROXY", &format!("https://user:p%40ss@{proxy}"));
    home.start();
    let fault = Fault::error(&home, "proxy-unreachable");
    fault.says(&[&format!("https://{proxy} does not speak TLS")]).checked(&home, &["ACME"], 1);
    assert!(fault.fix.starts_with(&format!("set HTTPS_PROXY to http://{proxy}")), "{}", fault.fix);
    assert!(!fault.fix.contains("http://r.test"), "{}", fault.fix);
}

#[test]
fn a_server_that_accepts_connections_and_says_nothing_is_named_at_its_step() {
    // The kernel accepts connections that nobody takes from the listener.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for (scheme, step, sentence) in [
        ("https", "tls", "accepts connections, but does not answer the TLS handshake"),
        ("http", "registry-api", "accepts connections, but does not answer the request"),
    ] {
        let mut home = TestHome::new();
        home.declare("ACME", &format!("{scheme}://{address}"), (USER, PASSWORD));
        home.start();
        let fault = Fault::error(&home, "server-silent");
        fault.says(&[&address.to_string(), sentence]).checked(&home, &["ACME"], 1);
        assert_eq!(home.login("ACME")["step"], step);
    }
}
