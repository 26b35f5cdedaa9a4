//! The way to a path: every directory and link on it, and so everything whose change changes what is
//! found at its end.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The way to one path as it is now. All its paths are real: no component of them is a link.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Trail {
    /// Each entry of a directory that was passed, the missing or last one too.
    pub(super) entries: BTreeSet<PathBuf>,
    /// What has to be watched.
    pub(super) watches: BTreeSet<PathBuf>,
    /// Where it ends, if there is something there.
    pub(super) end: Option<PathBuf>,
    /// Whether that is a directory, all of whose entries count.
    pub(super) is_dir: bool,
}

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// Walks to `path`, which is absolute, following links. Where a directory is at its end, the links in
/// it are followed too: a Kubernetes secret is `NAME`, a link to `..data/NAME`, and `..data` is one.
pub(super) fn follow(path: &Path) -> Trail {
    let mut trail = Trail::default();
    walk(path, &mut trail);
    if let (Some(dir), true) = (trail.end.clone(), trail.is_dir) {
        trail.watches.insert(dir.clone());
        let mut beyond = Trail::default();
        for link in links_in(&dir) {
            walk(&link, &mut beyond);
        }
        trail.entries.append(&mut beyond.entries);
        trail.watches.append(&mut beyond.watches);
    }
    trail
}

fn links_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let links = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|it| it.is_symlink()));
    links.map(|entry| entry.path()).collect()
}

fn walk(path: &Path, trail: &mut Trail) {
    let mut ahead: VecDeque<OsString> = names(path).collect();
    let mut dir = PathBuf::from("/");
    let mut links = 0;
    (trail.end, trail.is_dir) = (Some(dir.clone()), true);
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            dir.pop();
            continue;
        }
        let entry = dir.join(&name);
        trail.entries.insert(entry.clone());
        let Ok(found) = fs::symlink_metadata(&entry) else {
            trail.watches.insert(dir);
            (trail.end, trail.is_dir) = (None, false);
            return;
        };
        // A top-level directory is never replaced, and some are busy: every program that starts opens
        // files in /etc. There the file is watched, and the directory only while the file is missing.
        if dir.components().count() > 2 {
            trail.watches.insert(dir.clone());
        } else if !found.is_dir() && !found.is_symlink() {
            trail.watches.insert(entry.clone());
        }
        if found.is_symlink() {
            links += 1;
            let target = fs::read_link(&entry).ok().filter(|_| links <= MOST_LINKS);
            let Some(target) = target else {
                (trail.end, trail.is_dir) = (None, false);
                return;
            };
            if target.is_absolute() {
                dir = PathBuf::from("/");
            }
            for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(name);
            }
            continue;
        }
        (trail.end, trail.is_dir) = (Some(entry.clone()), found.is_dir());
        if !found.is_dir() {
            return;
        }
        dir = entry;
    }
    (trail.end, trail.is_dir) = (Some(dir), true);
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_missing_path_is_waited_for_in_the_last_directory_there_is() {
        let root = tempfile::tempdir().unwrap();
        let trail = follow(&root.path().join("a/b"));
        assert!(trail.watches.contains(root.path()), "{trail:?}");
        assert_eq!(trail.end, None);
    }

    #[test]
    fn links_are_watched_where_they_are_and_where_they_lead() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("..1")).unwrap();
        fs::write(root.join("..1/NAME"), "x").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/NAME", root.join("NAME")).unwrap();
        let trail = follow(root);
        assert!(trail.entries.contains(&root.join("..data")), "{trail:?}");
        assert!(trail.entries.contains(&root.join("..1/NAME")), "{trail:?}");
        assert!(trail.watches.contains(&root.join("..1")), "{trail:?}");
    }

    #[test]
    fn a_circle_of_links_ends() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert_eq!(follow(&root.path().join("a")).end, None);
    }

    #[test]
    fn a_busy_top_level_directory_is_watched_only_while_the_file_is_missing() {
        let there = follow(Path::new("/etc/passwd"));
        assert_eq!(there.watches, BTreeSet::from([PathBuf::from("/etc/passwd")]));
        let missing = follow(Path::new("/etc/no-such-file"));
        assert_eq!(missing.watches, BTreeSet::from([PathBuf::from("/etc")]));
    }
}
