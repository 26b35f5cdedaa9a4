//! Who else may replace a file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::Uid;

use super::passwd;
use super::user_namespace::is_overflow;

/// Whether this process trusts what `uid` owns: that is its own user, root, or, in a user namespace, any that
/// it does not map, because root outside of it is one of them.
pub fn is_trusted(uid: u32) -> bool {
    uid == Uid::effective().as_raw() || uid == 0 || is_overflow(uid)
}

/// Another user who owns the directory of `path` or the one above it, and may thus rename what is in it.
pub fn untrusted_owner_above(path: &Path) -> Option<u32> {
    let directories = path.ancestors().skip(1).take(2);
    let mut owners = directories.filter_map(|it| Some(fs::metadata(it).ok()?.uid()));
    owners.find(|owner| !is_trusted(*owner))
}

/// The user `uid` in a sentence.
pub fn name_of(uid: u32) -> String {
    let user = passwd::by_uid(uid).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}
