//! Resolves a path and records each directory and link on the way, because a change to any of them
//! may change the result.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The result of resolving a path. Its paths contain no links.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ResolvedPath {
    /// Each directory entry on the way, including the last or the missing one.
    entries: BTreeSet<PathBuf>,
    /// The paths to watch.
    pub(super) watches: BTreeSet<PathBuf>,
    /// The directory that the path leads to, if it is one. Every entry in it counts.
    dir: Option<PathBuf>,
}

/// The maximum number of links that the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// Resolves `path`, which is absolute, and the links in a target directory: a Kubernetes secret is
/// `NAME`, a link to `..data/NAME`, and `..data` is a link as well.
pub(super) fn follow(path: &Path) -> ResolvedPath {
    let mut resolved = ResolvedPath::default();
    resolved.dir = resolved.walk(path);
    if let Some(dir) = resolved.dir.clone() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|it| it.is_symlink()) {
                resolved.walk(&entry.path());
            }
        }
        resolved.watches.insert(dir);
    }
    resolved
}

impl ResolvedPath {
    /// Whether a change of `path`, which contains no links, may change the result.
    pub(super) fn depends_on(&self, path: &Path) -> bool {
        let in_dir = |dir: &PathBuf| path == dir || path.parent() == Some(dir);
        self.entries.contains(path) || self.dir.as_ref().is_some_and(in_dir)
    }

    /// Records what `path` leads through. Returns the directory that it leads to, if it is one.
    fn walk(&mut self, path: &Path) -> Option<PathBuf> {
        let mut dir = PathBuf::from("/");
        let mut ahead = path.to_owned();
        let mut links = 0;
        loop {
            let mut components = ahead.components();
            let Some(component) = components.next() else { return Some(dir) };
            let mut rest = components.as_path().to_owned();
            match component {
                Component::RootDir => dir = PathBuf::from("/"),
                Component::ParentDir => _ = dir.pop(),
                Component::Prefix(_) | Component::CurDir => {}
                Component::Normal(name) => {
                    let entry = dir.join(name);
                    self.entries.insert(entry.clone());
                    let Ok(found) = fs::symlink_metadata(&entry) else {
                        self.watches.insert(dir);
                        return None;
                    };
                    let (is_link, is_dir) = (found.is_symlink(), found.is_dir());
                    // Top-level directories are never replaced, and some are busy: every program
                    // that starts opens files in /etc. Watch the file in such a directory, and the
                    // directory only while the file is missing or a link, which cannot be watched.
                    if is_link || dir.components().count() > 2 {
                        self.watches.insert(dir.clone());
                    } else if !is_dir {
                        self.watches.insert(entry.clone());
                    }
                    if is_link {
                        links += 1;
                        let target = fs::read_link(&entry).ok().filter(|_| links <= MOST_LINKS)?;
                        rest = target.join(rest);
                    } else if is_dir {
                        dir = entry;
                    } else {
                        return None;
                    }
                }
            }
            ahead = rest;
        }
    }
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
        assert_eq!(resolved.dir, None);
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
        assert_eq!(follow(&root.path().join("a")).dir, None);
    }

    #[test]
    fn a_busy_top_level_directory_is_watched_only_while_the_file_is_missing() {
        let there = follow(Path::new("/etc/passwd"));
        assert_eq!(there.watches, BTreeSet::from([PathBuf::from("/etc/passwd")]));
        let missing = follow(Path::new("/etc/no-such-file"));
        assert_eq!(missing.watches, BTreeSet::from([PathBuf::from("/etc")]));
    }
}
