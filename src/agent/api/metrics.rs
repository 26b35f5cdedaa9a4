//! `GET /metrics`: the metrics in Prometheus' text format.

use std::fmt::{self, Write};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::ApiState;
use crate::agent::counters::{Counters, FAMILIES};
use crate::agent::view::{Entry, View};
use crate::domain::credentials::login::State as LoginState;

/// The text format, with its version.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`
pub async fn get_metrics(State(state): State<ApiState>) -> Response {
    let text = exposition(&state.now(), &state.counters, state.clock.now());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

fn exposition(view: &View, counters: &Counters, now: Timestamp) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut text, view, counters, now);
    text
}

fn write_all(text: &mut String, view: &View, counters: &Counters, now: Timestamp) -> fmt::Result {
    head(text, "registry_agent_build_info", "gauge", "The version of the agent.")?;
    let version = ("version", env!("CARGO_PKG_VERSION"));
    sample(text, "registry_agent_build_info", &[version], 1)?;

    let name = "registry_agent_login_state";
    head(text, name, "gauge", "The state of a login: 1 for the current one, 0 for the others.")?;
    for entry in view.entries.values() {
        let current = entry.login.state(now);
        for state in LoginState::ALL {
            let [called, server] = labels(entry);
            let labels = [called, server, ("state", state.as_str())];
            sample(text, name, &labels, i64::from(state == current))?;
        }
    }

    let name = "registry_agent_credential_expires_timestamp_seconds";
    head(text, name, "gauge", "When a credential expires, if known, as Unix time.")?;
    for entry in view.entries.values() {
        if let Some(expiry) = entry.login.credential.as_ref().and_then(|c| c.expires_at) {
            sample(text, name, &labels(entry), expiry.as_second())?;
        }
    }

    head(text, "registry_agent_problems", "gauge", "Problems that a user should fix.")?;
    let problems = view.problems(now).len();
    sample(text, "registry_agent_problems", &[], i64::try_from(problems).unwrap_or(i64::MAX))?;

    for family in FAMILIES {
        head(text, family.name, "counter", family.help)?;
        for value in family.values {
            let count = i64::try_from(counters.get(family, value)).unwrap_or(i64::MAX);
            sample(text, family.name, &[(family.label, value)], count)?;
        }
    }
    Ok(())
}

/// Other users see no paths, so that only the `<NAME>` tells two package registries of a host apart.
fn labels(entry: &Entry) -> [(&str, &str); 2] {
    let declaration = &entry.login.declaration;
    [("name", declaration.called().unwrap_or_default()), ("server", declaration.server.name())]
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn sample(text: &mut String, name: &str, labels: &[(&str, &str)], value: i64) -> fmt::Result {
    text.write_str(name)?;
    for (index, (label, value)) in labels.iter().enumerate() {
        let before = if index == 0 { '{' } else { ',' };
        write!(text, "{before}{label}=\"{}\"", escaped(value))?;
    }
    let after = if labels.is_empty() { "" } else { "}" };
    writeln!(text, "{after} {value}")
}

/// A label value, escaped by the rules of the format.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut text = String::new();
        sample(&mut text, "name", &[("a", "back\\slash"), ("b", "quote\" line\nend")], 1).unwrap();
        assert_eq!(text, "name{a=\"back\\\\slash\",b=\"quote\\\" line\\nend\"} 1\n");
        text.clear();
        sample(&mut text, "name", &[], 2).unwrap();
        assert_eq!(text, "name 2\n");
    }
}
