//! The JSON documents of the agent's API. Fields may be added, never renamed. Instants are RFC 3339
//! in UTC; what is unknown is null.

use std::mem;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::declarations::variable::Family;
use crate::domain::printable::into_printable;
use crate::domain::reasons::Severity;

/// Parses a document of an agent, which may be another user's: no text in it can pass for a line of ours or
/// control a terminal.
pub fn parse_printable<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    let mut document: Value = serde_json::from_slice(json)?;
    make_printable(&mut document);
    serde_json::from_value(document)
}

fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => *text = into_printable(mem::take(text)),
        Value::Array(items) => items.iter_mut().for_each(make_printable),
        Value::Object(members) => members.values_mut().for_each(make_printable),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `GET /v1/status`, and `registry-agent status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusDocument {
    /// The version of the agent.
    pub version: String,
    /// Its process ID.
    pub pid: u32,
    /// When that process started.
    pub started_at: Timestamp,
    /// The time of this document.
    pub at: Timestamp,
    /// The `seq` of the last event that this document includes; 0 before the first one.
    #[serde(default)]
    pub seq: u64,
    /// Whether every source was read and no login is `pending`.
    pub settled: bool,
    /// The docker configuration that it writes.
    #[serde(default)]
    pub docker_config: Option<String>,
    /// Where variables come from, highest first.
    pub sources: Vec<SourceDocument>,
    /// The logins.
    pub registries: Vec<RegistryDocument>,
    /// What a user should fix.
    pub problems: Vec<ProblemEntry>,
}

impl StatusDocument {
    /// Whether both documents say the same, whenever that was.
    pub fn is_the_same_as(&self, other: &Self) -> bool {
        *self == Self { at: self.at, ..other.clone() }
    }
}

/// A source of variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDocument {
    /// `stored`, `codespaces`, `pushed`, `configured` or `environment`.
    pub kind: String,
    /// A path, or the command that sent it.
    pub name: String,
    /// When the agent last saw its content change.
    pub updated_at: Option<Timestamp>,
    /// The number of logins whose password it provides.
    pub declarations: usize,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryDocument {
    /// The `<NAME>`; `GITHUB_TOKEN` for the ambient login; null for a stored one.
    pub name: Option<String>,
    /// The `<NAME>` of the declared login that a stored one overrides.
    #[serde(default)]
    pub covers: Option<String>,
    /// The server in the spelling it was stored with; null for a declared login.
    #[serde(default)]
    pub stored_as: Option<String>,
    /// The canonical server; for a package registry, the URL that its login answers below.
    pub server: String,
    /// Whether it is a registry of container images or of packages.
    #[serde(default)]
    pub family: Family,
    /// The transport as declared, `https` or `http`; null if none is stated.
    #[serde(default)]
    pub scheme: Option<String>,
    /// The proxy of the agent's requests to it, without user and password; null if there is none,
    /// or it was not asked yet.
    #[serde(default)]
    pub proxy: Option<String>,
    /// The kind of the registry, such as `ecr` or `generic`.
    pub kind: String,
    /// The AWS region.
    pub region: Option<String>,
    /// The AWS account.
    pub account: Option<String>,
    /// The user name; an access key ID is shortened.
    pub user: Option<String>,
    /// The source of its password.
    pub source: String,
    /// The keys it is published under.
    pub keys: Vec<String>,
    /// The state, such as `ready`.
    pub state: String,
    /// The code of the reason.
    pub code: Option<String>,
    /// Why it is not `ready`, or a remark.
    pub reason: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether `reason` keeps clients from the login.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// The step of `check` that the reason belongs to.
    #[serde(default)]
    pub step: Option<String>,
    /// What is known before anything is asked, also without a network.
    #[serde(default)]
    pub remarks: Vec<RemarkEntry>,
    /// The variables that declare it, and where each comes from.
    #[serde(default)]
    pub variables: Vec<VariableEntry>,
    /// When the registry last accepted it.
    pub verified_at: Option<Timestamp>,
    /// When the credential was issued.
    pub issued_at: Option<Timestamp>,
    /// When the credential expires.
    pub expires_at: Option<Timestamp>,
    /// When the agent renews or verifies it next.
    pub next_refresh_at: Option<Timestamp>,
}

impl RegistryDocument {
    /// Whether variables declare it, even if a stored login overrides the declared one.
    pub fn is_declared(&self) -> bool {
        self.name.is_some() || self.covers.is_some()
    }
}

/// A remark on a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemarkEntry {
    /// The code of the remark.
    pub code: String,
    /// Whether it keeps clients from the login, whatever the registry says.
    #[serde(default)]
    pub severity: Severity,
    /// The step of `check` that it belongs to.
    #[serde(default)]
    pub step: Option<String>,
    /// What it says.
    pub text: String,
    /// What to do about it.
    pub hint: String,
}

/// A variable of a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableEntry {
    /// Its full name.
    pub name: String,
    /// The label of its source.
    pub source: String,
}

/// A problem that a user should fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemEntry {
    /// The `<NAME>` or the file.
    pub name: String,
    /// The family of the set; null if it is not about a set.
    #[serde(default)]
    pub family: Option<Family>,
    /// The source that contains it.
    pub source: Option<String>,
    /// The code of the problem.
    pub code: String,
    /// What it is about; see `ReasonKind::as_str`.
    #[serde(default)]
    pub kind: String,
    /// Whether it keeps clients from a login.
    #[serde(default)]
    pub severity: Severity,
    /// The one registry that it is about, as clients name it; null if it is about more.
    #[serde(default)]
    pub registry: Option<String>,
    /// The step of `check` that it belongs to.
    #[serde(default)]
    pub step: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: String,
}

/// The response of `PUT /v1/environment`: what changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentAnswer {
    /// Names that are new.
    pub added: Vec<String>,
    /// Names whose values changed.
    pub changed: Vec<String>,
    /// Names that are no longer declared.
    pub removed: Vec<String>,
    /// Variables of AWS, proxies, TLS and docker that were set, unset or changed.
    #[serde(default)]
    pub variables: Vec<String>,
    /// The missing variables of sets that are incomplete. Those that were complete before keep
    /// their previous values.
    #[serde(default)]
    pub incomplete: Vec<ProblemEntry>,
}

/// The response of `POST /v1/environment/difference`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentDifference {
    /// The names of the variables whose effective value a push would change.
    pub variables: Vec<String>,
}

/// The response of `GET /v1/access`: what a login may do with an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessDocument {
    /// The canonical server.
    pub server: String,
    /// The repository.
    pub repository: String,
    /// The tag or digest.
    pub reference: String,
    /// The right to pull the image.
    pub pull: RightEntry,
    /// The right to push to the repository.
    pub push: RightEntry,
    /// The pulls that are left, if the registry states them.
    pub quota: Option<QuotaEntry>,
}

/// A right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightEntry {
    /// Whether it is granted; null if that is unknown.
    pub granted: Option<bool>,
    /// The code of the reason.
    pub code: Option<String>,
    /// Why it is not granted, or why that is unknown.
    pub reason: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The pulls of a login within a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaEntry {
    /// The pulls in the period; null if they are not limited.
    pub limit: Option<u64>,
    /// The pulls that are left.
    pub remaining: u64,
    /// The length of the period.
    pub period_seconds: Option<u64>,
}

/// One line of `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDocument {
    /// Counts the events of one agent process, from 1.
    #[serde(default)]
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// A stable identifier of the kind of event.
    pub event: String,
    /// The affected server, name or file.
    pub subject: String,
    /// What happened, as a sentence.
    pub detail: String,
}

/// The error code for a server that the agent does not know.
pub const UNKNOWN_REGISTRY: &str = "unknown-registry";
/// The error code for a server whose set of variables is incomplete or invalid.
pub const INCOMPLETE: &str = "incomplete-declaration";
/// The error code for a credential that the agent has but does not serve.
pub const WITHHELD: &str = "credential-withheld";

/// An error in the format of RFC 9457 (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemDocument {
    /// The kind of error.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable identifier of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What is wrong with this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
