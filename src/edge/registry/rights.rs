//! What a credential may do with one image, found out without writing anything.

use reqwest::Method;
use reqwest::header::HeaderValue;

use super::session::{Session, bearer};
use super::{Question, unreached};
use crate::domain::answer::Step;
use crate::domain::image::Image;
use crate::domain::precheck;
use crate::domain::reason::RegistryReason;
use crate::domain::reason::reach::ReachFault;
use crate::domain::reason::right::Action;
use crate::domain::rights::{
    Right, Rights, by_grant, by_manifest, granted, never_pushes, not_granted, push_untold,
};
use crate::domain::verdict::{Outcome, Verdict, Way};
use crate::edge::http::Http;

/// What the question's credential may do with `image`, whose server is the question's.
///
/// A Bearer registry is asked for a token of both actions and believed where the token says what it
/// grants; otherwise the image's manifest is asked for. Nothing is written, so at a registry that
/// speaks Basic the right to push stays unknown. Ends within [`crate::edge::http::Limits::total`].
pub async fn rights(http: &Http, question: &Question<'_>, image: &Image) -> Rights {
    if let Some(reason) = precheck::fault_of(question.server, question.credential) {
        return Rights::none(&reason.into());
    }
    let asked = tokio::time::timeout(http.limits().total, ask(http, question, image)).await;
    asked.unwrap_or_else(|_| {
        let host = question.server.authority().to_owned();
        of_verdict(unreached(host, ReachFault::TimedOut))
    })
}

async fn ask(http: &Http, question: &Question<'_>, image: &Image) -> Rights {
    let (session, way) = match Session::open(http, question).await {
        Ok(opened) => opened,
        Err(verdict) => return of_verdict(verdict),
    };
    let push = never_pushes(image, question.credential).map(Right::No);
    match way {
        Way::Basic => {
            let pull = match session.basic() {
                Ok(basic) => manifest(&session, image, &basic).await,
                Err(verdict) => return of_verdict(verdict),
            };
            Rights { pull, push: push.unwrap_or_else(|| push_untold(image)) }
        }
        Way::Bearer { realm, service } => {
            let scope = |actions| format!("repository:{}:{actions}", image.repository);
            let token = |scope: String| {
                let (session, realm, service) = (&session, &realm, service.as_deref());
                async move { session.token(realm, service, Some(&scope)).await }
            };
            let (token, push) = match push {
                Some(push) => (token(scope("pull")).await, Some(push)),
                None => match token(scope("pull,push")).await {
                    // Some refuse the whole when they refuse a part.
                    Err(verdict) if verdict.outcome == Outcome::Rejected => {
                        let push = Right::No(not_granted(image, Action::Push));
                        (token(scope("pull")).await, Some(push))
                    }
                    token => (token, None),
                },
            };
            let token = match token {
                Ok(token) => token,
                Err(verdict) => return of_verdict(verdict),
            };
            let grant = granted(image, &token);
            let pull = match (&grant, bearer(&token)) {
                (Some(grant), _) => by_grant(image, grant, Action::Pull),
                (None, Some(bearer)) => manifest(&session, image, &bearer).await,
                (None, None) => return of_verdict(session.no_token("an unusable token")),
            };
            let push = push.unwrap_or_else(|| match &grant {
                Some(grant) => by_grant(image, grant, Action::Push),
                None => push_untold(image),
            });
            Rights { pull, push }
        }
    }
}

async fn manifest(session: &Session<'_>, image: &Image, authorization: &HeaderValue) -> Right {
    let path = format!("/v2/{}/manifests/{}", image.repository, image.reference);
    match session.ask(Method::HEAD, &path, Some(authorization)).await {
        Ok(reply) => by_manifest(image, &session.read(Step::Image, &reply, &[])),
        Err(fault) => {
            let host = image.server.authority().to_owned();
            Right::Unknown(RegistryReason::Unreached { host, fault }.into())
        }
    }
}

/// What a verdict that ends the walk says of the rights.
fn of_verdict(verdict: Verdict) -> Rights {
    let refused = matches!(verdict.outcome, Outcome::Rejected | Outcome::Invalid);
    match verdict.reason {
        Some(reason) if refused => Rights::none(&reason),
        Some(reason) => Rights::unknown(&reason),
        None => Rights { pull: Right::Yes, push: Right::Yes },
    }
}
