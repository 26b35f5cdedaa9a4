//! Well-known registries under their real names, over TLS: the challenge, token server and errors of
//! each are reproduced from its documentation and real responses.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use registry_agent::adapters::http::Http;
use registry_agent::adapters::registry::{VerificationRequest, verify};
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::reasons::rejection::ACR_TOKEN_USER;
use registry_agent::domain::registry_protocol::verdict::{Outcome, Verdict};
use registry_agent::domain::servers::server::Server;

use crate::support::authority::Authority;
use crate::support::isolated::{self, Etc};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json, reply};

const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

/// The reproduced hosts, all on 127.0.0.1:443.
const HOSTS: [&str; 17] = [
    "ghcr.io",
    "registry-1.docker.io",
    "index.docker.io",
    "auth.docker.io",
    "mycompany.azurecr.io",
    "gcr.io",
    "eu.gcr.io",
    "us-docker.pkg.dev",
    "public.ecr.aws",
    ECR,
    "registry.gitlab.com",
    "gitlab.com",
    "quay.io",
    "dhi.io",
    "marketplace.gcr.io",
    "docker.us-east1.rep.pkg.dev",
    "mycompany.azurecr.de",
];

/// The password that every host accepts.
const RIGHT: &str = "right: a $ecret, \"ünïcode\"";

const REFRESH: &str = "e30.eyJleHAiOjE3OTU1MDAwMDB9.c2ln";

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Responds as the registry that the request is for.
fn respond(heard: &ReceivedRequest) -> Vec<u8> {
    let url = url::Url::parse(heard.line.split_once(' ').unwrap().1).unwrap();
    let host = url.host_str().unwrap().to_owned();
    let authorization = heard.header("authorization");
    match (host.as_str(), url.path()) {
        (ECR, "/v2/") => ecr(authorization),
        (_, "/v2/") => api(&host, authorization),
        _ if token_path(&host) == Some(url.path()) => token(&host, &url, heard),
        _ => reply(404, &["Content-Type: text/html"], "<html>"),
    }
}

/// The challenge of each Bearer registry, and its response to its own token.
fn api(host: &str, authorization: Option<&str>) -> Vec<u8> {
    let version = "Docker-Distribution-Api-Version: registry/2.0";
    if authorization == Some("Bearer good-token") {
        return json(200, &[version], "{}");
    }
    let challenge = match host {
        "registry-1.docker.io" => {
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io""#
        }
        "ghcr.io" => {
            r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull""#
        }
        "mycompany.azurecr.io" => {
            r#"Bearer realm="https://mycompany.azurecr.io/oauth2/token",service="mycompany.azurecr.io""#
        }
        "mycompany.azurecr.de" => {
            r#"Bearer realm="https://mycompany.azurecr.de/oauth2/token",service="mycompany.azurecr.de""#
        }
        "gcr.io" => r#"Bearer realm="https://gcr.io/v2/token",service="gcr.io""#,
        "marketplace.gcr.io" => r#"Bearer realm="https://marketplace.gcr.io/v2/token""#,
        "docker.us-east1.rep.pkg.dev" => {
            r#"Bearer realm="https://docker.us-east1.rep.pkg.dev/v2/token""#
        }
        "dhi.io" => r#"Bearer realm="https://dhi.io/token",service="registry.docker.io""#,
        "eu.gcr.io" => r#"Bearer realm="https://eu.gcr.io/v2/token""#,
        "us-docker.pkg.dev" => {
            r#"Bearer realm="https://us-docker.pkg.dev/v2/token",service="us-docker.pkg.dev""#
        }
        "public.ecr.aws" => {
            r#"Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws""#
        }
        "registry.gitlab.com" => {
            r#"Bearer realm="https://gitlab.com/jwt/auth",service="container_registry""#
        }
        "quay.io" => r#"Bearer realm="https://quay.io/v2/auth",service="quay.io""#,
        _ => return reply(404, &["Content-Type: text/html"], "<html>"),
    };
    let challenge = format!("WWW-Authenticate: {challenge}");
    json(
        401,
        &[version, &challenge],
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
    )
}

fn token_path(host: &str) -> Option<&'static str> {
    Some(match host {
        "auth.docker.io" | "ghcr.io" | "dhi.io" => "/token",
        "public.ecr.aws" => "/token/",
        "mycompany.azurecr.io" | "mycompany.azurecr.de" => "/oauth2/token",
        "gitlab.com" => "/jwt/auth",
        "quay.io" => "/v2/auth",
        "gcr.io"
        | "eu.gcr.io"
        | "marketplace.gcr.io"
        | "us-docker.pkg.dev"
        | "docker.us-east1.rep.pkg.dev" => "/v2/token",
        _ => return None,
    })
}

