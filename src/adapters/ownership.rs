//! Who else may replace a file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::Uid;

use super::passwd;
use super::user_namespace::is_overflow;

/// Whether this process trusts what `uid` owns: that is its own user, root, or, in a user namespace, any that
/// it does not map, because root outside of it is one of them.
pub fn is_trusted(uid: u32) -> bool {
    uid == Uid::effective().as_raw() || uid == 0 || is_overflow(uid)
}

/// Another user who owns the directory of `path` or the one above it, and may thus replace what is in it.
/// In a directory with the sticky bit, the owner of a file alone may.
pub fn stranger_above(path: &Path) -> Option<u32> {
    let owner = |directory: &Path| {
        let found = fs::metadata(directory).ok()?;
        let is_sticky = found.mode() & Mode::S_ISVTX.bits() != 0;
        (!is_sticky && !is_trusted(found.uid())).then(|| found.uid())
    };
    path.ancestors().skip(1).take(2).find_map(owner)
}

/// The user `uid` in a sentence.
pub fn name_of(uid: u32) -> String {
    let user = passwd::by_uid(uid).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}
