//! Directories, links, volumes and what else stands where files should.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use super::followed::{FILES, Followed, PASSWORD, USER, changes_within_a_moment, inside};
use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::declarations::source::SourceKind;
use registry_agent::domain::reasons::SourceReason;

/// A user that no machine has.
const STRANGER: u32 = 41_043;

#[test]
fn files_that_the_platform_cannot_have_written_are_rejected_with_a_reason() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("shared");
    fs::create_dir(&dir).expect("a directory");
    fs::write(root.path().join("secret"), format!("{PASSWORD}=stolen\n")).expect("written");
    symlink(root.path().join("secret"), dir.join(".env")).expect("a link");
    fs::create_dir(dir.join(".env-secrets")).expect("a directory");
    let fifo = dir.join(".user-secrets.json");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let large = File::create(dir.join("user-secrets-envs.json")).expect("a file");
    large.set_len(1 << 30).expect("a gigabyte of nothing");
    drop(large);
    let mut followed = Followed::new(&dir, &[]);
    assert_eq!(followed.get(PASSWORD), None);
    let code = |name: &str, code| (dir.join(name).display().to_string(), code);
    let expected = BTreeMap::from([
        code(".env", "file-is-a-link"),
        code(".env-secrets", "file-not-regular"),
        code(".user-secrets.json", "file-not-regular"),
        code("user-secrets-envs.json", "file-too-large"),
    ]);
    assert_eq!(followed.codes(), expected);
}

#[test]
fn files_of_another_user_in_the_platforms_directory_are_rejected_whatever_their_mode() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("shared");
    let file = dir.join(".env");
    fs::create_dir(&dir).expect("a directory");
    fs::write(&file, format!("{PASSWORD}=one\n")).expect("written");
    let rejected = BTreeMap::from([(file.display().to_string(), "file-of-another-user")]);
    for other in [&file, &dir] {
        chown(other, Some(STRANGER), None).expect("another owner");
        let mut followed = Followed::new(&dir, &[]);
        assert_eq!(followed.get(PASSWORD), None);
        assert_eq!(followed.codes(), rejected);
        chown(other, Some(0), None).expect("the owner before");
        followed.until(PASSWORD, Some("one"), &[None]);
        assert_eq!(followed.codes(), BTreeMap::new());
    }
    // The platform makes its directory writable for everybody.
    for (path, mode) in [(&dir, 0o757), (&file, 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("another mode");
    }
    assert_eq!(Followed::new(&dir, &[]).get(PASSWORD).as_deref(), Some("one"));
}

#[test]
fn a_secret_may_belong_to_any_user() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("secrets");
    fs::create_dir(&dir).expect("a directory");
    fs::write(dir.join(PASSWORD), "one").expect("written");
    for path in [&dir.join(PASSWORD), &dir] {
        chown(path, Some(STRANGER), None).expect("another owner");
    }
    let mut followed = Followed::new(&root.path().join("none"), std::slice::from_ref(&dir));
    assert_eq!(followed.get(PASSWORD).as_deref(), Some("one"));
    assert_eq!(followed.codes(), BTreeMap::new());
}

#[test]
fn a_secrets_directory_provides_one_variable_per_file() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("secrets");
    let key = "{\n  \"k\": \"v\"\n}\n".repeat(3500);
    assert!(key.len() > 48 * 1024);
    fs::create_dir(&dir).expect("a directory");
    fs::write(dir.join(PASSWORD), &key).expect("written");
    fs::write(dir.join("unrelated"), "x").expect("written");
    fs::write(dir.join("AWS_REGION"), "eu-west-1\n").expect("written");
    fs::write(dir.join(USER), b"\xff").expect("written");
    fs::create_dir(dir.join("A_CONTAINER_REGISTRY_SERVER")).expect("a directory");
    let mut followed = Followed::new(&root.path().join("none"), std::slice::from_ref(&dir));
    assert_eq!(followed.get(PASSWORD).as_deref(), Some(&*key));
    let sources = followed.sources.sources();
    assert_eq!(sources[0].kind, SourceKind::Configured);
    let names: Vec<&String> = sources[0].variables.keys().collect();
    assert_eq!(names, ["AWS_REGION", PASSWORD]);
    let codes: Vec<&str> = followed.codes().into_values().collect();
    assert_eq!(codes, ["file-not-regular", "file-malformed"]);

    fs::remove_file(dir.join(PASSWORD)).expect("removed");
    followed.until(PASSWORD, None, &[Some(&key)]);
    fs::remove_dir_all(&dir).expect("removed");
    followed.until("AWS_REGION", None, &[Some("eu-west-1\n")]);
    fs::create_dir(&dir).expect("a directory");
    fs::write(dir.join(PASSWORD), "new").expect("written");
    followed.until(PASSWORD, Some("new"), &[None]);
}

