//! Image access on a registry with opaque tokens: ghcr.io, under its real name.

use registry_agent::adapters::http::Http;
use registry_agent::adapters::registry::{VerificationRequest, image_access};
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::registry_protocol::image_access::{AccessRight, ImageAccess};
use registry_agent::domain::servers::image::Image;

use crate::support::authority::Authority;
use crate::support::isolated::{self, Etc};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json};

/// Responds as ghcr.io: tokens are opaque, and a scope is rejected as a whole. Nobody may read `private`,
/// and only the password `ghp_writer` may push to `app`.
fn ghcr(heard: &ReceivedRequest) -> Vec<u8> {
    let writer = heard.header("authorization") == Some("Basic bWU6Z2hwX3dyaXRlcg==");
    let denied = r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#;
    if heard.line.contains("/token?") {
        let pushes = heard.line.contains("push");
        let open = heard.line.contains("%3Aorg%2Fapp%3A");
        let scoped = heard.line.contains("scope=");
        return if !scoped || (open && (writer || !pushes)) {
            json(200, &[], r#"{"token":"opaque"}"#)
        } else {
            json(403, &[], denied)
        };
    }
    match (heard.header("authorization"), heard.line.as_str()) {
        (Some("Bearer opaque"), "HEAD https://ghcr.io/v2/org/app/manifests/v1") => {
            json(200, &[], "")
        }
        (Some("Bearer opaque"), _) => json(404, &[], ""),
        _ => json(
            401,
            &[r#"WWW-Authenticate: Bearer realm="https://ghcr.io/token",service="ghcr.io""#],
            denied,
        ),
    }
}

async fn may(image: &str, password: &str) -> (String, String) {
    let image = Image::parse(image).unwrap();
    let credential = Credential::plain("me", Secret::new(password));
    let question = VerificationRequest {
        server: &image.server,
        credential: &credential,
        ca_file: None,
        realms: &[],
    };
    let ImageAccess { pull, push, .. } = image_access(&Http::new(), &question, &image).await;
    (output_text(pull), output_text(push))
}

fn output_text(right: AccessRight) -> String {
    match right {
        AccessRight::Yes => "yes".to_owned(),
        AccessRight::No(reason) => format!("no: {reason}; fix: {}", reason.fix()),
        AccessRight::Unknown(reason) => format!("unknown: {}", reason.code()),
    }
}

#[test]
fn ghcr_distinguishes_pull_and_push_and_names_the_token_needed() {
    let authority = Authority::new("The world's authority");
    let acceptor = authority.sign(&["ghcr.io"]).acceptor();
    let etc = Etc { hosts: &[("ghcr.io", "127.0.0.1")], roots: &authority.pem(), files: &[] };
    isolated::run(&etc, async || {
        let ghcr = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), ghcr).await;
        let write = "no: ghcr.io: login accepted; push denied";

        let (pull, push) = may("ghcr.io/org/app:v1", "ghu_codespace").await;
        assert_eq!(pull, "yes");
        assert!(push.starts_with(write) && push.contains("scopes=write:packages"), "{push}");
        assert!(!ghcr.lines().concat().contains("push"), "what is known is not asked");

        let (pull, push) = may("ghcr.io/org/app:v1", "ghp_reader").await;
        assert_eq!(pull, "yes");
        assert!(push.starts_with(write) && push.contains("scopes=write:packages"), "{push}");

        let (pull, push) = may("ghcr.io/org/app:v1", "ghp_writer").await;
        assert_eq!((pull.as_str(), push.as_str()), ("yes", "unknown: push-access-unknown"));

        let (pull, _) = may("ghcr.io/org/app:v2", "ghp_reader").await;
        assert_eq!(pull, "unknown: no-such-image");

        let (pull, push) = may("ghcr.io/org/private", "ghp_reader").await;
        assert!(pull.contains("read:packages"), "{pull}");
        assert!(push.starts_with(write), "{push}");
    });
}
