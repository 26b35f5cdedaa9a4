//! Connections to a registry: DNS, certificates, proxies, and the reasons when they fail.

use std::path::Path;

use registry_agent::adapters::http::Http;
use registry_agent::adapters::registry::{VerificationRequest, verify};
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::registry_protocol::verdict::{Outcome, Verdict};
use registry_agent::domain::servers::server::Server;

use crate::support::authority::{Authority, Identity};
use crate::support::isolated::{self, Etc};
use crate::support::network::{name_server, proxy};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json, reply};

/// A registry that accepts any login.
fn friendly(heard: &ReceivedRequest) -> Vec<u8> {
    match heard.header("authorization") {
        Some(_) => json(200, &["Docker-Distribution-Api-Version: registry/2.0"], "{}"),
        None => json(401, &["WWW-Authenticate: Basic realm=\"x\""], "{}"),
    }
}

async fn login(http: &Http, name: &str, ca_file: Option<&Path>) -> Verdict {
    let (server, _) = Server::parse(name).unwrap();
    let credential = Credential::plain("user", Secret::new("password"));
    verify(
        http,
        &VerificationRequest { server: &server, credential: &credential, ca_file, realms: &[] },
    )
    .await
}

fn code(verdict: &Verdict) -> &'static str {
    let reached = verdict.outcome != Outcome::Unreachable;
    if reached { "" } else { verdict.reason.as_ref().unwrap().code() }
}

const HOSTS: [(&str, &str); 3] =
    [("r.test", "127.0.0.1"), ("other.test", "127.0.0.1"), ("v6.test", "::1")];

#[test]
fn a_private_authority_is_trusted_where_the_user_installs_it() {
    let authority = Authority::new("A company's authority");
    let acceptor = authority.sign(&["r.test"]).acceptor();
    isolated::run(&Etc { hosts: &HOSTS, ..Etc::default() }, async || {
        let _registry =
            ScriptedRegistry::start("127.0.0.1:443", Some(acceptor.clone()), friendly).await;
        let other = ScriptedRegistry::start("127.0.0.1:0", Some(acceptor), friendly).await;
        let with_port = format!("r.test:{}", other.address.port());
        let http = Http::new();

        // This system has no authorities, so the built-in ones are used, which do not include this one.
        let verdict = login(&http, "r.test", None).await;
        assert_eq!(code(&verdict), "unknown-authority");
        let fix = verdict.reason.unwrap().fix();
        assert!(fix.contains("/etc/docker/certs.d/r.test/ca.crt"), "{fix}");
        assert!(fix.contains("_CA_FILE"), "{fix}");
        let fix = login(&http, &with_port, None).await.reason.unwrap().fix();
        assert!(fix.contains(&format!("/etc/docker/certs.d/{with_port}/ca.crt")), "{fix}");

        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        assert_eq!(code(&login(&http, "r.test", Some(&file)).await), "ca-file");
        std::fs::write(&file, "no certificate").unwrap();
        assert_eq!(code(&login(&http, "r.test", Some(&file)).await), "ca-file");
        std::fs::write(&file, authority.pem()).unwrap();
        let trusted = login(&http, "r.test", Some(&file)).await;
        assert_eq!(trusted.outcome, Outcome::Ready);
        assert_eq!(trusted.reason.unwrap().code(), "certificate-distrusted-by-clients");

        // A directory applies only to its own host and port.
        isolated::write("docker/certs.d/r.test/ca.crt", &authority.pem());
        assert_eq!(login(&http, "r.test", None).await, Verdict::ready());
        assert_eq!(code(&login(&http, &with_port, None).await), "unknown-authority");
        isolated::write(&format!("containers/certs.d/{with_port}/my.crt"), &authority.pem());
        assert_eq!(login(&http, &with_port, None).await, Verdict::ready());
    });
}

#[test]
fn an_authority_installed_later_is_noticed() {
    let authority = Authority::new("A company's authority");
    let acceptor = authority.sign(&["r.test"]).acceptor();
    let others = Authority::new("Somebody else");
    let etc = Etc { hosts: &HOSTS, roots: &others.pem(), files: &[] };
    isolated::run(&etc, async || {
        let _registry = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), friendly).await;
        let http = Http::new();
        assert_eq!(code(&login(&http, "r.test", None).await), "unknown-authority");
        let both = authority.pem() + &others.pem();
        isolated::write("ssl/certs/ca-certificates.crt", &both);
        assert_eq!(login(&http, "r.test", None).await, Verdict::ready());
    });
}

