//! Which actions a credential allows on one image.

use std::collections::BTreeSet;
use std::time::Duration;

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
    /// The pulls that are left, if the registry states them.
    pub quota: Option<PullQuota>,
}

/// The pulls of a login within a period, as Docker Hub states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullQuota {
    /// The pulls in the period; `None` if the registry states only what is left.
    pub limit: Option<u64>,
    /// The pulls that are left.
    pub remaining: u64,
    /// The length of the period.
    pub period: Option<Duration>,
}

impl PullQuota {
    /// Parses the headers `RateLimit-Limit` and `RateLimit-Remaining`, such as `100;w=21600`.
    pub fn of_headers(limit: Option<&str>, remaining: Option<&str>) -> Option<Self> {
        let (remaining, period) = count_and_period(remaining?)?;
        let limit = limit.and_then(count_and_period);
        let period = period.or(limit.and_then(|(_, period)| period));
        Some(Self { limit: limit.map(|(limit, _)| limit), remaining, period })
    }
}

fn count_and_period(header: &str) -> Option<(u64, Option<Duration>)> {
    let mut parts = header.split(';').map(str::trim);
    let count = parts.next()?.parse().ok()?;
    let seconds = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok());
    Some((count, seconds.map(Duration::from_secs)))
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
            quota: None,
        }
    }

    /// Both rights are denied, for the same reason.
    pub fn none(reason: &Reason) -> Self {
        let (pull, push) = (AccessRight::No(reason.clone()), AccessRight::No(reason.clone()));
        Self { pull, push, quota: None }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pull_quota_of_docker_hub_is_read() {
        let hours = |hours| Some(Duration::from_hours(hours));
        for (limit, remaining, expected) in [
            (Some("100;w=21600"), Some("76;w=21600"), Some((Some(100), 76, hours(6)))),
            (Some("200; w=3600"), Some("3"), Some((Some(200), 3, hours(1)))),
            (None, Some("5"), Some((None, 5, None))),
            (Some("100;w=21600"), None, None),
            (None, Some("many"), None),
        ] {
            let quota = PullQuota::of_headers(limit, remaining);
            assert_eq!(quota.map(|it| (it.limit, it.remaining, it.period)), expected);
        }
    }
}
