//! User IDs outside a user namespace: rootless podman and buildah run the helper as root of one.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::{env, fs};

use nix::unistd::Uid;

use super::passwd;

/// The user ID that the kernel shows for every user whom a user namespace does not map, unless the
/// system sets another one.
const OVERFLOW_UID: u32 = 65534;

/// The ID of a user whom nothing in this user namespace identifies: no user has it.
const UNKNOWN_UID: u32 = u32::MAX;

/// The ID that the user `uid` of this process's user namespace has in the container: the same, unless
/// a client entered a namespace of its own.
pub fn uid_outside(uid: u32) -> u32 {
    let map = |process: &str| fs::read_to_string(format!("/proc/{process}/uid_map")).ok();
    match (map("self"), map("1")) {
        // A container may have a user namespace too; its processes share the one of its first
        // process.
        (Some(own), Some(first)) if own != first => {
            let outside = outside(&own, uid).unwrap_or(uid);
            if is_user(&first, outside, uid) { outside } else { owner_of_home(uid) }
        }
        // Root of the container sees its first process, even where `/proc` hides those of others.
        (Some(own), None) if uid == 0 => outside(&own, uid).unwrap_or(uid),
        _ => uid,
    }
}

/// Whether the map of the container's first process does not contradict that its user `outside` is
/// `uid` here. The kernel shows where that map begins as an ID of this process's namespace. In a
/// namespace within another one, `outside` is only an ID of the one around it.
fn is_user(first: &str, outside: u32, uid: u32) -> bool {
    let mut starts = first.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    starts.all(|(start, here)| start != outside || here == uid)
}

/// The user of the passwd file whose home directory is `HOME`, if that belongs to `uid`.
fn owner_of_home(uid: u32) -> u32 {
    let home = env::var_os("HOME").map(PathBuf::from);
    let users = passwd::all().unwrap_or_default().into_iter();
    let owner = home.filter(|home| fs::metadata(home).is_ok_and(|found| found.uid() == uid));
    let mut users = users.filter(|user| owner.as_ref().is_some_and(|home| *home == user.home));
    users.next().map_or(UNKNOWN_UID, |user| user.uid)
}

/// Whether this process is root outside too.
pub fn is_root() -> bool {
    uid_outside(Uid::effective().as_raw()) == 0
}

/// Whether `uid` stands for every user whom this process's user namespace does not map. A user whom it
/// does map to that ID cannot be told apart from them.
pub fn is_overflow(uid: u32) -> bool {
    let shown = fs::read_to_string("/proc/sys/kernel/overflowuid");
    let overflow = shown.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(OVERFLOW_UID);
    uid == overflow && !fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| maps_all(&map))
}

/// Whether a map has every user ID. The highest number is none.
fn maps_all(map: &str) -> bool {
    let lengths =
        map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    lengths.sum::<u64>() >= u64::from(u32::MAX)
}

/// Looks `uid` up in the lines of a map: first ID inside, first ID outside, length
/// (`user_namespaces(7)`).
fn outside(map: &str, uid: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let mut next = || numbers.next()?.ok();
        let (inside, outside, length) = (next()?, next()?, next()?);
        let offset = uid.checked_sub(inside).filter(|offset| *offset < length)?;
        outside.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_within_another_one_has_no_root_of_the_container() {
        // `unshare --map-root-user` of root, of another user, and once more within that.
        assert!(is_user("0 0 4294967295", 0, 0));
        assert!(is_user("0 4294967295 4294967295", 1000, 0));
        assert!(!is_user("0 4294967295 4294967295", 0, 0));
    }

    #[test]
    fn only_the_map_of_a_whole_system_has_every_id() {
        assert!(maps_all("         0          0 4294967295\n"));
        assert!(maps_all("0 0 1000\n1000 1000 4294966295\n"));
        for partial in ["", "not a map", "0 1000 1\n1 100000 65536\n", "0 0 4294967294"] {
            assert!(!maps_all(partial), "{partial}");
        }
    }

    #[test]
    fn an_id_is_mapped_by_its_line() {
        let podman = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(outside(podman, 0), Some(1000));
        assert_eq!(outside(podman, 1), Some(100_000));
        assert_eq!(outside(podman, 65536), Some(165_535));
        assert_eq!(outside(podman, 65537), None);
        assert_eq!(outside("0 0 4294967295", 1000), Some(1000));
        assert_eq!(outside("", 1000), None);
        assert_eq!(outside("not a map", 0), None);
    }
}
