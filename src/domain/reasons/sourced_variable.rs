//! A variable and the source of its value, and how to change the value there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::declarations::variable;

/// The label of the environment of a command that is not `sync`.
pub const THIS_SHELL: &str = "this shell";

/// A variable that a source sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SourcedVariable {
    /// The full name of the variable.
    pub variable: Box<str>,
    /// The label of the source: a path, or `sync` or `start` for the environment of that command.
    pub source: Box<str>,
}

impl SourcedVariable {
    /// A variable and the label of its source.
    pub fn new(variable: impl Into<Box<str>>, source: impl Into<Box<str>>) -> Self {
        Self { variable: variable.into(), source: source.into() }
    }

    /// How to give the variable another value, such as `the registry's host`.
    pub(super) fn set_to(&self, value: &str) -> String {
        let Self { variable, source } = self;
        if self.is_in_file() {
            return format!("change {variable} in {source} to {value}");
        }
        format!("set {variable} to {value}, then run `registry-agent sync` in a shell that has it")
    }

    /// How to rename the variable, for a push from a shell that has `what`.
    pub(super) fn rename_to(&self, name: &str, what: &str) -> String {
        let Self { variable, source } = self;
        if self.is_in_file() {
            return format!("rename {variable} to {name} in {source}");
        }
        if [variable, name].iter().all(|name| is_shell_name(name)) {
            // A variable of another set would remain an incomplete set.
            let is_of_set = variable::parse(variable).is_some_and(|parsed| parsed.exact);
            let unset = if is_of_set { format!("unset {variable} && ") } else { String::new() };
            return format!(
                "rename {variable} to {name}; until then, run \
                 `export {name}=\"${variable}\" && {unset}registry-agent sync` in a shell that has {what}"
            );
        }
        format!(
            "rename {variable} to {name}, then run `registry-agent sync` in a shell that has {what}"
        )
    }

    /// How to unset the variable.
    pub(super) fn unset(&self) -> String {
        unset(&[&self.variable], &self.source)
    }

    fn is_in_file(&self) -> bool {
        is_file(&self.source)
    }
}

impl fmt::Display for SourcedVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, source } = self;
        if self.is_in_file() {
            write!(f, "{variable} from {source}")
        } else if &**source == THIS_SHELL {
            write!(f, "{variable} in {source}")
        } else {
            write!(f, "{variable} from `{source}`")
        }
    }
}

/// How to unset variables of one source.
pub(super) fn unset(variables: &[&str], source: &str) -> String {
    let listed = variables.join(", ");
    if is_file(source) {
        return format!("remove {listed} from {source}");
    }
    if source == "sync" && variables.iter().all(|name| is_shell_name(name)) {
        let them = if variables.len() == 1 { "it" } else { "them" };
        return format!(
            "run `unset {} && registry-agent sync` in the shell that has {them}",
            variables.join(" ")
        );
    }
    // What `start` found stays until the agent is started in another environment.
    format!("remove {listed} from the environment in which the agent starts")
}

fn is_file(source: &str) -> bool {
    source.starts_with('/')
}

/// Whether a shell can set a variable of this name.
pub(super) fn is_shell_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