/// What the kubelet does to a volume: a new directory, a new link to it, renamed over the old one.
fn swap(volume: &Path, name: &str, password: &str) {
    let data = volume.join(name);
    fs::create_dir(&data).expect("a directory");
    fs::write(data.join(PASSWORD), password).expect("written");
    let old = fs::read_link(volume.join("..data")).ok();
    symlink(name, volume.join("..data_tmp")).expect("a link");
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("renamed");
    if !volume.join(PASSWORD).is_symlink() {
        symlink(format!("..data/{PASSWORD}"), volume.join(PASSWORD)).expect("a link");
    }
    if let Some(old) = old {
        fs::remove_dir_all(volume.join(old)).expect("removed");
    }
}

#[test]
fn a_kubernetes_volume_is_followed_through_its_links() {
    let root = tempfile::tempdir().expect("a directory");
    let volume = root.path().join("volume");
    fs::create_dir(&volume).expect("a directory");
    swap(&volume, "..2026_01", "one");
    let file = volume.join(PASSWORD);
    let mut followed = Followed::new(&root.path().join("none"), std::slice::from_ref(&volume));
    let passwords = BTreeSet::from([file.clone()]);
    let read = followed.passwords(&passwords);
    assert_eq!(read[&file].as_ref().expect("a password").reveal(), "one");
    assert_eq!(followed.get(PASSWORD).as_deref(), Some("one"));
    for (name, password, before) in [("..2026_02", "two", "one"), ("..2026_03", "three", "two")] {
        swap(&volume, name, password);
        followed.until(PASSWORD, Some(password), &[Some(before)]);
        while followed.passwords(&passwords)[&file].as_ref().expect("a password").reveal()
            != password
        {
            followed.change();
        }
    }
}

#[test]
fn password_files_come_and_go_and_are_followed_while_they_are_named() {
    let root = tempfile::tempdir().expect("a directory");
    let at = |name: &str| root.path().join(name);
    let mut followed = Followed::new(&at("none"), &[]);
    let held = |followed: &mut Followed, name: &str| {
        let read = followed.passwords(&BTreeSet::from([at(name)]));
        read[&at(name)].as_ref().map(|it| it.reveal().to_owned()).map_err(SourceReason::code)
    };
    assert_eq!(held(&mut followed, "a"), Err("file-missing"));
    fs::write(at("a"), "one").expect("written");
    followed.change();
    assert_eq!(held(&mut followed, "a").as_deref(), Ok("one"));
    fs::write(at("target"), "two").expect("written");
    fs::remove_file(at("a")).expect("removed");
    symlink(at("target"), at("a")).expect("a link");
    while held(&mut followed, "a").as_deref() != Ok("two") {
        followed.change();
    }
    fs::write(at("target"), "three").expect("written");
    while held(&mut followed, "a").as_deref() != Ok("three") {
        followed.change();
    }
    fs::write(at("b"), "four").expect("written");
    assert_eq!(held(&mut followed, "b").as_deref(), Ok("four"));
    // The other one is not asked for any more, so its changes are nobody's business.
    while changes_within_a_moment(&mut followed) {}
    fs::write(at("target"), "five").expect("written");
    assert!(!changes_within_a_moment(&mut followed));
    fs::write(at("b"), "six").expect("written");
    followed.change();
    assert_eq!(held(&mut followed, "b").as_deref(), Ok("six"));
}

