//! Finds out what a credential may do with one image, without writing anything.

use reqwest::header::HeaderValue;

use super::session::{Session, bearer};
use super::{VerificationRequest, connection_failed};
use crate::adapters::http::Http;
use crate::domain::credentials::precheck;
use crate::domain::credentials::secret::Secret;
use crate::domain::reasons::RegistryReason;
use crate::domain::reasons::connection::ConnectionFault;
use crate::domain::reasons::image_access::Action;
use crate::domain::registry_protocol::image_access::{
    AccessRight, ImageAccess, PullQuota, by_grant, by_manifest, granted, never_pushes, not_granted,
    push_unknown,
};
use crate::domain::registry_protocol::response::RequestStep;
use crate::domain::registry_protocol::verdict::{AuthMethod, Outcome, Verdict};
use crate::domain::servers::image::Image;
use crate::domain::servers::kind::Kind;

/// What the credential of the request may do with `image`, which is on the same server.
///
/// For a Bearer registry, requests a token for both actions and trusts what the token says it
/// grants. Otherwise, requests the image's manifest. Nothing is written, so push access stays
/// unknown at a registry that uses Basic. Ends within [`crate::adapters::http::Limits::total`].
pub async fn image_access(
    http: &Http,
    question: &VerificationRequest<'_>,
    image: &Image,
) -> ImageAccess {
    let server = question.server.clone().into();
    if let Some(reason) = precheck::fault_of(&server, question.credential) {
        return ImageAccess::none(&reason.into());
    }
    let asked = tokio::time::timeout(http.limits().total, ask(http, question, image)).await;
    asked.unwrap_or_else(|_| {
        let host = question.server.authority().to_owned();
        of_verdict(connection_failed(host, ConnectionFault::TimedOut))
    })
}

async fn ask(http: &Http, question: &VerificationRequest<'_>, image: &Image) -> ImageAccess {
    let (session, auth_method) = match Session::open(http, question).await {
        Ok(opened) => opened,
        Err(verdict) => return of_verdict(verdict),
    };
    let push = never_pushes(image, question.credential).map(AccessRight::No);
    match auth_method {
        AuthMethod::Basic => {
            let (pull, quota) = match session.basic() {
                Ok(basic) => manifest(&session, image, &basic).await,
                Err(verdict) => return of_verdict(verdict),
            };
            ImageAccess { pull, push: push.unwrap_or_else(|| push_unknown(image)), quota }
        }
        AuthMethod::Bearer { realm, service } => {
            let token = async |actions: Option<&str>| {
                let scope = actions.map(|it| format!("repository:{}:{it}", image.repository));
                session.token(&realm, service.as_deref(), scope.as_deref()).await
            };
            // First without a scope: then a rejection concerns the login, and no second attempt is
            // made.
            if let Err(verdict) = token(None).await {
                return of_verdict(verdict);
            }
            let (grant, push) = match push {
                Some(push) => (token(Some("pull")).await, Some(push)),
                None => match token(Some("pull,push")).await {
                    // Some registries reject the whole scope if they reject one of its actions.
                    Err(verdict) if verdict.outcome == Outcome::Rejected => {
                        let push = AccessRight::No(not_granted(image, Action::Push));
                        (token(Some("pull")).await, Some(push))
                    }
                    token => (token, None),
                },
            };
            match grant {
                Ok(token) => by_token(&session, image, &token, push).await,
                Err(verdict) if verdict.outcome == Outcome::Rejected => ImageAccess {
                    pull: AccessRight::No(not_granted(image, Action::Pull)),
                    push: push.unwrap_or_else(|| AccessRight::No(not_granted(image, Action::Push))),
                    quota: None,
                },
                Err(verdict) => of_verdict(verdict),
            }
        }
    }
}

/// The access that a token states, or else the access that the registry grants with it.
async fn by_token(
    session: &Session<'_>,
    image: &Image,
    token: &Secret,
    push: Option<AccessRight>,
) -> ImageAccess {
    let grant = granted(image, token);
    let pull = grant.as_ref().map(|grant| by_grant(image, grant, Action::Pull));
    let push = push.or_else(|| Some(by_grant(image, grant.as_ref()?, Action::Push)));
    let push = push.unwrap_or_else(|| push_unknown(image));
    let asks_for_quota = image.server.kind() == &Kind::DockerHub;
    match pull {
        Some(pull) if !asks_for_quota || pull != AccessRight::Yes => {
            return ImageAccess { pull, push, quota: None };
        }
        _ => {}
    }
    let Some(bearer) = bearer(token) else {
        return of_verdict(session.no_token("an unusable token"));
    };
    let (pull, quota) = manifest(session, image, &bearer).await;
    ImageAccess { pull, push, quota }
}

/// All manifest media types: a registry responds as if the image did not exist if its type is not
/// accepted.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

async fn manifest(
    session: &Session<'_>,
    image: &Image,
    authorization: &HeaderValue,
) -> (AccessRight, Option<PullQuota>) {
    let path = format!("/v2/{}/manifests/{}", image.repository, image.reference);
    match session.head(&path, &MANIFESTS, authorization).await {
        Ok(reply) => {
            let right = by_manifest(image, &session.read(RequestStep::Image, &reply, &[]));
            let header = |name| reply.headers.get(name).and_then(|value| value.to_str().ok());
            let quota =
                PullQuota::of_headers(header("ratelimit-limit"), header("ratelimit-remaining"));
            (right, quota)
        }
        Err(fault) => {
            let host = image.server.authority().to_owned();
            (AccessRight::Unknown(RegistryReason::Unreached { host, fault }.into()), None)
        }
    }
}

/// Converts a verdict that ends the verification early to access rights.
fn of_verdict(verdict: Verdict) -> ImageAccess {
    let refused = matches!(verdict.outcome, Outcome::Rejected | Outcome::Invalid);
    match verdict.reason {
        Some(reason) if refused => ImageAccess::none(&reason),
        Some(reason) => ImageAccess::unknown(&reason),
        None => ImageAccess { pull: AccessRight::Yes, push: AccessRight::Yes, quota: None },
    }
}
