//! What a credential may do with one image.

use std::collections::BTreeSet;

use serde_json::Value;

use super::answer::Answer;
use super::credential::Credential;
use super::image::Image;
use super::kind::Kind;
use super::reason::right::{Action, RightReason};
use super::reason::{Reason, RegistryReason};
use super::secret::Secret;
use super::token_life::claims_of;

/// Pull and push, each for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Whether it may read the image.
    pub pull: Right,
    /// Whether it may write to the repository.
    pub push: Right,
}

/// One right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// Granted.
    Yes,
    /// Not granted, and why.
    No(Reason),
    /// Not known, and why.
    Unknown(Reason),
}

impl Rights {
    /// Neither is known, for one reason.
    pub fn unknown(reason: &Reason) -> Self {
        Self { pull: Right::Unknown(reason.clone()), push: Right::Unknown(reason.clone()) }
    }

    /// Neither is granted, for one reason.
    pub fn none(reason: &Reason) -> Self {
        Self { pull: Right::No(reason.clone()), push: Right::No(reason.clone()) }
    }
}

/// Whether the credential is known never to push, whatever the registry says of its scope: the token
/// of a workflow or a codespace at ghcr.
pub fn never_pushes(image: &Image, credential: &Credential) -> Option<Reason> {
    let token = credential.secret.reveal();
    let ambient = token.starts_with("ghs_") || token.starts_with("ghu_");
    (image.server.kind() == &Kind::Ghcr && ambient).then(|| {
        right(RightReason::GithubTokenReadsOnly { server: image.server.name().to_owned() })
    })
}

/// The actions on the image's repository that a token says it grants (`access` of the "Token
/// Authentication Implementation" of `distribution/distribution`); `None` for a token that says
/// nothing.
pub fn granted(image: &Image, token: &Secret) -> Option<BTreeSet<String>> {
    let claims = claims_of(token)?;
    let access = claims.get("access")?.as_array()?;
    let ours = access.iter().filter(|entry| {
        let field = |name| entry.get(name).and_then(Value::as_str);
        field("type") == Some("repository") && field("name") == Some(image.repository.as_str())
    });
    let actions = ours.filter_map(|entry| entry.get("actions")?.as_array()).flatten();
    Some(actions.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The right to `action`, by the actions a token grants.
pub fn by_grant(image: &Image, granted: &BTreeSet<String>, action: Action) -> Right {
    let word = match action {
        Action::Pull => "pull",
        Action::Push => "push",
    };
    if granted.contains(word) || granted.contains("*") {
        Right::Yes
    } else {
        Right::No(not_granted(image, action))
    }
}

/// The right to pull, by the answer to a request for the image's manifest.
pub fn by_manifest(image: &Image, answer: &Answer) -> Right {
    let server = image.server.name().to_owned();
    match answer.status {
        200 => Right::Yes,
        401 | 403 => Right::No(not_granted(image, Action::Pull)),
        404 => Right::Unknown(right(RightReason::NoSuchImage {
            server,
            repository: image.repository.clone(),
            reference: image.reference.clone(),
        })),
        _ => Right::Unknown(right(RightReason::Unclear { server, seen: answer.to_string() })),
    }
}

/// The right to push at a registry that does not say.
pub fn push_untold(image: &Image) -> Right {
    Right::Unknown(right(RightReason::PushUntold { server: image.server.name().to_owned() }))
}

/// That the registry does not grant `action`.
pub fn not_granted(image: &Image, action: Action) -> Reason {
    right(RightReason::NotGranted {
        server: image.server.name().to_owned(),
        kind: image.server.kind().word().to_owned(),
        repository: image.repository.clone(),
        action,
    })
}

fn right(reason: RightReason) -> Reason {
    Reason::Registry(RegistryReason::Right(reason))
}