/// The token servers: the accepted logins, the name of the token's field, and the errors.
fn token(host: &str, url: &url::Url, heard: &ReceivedRequest) -> Vec<u8> {
    let account = url.query_pairs().find(|(name, _)| name == "account").map(|(_, it)| it);
    let shown = heard.header("authorization").unwrap_or_default();
    let right = account.as_deref().is_some_and(|user| {
        [RIGHT, REFRESH, &key(), &STANDARD.encode(key())].iter().any(|it| shown == basic(user, it))
    });
    if heard.line.starts_with("POST ") {
        let fields: Vec<_> = url::form_urlencoded::parse(heard.body.as_bytes()).collect();
        let has = |name: &str, value: &str| fields.iter().any(|(n, v)| n == name && v == value);
        let good = has("grant_type", "refresh_token")
            && has("refresh_token", REFRESH)
            && has("service", "mycompany.azurecr.io")
            && fields.iter().any(|(name, value)| name == "scope" && !value.is_empty())
            && has("client_id", "registry-agent");
        return if good {
            json(200, &[], r#"{"access_token":"good-token"}"#)
        } else {
            acr_refusal()
        };
    }
    match (host, right) {
        ("mycompany.azurecr.io", true) => json(200, &[], r#"{"access_token":"good-token"}"#),
        ("auth.docker.io", true) => json(
            200,
            &[],
            r#"{"token":"good-token","access_token":"good-token","expires_in":300,"issued_at":"2026-11-24T04:00:00Z"}"#,
        ),
        (_, true) => json(200, &[], r#"{"token":"good-token"}"#),
        ("mycompany.azurecr.io", false) => acr_refusal(),
        ("auth.docker.io", false) => {
            json(401, &[], r#"{"details":"incorrect username or password"}"#)
        }
        ("ghcr.io", false) => {
            json(403, &[], r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#)
        }
        ("gitlab.com", false) => {
            json(403, &[], r#"{"errors":[{"code":"DENIED","message":"access forbidden"}]}"#)
        }
        ("public.ecr.aws", false) => json(
            400,
            &[],
            r#"{"errors":[{"code":"DENIED","message":"Your Authorization Token is invalid."}]}"#,
        ),
        (_, false) => json(
            401,
            &[],
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"failed authentication"}]}"#,
        ),
    }
}

fn acr_refusal() -> Vec<u8> {
    json(
        401,
        &[],
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required, visit https://aka.ms/acr/authorization for more information."}]}"#,
    )
}

/// Private ECR uses Basic.
fn ecr(authorization: Option<&str>) -> Vec<u8> {
    let challenge =
        format!(r#"WWW-Authenticate: Basic realm="https://{ECR}/",service="ecr.amazonaws.com""#);
    match authorization {
        Some(shown) if shown == basic("AWS", RIGHT) => {
            json(200, &["Docker-Distribution-Api-Version: registry/2.0"], "{}")
        }
        Some(shown) if shown == basic("AWS", "dead") => reply(
            403,
            &["Content-Type: text/plain; charset=utf-8"],
            "denied: Your authorization token has expired. Reauthenticate and try again.",
        ),
        _ => reply(401, &[&challenge, "Content-Type: text/plain; charset=utf-8"], "Not Authorized"),
    }
}

fn key() -> String {
    r#"{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----\nabc\n","client_email":"a@b.iam.gserviceaccount.com"}"#.to_owned()
}

async fn login(http: &Http, name: &str, user: &str, password: &str) -> Verdict {
    let (server, _) = Server::parse(name).unwrap();
    let credential = Credential::plain(user, Secret::new(password));
    verify(
        http,
        &VerificationRequest {
            server: &server,
            credential: &credential,
            ca_file: None,
            realms: &[],
        },
    )
    .await
}

/// Runs a test on an isolated system where these hosts are on loopback and their authority is trusted.
fn with_known_registries<F: Future<Output = ()>>(
    test: impl FnOnce(Http, ScriptedRegistry) -> F + Send,
) {
    let authority = Authority::new("The test's authority");
    let hosts = HOSTS.map(|name| (name, "127.0.0.1"));
    let acceptor = authority.sign(&HOSTS).acceptor();
    let etc = Etc { hosts: &hosts, roots: &authority.pem(), files: &[] };
    isolated::run(&etc, || async {
        let scripted_registry =
            ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), respond).await;
        test(Http::new(), scripted_registry).await;
    });
}

#[test]
fn every_registry_accepts_the_correct_login() {
    with_known_registries(async |http, _world| {
        let (file, encoded) = (key(), STANDARD.encode(key()));
        for (name, user, password) in [
            ("docker.io", "me", RIGHT),
            ("https://index.docker.io/v1/", "me", RIGHT),
            ("registry-1.docker.io", "me@example.com", RIGHT),
            ("ghcr.io", "me", RIGHT),
            ("GHCR.io/my-org", "me", RIGHT),
            ("mycompany.azurecr.io", "11111111-2222-3333-4444-555555555555", RIGHT),
            ("mycompany.azurecr.io", ACR_TOKEN_USER, REFRESH),
            ("mycompany.azurecr.io", "<token>", REFRESH),
            ("mycompany.azurecr.de", "app", RIGHT),
            ("dhi.io", "me", RIGHT),
            ("marketplace.gcr.io", "_json_key", &file),
            ("docker.us-east1.rep.pkg.dev", "_json_key", &file),
            ("gcr.io", "_json_key", &file),
            ("eu.gcr.io", "_json_key", &file),
            ("us-docker.pkg.dev", "_json_key_base64", &encoded),
            ("us-docker.pkg.dev", "oauth2accesstoken", RIGHT),
            (ECR, "AWS", RIGHT),
            ("public.ecr.aws", "AWS", RIGHT),
            ("registry.gitlab.com", "deploy", RIGHT),
            ("quay.io", "org+robot", RIGHT),
        ] {
            let verdict = login(&http, name, user, password).await;
            assert_eq!(verdict, Verdict::ready(), "{name} as {user}");
        }
    });
}

#[test]
fn every_registry_that_rejects_a_login_has_its_own_fix() {
    with_known_registries(async |http, _world| {
        let dead = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"exp":1}"#));
        let file = key().replace("abc", "xyz");
        for (name, user, password, output_text, fix) in [
            ("docker.io", "me", "wrong", "incorrect username or password", "Docker ID"),
            (
                "docker.io",
                "me@example.com",
                "wrong",
                "an e-mail address, not a Docker ID",
                "not the e-mail address",
            ),
            ("ghcr.io", "me", "ghp_wrong", "403, denied", "read:packages"),
            (
                "ghcr.io",
                "me",
                "github_pat_wrong",
                "fine-grained tokens are not supported",
                "classic personal access token",
            ),
            ("ghcr.io", "me", "ghu_wrong", "GITHUB_TOKEN", "read:packages"),
            ("mycompany.azurecr.io", "sp", "wrong", "aka.ms", "AcrPull"),
            ("mycompany.azurecr.io", ACR_TOKEN_USER, &dead, "aka.ms", "--expose-token"),
            (
                "gcr.io",
                "_json_key",
                &file,
                "failed authentication",
                "roles/artifactregistry.reader",
            ),
            (
                "us-docker.pkg.dev",
                "oauth2accesstoken",
                "ya29.dead",
                "failed authentication",
                "one hour",
            ),
            ("us-docker.pkg.dev", "me@example.com", "wrong", "failed authentication", "_json_key"),
            (ECR, "AWS", "wrong", "401, Not Authorized", "AWS access key ID"),
            (
                "public.ecr.aws",
                "AWS",
                "wrong",
                "400, Your Authorization Token is invalid",
                "AWS access key ID",
            ),
            ("registry.gitlab.com", "me", "glpat-wrong", "access forbidden", "read_registry"),
            ("quay.io", "me", "wrong", "failed authentication", "robot account"),
        ] {
            let verdict = login(&http, name, user, password).await;
            assert_eq!(verdict.outcome, Outcome::Rejected, "{name} as {user}: {verdict:?}");
            let reason = verdict.reason.unwrap();
            assert!(reason.code().starts_with("refused-"), "{name} as {user}: {}", reason.code());
            assert!(reason.to_string().contains(output_text), "{name} as {user}: {reason}");
            assert!(reason.fix().contains(fix), "{name} as {user}: {}", reason.fix());
        }
        let dead = login(&http, ECR, "AWS", "dead").await;
        assert_eq!(dead.outcome, Outcome::Rejected);
        assert_eq!(dead.reason.unwrap().code(), "token-expired");
    });
}

#[test]
fn a_token_server_is_asked_as_docker_does_and_gets_the_password_once() {
    with_known_registries(async |http, registries| {
        assert_eq!(login(&http, "docker.io", "me & you", RIGHT).await, Verdict::ready());
        assert_eq!(
            registries.lines(),
            [
                "GET https://registry-1.docker.io/v2/",
                "GET https://auth.docker.io/token?service=registry.docker.io&account=me+%26+you&client_id=registry-agent",
                "GET https://registry-1.docker.io/v2/",
            ]
        );
        let heard = registries.heard();
        let shown: Vec<_> = heard.iter().map(|it| it.header("authorization")).collect();
        let basic = basic("me & you", RIGHT);
        assert_eq!(shown, [None, Some(basic.as_str()), Some("Bearer good-token")]);
        let agent = concat!("registry-agent/", env!("CARGO_PKG_VERSION"));
        assert!(heard.iter().all(|it| it.header("user-agent") == Some(agent)));
    });
}

#[test]
fn a_password_that_cannot_be_a_key_is_not_sent() {
    with_known_registries(async |http, registries| {
        let verdict = login(&http, "gcr.io", "_json_key", "/run/secrets/key.json").await;
        assert_eq!(verdict.outcome, Outcome::Invalid);
        assert_eq!(verdict.reason.unwrap().code(), "not-a-service-account-key");
        assert_eq!(registries.lines(), [""; 0]);
    });
}
