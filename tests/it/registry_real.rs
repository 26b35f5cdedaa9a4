//! Logins to a real `docker-registry`: Basic and Bearer, with and without TLS.

use std::path::Path;

use registry_agent::adapters::http::Http;
use registry_agent::adapters::registry::{VerificationRequest, image_access, verify};
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::registry_protocol::image_access::{AccessRight, ImageAccess};
use registry_agent::domain::registry_protocol::verdict::{Outcome, Verdict};
use registry_agent::domain::servers::image::Image;
use registry_agent::domain::servers::server::Server;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use sha2::{Digest as _, Sha256};

use crate::support::authority::{Authority, Identity};
use crate::support::isolated::{self, Etc};
use crate::support::registry::{Auth, Registry};
use crate::support::token_server::{self, ISSUER, SERVICE, User};

async fn login(name: &str, user: &str, password: &str) -> Verdict {
    let (server, _) = Server::parse(name).unwrap();
    let credential = Credential::plain(user, Secret::new(password));
    let question = VerificationRequest {
        server: &server,
        credential: &credential,
        ca_file: None,
        realms: &[],
    };
    verify(&Http::new(), &question).await
}

async fn may(image: &str, user: &str, password: &str) -> ImageAccess {
    let image = Image::parse(image).unwrap();
    let credential = Credential::plain(user, Secret::new(password));
    let question = VerificationRequest {
        server: &image.server,
        credential: &credential,
        ca_file: None,
        realms: &[],
    };
    image_access(&Http::new(), &question, &image).await
}

fn code(right: &AccessRight) -> &'static str {
    match right {
        AccessRight::Yes => "yes",
        AccessRight::No(reason) | AccessRight::Unknown(reason) => reason.code(),
    }
}

fn refused(verdict: &Verdict) -> bool {
    verdict.outcome == Outcome::Rejected && verdict.reason.as_ref().unwrap().code() == "refused"
}

