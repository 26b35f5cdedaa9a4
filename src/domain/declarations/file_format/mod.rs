//! The formats of the files that variables come from.
//!
//! The Codespaces formats were found in public scripts and logs of that platform; `/etc/environment`
//! follows `pam_env(8)`, other env files the assignments of `sh`.

use super::source::Variables;

mod base64_lines;
mod env_lines;
mod json;

/// How a file says its variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One flat JSON object from names to values; what is not a text is passed over.
    JsonObject,
    /// A JSON array of `{type, name, value}`, of which the type `EnvironmentVariable` counts.
    JsonArray,
    /// `NAME=<base64 of the value>` a line.
    Base64Lines,
    /// `NAME=value` a line, perhaps with `export` in front and quotes around the value, which may
    /// then be of several lines.
    EnvLines,
    /// `/etc/environment`: as above, but a line is a line and a backslash a backslash.
    PamLines,
}

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The variables, the empty ones too. Of two of one name the last counts.
    pub variables: Variables,
    /// The names whose value could not be understood.
    pub refused: Vec<String>,
}

/// Why a file is not in its format. Never holds a text of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON of the right shape, or not whole.
    #[error("not the expected JSON at line {line}, column {column}")]
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// A line that is no assignment, or not a whole one.
    #[error("line {0} is not a complete NAME=value assignment")]
    Line(usize),
}

/// Reads the bytes of a whole file. One value that cannot be understood is left out and named; a file
/// that is not in its format, or only the first half of one, is an error.
pub fn parse(format: Format, bytes: &[u8]) -> Result<Parsed, Malformed> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match format {
        Format::JsonObject => json::object(bytes),
        Format::JsonArray => json::array(bytes),
        Format::Base64Lines => base64_lines::parse(bytes),
        Format::EnvLines => env_lines::parse(bytes, env_lines::Quoting::Shell),
        Format::PamLines => env_lines::parse(bytes, env_lines::Quoting::Pam),
    }
}

/// Whether a text can be the name of a variable: as the shells have it, and also a digit in front,
/// which `<NAME>` may have.
fn is_variable(name: &str) -> bool {
    super::variable::is_name(name)
}
