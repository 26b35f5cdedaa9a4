//! The docker configuration as a file: what is kept of it, and where it is not written.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use registry_agent::adapters::docker_config::{DockerConfig, PublishOutcome};
use registry_agent::domain::docker_config::Wanted;
use registry_agent::domain::reasons::PublishReason;
use tempfile::TempDir;

const THEIRS: &str =
    "{\n\t\"auths\": {\n\t\t\"quay.io\": {\n\t\t\t\"auth\": \"dTpw\"\n\t\t}\n\t}\n}";

/// A home with a state directory, and the configuration at `.docker/config.json` unless said.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn with(text: &str) -> Self {
        let home = Self::new();
        fs::create_dir(home.at(".docker")).unwrap();
        fs::write(home.file(), text).unwrap();
        home
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.at(".docker/config.json")
    }

    fn config(&self) -> DockerConfig {
        DockerConfig::new(self.file(), false, &self.at("state"))
    }

    fn publish(&self, keys: &[&str]) -> Result<PublishOutcome, PublishReason> {
        self.config().publish(&wanted(keys))
    }

    /// What is in the configuration's directory.
    fn names(&self) -> Vec<String> {
        let directory = fs::canonicalize(self.file()).unwrap();
        let entries = fs::read_dir(directory.parent().unwrap()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn wanted(keys: &[&str]) -> Wanted {
    Wanted { helpers: keys.iter().map(ToString::to_string).collect(), ..Wanted::default() }
}

fn helper_for(path: &Path, key: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    Some(value["credHelpers"][key].as_str()?.to_owned())
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

#[test]
fn a_missing_file_is_created_readable_by_its_user_only() {
    let home = Home::new();
    assert!(home.publish(&["ghcr.io"]).unwrap().changed);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(home.at(".docker")), mode(home.file())), (0o700, 0o600));
    assert_eq!(helper_for(&home.file(), "ghcr.io").as_deref(), Some("registry-agent"));
    assert_eq!(home.names(), ["config.json"]);
}

#[test]
fn nothing_wanted_writes_nothing() {
    let home = Home::new();
    assert!(!home.publish(&[]).unwrap().changed);
    assert!(!home.at(".docker").exists() && !home.at("state").exists());
}

#[test]
fn mode_and_owner_are_kept_and_an_unchanged_file_is_not_touched() {
    let home = Home::with(THEIRS);
    fs::set_permissions(home.file(), Permissions::from_mode(0o640)).unwrap();
    let root = nix::unistd::Uid::effective().is_root();
    if root {
        std::os::unix::fs::chown(home.file(), Some(12345), Some(54321)).unwrap();
    }
    let before = fs::metadata(home.file()).unwrap();
    assert!(home.publish(&["ghcr.io"]).unwrap().changed);
    let after = fs::metadata(home.file()).unwrap();
    assert_eq!(
        (before.mode(), before.uid(), before.gid()),
        (after.mode(), after.uid(), after.gid())
    );
    assert!(!home.publish(&["ghcr.io"]).unwrap().changed);
    let again = fs::metadata(home.file()).unwrap();
    assert_eq!((after.ino(), after.ctime_nsec()), (again.ino(), again.ctime_nsec()));
}

#[test]
fn links_stay_links_even_when_they_lead_nowhere_yet() {
    let home = Home::new();
    symlink("data/docker", home.at(".docker")).unwrap();
    fs::create_dir(home.at("data")).unwrap();
    assert!(home.publish(&["ghcr.io"]).unwrap().changed);
    assert!(home.at("data/docker/config.json").is_file());
    assert!(home.at(".docker").is_symlink());

    let home = Home::new();
    fs::create_dir(home.at(".docker")).unwrap();
    symlink("../far/away/docker.json", home.file()).unwrap();
    assert!(home.publish(&["ghcr.io"]).unwrap().changed);
    assert!(home.file().is_symlink() && home.at("far/away/docker.json").is_file());
    let watched = home.config().paths_to_watch();
    assert_eq!(watched[0], home.file());
    assert!(watched.contains(&home.at(".docker/../far/away/docker.json")), "{watched:?}");
}

#[test]
fn published_entries_are_remembered_by_the_next_agent() {
    let home = Home::with(THEIRS);
    home.publish(&["ghcr.io", "gcr.io"]).unwrap();
    home.publish(&["gcr.io"]).unwrap();
    assert_eq!(helper_for(&home.file(), "ghcr.io"), None);
    home.publish(&[]).unwrap();
    assert_eq!(fs::read_to_string(home.file()).unwrap(), THEIRS);
    let remembered = fs::read_to_string(home.at("state/published.json")).unwrap();
    assert_eq!(remembered, "{}");
}

#[test]
fn entries_that_somebody_dropped_are_put_back() {
    let home = Home::with(THEIRS);
    let mut config = home.config();
    let both = wanted(&["ghcr.io", "gcr.io"]);
    assert_eq!(config.publish(&both).unwrap().repaired, Vec::<String>::new());
    assert!(!config.publish(&both).unwrap().changed);
    fs::write(home.file(), THEIRS).unwrap();
    assert_eq!(config.publish(&both).unwrap().repaired, ["gcr.io", "ghcr.io"]);
}

#[test]
fn a_temporary_file_of_a_killed_agent_is_removed() {
    let home = Home::with(THEIRS);
    fs::write(home.at(".docker/.config.json.registry-agent-x1"), "{}").unwrap();
    fs::write(home.at(".docker/config.json123"), "docker's own").unwrap();
    home.publish(&[]).unwrap();
    let mut names = home.names();
    names.sort();
    assert_eq!(names, ["config.json", "config.json123"]);
}

#[test]
fn a_path_that_is_not_a_regular_file_is_left_unchanged() {
    let home = Home::new();
    fs::create_dir_all(home.file()).unwrap();
    assert!(matches!(home.publish(&["a"]), Err(PublishReason::NotAFile { .. })));

    let home = Home::new();
    fs::create_dir(home.at(".docker")).unwrap();
    run("mkfifo", &[home.file().to_str().unwrap()]);
    assert!(matches!(home.publish(&["a"]), Err(PublishReason::NotAFile { .. })));

    let home = Home::new();
    fs::create_dir(home.at(".docker")).unwrap();
    symlink("config.json", home.file()).unwrap();
    assert!(matches!(home.publish(&["a"]), Err(PublishReason::NotAFile { .. })));

    let home = Home::new();
    fs::create_dir(home.at(".docker")).unwrap();
    symlink("/dev/zero", home.file()).unwrap();
    assert!(matches!(home.publish(&["a"]), Err(PublishReason::NotAFile { .. })));

    let home = Home::new();
    fs::write(home.at(".docker"), "").unwrap();
    assert!(matches!(home.publish(&["a"]), Err(PublishReason::NotAFile { .. })));
}

#[test]
fn a_huge_or_binary_file_is_left_unchanged() {
    let home = Home::with("");
    fs::File::options().write(true).open(home.file()).unwrap().set_len(65 << 20).unwrap();
    assert!(matches!(home.publish(&["a"]), Err(PublishReason::TooLarge { mebibytes: 64, .. })));
    fs::write(home.file(), b"{\"a\": \"\xff\"}").unwrap();
    let refused = home.publish(&["a"]).unwrap_err();
    assert!(refused.to_string().contains("is not UTF-8 (byte 8)"), "{refused}");
    assert_eq!(fs::read(home.file()).unwrap(), b"{\"a\": \"\xff\"}");
}

#[test]
fn a_file_being_written_in_place_is_not_used() {
    let home = Home::with(THEIRS);
    let writer = fs::File::create(home.file()).unwrap();
    let refused = home.publish(&["ghcr.io"]).unwrap_err();
    assert_eq!(refused, PublishReason::Busy { path: home.file().display().to_string() });
    assert_eq!(fs::metadata(home.file()).unwrap().len(), 0);
    drop(writer);
    assert!(home.publish(&["ghcr.io"]).unwrap().changed);
}

/// A namespace of mounts for what a test mounts; the commands run in it as root.
fn in_mount_namespace(script: &str, args: &[&Path]) -> String {
    let output = Command::new("unshare")
        .args(["-m", "sh", "-euc", script, "sh"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What [`DockerConfig::publish`] says when it is called in a process of its own; see
/// [`inner_publish`].
const PUBLISH: &str = "publish() { REGISTRY_AGENT_TEST_HOME=\"$1\" \"$exe\" --exact \
                       docker_config_file::inner_publish --nocapture --ignored \
                       2>&1 | grep '^said '; }\n";

fn published_in_namespace(home: &Home, script: &str) -> String {
    let exe = std::env::current_exe().unwrap();
    let script = format!("exe=\"$2\"\ncd \"$1\"\n{PUBLISH}{script}");
    in_mount_namespace(&script, &[home.dir.path(), &exe])
}

#[test]
#[ignore = "the part of other tests that runs in a namespace"]
#[expect(clippy::print_stdout, reason = "its parent reads it")]
fn inner_publish() {
    let home = PathBuf::from(std::env::var_os("REGISTRY_AGENT_TEST_HOME").unwrap());
    let to_mounts = home.join("to-mounts").exists();
    let file = home.join(".docker/config.json");
    let mut config = DockerConfig::new(file, to_mounts, &home.join("state"));
    match config.publish(&wanted(&["ghcr.io"])) {
        Ok(outcome) => println!("\nsaid ok {}", outcome.changed),
        Err(reason) => println!("\nsaid {} {reason}", reason.code()),
    }
}

#[test]
fn a_separate_mount_is_written_only_if_configured() {
    let home = Home::with(THEIRS);
    let output_text = published_in_namespace(
        &home,
        "mkdir host && echo '{}' >host/config.json
         mount --bind host .docker && publish . && umount .docker
         mount --bind host/config.json .docker/config.json && publish .
         touch to-mounts && publish . && umount .docker/config.json && cat host/config.json
         mount --bind host .docker && publish . && echo '{}' >host/config.json && publish .
         ls -A .docker && umount .docker",
    );
    let lines: Vec<_> = output_text.lines().map(|l| l.split(" .").next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "said docker-config-mount",
            "said docker-config-mount",
            "said ok true",
            "{\"credHelpers\": {\"ghcr.io\": \"registry-agent\"}}",
            "said ok false",
            "said ok true",
            "config.json"
        ],
        "{output_text}"
    );
    assert_eq!(fs::read_to_string(home.file()).unwrap(), THEIRS);
}

#[test]
fn a_link_into_another_file_system_is_followed() {
    let home = Home::with(THEIRS);
    let output_text = published_in_namespace(
        &home,
        "mkdir other && mount -t tmpfs none other && mkdir other/docker
         cp .docker/config.json other/docker && ln -sf ../other/docker/config.json .docker/
         publish . && ls -A other/docker .docker && grep -c registry-agent other/docker/config.json",
    );
    let expected = "said ok true\n.docker:\nconfig.json\n\nother/docker:\nconfig.json\n1\n";
    assert_eq!(output_text, expected);
}

#[test]
fn a_full_disk_a_read_only_home_and_an_immutable_file_each_have_their_reason() {
    let home = Home::with(THEIRS);
    let output_text = published_in_namespace(
        &home,
        "mkdir small && mount -t tmpfs -o size=16k none small && mkdir small/.docker
         cp .docker/config.json small/.docker/
         head -c 1000000 /dev/zero >small/.docker/fill 2>/dev/null || :
         publish small && cmp .docker/config.json small/.docker/config.json
         rm small/.docker/fill && mount -o remount,ro small && publish small
         chattr +i .docker/config.json && publish . ; chattr -i .docker/config.json
         ls -A .docker small/.docker",
    );
    let codes: Vec<_> = output_text.lines().map(|l| l.split(" small/").next().unwrap()).collect();
    assert_eq!(
        codes[..2],
        ["said docker-config-no-room", "said docker-config-unwritable"],
        "{output_text}"
    );
    assert!(codes[2].starts_with("said docker-config-unwritable"), "{output_text}");
    assert_eq!(codes[3..], [".docker:", "config.json", "", "small/.docker:", "config.json"]);
    assert_eq!(fs::read_to_string(home.file()).unwrap(), THEIRS);
}

#[test]
fn an_unwritable_directory_is_named() {
    let home = Home::with(THEIRS);
    fs::set_permissions(home.dir.path(), Permissions::from_mode(0o755)).unwrap();
    fs::DirBuilder::new().mode(0o777).create(home.at("state")).unwrap();
    let exe = std::env::current_exe().unwrap();
    let copy = home.at("exe");
    fs::copy(exe, &copy).unwrap();
    let script = format!("exe=\"$2\"\ncd \"$1\"\n{PUBLISH}publish .");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-euc", &script, "sh"])
        .args([home.dir.path(), &copy])
        .output()
        .unwrap();
    let output_text = String::from_utf8(output.stdout).unwrap();
    assert!(output_text.starts_with("said docker-config-unwritable"), "{output_text}");
    assert_eq!(fs::read_to_string(home.file()).unwrap(), THEIRS);
}
