//! Resolves a path and records each directory and link on the way, because a change to any of them
//! may change the result.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The result of resolving a path. Its paths contain no links.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ResolvedPath {
    /// Each directory entry on the way, including the last or the missing one.
    pub(super) entries: BTreeSet<PathBuf>,
    /// The paths to watch.
    pub(super) watches: BTreeSet<PathBuf>,
    /// The file or directory that the path leads to, if it exists.
    pub(super) target: Option<PathBuf>,
    /// Whether the target is a directory, of which every entry counts.
    pub(super) is_dir: bool,
}

/// The maximum number of links that the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// Resolves `path`, which is absolute, and the links in a target directory: a Kubernetes secret is
/// `NAME`, a link to `..data/NAME`, and `..data` is a link as well.
pub(super) fn follow(path: &Path) -> ResolvedPath {
    let mut resolved = ResolvedPath::default();
    walk(path, &mut resolved);
    if let (Some(dir), true) = (resolved.target.clone(), resolved.is_dir) {
        resolved.watches.insert(dir.clone());
        let mut beyond = ResolvedPath::default();
        for link in links_in(&dir) {
            walk(&link, &mut beyond);
        }
        resolved.entries.append(&mut beyond.entries);
        resolved.watches.append(&mut beyond.watches);
    }
    resolved
}

fn links_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let links = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|it| it.is_symlink()));
    links.map(|entry| entry.path()).collect()
}

fn walk(path: &Path, resolved: &mut ResolvedPath) {
    let mut ahead: VecDeque<OsString> = names(path).collect();
    let mut dir = PathBuf::from("/");
    let mut links = 0;
    (resolved.target, resolved.is_dir) = (Some(dir.clone()), true);
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            dir.pop();
            continue;
        }
        let entry = dir.join(&name);
        resolved.entries.insert(entry.clone());
        let Ok(found) = fs::symlink_metadata(&entry) else {
            resolved.watches.insert(dir);
            (resolved.target, resolved.is_dir) = (None, false);
            return;
        };
        // Top-level directories are never replaced, and some are busy: every program that starts
        // opens files in /etc. Watch the file in such a directory, and the directory only while the
        // file is missing.
        if dir.components().count() > 2 {
            resolved.watches.insert(dir.clone());
        } else if !found.is_dir() && !found.is_symlink() {
            resolved.watches.insert(entry.clone());
        }
        if found.is_symlink() {
            links += 1;
            let target = fs::read_link(&entry).ok().filter(|_| links <= MOST_LINKS);
            let Some(target) = target else {
                (resolved.target, resolved.is_dir) = (None, false);
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
        (resolved.target, resolved.is_dir) = (Some(entry.clone()), found.is_dir());
        if !found.is_dir() {
            return;
        }
        dir = entry;
    }
    (resolved.target, resolved.is_dir) = (Some(dir), true);
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
    fn a_missing_path_is_watched_in_its_last_existing_directory() {
        let root = tempfile::tempdir().unwrap();
        let resolved = follow(&root.path().join("a/b"));
        assert!(resolved.watches.contains(root.path()), "{resolved:?}");
        assert_eq!(resolved.target, None);
    }

    #[test]
    fn links_are_watched_where_they_are_and_where_they_lead() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("..1")).unwrap();
        fs::write(root.join("..1/NAME"), "x").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/NAME", root.join("NAME")).unwrap();
        let resolved = follow(root);
        assert!(resolved.entries.contains(&root.join("..data")), "{resolved:?}");
        assert!(resolved.entries.contains(&root.join("..1/NAME")), "{resolved:?}");
        assert!(resolved.watches.contains(&root.join("..1")), "{resolved:?}");
    }

    #[test]
    fn a_loop_of_links_ends() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert_eq!(follow(&root.path().join("a")).target, None);
    }

    #[test]
    fn a_busy_top_level_directory_is_watched_only_while_the_file_is_missing() {
        let there = follow(Path::new("/etc/passwd"));
        assert_eq!(there.watches, BTreeSet::from([PathBuf::from("/etc/passwd")]));
        let missing = follow(Path::new("/etc/no-such-file"));
        assert_eq!(missing.watches, BTreeSet::from([PathBuf::from("/etc")]));
    }
}
