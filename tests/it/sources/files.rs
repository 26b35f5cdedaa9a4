//! Files that change while they are followed, in the ways that platforms change them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::followed::{FILES, Followed, PASSWORD, USER, changes_within_a_moment, inside};
use base64::Engine as _;
use nix::unistd::{Uid, seteuid};

/// What the platform writes for a password into the file called `file`.
fn text(file: &str, password: &str) -> String {
    let password = format!("{password}\n\"quoted\"");
    let json = serde_json::to_string(&password).expect("JSON");
    match file {
        ".env-secrets" => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&password);
            format!("{USER}=dQ==\n{PASSWORD}={encoded}\n")
        }
        ".user-secrets.json" => format!(
            r#"[{{"type":"EnvironmentVariable","name":"{PASSWORD}","value":{json}}},{{"type":"ContainerRegistry","name":"x","value":"y"}}]"#
        ),
        ".env" => format!("# {file}\nexport {PASSWORD}='{password}'\n"),
        _ => format!(r#"{{"{USER}":"u","{PASSWORD}":{json}}}"#),
    }
}

/// Writes through one descriptor, with a pause after each part that is not the last.
fn write_slowly(path: &Path, text: &str) {
    let mut file = File::create(path).expect("a file");
    for part in text.as_bytes().chunks(text.len().div_ceil(4)) {
        file.write_all(part).expect("written");
        // Something else happens in the directory, which must not make anybody read too soon.
        fs::write(path.with_file_name("unrelated"), "x").expect("written");
        pause(30);
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(new, path).expect("renamed");
}

#[expect(clippy::disallowed_methods, reason = "a writer takes its time")]
fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

#[test]
fn each_codespaces_file_is_followed_through_every_change() {
    for file in FILES {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("workspaces/.codespaces/shared");
        let path = dir.join(file);
        let mut followed = Followed::new(&dir, &[]);
        assert_eq!(followed.get(PASSWORD), None);
        let value = |n: &str| format!("{n}\n\"quoted\"");
        let (one, two, three, four) = (value("one"), value("two"), value("three"), value("four"));

        // It appears late, its directory with it, and is written bit by bit.
        let (late_dir, late) = (dir.clone(), path.clone());
        let writer = thread::spawn(move || {
            fs::create_dir_all(&late_dir).expect("directories");
            write_slowly(&late, &text(file, "one"));
        });
        followed.until(PASSWORD, Some(&one), &[None]);
        writer.join().expect("written");

        // It is rewritten in place.
        let slow = path.clone();
        let writer = thread::spawn(move || write_slowly(&slow, &text(file, "two")));
        followed.until(PASSWORD, Some(&two), &[Some(&one)]);
        writer.join().expect("written");

        // A new file takes its place.
        replace(&path, &text(file, "three"));
        followed.until(PASSWORD, Some(&three), &[Some(&two)]);

        // The file is deleted and comes back, then its directory.
        fs::remove_file(&path).expect("removed");
        followed.until(PASSWORD, None, &[Some(&three)]);
        fs::write(&path, text(file, "four")).expect("written");
        followed.until(PASSWORD, Some(&four), &[None]);
        fs::remove_dir_all(root.path().join("workspaces")).expect("removed");
        followed.until(PASSWORD, None, &[Some(&four)]);
        fs::create_dir_all(&dir).expect("directories");
        fs::write(&path, text(file, "one")).expect("written");
        followed.until(PASSWORD, Some(&one), &[None]);

        // Another directory takes the place of one on the way.
        let other = root.path().join("other/shared");
        fs::create_dir_all(&other).expect("directories");
        fs::write(other.join(file), text(file, "two")).expect("written");
        let on_the_way = root.path().join("workspaces/.codespaces");
        fs::rename(&on_the_way, root.path().join("old")).expect("renamed");
        fs::rename(root.path().join("other"), &on_the_way).expect("renamed");
        followed.until(PASSWORD, Some(&two), &[Some(&one), None]);
        replace(&path, &text(file, "three"));
        followed.until(PASSWORD, Some(&three), &[Some(&two)]);
    }
}

#[test]
fn a_file_that_is_half_written_when_the_agent_starts_is_waited_for() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join(".env");
    let mut writer = File::create(&path).expect("a file");
    writer.write_all(format!("{PASSWORD}=ha").as_bytes()).expect("written");
    let mut followed = Followed::new(root.path(), &[]);
    assert_eq!(followed.get(PASSWORD), None);
    let closing = thread::spawn(move || {
        pause(50);
        writer.write_all(b"lf\n").expect("written");
    });
    followed.until(PASSWORD, Some("half"), &[None]);
    closing.join().expect("closed");
}

#[test]
fn a_thousand_rewrites_show_only_complete_values() {
    rewrite_and_read(
        |path, text, n| {
            if n % 2 == 0 {
                fs::write(path, text).expect("written");
            } else {
                replace(path, text);
            }
        },
        |_| (),
    );
}

#[test]
fn neither_do_rewrites_of_a_file_whose_writers_the_kernel_does_not_tell() {
    without_leases("sources::files::inner_rewrites_of_another_users_file");
}

