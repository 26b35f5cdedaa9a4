//! Resolves the configuration's real location: symbolic links and mounts.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file that a path leads to through links, whether or not it exists.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        known => return known,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let parent = resolve(if parent == Path::new("") { Path::new(".") } else { parent })?;
    match fs::read_link(parent.join(name)) {
        Ok(target) => resolve(&parent.join(target)),
        Err(_) => Ok(parent.join(name)),
    }
}

/// The path itself, each link on the way, and the file it leads to: all must be watched to see
/// every change.
pub(super) fn symlink_chain(path: &Path) -> Vec<PathBuf> {
    let mut symlink_chain = vec![path.to_owned()];
    // Linux follows at most 40 links (path_resolution(7)).
    for _ in 0..40 {
        let Some(last) = symlink_chain.last() else { break };
        let Ok(target) = fs::read_link(last) else { break };
        let next = last.parent().unwrap_or(Path::new("/")).join(target);
        symlink_chain.push(next);
    }
    if let Ok(file) = resolve(path)
        && !symlink_chain.contains(&file)
    {
        symlink_chain.push(file);
    }
    symlink_chain
}

/// The position of a file in the mount tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mount {
    /// The file is on the same mount as its surroundings.
    Same,
    /// Its directory is a mount point.
    Directory,
    /// The file itself is a mount point.
    File,
}

/// Which mount a file is on, given its resolved path. Uses the kernel's list; if that cannot be
/// read, a device number other than that of the parent directory indicates a mount.
pub(super) fn mount_of(file: &Path) -> Mount {
    let list = fs::read_to_string("/proc/self/mountinfo").ok();
    let is_point = |path: &Path| match &list {
        Some(list) => path.parent().is_some() && mount_points(list).any(|point| point == path),
        None => changes_device(path),
    };
    match file.parent() {
        _ if is_point(file) => Mount::File,
        Some(directory) if is_point(directory) => Mount::Directory,
        _ => Mount::Same,
    }
}

fn changes_device(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
    path.parent().is_some_and(|above| device(path).is_some_and(|d| device(above) != Some(d)))
}

/// The mount points, which are in the fifth field of each line (`proc_pid_mountinfo(5)`).
fn mount_points(list: &str) -> impl Iterator<Item = PathBuf> {
    list.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped)
}

/// The kernel escapes white space and backslashes.
fn unescaped(field: &str) -> PathBuf {
    let escapes = [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", r"\")];
    escapes.iter().fold(field.to_owned(), |field, (from, to)| field.replace(from, to)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let list = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                    31 27 0:4 /a /home/my\\040files/c\\134d rw,relatime shared:1 - tmpfs x rw\n";
        let points: Vec<_> = mount_points(list).collect();
        assert_eq!(points, [Path::new("/"), Path::new("/home/my files/c\\d")]);
    }
}
