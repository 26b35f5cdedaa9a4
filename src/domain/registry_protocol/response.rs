//! A registry's response, reduced to what the rules need and stripped of secrets.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::domain::credentials::secret::Secret;
use crate::domain::printable::is_printable;

/// One response of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryResponse {
    /// The request that it responds to.
    pub step: RequestStep,
    /// The HTTP status.
    pub status: u16,
    /// Whether it looks like a registry's response: it has the API version header, or it is JSON.
    pub registry_like: bool,
    /// The registry's error code in upper case, such as `DENIED` or `TOOMANYREQUESTS`.
    pub code: Option<String>,
    /// The registry's own message, sanitized.
    pub message: Option<String>,
    /// How long the registry asked clients to wait.
    pub retry_after: Option<Duration>,
}

/// The requests of a verification, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestStep {
    /// `GET /v2/` without a credential.
    Ping,
    /// The request to the realm that exchanges the credential for a token.
    Token,
    /// `GET /v2/` with the credential or the token.
    Authenticated,
    /// A request about one repository.
    Image,
    /// A request to a package registry without a credential.
    Anonymous,
    /// The same request with the credential.
    WithLogin,
}

/// The parts of an HTTP response that are read.
#[derive(Debug, Clone, Copy)]
pub struct RawResponse<'a> {
    /// The HTTP status code.
    pub status: u16,
    /// Whether `Docker-Distribution-Api-Version` is present.
    pub api_version: bool,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// `Date`, the base for a `Retry-After` that is a date.
    pub date: Option<&'a str>,
    /// The beginning of the body.
    pub body: &'a [u8],
}

/// The maximum length of a displayed registry message, in characters.
const MESSAGE_SHOWN: usize = 160;

/// The maximum length that is read of it, in characters.
const MESSAGE_READ: usize = 2048;

/// The longest `Retry-After` that is honored.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

impl RegistryResponse {
    /// Parses a response. `secrets` are removed from displayed text, in case the registry echoes
    /// one.
    pub fn read(step: RequestStep, response: &RawResponse<'_>, secrets: &[&Secret]) -> Self {
        let json = serde_json::from_slice::<Value>(response.body).ok();
        let typed_json = response.content_type.is_some_and(|kind| kind.contains("json"));
        let plain = response.content_type.is_some_and(|kind| kind.starts_with("text/plain"));
        let page = response.content_type.is_some_and(|kind| kind.starts_with("text/html"));
        let (code, message) = match &json {
            Some(value) => (error_code(value), error_message(value)),
            None if plain => (None, std::str::from_utf8(response.body).ok().map(str::to_owned)),
            None if page => (None, Some("a web page (text/html)".to_owned())),
            None => (None, None),
        };
        Self {
            step,
            status: response.status,
            registry_like: response.api_version
                || typed_json
                || json.is_some_and(|j| j.is_object()),
            code: code.map(|code| clean(&code, secrets).to_ascii_uppercase()),
            message: message
                .map(|message| clean(&message, secrets))
                .filter(|message| !message.is_empty()),
            retry_after: response.retry_after.and_then(|text| retry_after(text, response.date)),
        }
    }

    /// Whether the message contains `phrase`, which is in lower case.
    pub fn says(&self, phrase: &str) -> bool {
        self.message.as_deref().is_some_and(|message| message.to_ascii_lowercase().contains(phrase))
    }
}

impl fmt::Display for RegistryResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.status)?;
        match &self.message {
            Some(message) => write!(f, ", {message}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RequestStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ping => "GET /v2/ with no login",
            Self::Token => "asking for a token",
            Self::Authenticated => "GET /v2/ with the login",
            Self::Image => "asking about the image",
            Self::Anonymous => "GET with no login",
            Self::WithLogin => "GET with the login",
        })
    }
}

/// The code of the first error (OCI distribution specification, "error codes"; RFC 6749, section
/// 5.2).
fn error_code(body: &Value) -> Option<String> {
    let code =
        body.pointer("/errors/0/code").or_else(|| body.get("error")).or_else(|| body.get("code"));
    code.and_then(Value::as_str).map(str::to_owned)
}

fn error_message(body: &Value) -> Option<String> {
    let places =
        ["/errors/0/message", "/error_description", "/details", "/message", "/detail", "/error"];
    places.iter().find_map(|place| body.pointer(place)?.as_str()).map(str::to_owned)
}

/// Reduces `text` to one shortened line of printable text, or to a remark if it contains a secret.
pub fn clean(text: &str, secrets: &[&Secret]) -> String {
    let polled = start_of(text, 2 * MESSAGE_READ);
    let printable: String = start_of(text, MESSAGE_READ)
        .chars()
        .map(|c| if is_printable(c) { c } else { ' ' })
        .collect();
    let line = printable.split_whitespace().collect::<Vec<_>>().join(" ");
    if secrets.iter().any(|it| repeats(polled, it.reveal()) || repeats(&line, it.reveal())) {
        return "(the message is hidden: it repeats a secret)".to_owned();
    }
    match start_of(&line, MESSAGE_SHOWN) {
        start if start.len() < line.len() => format!("{}…", start.trim_end()),
        _ => line,
    }
}

/// The first `characters` of `text`.
fn start_of(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// Whether `text` contains `secret` or a recognizable part of it, in plain or percent-encoded.
fn repeats(text: &str, secret: &str) -> bool {
    // Key files are long and contain much that is not secret, such as their issuer's URLs.
    let piece = if secret.len() > 200 { 24 } else { 12 };
    let holds = |secret: &str| {
        let starts: Vec<usize> = secret.char_indices().map(|(at, _)| at).collect();
        if starts.len() <= piece {
            return !secret.is_empty() && text.contains(secret);
        }
        let ends = starts.iter().copied().skip(piece).chain([secret.len()]);
        starts.iter().zip(ends).any(|(from, to)| text.contains(&secret[*from..to]))
    };
    holds(secret) || holds(&utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string())
}

/// Parses `Retry-After`: seconds, or a date relative to the service's own `Date` (RFC 9110, section
/// 10.2.3).
pub(crate) fn retry_after(text: &str, date: Option<&str>) -> Option<Duration> {
    let text = text.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = httpdate::parse_http_date(text).ok()?;
        let now = httpdate::parse_http_date(date?).ok()?;
        until.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Parses the instant in a `Date` header.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()
}
