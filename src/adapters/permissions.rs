//! Finds the command that lets the agent's user read or replace a file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};

use super::passwd;
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
        Err(Errno::EACCES) => Some(as_root(&format!("chown {}", user()), path)),
        _ => None,
    }
}

/// The command after which the file at `path` can be read and replaced; `None` as for [`to_read`].
pub fn to_replace(path: &Path) -> Option<Remedy> {
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let parent = file.parent()?;
    if let Some(closed) = closed_ancestor(&file) {
        return match is_ours(&closed) {
            true => Some(command("chmod u+rwx", &closed)),
            // Its content cannot be seen, and is the same user's, most likely.
            false if closed == parent => Some(as_root(&format!("chown -R {}", user()), &closed)),
            false => None,
        };
    }
    let directory = parent.ancestors().find(|directory| directory.exists())?;
    if directory == Path::new("/") {
        // The root directory belongs to nobody else: the path is wrong, for example without HOME.
        return None;
    }
    match access(directory, AccessFlags::W_OK) {
        Err(Errno::EPERM) => return Some(as_root("chattr -i", directory)),
        Err(Errno::EACCES) if is_ours(directory) => return Some(command("chmod u+w", directory)),
        Err(Errno::EACCES) if directory == parent => {
            return Some(as_root(&format!("chown -R {}", user()), directory));
        }
        Err(Errno::EACCES) => return Some(as_root(&format!("chown {}", user()), directory)),
        _ => {}
    }
    match access(&file, AccessFlags::R_OK | AccessFlags::W_OK) {
        Err(Errno::EPERM) => Some(as_root("chattr -i", &file)),
        Err(Errno::EACCES) if is_ours(&file) => Some(command("chmod u+rw", &file)),
        _ if file.exists() && !is_ours(&file) => Some(as_root(&format!("chown {}", user()), &file)),
        _ => None,
    }
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