#[test]
fn a_password_file_that_becomes_malformed_keeps_its_last_good_value_and_is_a_problem() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("password");
    let passwords = BTreeSet::from([path.clone()]);
    fs::write(&path, "one").expect("written");
    let mut followed = Followed::new(&root.path().join("none"), &[]);
    for password in ["one", "two"] {
        while followed.passwords(&passwords)[&path].as_ref().expect("a password").reveal()
            != password
        {
            followed.change();
        }
        assert_eq!(followed.codes(), BTreeMap::new());
        fs::write(&path, b"\xff").expect("written");
        followed.change();
        let kept = &followed.passwords(&passwords)[&path];
        assert_eq!(kept.as_ref().map(Secret::reveal), Ok(password));
        let expected = [(path.display().to_string(), "file-malformed")];
        assert_eq!(followed.codes(), BTreeMap::from(expected));
        fs::write(&path, "two").expect("written");
    }
}

#[test]
fn a_password_file_that_is_dropped_and_named_again_at_once_is_known() {
    let root = tempfile::tempdir().expect("a directory");
    let [a, b] = ["a", "b"].map(|name| root.path().join(name));
    fs::write(&a, "one").expect("written");
    fs::write(&b, "two").expect("written");
    let both = BTreeSet::from([a.clone(), b.clone()]);
    let mut followed = Followed::new(&root.path().join("none"), &[]);
    followed.passwords(&both);
    for _ in 0..20 {
        followed.sources.follow_passwords(&BTreeSet::from([a.clone()]));
        assert_eq!(followed.passwords(&both)[&b].as_ref().map(Secret::reveal), Ok("two"));
    }
}

#[test]
fn an_unreadable_file_is_a_problem_until_it_is_readable() {
    let test = "sources::places::inner_a_file_that_may_not_be_read";
    if nix::unistd::Uid::effective().is_root() {
        // Root may read everything by two capabilities.
        let without = "-dac_override,-dac_read_search";
        let flags = ["--bounding-set", "--inh-caps"].map(|flag| format!("{flag}={without}"));
        inside(test, &["setpriv", &flags[0], &flags[1]]);
    } else {
        inside(test, &["env"]);
    }
}

#[test]
#[ignore = "needs another world, which another test gives it"]
fn inner_a_file_that_may_not_be_read() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("env");
    fs::write(&path, format!("{PASSWORD}=one\n")).expect("written");
    let mode = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("another mode");
    };
    mode(0o000);
    let mut followed = Followed::new(&root.path().join("none"), std::slice::from_ref(&path));
    assert_eq!(followed.get(PASSWORD), None);
    assert_eq!(followed.codes().into_values().collect::<Vec<_>>(), ["file-unreadable"]);
    mode(0o600);
    followed.until(PASSWORD, Some("one"), &[None]);
    assert_eq!(followed.codes(), BTreeMap::new());
}

#[test]
fn without_inotify_files_are_polled() {
    let test = "sources::places::inner_where_inotify_is_not_to_be_had";
    let limit = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$@\"";
    inside(test, &["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh"]);
}

#[test]
#[ignore = "needs another world, which another test gives it"]
fn inner_where_inotify_is_not_to_be_had() {
    let root = tempfile::tempdir().expect("a directory");
    let mut followed = Followed::new(root.path(), &[]);
    let codes = followed.codes();
    assert!(codes.values().all(|code| *code == "file-not-watched"), "{codes:?}");
    assert_eq!(codes.len(), FILES.len());
    while changes_within_a_moment(&mut followed) {}
    fs::write(root.path().join(".env"), format!("{PASSWORD}=one\n")).expect("written");
    followed.until(PASSWORD, Some("one"), &[None]);
}
