//! The formats of the files that variables come from.
//!
//! The Codespaces formats are taken from public scripts and logs of that platform. `/etc/environment`
//! follows `pam_env(8)`; other env files follow the assignments of `sh`.

use super::source::Variables;

mod base64_lines;
mod env_lines;
mod json;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One flat JSON object from names to values; values that are not strings are ignored.
    JsonObject,
    /// A JSON array of `{type, name, value}`; only the type `EnvironmentVariable` is used.
    JsonArray,
    /// One `NAME=<base64 of the value>` per line.
    Base64Lines,
    /// One `NAME=value` per line, optionally after `export`. A quoted value may span several lines.
    /// The other lines are ignored: a program wrote them for others.
    EnvLines,
    /// As above, but a line that a shell could not read as an assignment is an error, because a person
    /// wrote it.
    EnvFile,
    /// `/etc/environment`: as above, but without multi-line values and escapes.
    PamLines,
}

/// The content of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The variables, including empty ones. The last of several with one name is used.
    pub variables: Variables,
    /// The names whose value cannot be decoded.
    pub refused: Vec<String>,
}

/// Why a file cannot be parsed. Never contains text of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, of another shape, or truncated.
    #[error("not the expected JSON at line {line}, column {column}")]
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// A line that is not a complete assignment.
    #[error("line {0} is not a complete NAME=value assignment")]
    Line(usize),
    /// A line that is no assignment, such as `NAME: value` or a value alone.
    #[error("line {0} is not NAME=value")]
    NoAssignment(usize),
    /// A quote that nothing closes.
    #[error("line {0}: the closing quote is missing")]
    OpenQuote(usize),
    /// A quoted value that goes on after its quote.
    #[error("line {0}: text follows the closing quote")]
    AfterQuote(usize),
}

/// Parses a whole file. A single value that cannot be decoded is left out and named; a file in another
/// format, or a truncated one, is an error.
pub fn parse(format: Format, bytes: &[u8]) -> Result<Parsed, Malformed> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match format {
        Format::JsonObject => json::object(bytes),
        Format::JsonArray => json::array(bytes),
        Format::Base64Lines => base64_lines::parse(bytes),
        Format::EnvLines => env_lines::parse(bytes, env_lines::Quoting::Shell),
        Format::EnvFile => env_lines::parse_strictly(bytes),
        Format::PamLines => env_lines::parse(bytes, env_lines::Quoting::Pam),
    }
}

/// Whether a text can be the name of a variable: as in shells, but it may start with a digit, because
/// `<NAME>` may.
fn is_variable(name: &str) -> bool {
    super::variable::is_name(name)
}
