//! The file systems on which inotify does not work, because their files change elsewhere.

use std::path::Path;

use nix::sys::statfs::{FsType, statfs};

/// From `<linux/magic.h>`. virtiofs identifies itself as FUSE.
const POLLED: [(&str, u64); 8] = [
    ("fuse, virtiofs", 0x6573_5546),
    ("9p", 0x0102_1997),
    ("nfs", 0x6969),
    ("smb", 0x517b),
    ("cifs", 0xff53_4d42),
    ("smb2", 0xfe53_4d42),
    ("ceph", 0x00c3_6400),
    ("vboxsf", 0x786f_4256),
];

/// Whether `path` or its nearest existing ancestor is on such a file system.
pub(super) fn must_be_polled(path: &Path) -> bool {
    let found = path.ancestors().find_map(|path| statfs(path).ok());
    found.is_some_and(|found| sends_no_events(found.filesystem_type()))
}

fn sends_no_events(kind: FsType) -> bool {
    // The type of the number depends on the C library; magic numbers have 32 bits.
    let FsType(magic) = kind;
    #[expect(clippy::cast_sign_loss, reason = "a magic number is a pattern of 32 bits")]
    let magic = magic as u64 & 0xffff_ffff;
    POLLED.iter().any(|(_, polled)| *polled == magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_systems_that_are_changed_from_elsewhere_are_polled() {
        for (name, magic) in POLLED {
            assert!(sends_no_events(FsType(magic.try_into().unwrap())), "{name}");
        }
        // ext4, overlay, tmpfs, btrfs, xfs.
        for magic in [0xef53, 0x794c_7630, 0x0102_1994, 0x9123_683e, 0x5846_5342] {
            assert!(!sends_no_events(FsType(magic)), "{magic:x}");
        }
    }
}
