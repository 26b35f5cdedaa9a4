//! What a file or a directory says, in its own form.

use std::fs;
use std::io;
use std::path::Path;

use super::read::{FILE_LIMIT, Links, Reading, Unsure, VALUE_LIMIT, read};
use crate::domain::reason::SourceReason;
use crate::domain::secret::Secret;
use crate::domain::source::{SourceKind, Variables};
use crate::domain::source_file::{Format, parse};
use crate::domain::variable;

/// How a place says its variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A file of one of the formats.
    File(Format),
    /// An env file, or a directory with one file for each variable.
    FileOrDirectory(Format),
}

/// Whether a file was written to and not closed since, as far as is known from elsewhere.
type IsWritten<'a> = &'a dyn Fn(&Path) -> bool;

/// What a place says now.
pub(super) enum Content {
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
        unsure: Unsure,
    },
    /// It says this.
    Says {
        /// The variables that matter.
        variables: Variables,
        /// What is wrong with single ones.
        problems: Vec<SourceReason>,
        /// Whether it may be the middle of something.
        unsure: Unsure,
    },
}

impl Form {
    /// The form of a file or directory that the configuration names.
    pub(super) fn of_configured(path: &Path) -> Self {
        let pam = path == Path::new("/etc/environment");
        Self::FileOrDirectory(if pam { Format::PamLines } else { Format::EnvLines })
    }

    /// Reads the place at `path`, which said `before` when it was last read.
    pub(super) fn read(
        self,
        path: &Path,
        kind: SourceKind,
        before: Option<&Variables>,
        is_written: IsWritten<'_>,
    ) -> Content {
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
) -> Content {
    let (bytes, unsure) = match read(path, links, FILE_LIMIT, is_written(path)) {
        Reading::Whole { bytes, unsure } => (bytes, unsure),
        Reading::Absent => return Content::Nothing,
        Reading::Busy => return Content::Busy,
        Reading::Failed(reason) => return Content::Bad(reason),
    };
    let parsed = match parse(format, &bytes) {
        Ok(parsed) => parsed,
        Err(fault) => {
            let (path, fault) = (path.display().to_string(), fault.to_string());
            return Content::Malformed { reason: SourceReason::Malformed { path, fault }, unsure };
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
    Content::Says { variables, problems, unsure }
}

fn directory(dir: &Path, before: Option<&Variables>, is_written: IsWritten<'_>) -> Content {
    let names = match names_in(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Content::Nothing,
        Err(error) => {
            let (path, fault) = (dir.display().to_string(), error.to_string());
            return Content::Bad(SourceReason::Unreadable { path, fault });
        }
    };
    let mut variables = Variables::new();
    let mut problems = Vec::new();
    for name in names {
        let path = dir.join(&name);
        let reason = match read(&path, Links::Followed, VALUE_LIMIT, is_written(&path)) {
            Reading::Whole { bytes, .. } => match value(&bytes, &path) {
                Ok(secret) => {
                    variables.insert(name, secret);
                    continue;
                }
                Err(reason) => Some(reason),
            },
            Reading::Absent => continue,
            Reading::Busy => None,
            Reading::Failed(reason) => Some(reason),
        };
        keep(&name, before, &mut variables);
        problems.extend(reason);
    }
    Content::Says { variables, problems, unsure: None }
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
