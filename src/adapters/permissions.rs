//! Finds the command that lets the agent's user read or replace a file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};

use super::passwd;
use super::paths::Paths;
use super::source_files::CODESPACES_DIR;
use super::user_namespace::uid_outside;
use crate::domain::reasons::{Remedy, shell_word};

/// The command after which the file or directory at `path` can be read; `None` if permissions are not
/// the reason, or giving them is not safe to propose.
pub fn to_read(path: &Path) -> Option<Remedy> {
    if let Some(closed) = closed_ancestor(path) {
        return is_ours(&closed).then(|| command("chmod u+x", &closed));
    }
    match access(path, AccessFlags::R_OK) {
        Err(Errno::EACCES) if is_ours(path) => Some(command("chmod u+rX", path)),
        Err(Errno::EACCES) => to_own(path),
        _ => None,
    }
}

/// The command after which the file or directory at `path` is this user's; `None` if it is not safe to
/// propose.
pub fn to_own(path: &Path) -> Option<Remedy> {
    may_be_given(path).then(|| as_root(&format!("chown {}", user()), path))
}

/// The command after which the file at `path` can be read and replaced; `None` as for [`to_read`].
pub fn to_replace(path: &Path) -> Option<Remedy> {
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let parent = file.parent()?;
    if let Some(closed) = closed_ancestor(&file) {
        return match is_ours(&closed) {
            true => Some(command("chmod u+rwx", &closed)),
            // Its content cannot be seen, and is the same user's, most likely.
            false if closed == parent => to_own_all(&closed),
            false => None,
        };
    }
    let directory = parent.ancestors().find(|directory| directory.exists())?;
    if directory == Path::new("/") {
        // The root directory belongs to nobody else: the path is wrong, for example without HOME.
        return None;
    }
    match access(directory, AccessFlags::W_OK) {
        Err(Errno::EPERM) => return to_change(directory),
        Err(Errno::EACCES) if is_ours(directory) => return Some(command("chmod u+w", directory)),
        Err(Errno::EACCES) if directory == parent => return to_own_all(directory),
        Err(Errno::EACCES) => return to_own(directory),
        _ => {}
    }
    match access(&file, AccessFlags::R_OK | AccessFlags::W_OK) {
        Err(Errno::EPERM) => to_change(&file),
        Err(Errno::EACCES) if is_ours(&file) => Some(command("chmod u+rw", &file)),
        _ if file.exists() && !is_ours(&file) => to_own(&file),
        _ => None,
    }
}

fn to_own_all(directory: &Path) -> Option<Remedy> {
    may_be_given(directory).then(|| as_root(&format!("chown -R {}", user()), directory))
}

fn to_change(path: &Path) -> Option<Remedy> {
    may_be_given(path).then(|| as_root("chattr -i", path))
}

/// Whether the user may receive what is at `path`: it is really in the home directory, or one of the
/// platform's files for this user. Root would give away the system with a line about `/etc`, which a
/// variable or a link may name.
fn may_be_given(path: &Path) -> bool {
    let paths = Paths::of_this_process();
    let home = Some(&*paths.home).filter(|_| !paths.has_no_home());
    let Ok(path) = fs::canonicalize(path) else { return false };
    let mut places = home.into_iter().chain([Path::new(CODESPACES_DIR)]);
    places.any(|place| fs::canonicalize(place).is_ok_and(|place| path.starts_with(place)))
}

/// The outermost directory on the way to `path` that this user may not enter.
fn closed_ancestor(path: &Path) -> Option<PathBuf> {
    let mut ancestors: Vec<&Path> = path.ancestors().skip(1).collect();
    ancestors.reverse();
    let closed = |directory: &&&Path| access(**directory, AccessFlags::X_OK) == Err(Errno::EACCES);
    ancestors.iter().find(closed).map(|directory| directory.to_path_buf())
}

fn is_ours(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.uid() == geteuid().as_raw())
}

fn command(verb: &str, path: &Path) -> Remedy {
    Remedy::User(line(verb, path))
}

fn as_root(verb: &str, path: &Path) -> Remedy {
    Remedy::Root(line(verb, path))
}

fn line(verb: &str, path: &Path) -> Box<str> {
    format!("{verb} {}", shell_word(&path.display().to_string())).into()
}

/// This user, as `chown` takes it.
fn user() -> String {
    let uid = uid_outside(geteuid().as_raw());
    passwd::by_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}
