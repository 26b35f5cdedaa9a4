//! Reads and parses the variables in a file or directory.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::CODESPACES_FILES;
use super::settled_reader::{SettledRead, SettledReader};
use super::stable_read::{FILE_LIMIT, Links, VALUE_LIMIT};
use crate::adapters::{ownership, permissions};
use crate::domain::credentials::secret::Secret;
use crate::domain::declarations::file_format::{Format, Parsed, parse};
use crate::domain::declarations::other_names::Wanted;
use crate::domain::declarations::source::{SourceKind, Variables};
use crate::domain::reasons::SourceReason;

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
        let value = self.get(VALUE).map(|value| Ok(value.clone()));
        value.or_else(|| self.problems.first().cloned().map(Err))
    }

    fn get(&self, name: &str) -> Option<&Secret> {
        self.variables.as_ref()?.get(name)
    }

    /// The same variables with another problem.
    fn unchanged(&self, problem: SourceReason) -> Self {
        Self { variables: self.variables.clone(), problems: vec![problem] }
    }
}

/// Reads the location at `path`, which contains a password if it has no `kind`; `None` while it is
/// being written. Its earlier content `before` applies while the current one cannot be read.
pub(super) fn read(
    files: &mut SettledReader,
    kind: Option<SourceKind>,
    path: &Path,
    before: Option<&Content>,
) -> Option<Content> {
    let empty = Content::default();
    let before = before.unwrap_or(&empty);
    match kind {
        None => {
            let mut content = value(files, path, VALUE, before)?;
            if content == empty {
                content.problems = vec![SourceReason::Missing { path: path.display().to_string() }];
            }
            Some(content)
        }
        Some(SourceKind::Codespaces) => {
            let known = CODESPACES_FILES.iter().find(|(name, _)| path.ends_with(name));
            let format = known.map_or(Format::EnvLines, |(_, format)| *format);
            // Anyone who can write to the workspace could choose the file that a link leads to.
            let read = files.read(path, Links::Refused, FILE_LIMIT);
            let read = read.and_then(|read| of_the_platform(path, read));
            file(read, path, parser(format), before)
        }
        Some(_) if path.is_dir() => Some(directory(files, path, before)),
        Some(_) => {
            let is_pam = path == Path::new("/etc/environment");
            let format = if is_pam { Format::PamLines } else { Format::EnvFile };
            file(files.read(path, Links::Followed, FILE_LIMIT), path, parser(format), before)
        }
    }
}

/// Rejects a file that the platform, which is root, cannot have written, and neither can this user.
/// Any mode will do: the platform makes its directory and files writable for everybody.
fn of_the_platform(path: &Path, read: SettledRead) -> Result<SettledRead, SourceReason> {
    let SettledRead::Bytes { owner, .. } = read else { return Ok(read) };
    let directory = path.parent().and_then(|directory| fs::metadata(directory).ok());
    let owners = [(directory.map(|found| found.uid()), true), (Some(owner), false)];
    let stranger = owners.into_iter().find_map(|(owner, is_directory)| {
        owner.filter(|owner| !ownership::is_trusted(*owner)).map(|owner| (owner, is_directory))
    });
    stranger.map_or(Ok(read), |(owner, is_directory)| {
        let (path, owner) = (path.display().to_string(), ownership::name_of(owner));
        Err(SourceReason::OtherOwner { path, owner, is_directory })
    })
}

/// The parser of a file of variables.
fn parser(format: Format) -> impl FnOnce(&[u8]) -> Result<Parsed, String> {
    move |bytes| {
        let mut parsed = parse(format, bytes).map_err(|fault| fault.to_string())?;
        // The other secrets of the user are not needed here.
        let wanted = Wanted::among(parsed.variables.keys().map(String::as_str));
        parsed.variables.retain(|name, _| wanted.has(name));
        Ok(parsed)
    }
}

/// Reads a file with the value of the variable `name`.
fn value(files: &mut SettledReader, path: &Path, name: &str, before: &Content) -> Option<Content> {
    let parse = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|_| "no text in UTF-8".to_owned())?;
        let variables = Variables::from([(name.to_owned(), Secret::new(text))]);
        Ok(Parsed { variables, refused: Vec::new() })
    };
    file(files.read(path, Links::Followed, VALUE_LIMIT), path, parse, before)
}

fn file(
    read: Result<SettledRead, SourceReason>,
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<Parsed, String>,
    before: &Content,
) -> Option<Content> {
    let shown = || path.display().to_string();
    let (bytes, kept_open) = match read {
        Ok(SettledRead::Absent) => return Some(Content::default()),
        Ok(SettledRead::Changing) => return None,
        Ok(SettledRead::Bytes { bytes, kept_open, .. }) => (bytes, kept_open),
        Err(problem) => return Some(before.unchanged(problem)),
    };
    let Parsed { mut variables, refused } = match parse(&bytes) {
        Ok(parsed) => parsed,
        Err(fault) => {
            let malformed = SourceReason::Malformed {
                path: shown(),
                fault,
                has_values: before.variables.is_some(),
            };
            return Some(before.unchanged(kept_open.unwrap_or(malformed)));
        }
    };
    let mut problems: Vec<SourceReason> = kept_open.into_iter().collect();
    for variable in refused {
        let known = before.get(&variable).cloned();
        variables.extend(known.map(|value| (variable.clone(), value)));
        problems.push(SourceReason::BadValue { path: shown(), variable });
    }
    Some(Content { variables: Some(variables), problems })
}

fn directory(files: &mut SettledReader, dir: &Path, before: &Content) -> Content {
    let names = match names_in(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Content::default(),
        Err(error) => {
            let (path, fault) = (dir.display().to_string(), error.to_string());
            let remedy = permissions::to_read(dir);
            return before.unchanged(SourceReason::Unreadable { path, fault, remedy });
        }
    };
    let mut all = Content { variables: Some(Variables::new()), problems: Vec::new() };
    for name in names {
        let known = before.get(&name).map(|known| Variables::from([(name.clone(), known.clone())]));
        let known = Content { variables: known, problems: Vec::new() };
        let content = value(files, &dir.join(&name), &name, &known).unwrap_or(known);
        all.variables.get_or_insert_default().extend(content.variables.unwrap_or_default());
        all.problems.extend(content.problems);
    }
    all
}

fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let names: Vec<Option<String>> = names.collect::<io::Result<_>>()?;
    let mut names: Vec<String> = names.into_iter().flatten().collect();
    let wanted = Wanted::among(names.iter().map(String::as_str));
    names.retain(|name| wanted.has(name));
    Ok(names)
}
