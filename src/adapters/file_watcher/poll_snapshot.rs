//! Looking at files from time to time, on the file systems where the kernel does not tell.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, statfs};

/// The file systems whose changes are made elsewhere, from `<linux/magic.h>`. virtiofs calls itself
/// FUSE.
const BLIND: [(&str, u64); 8] = [
    ("fuse, virtiofs", 0x6573_5546),
    ("9p", 0x0102_1997),
    ("nfs", 0x6969),
    ("smb", 0x517b),
    ("cifs", 0xff53_4d42),
    ("smb2", 0xfe53_4d42),
    ("ceph", 0x00c3_6400),
    ("vboxsf", 0x786f_4256),
];

/// Whether inotify hears nothing of what happens to `path`, or would not of its appearance: the file
/// system it is on, or its nearest directory, is changed from elsewhere.
pub(super) fn is_blind(path: &Path) -> bool {
    let there = path.ancestors().find_map(|path| statfs(path).ok());
    there.is_some_and(|it| sends_no_events(it.filesystem_type()))
}

fn sends_no_events(kind: FsType) -> bool {
    // The type of the number differs between C libraries; the magic numbers have 32 bits.
    let FsType(magic) = kind;
    #[expect(clippy::cast_sign_loss, reason = "a magic number is a pattern of 32 bits")]
    let magic = magic as u64 & 0xffff_ffff;
    BLIND.iter().any(|(_, blind)| *blind == magic)
}

/// What can be seen of a path without reading it. Two equal ones mean the same content, short of a
/// writer that sets the times back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct PollSnapshot(Vec<(PathBuf, FileStamp)>);

/// Device, inode, size, and the times of the last changes of the content and of the inode (s, ns).
type FileStamp = (u64, u64, u64, (i64, i64), (i64, i64));

/// Looks at `path` and, where it is a directory, at each file in it.
pub(super) fn poll_snapshot(path: &Path) -> PollSnapshot {
    let Ok(found) = fs::metadata(path) else { return PollSnapshot::default() };
    let mut seen = vec![(path.to_owned(), see(&found))];
    if let (true, Ok(entries)) = (found.is_dir(), fs::read_dir(path)) {
        seen.extend(entries.flatten().filter_map(|entry| {
            let path = entry.path();
            let found = fs::metadata(&path).ok()?;
            Some((path, see(&found)))
        }));
        seen.sort();
    }
    PollSnapshot(seen)
}

fn see(it: &Metadata) -> FileStamp {
    (it.dev(), it.ino(), it.size(), (it.mtime(), it.mtime_nsec()), (it.ctime(), it.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_remote_file_systems_are_polled() {
        for (name, magic) in BLIND {
            assert!(sends_no_events(FsType(magic.try_into().unwrap())), "{name}");
        }
        // ext4, overlay, tmpfs, btrfs, xfs.
        for magic in [0xef53, 0x794c_7630, 0x0102_1994, 0x9123_683e, 0x5846_5342] {
            assert!(!sends_no_events(FsType(magic)), "{magic:x}");
        }
    }

    #[test]
    fn a_change_can_be_seen() {
        let dir = tempfile::tempdir().unwrap();
        let empty = poll_snapshot(dir.path());
        fs::write(dir.path().join("a"), "1").unwrap();
        let one = poll_snapshot(dir.path());
        assert_ne!(empty, one);
        assert_eq!(one, poll_snapshot(dir.path()));
        fs::write(dir.path().join("a"), "12").unwrap();
        assert_ne!(one, poll_snapshot(dir.path()));
    }
}
