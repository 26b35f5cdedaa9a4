//! Which actions a credential allows on one image.

use std::collections::BTreeSet;

use serde_json::Value;

use super::response::RegistryResponse;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::secret::Secret;
use crate::domain::credentials::stated_expiry::claims_of;
use crate::domain::reasons::image_access::{Action, ImageAccessReason};
use crate::domain::reasons::{Reason, RegistryReason};
use crate::domain::servers::image::Image;
use crate::domain::servers::kind::Kind;

/// The rights to pull and to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAccess {
    /// The right to read the image.
    pub pull: AccessRight,
    /// The right to write to the repository.
    pub push: AccessRight,
}

/// Whether one right is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessRight {
    /// Granted.
    Yes,
    /// Not granted, with the reason.
    No(Reason),
    /// Not known, with the reason.
    Unknown(Reason),
}

impl ImageAccess {
    /// Both rights are unknown, for the same reason.
    pub fn unknown(reason: &Reason) -> Self {
        Self {
            pull: AccessRight::Unknown(reason.clone()),
            push: AccessRight::Unknown(reason.clone()),
        }
    }

    /// Both rights are denied, for the same reason.
    pub fn none(reason: &Reason) -> Self {
        Self { pull: AccessRight::No(reason.clone()), push: AccessRight::No(reason.clone()) }
    }
}

/// The reason if the credential can never push, whatever scope the registry states: the token of a
/// GitHub workflow or codespace on ghcr.io.
pub fn never_pushes(image: &Image, credential: &Credential) -> Option<Reason> {
    let token = credential.secret.reveal();
    let ambient = token.starts_with("ghs_") || token.starts_with("ghu_");
    (image.server.kind() == &Kind::Ghcr && ambient).then(|| {
        right(ImageAccessReason::GithubTokenReadsOnly { server: image.server.name().to_owned() })
    })
}

/// The actions on the image's repository that a token grants according to its `access` claim
/// ("Token Authentication Implementation" of `distribution/distribution`). `None` if the token has
/// no such claim.
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

/// The right to perform `action`, according to the actions that a token grants.
pub fn by_grant(image: &Image, granted: &BTreeSet<String>, action: Action) -> AccessRight {
    let word = match action {
        Action::Pull => "pull",
        Action::Push => "push",
    };
    if granted.contains(word) || granted.contains("*") {
        AccessRight::Yes
    } else {
        AccessRight::No(not_granted(image, action))
    }
}

/// The right to pull, according to the response to a request for the image's manifest.
pub fn by_manifest(image: &Image, answer: &RegistryResponse) -> AccessRight {
    let server = image.server.name().to_owned();
    match answer.status {
        200 => AccessRight::Yes,
        401 | 403 => AccessRight::No(not_granted(image, Action::Pull)),
        404 => AccessRight::Unknown(right(ImageAccessReason::NoSuchImage {
            server,
            repository: image.repository.clone(),
            reference: image.reference.clone(),
        })),
        _ => AccessRight::Unknown(right(ImageAccessReason::Unknown {
            server,
            seen: answer.to_string(),
        })),
    }
}

/// The right to push on a registry that does not state it.
pub fn push_unknown(image: &Image) -> AccessRight {
    AccessRight::Unknown(right(ImageAccessReason::PushUnknown {
        server: image.server.name().to_owned(),
    }))
}

/// The reason that the registry does not grant `action`.
pub fn not_granted(image: &Image, action: Action) -> Reason {
    right(ImageAccessReason::NotGranted {
        server: image.server.name().to_owned(),
        kind: image.server.kind().as_str().to_owned(),
        repository: image.repository.clone(),
        action,
    })
}

fn right(reason: ImageAccessReason) -> Reason {
    Reason::Registry(RegistryReason::ImageAccess(reason))
}