#[test]
fn a_slow_writer_is_waited_for_although_the_kernel_does_not_tell_of_it() {
    without_leases("sources::files::inner_slow_writes_to_another_users_file");
}

/// Runs one test in a process of its own, which may become another user.
fn without_leases(test: &str) {
    if Uid::effective().is_root() {
        inside(test, &["env"]);
    }
}

/// A user who may write a file of root, and whom the kernel does not tell of its writers. Root again on drop.
struct Unprivileged;

impl Unprivileged {
    fn with(path: &Path) -> Self {
        for (path, mode) in [(path, 0o666), (path.parent().expect("a directory"), 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        }
        seteuid(Uid::from_raw(1000)).expect("another user");
        Self
    }
}

impl Drop for Unprivileged {
    fn drop(&mut self) {
        seteuid(Uid::from_raw(0)).expect("root");
    }
}

#[test]
#[ignore = "needs another world, which another test gives it"]
fn inner_slow_writes_to_another_users_file() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join(".env");
    fs::write(&path, format!("{PASSWORD}=old\n")).expect("written");
    let _user = Unprivileged::with(&path);
    let mut followed = Followed::new(root.path(), &[]);
    assert_eq!(followed.get(PASSWORD).as_deref(), Some("old"));
    let other = root.path().join(".env-secrets");
    let writer = thread::spawn(move || {
        let mut file = File::create(&path).expect("a file");
        for part in [PASSWORD, "=o", "n", "e\n"] {
            file.write_all(part.as_bytes()).expect("written");
            // Another file changes, so all of them are read.
            fs::write(&other, "").expect("written");
            pause(100);
        }
    });
    followed.until(PASSWORD, Some("one"), &[Some("old")]);
    writer.join().expect("written");
}

#[test]
#[ignore = "needs another world, which another test gives it"]
fn inner_rewrites_of_another_users_file() {
    rewrite_and_read(|path, text, _| fs::write(path, text).expect("written"), Unprivileged::with);
}

/// Writes a file a thousand times with `write`, while it is read; before, `prepare` changes something for as
/// long as its result lives.
fn rewrite_and_read<T>(write: fn(&Path, &str, usize), prepare: fn(&Path) -> T) {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("user-secrets-envs.json");
    let text = |n: usize| format!(r#"{{"{USER}":"u{n}","{PASSWORD}":"{n}-{}"}}"#, "x".repeat(9000));
    fs::write(&path, text(0)).expect("written");
    write(&path, &text(0), 0);
    let _prepared = prepare(&path);
    let mut followed = Followed::new(root.path(), &[]);
    assert!(followed.get(USER).is_some());
    let writer = thread::spawn(move || (1..=1000).for_each(|n| write(&path, &text(n), n)));
    let mut reads = 0;
    let mut last = 0;
    while last < 1000 {
        let (sources, problems) = (followed.sources.sources(), followed.sources.problems());
        assert_eq!(problems, [], "a file that is being written is called malformed");
        let variables = &sources.first().expect("the file is always there").variables;
        let n: usize = variables[USER].reveal()[1..].parse().expect("a number");
        assert_eq!(variables[PASSWORD].reveal(), format!("{n}-{}", "x".repeat(9000)));
        assert!(n >= last, "{n} after {last}");
        last = n;
        reads += 1;
        if last < 1000 {
            followed.change();
        }
    }
    writer.join().expect("written");
    assert!(reads > 1);
}

#[test]
fn a_malformed_file_keeps_its_last_good_values_and_is_a_problem() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join(".user-secrets.json");
    fs::write(&path, text(".user-secrets.json", "one")).expect("written");
    let mut followed = Followed::new(root.path(), &[]);
    let known = followed.get(PASSWORD);
    assert!(known.is_some());
    for bad in ["[{", "", "{}", "canary"] {
        fs::write(&path, bad).expect("written");
        while changes_within_a_moment(&mut followed) {}
        assert_eq!(followed.get(PASSWORD), known, "{bad:?}");
        let problems = followed.sources.problems();
        let shown: Vec<String> = problems.iter().map(|it| it.reason.to_string()).collect();
        assert_eq!(shown.len(), 1, "{bad:?}: {shown:?}");
        assert!(!shown[0].contains("canary"), "{shown:?}");
        assert_eq!(problems[0].name, path.display().to_string());
    }
    fs::write(&path, text(".user-secrets.json", "two")).expect("written");
    followed.until(PASSWORD, Some("two\n\"quoted\""), &[known.as_deref()]);
    assert_eq!(followed.codes(), BTreeMap::new());
}

#[test]
fn an_emptied_env_file_declares_nothing() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join(".env-secrets");
    fs::write(&path, text(".env-secrets", "one")).expect("written");
    let mut followed = Followed::new(root.path(), &[]);
    assert_eq!(followed.get(USER).as_deref(), Some("u"));
    fs::write(&path, "").expect("written");
    followed.until(USER, None, &[Some("u")]);
}
