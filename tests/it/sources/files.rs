//! Files that change while they are followed, in the ways that platforms change them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use registry_agent::domain::reason::{Reason, SourceReason};
use registry_agent::domain::source::SourceKind;
use registry_agent::edge::sources::FileSources;
use tokio::runtime::Runtime;

const USER: &str = "A_CONTAINER_REGISTRY_USER";
const PASSWORD: &str = "A_CONTAINER_REGISTRY_PASSWORD";
/// The five files of the platform.
const FILES: [&str; 5] = [
    "user-secrets-envs.json",
    ".env-secrets",
    ".user-secrets.json",
    ".env",
    "environment-variables.json",
];

/// Longer than anything takes.
const LIMIT: Duration = Duration::from_secs(20);

struct Followed {
    runtime: Runtime,
    sources: FileSources,
}

impl Followed {
    fn new(codespaces: &Path, configured: &[PathBuf]) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, sources: FileSources::new(codespaces, configured) }
    }

    /// The value of a variable, in the highest file that has it.
    fn get(&mut self, variable: &str) -> Option<String> {
        let (sources, _) = self.sources.read();
        let value = sources.iter().find_map(|source| source.variables.get(variable))?;
        Some(value.reveal().to_owned())
    }

    fn codes(&mut self) -> BTreeMap<String, &'static str> {
        let (_, problems) = self.sources.read();
        let code = |reason: &Reason| reason.code();
        problems.iter().map(|problem| (problem.name.clone(), code(&problem.reason))).collect()
    }

    /// Waits for the next change.
    fn change(&mut self) {
        let changed = self.sources.changed();
        self.runtime
            .block_on(async { tokio::time::timeout(LIMIT, changed).await })
            .expect("a change is reported");
    }

    /// Follows changes until the variable has the value; until then it must have one of `before`.
    fn until(&mut self, variable: &str, value: Option<&str>, before: &[Option<&str>]) {
        let begin = Instant::now();
        loop {
            let now = self.get(variable);
            if now.as_deref() == value {
                return;
            }
            assert!(
                before.contains(&now.as_deref()),
                "{variable} is {now:?} on the way to {value:?}"
            );
            assert!(begin.elapsed() < LIMIT, "{variable} stays {now:?} and never is {value:?}");
            self.change();
        }
    }
}

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
fn each_file_of_the_platform_is_followed_through_all_that_happens_to_it() {
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
fn a_thousand_rewrites_never_show_anything_but_whole_values() {
    rewrite_and_read(|path, text, n| {
        if n % 2 == 0 {
            fs::write(path, text).expect("written");
        } else {
            replace(path, text);
        }
    });
}

#[test]
fn neither_do_rewrites_of_a_file_whose_writers_the_kernel_does_not_tell() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    // Of another user's file only a holder of that capability is told.
    let without = ["--bounding-set=-lease", "--inh-caps=-lease"];
    inside(
        "sources::files::inner_rewrites_of_another_users_file",
        &[&["setpriv"], &without[..]].concat(),
    );
}

#[test]
#[ignore = "needs another world, which another test gives it"]
fn inner_rewrites_of_another_users_file() {
    rewrite_and_read(|path, text, _| {
        std::os::unix::fs::chown(path, Some(65534), None).expect("another owner");
        fs::write(path, text).expect("written");
    });
}

/// Writes a file a thousand times with `write`, while it is read.
fn rewrite_and_read(write: fn(&Path, &str, usize)) {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("user-secrets-envs.json");
    let text = |n: usize| format!(r#"{{"{USER}":"u{n}","{PASSWORD}":"{n}-{}"}}"#, "x".repeat(9000));
    fs::write(&path, text(0)).expect("written");
    write(&path, &text(0), 0);
    let mut followed = Followed::new(root.path(), &[]);
    assert!(followed.get(USER).is_some());
    let writer = thread::spawn(move || (1..=1000).for_each(|n| write(&path, &text(n), n)));
    let mut reads = 0;
    let mut last = 0;
    while last < 1000 {
        let (sources, problems) = followed.sources.read();
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
fn a_malformed_file_keeps_what_was_known_and_is_a_problem() {
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
        let (_, problems) = followed.sources.read();
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
fn an_emptied_env_file_says_nothing_any_more() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join(".env-secrets");
    fs::write(&path, text(".env-secrets", "one")).expect("written");
    let mut followed = Followed::new(root.path(), &[]);
    assert_eq!(followed.get(USER).as_deref(), Some("u"));
    fs::write(&path, "").expect("written");
    followed.until(USER, None, &[Some("u")]);
}

#[test]
fn what_is_no_file_of_the_platforms_is_refused_and_said() {
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
fn a_secrets_directory_gives_one_variable_a_file_and_nothing_else() {
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
    let (sources, _) = followed.sources.read();
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
    let read = followed.sources.follow_passwords(&passwords);
    assert_eq!(read[&file].as_ref().expect("a password").reveal(), "one");
    assert_eq!(followed.get(PASSWORD).as_deref(), Some("one"));
    for (name, password, before) in [("..2026_02", "two", "one"), ("..2026_03", "three", "two")] {
        swap(&volume, name, password);
        followed.until(PASSWORD, Some(password), &[Some(before)]);
        let read = followed.sources.follow_passwords(&passwords);
        assert_eq!(read[&file].as_ref().expect("a password").reveal(), password);
    }
}

#[test]
fn password_files_come_and_go_and_are_followed_while_they_are_named() {
    let root = tempfile::tempdir().expect("a directory");
    let at = |name: &str| root.path().join(name);
    let mut followed = Followed::new(&at("none"), &[]);
    let held = |followed: &mut Followed, name: &str| {
        let read = followed.sources.follow_passwords(&BTreeSet::from([at(name)]));
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

/// Whether a change is reported within a moment.
fn changes_within_a_moment(followed: &mut Followed) -> bool {
    let changed = followed.sources.changed();
    followed
        .runtime
        .block_on(async { tokio::time::timeout(Duration::from_millis(200), changed).await.is_ok() })
}

#[test]
fn a_file_that_may_not_be_read_is_a_problem_until_it_may() {
    let test = "sources::files::inner_a_file_that_may_not_be_read";
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
fn where_inotify_is_not_to_be_had_files_are_looked_at_instead() {
    let test = "sources::files::inner_where_inotify_is_not_to_be_had";
    let limit = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$@\"";
    inside(test, &["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh"]);
}

#[test]
#[ignore = "needs another world, which another test gives it"]
fn inner_where_inotify_is_not_to_be_had() {
    let root = tempfile::tempdir().expect("a directory");
    let mut followed = Followed::new(root.path(), &[]);
    followed.change();
    let codes = followed.codes();
    assert!(codes.values().all(|code| *code == "file-not-watched"), "{codes:?}");
    assert_eq!(codes.len(), FILES.len());
    while changes_within_a_moment(&mut followed) {}
    fs::write(root.path().join(".env"), format!("{PASSWORD}=one\n")).expect("written");
    followed.until(PASSWORD, Some("one"), &[None]);
}

/// Runs one test of this program alone, under a command that gives it another world.
fn inside(test: &str, command: &[&str]) {
    let this = std::env::current_exe().expect("a program");
    let output = Command::new(command[0])
        .args(&command[1..])
        .arg(this)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .expect("the command runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