#[test]
fn an_authority_that_is_installed_beside_a_file_or_removed_is_noticed() {
    let authority = Authority::new("A company's authority");
    let acceptor = authority.sign(&["r.test"]).acceptor();
    let others = Authority::new("Somebody else");
    let etc = Etc { hosts: &HOSTS, roots: &others.pem(), files: &[] };
    isolated::run(&etc, async || {
        let _registry = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), friendly).await;
        let http = Http::new();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        let distrusted = "certificate-distrusted-by-clients";
        let with_file = login(&http, "r.test", Some(&file)).await;
        assert_eq!(with_file.reason.unwrap().code(), distrusted);
        let both = authority.pem() + &others.pem();
        isolated::write("ssl/certs/ca-certificates.crt", &both);
        assert_eq!(login(&http, "r.test", Some(&file)).await, Verdict::ready());
        assert_eq!(login(&http, "r.test", None).await, Verdict::ready());
        isolated::write("ssl/certs/ca-certificates.crt", &others.pem());
        let with_file = login(&http, "r.test", Some(&file)).await;
        assert_eq!(with_file.reason.unwrap().code(), distrusted);
        assert_eq!(code(&login(&http, "r.test", None).await), "unknown-authority");
    });
}

#[test]
fn a_self_signed_certificate_is_trusted_where_the_user_installs_it() {
    let own = Identity::self_signed(&["r.test"]);
    let acceptor = own.acceptor();
    isolated::run(&Etc { hosts: &HOSTS, ..Etc::default() }, async || {
        let _registry = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), friendly).await;
        let http = Http::new();
        assert_eq!(code(&login(&http, "r.test", None).await), "unknown-authority");
        isolated::write("docker/certs.d/r.test/ca.crt", &own.certificate.pem());
        assert_eq!(login(&http, "r.test", None).await, Verdict::ready());
        isolated::write("docker/certs.d/other.test/ca.crt", &own.certificate.pem());
        assert_eq!(code(&login(&http, "other.test", None).await), "certificate-name");
    });
}

#[test]
fn certificates_for_another_name_or_time_have_their_own_reasons() {
    let authority = Authority::new("The authority");
    let right = authority.sign(&["r.test"]).acceptor();
    let old = authority.sign_until(&["r.test"], 2001).acceptor();
    isolated::run(&Etc { hosts: &HOSTS, roots: &authority.pem(), files: &[] }, async || {
        let _right = ScriptedRegistry::start("127.0.0.1:443", Some(right), friendly).await;
        let old = ScriptedRegistry::start("127.0.0.1:0", Some(old), friendly).await;
        let http = Http::new();
        assert_eq!(code(&login(&http, "other.test", None).await), "certificate-name");
        let old = format!("r.test:{}", old.address.port());
        assert_eq!(code(&login(&http, &old, None).await), "certificate-expired");
    });
}

#[test]
fn a_loopback_registry_without_tls_is_used_over_http_unless_https_is_declared() {
    isolated::run(&Etc::default(), async || {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let plain = ScriptedRegistry::start(address, None, friendly).await;
            let name = plain.address.to_string();
            let http = Http::new();
            assert_eq!(login(&http, &name, None).await, Verdict::ready(), "{name}");
            assert_eq!(login(&http, &format!("http://{name}"), None).await, Verdict::ready());
            assert_eq!(code(&login(&http, &format!("https://{name}"), None).await), "not-tls");
        }
        let _plain = ScriptedRegistry::start("127.0.0.1:80", None, friendly).await;
        assert_eq!(login(&Http::new(), "localhost", None).await, Verdict::ready());
    });
}

