//! The step `image-access`: what the login may do with an image, in words.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::report::{Finding, Outcome};
use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::paths::Paths;
use crate::domain::servers::image::Image;
use crate::wire::api::{AccessDocument, QuotaEntry, RightEntry, parse_printable};

/// Longer than the agent takes for its requests to one registry.
const ACCESS_TIMEOUT: Duration = Duration::from_secs(65);
/// The code of an image that is not there, or not visible.
const NO_SUCH_IMAGE: &str = "no-such-image";

/// Asks for the rights to `image`.
pub(super) fn step(paths: &Paths, image: &Image) -> Outcome {
    match ask(paths, image) {
        Ok(access) => outcome(&access),
        Err(error) => {
            let hint = Some(format!("run `registry-agent check {}` again", image.name()));
            Outcome::failed(Finding { code: None, text: error.to_string(), hint })
        }
    }
}

fn ask(paths: &Paths, image: &Image) -> Result<AccessDocument, ClientError> {
    let target =
        format!("/v1/access?image={}", utf8_percent_encode(&image.name(), NON_ALPHANUMERIC));
    let body = agent_client::ask(paths, "GET", &target, b"", ACCESS_TIMEOUT)?;
    parse_printable(&body).map_err(|error| ClientError::Garbled(error.to_string()))
}

fn outcome(access: &AccessDocument) -> Outcome {
    let invisible = access.pull.code.as_deref() == Some(NO_SUCH_IMAGE);
    let may_create = access.push.granted == Some(true);
    if access.pull.granted == Some(false) || (invisible && !may_create) {
        let reason = access.pull.reason.as_deref().unwrap_or_default();
        return Outcome::failed(Finding {
            code: access.pull.code.clone(),
            text: denied("pull", reason),
            hint: access.pull.hint.clone(),
        });
    }
    let mut detail = format!("pull {}, push {}", word(&access.pull), word(&access.push));
    if let Some(quota) = &access.quota {
        detail = format!("{detail}; {}", in_words(quota));
    }
    let remarks = [("pull", &access.pull), ("push", &access.push)].into_iter();
    Outcome::Passed(detail, remarks.filter_map(|(what, right)| remark(what, right)).collect())
}

/// Most reasons say themselves that the login was accepted.
fn denied(what: &str, reason: &str) -> String {
    if reason.contains("login accepted") {
        reason.to_owned()
    } else {
        format!("login accepted; {what} denied: {reason}")
    }
}

fn word(right: &RightEntry) -> &'static str {
    match right.granted {
        Some(true) => "allowed",
        Some(false) => "denied",
        None => "unknown",
    }
}

fn remark(what: &str, right: &RightEntry) -> Option<Finding> {
    let reason = right.reason.as_ref()?;
    let text = match right.granted {
        Some(false) => denied(what, reason),
        _ => format!("{what} {}: {reason}", word(right)),
    };
    Some(Finding { code: right.code.clone(), text, hint: right.hint.clone() })
}

fn in_words(quota: &QuotaEntry) -> String {
    let of = quota.limit.map_or_else(String::new, |limit| format!(" of {limit}"));
    let hours = |seconds: u64| match seconds {
        3600 => " per hour".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!(" per {} hours", seconds / 3600),
        _ => format!(" per {seconds} s"),
    };
    let period = quota.period_seconds.map_or_else(String::new, hours);
    format!("{}{of} pulls{period} are left", quota.remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_is_told_in_hours() {
        let quota = |limit, remaining, period_seconds| {
            in_words(&QuotaEntry { limit, remaining, period_seconds })
        };
        assert_eq!(quota(Some(100), 76, Some(21_600)), "76 of 100 pulls per 6 hours are left");
        assert_eq!(quota(Some(9), 0, Some(3600)), "0 of 9 pulls per hour are left");
        assert_eq!(quota(None, 5, None), "5 pulls are left");
    }
}