/// Passwords that break code which splits or quotes them, or assumes ASCII.
const AWKWARD: [(&str, &str); 6] = [
    ("colons", ":a:b:"),
    ("blanks", " a  b "),
    ("shell", r#"$HOME `id` "'\ !"#),
    ("ünïcode", "pässwörd – 密码"),
    ("percent", "%41+&=?#/"),
    ("long", "0123456789012345678901234567890123456789012345678901234567890123456789"),
];

#[tokio::test]
async fn a_password_of_any_characters_is_accepted_by_an_htpasswd_registry() {
    let registry = Registry::start(&Auth::Htpasswd(&AWKWARD), None);
    for (user, password) in AWKWARD {
        assert_eq!(login(&registry.server(), user, password).await, Verdict::ready(), "{user}");
        let wrong = login(&registry.server(), user, &format!("x{password}")).await;
        assert!(refused(&wrong), "{user}: {wrong:?}");
    }
    assert!(refused(&login(&registry.server(), "nobody", "x").await));
}

#[tokio::test]
async fn an_open_registry_is_unverified_and_a_stopped_one_unreachable() {
    let mut registry = Registry::start(&Auth::Open, None);
    let verdict = login(&registry.server(), "user", "password").await;
    assert_eq!(verdict.outcome, Outcome::Unverified);
    assert_eq!(verdict.reason.unwrap().code(), "not-asked");
    registry.stop();
    let verdict = login(&registry.server(), "user", "password").await;
    assert_eq!(verdict.outcome, Outcome::Unreachable);
    assert_eq!(verdict.reason.unwrap().code(), "connection-refused");
}

#[test]
fn a_registry_with_an_authority_in_certs_d_is_reached_over_tls() {
    let authority = Authority::new("A company's authority");
    let directory = tempfile::tempdir().unwrap();
    let files = authority.sign(&["registry.test"]).write(directory.path());
    let hosts = [("registry.test", "127.0.0.1")];
    let users: [(&str, &str); 1] = [("user", "right")];
    isolated::run(&Etc { hosts: &hosts, ..Etc::default() }, async || {
        let registry = Registry::start(&Auth::Htpasswd(&users), Some(&files));
        let name = format!("registry.test:{}", registry.port());
        let before = login(&name, "user", "right").await;
        assert_eq!(before.reason.unwrap().code(), "unknown-authority");
        isolated::write(&format!("docker/certs.d/{name}/ca.crt"), &authority.pem());
        assert_eq!(login(&name, "user", "right").await, Verdict::ready());
        assert!(refused(&login(&name, "user", "wrong").await));
    });
}

const USERS: &[User] =
    &[("reader", "p:r", &["pull"]), ("writer", "p w", &["pull", "push"]), ("nobody", "p", &[])];

#[tokio::test]
async fn a_login_through_a_token_server_is_verified_and_its_tokens_state_the_access() {
    let directory = tempfile::tempdir().unwrap();
    let signer = Identity::rsa();
    let files = signer.write(directory.path());
    let tokens = token_server::start(signer, USERS).await;
    let realm = format!("http://{}/token", tokens.address);
    let auth = Auth::Token {
        realm: &realm,
        service: SERVICE,
        issuer: ISSUER,
        certificate: &files.certificate,
    };
    let registry = Registry::start(&auth, None);
    let server = registry.server();
    for (user, password, _) in USERS {
        assert_eq!(login(&server, user, password).await, Verdict::ready(), "{user}");
        assert!(refused(&login(&server, user, "wrong").await), "{user}");
    }
    let image = format!("{server}/team/app:v1");
    for ((user, password, _), pull, push) in [
        (&USERS[0], "yes", "not-granted"),
        (&USERS[1], "yes", "yes"),
        (&USERS[2], "not-granted", "not-granted"),
    ] {
        let rights = may(&image, user, password).await;
        assert_eq!((code(&rights.pull), code(&rights.push)), (pull, push), "{user}: {rights:?}");
    }
    let wrong = may(&image, "reader", "wrong").await;
    assert_eq!((code(&wrong.pull), code(&wrong.push)), ("refused", "refused"));
}

#[tokio::test]
async fn access_to_a_basic_registry_follows_from_its_manifests() {
    let registry = Registry::start(&Auth::Htpasswd(&[("user", "right")]), None);
    let server = registry.server();
    push(&server, "team/app", "v1", registry.directory()).await;
    let rights = may(&format!("{server}/team/app:v1"), "user", "right").await;
    assert_eq!((code(&rights.pull), code(&rights.push)), ("yes", "push-access-unknown"));
    let rights = may(&format!("{server}/team/app:v2"), "user", "right").await;
    assert_eq!((code(&rights.pull), code(&rights.push)), ("no-such-image", "push-access-unknown"));
    let rights = may(&format!("{server}/team/app:v1"), "user", "wrong").await;
    assert_eq!(code(&rights.pull), "not-granted");
}

/// Pushes an image without layers.
async fn push(server: &str, repository: &str, tag: &str, storage: &Path) {
    let client = reqwest::Client::new();
    let (user, password) = ("user", Some("right"));
    let config =
        r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(config)));
    let url = format!("http://{server}/v2/{repository}");
    let started = client
        .post(format!("{url}/blobs/uploads/"))
        .basic_auth(user, password)
        .send()
        .await
        .unwrap();
    let place = started.headers()[LOCATION].to_str().unwrap();
    let put = client.put(place).query(&[("digest", &digest)]).body(config);
    assert_eq!(put.basic_auth(user, password).send().await.unwrap().status(), 201);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": kind, "layers": [],
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest, "size": config.len(),
        },
    });
    let put = client.put(format!("{url}/manifests/{tag}")).header(CONTENT_TYPE, kind);
    let put = put.body(manifest.to_string()).basic_auth(user, password).send().await.unwrap();
    assert_eq!(put.status(), 201, "{}", storage.display());
}