#[test]
fn a_loopback_registry_may_keep_its_token_server_on_another_port() {
    isolated::run(&Etc::default(), async || {
        for (address, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")] {
            let take = |_: &ReceivedRequest| json(200, &[], r#"{"token":"t"}"#);
            let realm = ScriptedRegistry::start(address, None, take).await;
            let line = format!(
                r#"WWW-Authenticate: Bearer realm="http://{host}:{}/token""#,
                realm.address.port()
            );
            let registry =
                ScriptedRegistry::start(address, None, move |heard: &ReceivedRequest| match heard
                    .header("authorization")
                {
                    Some("Bearer t") => json(200, &[], "{}"),
                    _ => json(401, &[&line], "{}"),
                })
                .await;
            let name = format!("{host}:{}", registry.address.port());
            assert_eq!(login(&Http::new(), &name, None).await, Verdict::ready(), "{name}");
        }
    });
}

#[test]
fn host_names_are_resolved_with_the_current_files() {
    let authority = Authority::new("The authority");
    let names = ["r.test", "dns.test", "new.test", "v6.test"];
    let acceptor = authority.sign(&names).acceptor();
    isolated::run(&Etc { hosts: &HOSTS, roots: &authority.pem(), files: &[] }, async || {
        let _v4 = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor.clone()), friendly).await;
        let _v6 = ScriptedRegistry::start("[::1]:443", Some(acceptor), friendly).await;
        let http = Http::new();
        assert_eq!(login(&http, "v6.test", None).await, Verdict::ready());
        // resolv.conf names no name server, and none runs on this machine.
        assert_eq!(code(&login(&http, "dns.test", None).await), "no-name-server");
        let server = name_server("127.0.0.1:53").await;
        assert_eq!(login(&http, "dns.test", None).await, Verdict::ready());
        assert_eq!(code(&login(&http, "missing.test", None).await), "no-such-host");
        server.abort();

        // The network changes: another name server, and one more host.
        let _server = name_server("127.0.0.53:53").await;
        isolated::write("resolv.conf", "nameserver 127.0.0.53\n");
        assert_eq!(login(&http, "dns.test", None).await, Verdict::ready());
        assert_eq!(code(&login(&http, "new.test", None).await), "no-such-host");
        isolated::write("hosts", "127.0.0.1 new.test\n");
        assert_eq!(login(&http, "new.test", None).await, Verdict::ready());
    });
}

#[test]
fn a_closed_port_refuses_the_connection() {
    isolated::run(&Etc { hosts: &HOSTS, ..Etc::default() }, async || {
        let http = Http::new();
        for name in ["r.test", "r.test:5000", "127.0.0.1:5000", "[::1]:5000", "localhost"] {
            let verdict = login(&http, name, None).await;
            assert_eq!(code(&verdict), "connection-refused", "{name}: {verdict:?}");
        }
    });
}

#[test]
fn a_proxy_from_the_environment_is_used_and_named_in_failures() {
    let authority = Authority::new("The authority");
    let acceptor = authority.sign(&["r.test", "other.test"]).acceptor();
    // Only other.test can be resolved here; the proxy resolves r.test.
    let etc = Etc { hosts: &HOSTS[1..2], roots: &authority.pem(), files: &[] };
    isolated::run(&etc, async || {
        let _registry = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), friendly).await;
        let plain = ScriptedRegistry::start("127.0.0.1:0", None, friendly).await;
        let proxy = proxy().await;
        let right = format!("http://user:p%40ss@{proxy}");
        for (proxy, name, expected) in [
            (right.as_str(), "r.test".to_owned(), ""),
            (&right, "other.test:443".to_owned(), "proxy-refused"),
            (&format!("http://user:wrong@{proxy}"), "r.test".to_owned(), "proxy-login-refused"),
            (&format!("http://{proxy}"), "r.test".to_owned(), "proxy-login"),
            ("http://127.0.0.1:1", "r.test".to_owned(), "proxy-unreachable"),
            // Loopback hosts and those in NO_PROXY bypass the proxy.
            ("http://127.0.0.1:1", plain.address.to_string(), ""),
            ("http://127.0.0.1:1", "quiet.other.test".to_owned(), "no-name-server"),
        ] {
            let environment = [("HTTPS_PROXY", proxy), ("NO_PROXY", "quiet.other.test")]
                .map(|(variable, value)| (variable.to_owned(), value.into()))
                .into();
            let verdict = login(&Http::with_environment(&environment), &name, None).await;
            let shown = format!("{verdict:?}");
            assert!(!shown.contains("p@ss") && !shown.contains("p%40ss"), "{shown}");
            assert_eq!(code(&verdict), expected, "{name} by {proxy}: {shown}");
        }
    });
}

#[test]
fn a_rate_limited_verdict_carries_the_retry_after() {
    isolated::run(&Etc::default(), async || {
        let later = |_: &ReceivedRequest| {
            let headers = [
                "Retry-After: Tue, 24 Nov 2026 04:01:30 GMT",
                "Date: Tue, 24 Nov 2026 04:00:00 GMT",
            ];
            reply(429, &headers, "")
        };
        let registry = ScriptedRegistry::start("127.0.0.1:0", None, later).await;
        let verdict = login(&Http::new(), &registry.address.to_string(), None).await;
        assert_eq!(verdict.outcome, Outcome::RateLimited);
        assert_eq!(verdict.retry_after, Some(90));
    });
}
