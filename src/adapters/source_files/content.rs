//! What a file or a directory says, in its own form.

use std::fs;
use std::io;
use std::path::Path;

use super::stable_read::{FILE_LIMIT, Links, MaybeChanging, ReadOutcome, VALUE_LIMIT, read};
use crate::domain::credentials::secret::Secret;
use crate::domain::declarations::file_format::{Format, parse};
use crate::domain::declarations::source::{SourceKind, Variables};
use crate::domain::declarations::variable;
use crate::domain::reasons::SourceReason;

/// The form in which a location holds variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceForm {
    /// A file of one of the formats.
    File(Format),
    /// An env file, or a directory with one file for each variable.
    FileOrDirectory(Format),
}

/// Whether a file was written to and not closed since, as far as is known from elsewhere.
type IsWritten<'a> = &'a dyn Fn(&Path) -> bool;

/// The current content of a location.
pub(super) enum SourceContent {
    /// It is not there.
    Nothing,
    /// It is being written.
    Busy,
    /// It cannot be read.
    Bad(SourceReason),
    /// It is not in its format, perhaps because it is being written.
    Malformed {
        /// What is wrong.
        reason: SourceReason,
        /// Whether it may be the middle of something.
        maybe_changing: MaybeChanging,
    },
    /// It says this.
    Says {
        /// The variables that matter.
        variables: Variables,
        /// What is wrong with single ones.
        problems: Vec<SourceReason>,
        /// Whether it may be the middle of something.
        maybe_changing: MaybeChanging,
    },
}

impl SourceForm {
    /// The form of a file or directory that the configuration names.
    pub(super) fn of_configured(path: &Path) -> Self {
        let pam = path == Path::new("/etc/environment");
        Self::FileOrDirectory(if pam { Format::PamLines } else { Format::EnvLines })
    }

    /// Reads the location at `path`, which held `before` when it was last read.
    pub(super) fn read(
        self,
        path: &Path,
        kind: SourceKind,
        before: Option<&Variables>,
        is_written: IsWritten<'_>,
    ) -> SourceContent {
        match self {
            Self::FileOrDirectory(_) if path.is_dir() => directory(path, before, is_written),
            Self::File(format) | Self::FileOrDirectory(format) => {
                let codespaces = kind == SourceKind::Codespaces;
                let links = if codespaces { Links::Refused } else { Links::Followed };
                file(path, format, links, before, is_written)
            }
        }
    }
}

fn file(
    path: &Path,
    format: Format,
    links: Links,
    before: Option<&Variables>,
    is_written: IsWritten<'_>,
) -> SourceContent {
    let (bytes, maybe_changing) = match read(path, links, FILE_LIMIT, is_written(path)) {
        ReadOutcome::Whole { bytes, maybe_changing } => (bytes, maybe_changing),
        ReadOutcome::Absent => return SourceContent::Nothing,
        ReadOutcome::Busy => return SourceContent::Busy,
        ReadOutcome::Failed(reason) => return SourceContent::Bad(reason),
    };
    let parsed = match parse(format, &bytes) {
        Ok(parsed) => parsed,
        Err(fault) => {
            let (path, fault) = (path.display().to_string(), fault.to_string());
            return SourceContent::Malformed {
                reason: SourceReason::Malformed { path, fault },
                maybe_changing,
            };
        }
    };
    let mut variables = parsed.variables;
    let mut problems = Vec::new();
    for name in parsed.refused {
        keep(&name, before, &mut variables);
        problems.push(SourceReason::BadValue { path: path.display().to_string(), variable: name });
    }
    // Nobody needs the other secrets of the user here.
    variables.retain(|name, _| matters(name));
    SourceContent::Says { variables, problems, maybe_changing }
}

fn directory(dir: &Path, before: Option<&Variables>, is_written: IsWritten<'_>) -> SourceContent {
    let names = match names_in(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return SourceContent::Nothing,
        Err(error) => {
            let (path, fault) = (dir.display().to_string(), error.to_string());
            return SourceContent::Bad(SourceReason::Unreadable { path, fault });
        }
    };
    let mut variables = Variables::new();
    let mut problems = Vec::new();
    for name in names {
        let path = dir.join(&name);
        let reason = match read(&path, Links::Followed, VALUE_LIMIT, is_written(&path)) {
            ReadOutcome::Whole { bytes, .. } => match value(&bytes, &path) {
                Ok(secret) => {
                    variables.insert(name, secret);
                    continue;
                }
                Err(reason) => Some(reason),
            },
            ReadOutcome::Absent => continue,
            ReadOutcome::Busy => None,
            ReadOutcome::Failed(reason) => Some(reason),
        };
        keep(&name, before, &mut variables);
        problems.extend(reason);
    }
    SourceContent::Says { variables, problems, maybe_changing: None }
}

fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let names: Vec<Option<String>> = names.collect::<io::Result<_>>()?;
    Ok(names.into_iter().flatten().filter(|name| matters(name)).collect())
}

/// The text of a file that is one value.
pub(super) fn value(bytes: &[u8], path: &Path) -> Result<Secret, SourceReason> {
    let text = std::str::from_utf8(bytes).map_err(|_| SourceReason::Malformed {
        path: path.display().to_string(),
        fault: "no text in UTF-8".to_owned(),
    })?;
    Ok(Secret::new(text))
}

/// Keeps what a variable was known to be.
fn keep(name: &str, before: Option<&Variables>, variables: &mut Variables) {
    if let Some(value) = before.and_then(|before| before.get(name)) {
        variables.insert(name.to_owned(), value.clone());
    }
}

/// Whether a variable of this name, or one that was meant to be called otherwise, is of any use.
fn matters(name: &str) -> bool {
    variable::is_pushed(name) || variable::parse(name).is_some()
}
