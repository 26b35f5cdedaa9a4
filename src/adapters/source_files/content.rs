//! Reads and parses the variables in a file or directory.

use std::fs;
use std::io;
use std::path::Path;

use super::settled_reader::{SettledRead, SettledReader};
use super::stable_read::{FILE_LIMIT, Links, VALUE_LIMIT};
use crate::adapters::file_watcher::PathWatch;
use crate::domain::credentials::secret::Secret;
use crate::domain::declarations::file_format::{Format, parse};
use crate::domain::declarations::source::Variables;
use crate::domain::declarations::variable;
use crate::domain::reasons::SourceReason;

/// The format of a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceForm {
    /// A file of the Codespaces platform, which must not be a symbolic link.
    PlatformFile(Format),
    /// An env file, or a directory with one file per variable.
    FileOrDirectory(Format),
    /// A file that contains a single value.
    Value,
}

/// The name under which the value of a single-value file is stored.
const VALUE: &str = "";

/// The content of a location, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// The relevant variables; `None` if the location was never read successfully or was deleted
    /// since.
    pub(super) variables: Option<Variables>,
    pub(super) problems: Vec<SourceReason>,
}

impl Content {
    /// The value in a file, or why it cannot be read; `None` while neither is known.
    pub(super) fn value(&self) -> Option<Result<Secret, SourceReason>> {
        let value = self.variables.as_ref().and_then(|variables| variables.get(VALUE));
        value.map(|value| Ok(value.clone())).or_else(|| self.problems.first().cloned().map(Err))
    }
}

/// Reads locations. The earlier content `before` applies while the current one cannot be read.
pub(super) struct ContentReader<'a> {
    pub(super) watch: &'a PathWatch,
    pub(super) files: &'a mut SettledReader,
}

impl ContentReader<'_> {
    /// Reads the location at `path`; `None` while it is being written.
    pub(super) fn read(
        &mut self,
        path: &Path,
        form: SourceForm,
        before: &Content,
    ) -> Option<Content> {
        match form {
            SourceForm::Value => self.value_file(path, before),
            SourceForm::FileOrDirectory(_) if path.is_dir() => Some(self.directory(path, before)),
            SourceForm::FileOrDirectory(format) => self.file(path, format, Links::Followed, before),
            SourceForm::PlatformFile(format) => self.file(path, format, Links::Refused, before),
        }
    }

    fn file(
        &mut self,
        path: &Path,
        format: Format,
        links: Links,
        before: &Content,
    ) -> Option<Content> {
        let unchanged =
            |reason| Some(Content { variables: before.variables.clone(), problems: vec![reason] });
        let shown = || path.display().to_string();
        let kept_open = SourceReason::KeptOpen { path: shown() };
        let (bytes, is_kept_open) = match self.files.read(path, links, FILE_LIMIT, self.watch) {
            SettledRead::Absent => return Some(Content::default()),
            SettledRead::Changing => return None,
            SettledRead::Failed(reason) => return unchanged(reason),
            SettledRead::KeptOpen(None) => return unchanged(kept_open),
            SettledRead::KeptOpen(Some(bytes)) => (bytes, true),
            SettledRead::Whole(bytes) => (bytes, false),
        };
        let parsed = match parse(format, &bytes) {
            Ok(parsed) => parsed,
            Err(_) if is_kept_open => return unchanged(kept_open),
            Err(fault) => {
                let fault = fault.to_string();
                return unchanged(SourceReason::Malformed { path: shown(), fault });
            }
        };
        let mut variables = parsed.variables;
        let mut problems: Vec<SourceReason> =
            is_kept_open.then_some(kept_open).into_iter().collect();
        for name in parsed.refused {
            keep(&name, before, &mut variables);
            problems.push(SourceReason::BadValue { path: shown(), variable: name });
        }
        // The other secrets of the user are not needed here.
        variables.retain(|name, _| matters(name));
        Some(Content { variables: Some(variables), problems })
    }

    fn directory(&mut self, dir: &Path, before: &Content) -> Content {
        let names = match names_in(dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Content::default(),
            Err(error) => {
                let (path, fault) = (dir.display().to_string(), error.to_string());
                let problems = vec![SourceReason::Unreadable { path, fault }];
                return Content { variables: before.variables.clone(), problems };
            }
        };
        let mut variables = Variables::new();
        let mut problems = Vec::new();
        for name in names {
            match self.value(&dir.join(&name)) {
                None => keep(&name, before, &mut variables),
                Some((Some(value), problem)) => {
                    variables.insert(name, value);
                    problems.extend(problem);
                }
                Some((None, None)) => {}
                Some((None, problem)) => {
                    keep(&name, before, &mut variables);
                    problems.extend(problem);
                }
            }
        }
        Content { variables: Some(variables), problems }
    }

    fn value_file(&mut self, path: &Path, before: &Content) -> Option<Content> {
        let (value, problem) = self.value(path)?;
        let missing = || SourceReason::Missing { path: path.display().to_string() };
        let problem = problem.or_else(|| value.is_none().then(missing));
        let variables = match (value, &problem) {
            (Some(value), _) => Some(Variables::from([(VALUE.to_owned(), value)])),
            (None, Some(SourceReason::KeptOpen { .. })) => before.variables.clone(),
            (None, _) => None,
        };
        Some(Content { variables, problems: problem.into_iter().collect() })
    }

    /// The value in a file and what is wrong with it; `None` while the file is being written.
    fn value(&mut self, path: &Path) -> Option<(Option<Secret>, Option<SourceReason>)> {
        let shown = || path.display().to_string();
        let (bytes, problem) = match self.files.read(path, Links::Followed, VALUE_LIMIT, self.watch)
        {
            SettledRead::Absent => return Some((None, None)),
            SettledRead::Changing => return None,
            SettledRead::Failed(reason) => return Some((None, Some(reason))),
            SettledRead::Whole(bytes) => (Some(bytes), None),
            SettledRead::KeptOpen(bytes) => (bytes, Some(SourceReason::KeptOpen { path: shown() })),
        };
        let Some(bytes) = bytes else { return Some((None, problem)) };
        if let Ok(text) = std::str::from_utf8(&bytes) {
            return Some((Some(Secret::new(text)), problem));
        }
        let fault = "no text in UTF-8".to_owned();
        Some((None, problem.or(Some(SourceReason::Malformed { path: shown(), fault }))))
    }
}

fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let names: Vec<Option<String>> = names.collect::<io::Result<_>>()?;
    Ok(names.into_iter().flatten().filter(|name| matters(name)).collect())
}

/// Keeps the last known value of a variable.
fn keep(name: &str, before: &Content, variables: &mut Variables) {
    if let Some(value) = before.variables.as_ref().and_then(|before| before.get(name)) {
        variables.insert(name.to_owned(), value.clone());
    }
}

/// Whether a variable with this name, possibly misspelled, is relevant.
fn matters(name: &str) -> bool {
    variable::is_pushed(name) || variable::parse(name).is_some()
}
