//! Two sets of variables that declare the same server.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::list;
use super::sourced_variable::{SourcedVariable, unset};
use crate::domain::declarations::variable;

/// The two sets, of which one is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Duplicate {
    /// The server as people write it.
    pub server: String,
    /// The variables of the set that is used, `_SERVER` first.
    pub used: Vec<SourcedVariable>,
    /// The variables of the set that is ignored, `_SERVER` first.
    pub ignored: Vec<SourcedVariable>,
    /// Whether the login of the set that is used does not work.
    #[serde(default)]
    pub is_unusable: bool,
}

impl Duplicate {
    /// How to keep either set. A login that does not work is the one to remove.
    pub(super) fn fix(&self) -> String {
        let (used, ignored) = (&self.used, &self.ignored);
        let (first, second) = if self.is_unusable { (used, ignored) } else { (ignored, used) };
        let name = first.first().and_then(|server| variable::parse(&server.variable));
        let name = name.map_or("it", |parsed| parsed.name);
        format!("{}; to use {name} instead, {}", unset_all(first), unset_all(second))
    }
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = |set: &[SourcedVariable]| set.first().map(ToString::to_string);
        let [used, ignored] =
            [&self.used, &self.ignored].map(|set| server(set).unwrap_or_default());
        write!(
            f,
            "{ignored} is ignored: {used} declares the same server, {}, and its name sorts first",
            self.server
        )?;
        if self.is_unusable { f.write_str(", but its login does not work") } else { Ok(()) }
    }
}

/// How to unset a set, each variable where it is set.
fn unset_all(set: &[SourcedVariable]) -> String {
    let mut sources: Vec<(&str, Vec<&str>)> = Vec::new();
    for variable in set {
        match sources.iter_mut().find(|(source, _)| *source == &*variable.source) {
            Some((_, variables)) => variables.push(&variable.variable),
            None => sources.push((&variable.source, vec![&variable.variable])),
        }
    }
    let of_source = |(source, variables): (&str, Vec<&str>)| unset(&variables, source);
    list(sources.into_iter().map(of_source))
}
