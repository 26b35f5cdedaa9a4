//! A malicious registry. Whatever it responds, the password is sent to no host that it was not declared
//! for: listeners on all other hosts check that no byte of it arrives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_agent::adapters::http::{Http, Limits};
use registry_agent::adapters::registry::{VerificationRequest, verify};
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::registry_protocol::verdict::{Outcome, Verdict};
use registry_agent::domain::servers::server::Server;

use crate::support::authority::Authority;
use crate::support::isolated::{self, Etc};
use crate::support::scripted_registry::{
    ReceivedRequest, ScriptedRegistry, ScriptedResponse, json, reply,
};

const USER: &str = "user";
const PASSWORD: &str = "hunter2-the-canary-password";

/// The registry, and the hosts that it could redirect the password to.
struct TestNetwork {
    registry: ScriptedRegistry,
    others: Vec<ScriptedRegistry>,
    script: Arc<Mutex<Arc<Script>>>,
    http: Http,
}

type Script = dyn Fn(&ReceivedRequest) -> ScriptedResponse + Send + Sync;

impl TestNetwork {
    /// `r.test` responds by the script. `evil.test`, the metadata service and the plain ports accept
    /// everything, with certificates that the client trusts.
    async fn new(authority: &Authority) -> Self {
        let tls = |names: &[&str]| Some(authority.sign(names).acceptor());
        let script: Arc<Mutex<Arc<Script>>> =
            Arc::new(Mutex::new(Arc::new(|_: &ReceivedRequest| json(500, &[], "{}").into())));
        let current = Arc::clone(&script);
        let play = move |heard: &ReceivedRequest| {
            let script = Arc::clone(&current.lock().unwrap());
            script(heard)
        };
        let take = |_: &ReceivedRequest| json(200, &[], r#"{"token":"stolen"}"#);
        let registry = ScriptedRegistry::start("127.0.0.1:443", tls(&["r.test"]), play).await;
        let mut others = vec![ScriptedRegistry::start("127.0.0.1:80", None, take).await];
        for (address, name) in [("127.0.0.2", "evil.test"), ("169.254.169.254", "169.254.169.254")]
        {
            let names = [name, "*.evil.test"];
            others
                .push(ScriptedRegistry::start(&format!("{address}:443"), tls(&names), take).await);
            others.push(ScriptedRegistry::start(&format!("{address}:80"), None, take).await);
        }
        let second = Duration::from_secs(1);
        let http = Http::with_limits(Limits { connect: second, step: second, total: 3 * second });
        Self { registry, others, script, http }
    }

    /// Logs in while the registry responds by `script`, and checks where the password was sent.
    async fn login<P: Into<ScriptedResponse>>(
        &self,
        realms: &[&str],
        script: impl Fn(&ReceivedRequest) -> P + Send + Sync + 'static,
    ) -> Verdict {
        *self.script.lock().unwrap() =
            Arc::new(move |heard: &ReceivedRequest| script(heard).into());
        let (server, _) = Server::parse("r.test").unwrap();
        let credential = Credential::plain(USER, Secret::new(PASSWORD));
        let realms: Vec<String> = realms.iter().map(ToString::to_string).collect();
        let question = VerificationRequest {
            server: &server,
            credential: &credential,
            ca_file: None,
            realms: &realms,
        };
        let verdict = verify(&self.http, &question).await;
        if realms.is_empty() {
            for other in &self.others {
                assert_eq!(other.bytes(), b"", "{} was told something", other.address);
            }
        }
        let reason = verdict.reason.as_deref();
        let fix = reason.map(registry_agent::domain::reasons::Reason::fix);
        let shown =
            format!("{verdict:?} {} {fix:?}", reason.map(ToString::to_string).unwrap_or_default());
        assert!(!holds_password(shown.as_bytes()), "the reason tells the password: {shown}");
        verdict
    }

    /// Whether the registry itself received the password.
    fn has_password(&self) -> bool {
        holds_password(&self.registry.bytes())
    }
}

/// Whether `bytes` contain the password, a recognizable part of it, or its Basic form.
fn holds_password(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let basic = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    text.contains("canary-pass") || text.contains(&basic[..12])
}

fn in_network<F: Future<Output = ()>>(test: impl FnOnce(TestNetwork) -> F + Send) {
    let authority = Authority::new("Everybody's authority");
    let hosts = [
        ("r.test", "127.0.0.1"),
        ("evil.test", "127.0.0.2"),
        ("hunter2-the-canary-password.evil.test", "127.0.0.2"),
    ];
    isolated::run(&Etc { hosts: &hosts, roots: &authority.pem(), files: &[] }, async || {
        test(TestNetwork::new(&authority).await).await;
    });
}

fn verdict_of(verdict: &Verdict) -> (Outcome, &'static str) {
    (verdict.outcome, verdict.reason.as_ref().map_or("", |reason| reason.code()))
}

fn challenge(lines: &[&str]) -> Vec<u8> {
    let headers: Vec<String> = lines.iter().map(|it| format!("WWW-Authenticate: {it}")).collect();
    json(401, &headers.iter().map(String::as_str).collect::<Vec<_>>(), "{}")
}

/// Requires a token from the registry's own realm, which responds with `play`.
fn at_the_realm(heard: &ReceivedRequest, play: impl Into<ScriptedResponse>) -> ScriptedResponse {
    if heard.line.contains("/token") {
        play.into()
    } else {
        challenge(&[r#"Bearer realm="https://r.test/token""#]).into()
    }
}

#[test]
fn a_foreign_token_server_does_not_get_the_password() {
    in_network(async |network| {
        let asked = (Outcome::Unverified, "realm-not-allowed");
        let never = (Outcome::Invalid, "realm-forbidden");
        for (realm, expected) in [
            ("https://evil.test/token", asked),
            ("https://evil.test:443/token", asked),
            ("https://r.test.evil.test/token", asked),
            ("https://r.test:444/token", asked),
            ("http://evil.test/token", never),
            ("http://r.test/token", never),
            ("http://r.test:443/token", never),
            ("https://r.test@evil.test/token", never),
            ("https://user:pass@r.test/token", never),
            ("https://127.0.0.2/token", never),
            ("https://2130706434/token", never),
            ("https://169.254.169.254/latest/meta-data", never),
            ("http://169.254.169.254/latest/meta-data", never),
            ("https://[::ffff:169.254.169.254]/", never),
            ("https://hunter2-the-canary-password.evil.test/token", asked),
            ("http://hunter2-the-canary-password.evil.test/token", never),
        ] {
            let line = format!(r#"Bearer realm="{realm}",service="r.test""#);
            let also = line.clone();
            let verdict = network.login(&[], move |_| challenge(&[&line])).await;
            assert_eq!(verdict_of(&verdict), expected, "{realm}: {verdict:?}");
            // Basic would be safe here, but clients would follow the realm.
            let verdict =
                network.login(&[], move |_| challenge(&[r#"Basic realm="x""#, &also])).await;
            assert_eq!(verdict_of(&verdict), expected, "{realm} beside Basic: {verdict:?}");
        }
        assert!(!network.has_password());
    });
}

#[test]
fn only_the_token_server_that_the_user_allowed_gets_the_password() {
    in_network(async |network| {
        let script = |realm: &'static str| {
            move |heard: &ReceivedRequest| match heard.header("authorization") {
                Some("Bearer stolen") => json(200, &[], "{}"),
                _ => challenge(&[&format!(r#"Bearer realm="{realm}""#)]),
            }
        };
        let verdict = network.login(&["evil.test"], script("https://evil.test/token")).await;
        assert_eq!(verdict, Verdict::ready());
        assert!(holds_password(&network.others[1].bytes()));
        let verdict = network.login(&["evil.test"], script("http://evil.test/token")).await;
        assert_eq!(verdict_of(&verdict), (Outcome::Invalid, "realm-forbidden"));
        assert_eq!(network.others[2].bytes(), b"");
        let verdict = network.login(&["evil.test"], script("https://169.254.169.254/")).await;
        assert_eq!(verdict_of(&verdict), (Outcome::Invalid, "realm-forbidden"));
    });
}

#[test]
fn a_redirect_to_another_origin_is_not_followed() {
    in_network(async |network| {
        for target in [
            "https://evil.test/v2/",
            "http://r.test/v2/",
            "https://r.test:444/v2/",
            "//evil.test/v2/",
            "https://hunter2-the-canary-password.evil.test/",
        ] {
            for status in [301, 302, 303, 307, 308] {
                let location = format!("Location: {target}");
                // Before the login, at the token server, and after the login.
                let line = location.clone();
                let verdict = network.login(&[], move |_| reply(status, &[&line], "")).await;
                assert_eq!(verdict_of(&verdict), (Outcome::Unreachable, "not-a-registry"));

                let line = location.clone();
                let verdict = network
                    .login(&[], move |heard| at_the_realm(heard, reply(status, &[&line], "")))
                    .await;
                assert_eq!(verdict_of(&verdict), (Outcome::Unreachable, "no-token"));

                let line = location.clone();
                let verdict = network
                    .login(&[], move |heard| match heard.header("authorization") {
                        Some(_) => reply(status, &[&line], ""),
                        None => challenge(&["Basic"]),
                    })
                    .await;
                assert_eq!(verdict_of(&verdict), (Outcome::Unreachable, "not-a-registry"));
            }
        }
    });
}

#[test]
fn redirects_within_the_registry_are_followed_up_to_a_limit() {
    in_network(async |network| {
        let verdict = network
            .login(&[], |heard| match (heard.line.as_str(), heard.header("authorization")) {
                ("GET https://r.test/v2/", _) => reply(307, &["Location: /api/v2/"], ""),
                (_, None) => challenge(&["Basic"]),
                _ => json(200, &[], "{}"),
            })
            .await;
        assert_eq!(verdict, Verdict::ready());
        let before = network.registry.lines().len();
        let verdict = network.login(&[], |_| reply(302, &["Location: /v2/"], "")).await;
        assert_eq!(verdict_of(&verdict), (Outcome::Unreachable, "not-a-registry"));
        assert_eq!(network.registry.lines().len() - before, 6);
    });
}

#[test]
fn an_endless_body_is_not_read_to_its_end() {
    in_network(async |network| {
        let head = || json(200, &[], "").strip_suffix(b"\r\n\r\n").unwrap().to_vec();
        let head = String::from_utf8(head()).unwrap().replace("Content-Length: 0", "X: 0");
        let head = format!("{head}\r\n\r\n").into_bytes();
        let endless = head.clone();
        let verdict = network.login(&[], move |_| ScriptedResponse::Endless(endless.clone())).await;
        assert_eq!(verdict_of(&verdict), (Outcome::Unverified, "not-asked"));
        let endless = head.clone();
        let verdict = network
            .login(&[], move |heard| {
                at_the_realm(heard, ScriptedResponse::Endless(endless.clone()))
            })
            .await;
        assert_eq!(verdict_of(&verdict), (Outcome::Unreachable, "no-token"));
        let taken = network.registry.sent();
        assert!(taken < 64 << 20, "{taken} bytes were taken");
    });
}

#[test]
fn a_response_that_trickles_in_is_abandoned() {
    in_network(async |network| {
        for head in
            ["", "HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n\r\n"]
        {
            let verdict =
                network.login(&[], move |_| ScriptedResponse::Drip(head.as_bytes().to_vec())).await;
            assert_eq!(verdict.outcome, Outcome::Unreachable, "{head:?}: {verdict:?}");
        }
        assert!(!network.has_password());
    });
}

#[test]
fn responses_that_are_not_a_registrys_have_their_own_reasons() {
    in_network(async |network| {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(10_000));
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
        for (bytes, code) in [
            ("", "broken-off"),
            ("\0\0\0\0", "not-http"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "not-http"),
            ("HTTP/1.1 200 OK\r\nX\0: y\r\n\r\n", "not-http"),
            ("HTTP/1.1 99999 OK\r\n\r\n", "not-http"),
            (&many, "not-http"),
            (&long, "not-http"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", "broken-off"),
            ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "not-a-registry"),
            ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "not-a-registry"),
            ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "not-a-registry"),
            (
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n",
                "bad-challenge",
            ),
            (
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"\r\nContent-Length: 0\r\n\r\n",
                "bad-challenge",
            ),
            (
                "HTTP/1.1 401 No\r\nWWW-Authenticate: \u{1}\u{fe}\r\nContent-Length: 0\r\n\r\n",
                "not-http",
            ),
            (
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"/token\"\r\nContent-Length: 0\r\n\r\n",
                "bad-challenge",
            ),
            (
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
                "bad-challenge",
            ),
        ] {
            let bytes = bytes.as_bytes().to_vec();
            let sent = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            let verdict = network.login(&[], move |_| bytes.clone()).await;
            assert_eq!(verdict_of(&verdict), (Outcome::Unreachable, code), "{sent:?}: {verdict:?}");
        }
        assert!(!network.has_password());
    });
}

#[test]
fn a_registry_that_repeats_the_password_is_not_quoted() {
    in_network(async |network| {
        let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        for message in [PASSWORD, &format!("no {}", &PASSWORD[2..]), &basic] {
            let body = format!(r#"{{"errors":[{{"code":"{message}","message":"{message}"}}]}}"#);
            let verdict = network
                .login(&[], move |heard| match heard.header("authorization") {
                    Some(_) => json(401, &[], &body),
                    None => challenge(&["Basic"]),
                })
                .await;
            assert_eq!(verdict_of(&verdict), (Outcome::Rejected, "refused"));
        }
    });
}

#[test]
fn an_implausible_token_is_not_accepted() {
    in_network(async |network| {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"token":""}"#,
            r#"{"token":7}"#,
            r#"{"token":"a\r\nX: y"}"#,
            "token",
        ] {
            let verdict =
                network.login(&[], move |heard| at_the_realm(heard, json(200, &[], body))).await;
            assert_eq!(verdict_of(&verdict), (Outcome::Unreachable, "no-token"), "{body}");
        }
    });
}

#[test]
fn a_registry_without_tls_gets_no_password() {
    let hosts = [("r.test", "127.0.0.1")];
    isolated::run(&Etc { hosts: &hosts, ..Etc::default() }, async || {
        let take = |_: &ReceivedRequest| challenge(&["Basic"]);
        let plain = ScriptedRegistry::start("127.0.0.1:443", None, take).await;
        let (server, _) = Server::parse("r.test").unwrap();
        let credential = Credential::plain(USER, Secret::new(PASSWORD));
        let question = VerificationRequest {
            server: &server,
            credential: &credential,
            ca_file: None,
            realms: &[],
        };
        let verdict = verify(&Http::new(), &question).await;
        assert_eq!(verdict.outcome, Outcome::Unreachable, "{verdict:?}");
        assert!(!holds_password(&plain.bytes()));
        assert_eq!(plain.lines(), [""; 0]);
    });
}
