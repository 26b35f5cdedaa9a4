//! Users and groups from the passwd and group files.
//!
//! Does not use the C library: a static program cannot load its name service modules.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A user of this machine, as currently configured: a dev container may change the user ID after
/// installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// Every group, the primary one included.
    pub groups: Vec<u32>,
    /// The home directory.
    pub home: PathBuf,
}

/// Looks up a user by name, or by user ID if nobody has that name; `None` if there is none. A Feature may
/// know only the ID, before the user is created.
pub fn by_name(name: &str) -> io::Result<Option<User>> {
    let named = find(|user| user.name == name)?;
    match (named, name.parse()) {
        (None, Ok(uid)) => by_uid(uid),
        (named, _) => Ok(named),
    }
}

/// Looks up a user by ID; `None` if there is none.
pub fn by_uid(uid: u32) -> io::Result<Option<User>> {
    find(|user| user.uid == uid)
}

/// Every user in the passwd file, without groups.
pub fn all() -> io::Result<Vec<User>> {
    Ok(fs::read_to_string("/etc/passwd")?.lines().filter_map(parse_user).collect())
}

fn find(matches: impl Fn(&User) -> bool) -> io::Result<Option<User>> {
    let passwd = fs::read_to_string("/etc/passwd")?;
    let Some(mut user) = passwd.lines().filter_map(parse_user).find(|user| matches(user)) else {
        return Ok(None);
    };
    let groups = match fs::read_to_string(Path::new("/etc/group")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    user.groups = groups_of(&groups, &user);
    Ok(Some(user))
}

/// Parses one line of passwd(5): `name:password:uid:gid:comment:home:shell`.
fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let &[name, _, uid, gid, _, home, ..] = fields.as_slice() else { return None };
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        groups: Vec::new(),
        home: PathBuf::from(home),
    })
}

/// The groups that `user` is in, according to lines of group(5): `name:password:gid:member,member`.
fn groups_of(text: &str, user: &User) -> Vec<u32> {
    let mut groups = vec![user.gid];
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let &[_, _, gid, members, ..] = fields.as_slice() else { continue };
        if let Ok(gid) = gid.parse()
            && members.split(',').any(|member| member == user.name)
            && !groups.contains(&gid)
        {
            groups.push(gid);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_groups_that_list_it() {
        let user = parse_user("dev:x:1000:1000:Developer,,,:/home/dev:/bin/bash").unwrap();
        assert_eq!(user.home, Path::new("/home/dev"));
        let groups = groups_of("root:x:0:\ndocker:x:998:other,dev\ndev:x:1000:\nodd\n", &user);
        assert_eq!(groups, [1000, 998]);
    }

    #[test]
    fn an_invalid_passwd_line_is_skipped() {
        assert_eq!(parse_user("+::::::"), None);
        assert_eq!(parse_user("# comment"), None);
    }

    #[test]
    fn root_is_found_on_this_machine() {
        assert_eq!(by_name("root").unwrap().unwrap().uid, 0);
        assert_eq!(by_uid(0).unwrap().unwrap().name, "root");
        assert_eq!(by_name("0").unwrap().unwrap().name, "root");
        assert_eq!(by_name("no such user").unwrap(), None);
    }
}
