//! The files of package clients in the user's home: what is kept of them, and what the agent takes back.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use registry_agent::adapters::client_files::ClientFiles;
use registry_agent::adapters::paths::Paths;
use registry_agent::domain::client_files::WantedClientFiles;
use registry_agent::domain::reasons::PublishReason;
use registry_agent::domain::servers::package_server::PackageServer;
use tempfile::TempDir;

use crate::support::mounts::Mounted;
use crate::support::package_registry::PackageRegistry;
use crate::support::processes::wait_until;
use crate::support::test_home::{TestHome, output_text, succeed};

const THEIRS: &str = "registry=https://registry.npmjs.org/\nsave-exact=true";
const SERVER: &str = "https://npm.example.com/team/";
const KEYRINGRC: &str = ".config/python_keyring/keyringrc.cfg";

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    fn files(&self) -> ClientFiles {
        let mut paths = Paths::of_this_process();
        self.0.path().clone_into(&mut paths.home);
        ClientFiles::new(&paths, false)
    }
}

fn wanted(servers: &[&str]) -> WantedClientFiles {
    let mut wanted = WantedClientFiles::default();
    for server in servers {
        wanted.add(&PackageServer::parse(server).unwrap(), true);
    }
    wanted
}

/// Whether each file changed, or the reason why it could not.
fn publish(files: &mut ClientFiles, servers: &[&str]) -> Vec<Result<bool, PublishReason>> {
    let reports = files.publish(&wanted(servers));
    reports.into_iter().map(|it| it.outcome.map(|outcome| outcome.changed)).collect()
}

#[test]
fn both_files_name_programs_of_the_state_directory_and_come_back_as_they_were() {
    let home = Home::new();
    fs::create_dir(home.at("dotfiles")).unwrap();
    fs::write(home.at("dotfiles/npmrc"), THEIRS).unwrap();
    fs::set_permissions(home.at("dotfiles/npmrc"), Permissions::from_mode(0o640)).unwrap();
    symlink("dotfiles/npmrc", home.at(".npmrc")).unwrap();
    let mut files = home.files();
    assert_eq!(publish(&mut files, &[SERVER]), [Ok(true), Ok(true)]);

    let text = home.text(".npmrc");
    let program = text.strip_prefix("//npm.example.com/team/:tokenHelper=").unwrap();
    let (program, rest) = program.split_once('\n').unwrap();
    assert_eq!(rest, THEIRS);
    assert!(Path::new(program).starts_with(home.at(".local/state/registry-agent")), "{program}");
    // pnpm 12 refuses other characters, and then fails in every command.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    assert!(program.chars().all(is_plain), "{program}");
    assert!(home.at(".npmrc").is_symlink());
    assert_eq!(fs::metadata(home.at(".npmrc")).unwrap().mode() & 0o777, 0o640);
    let directory = home.at(".local/state/registry-agent/python").display().to_string();
    assert!(home.text(KEYRINGRC).contains(&directory), "{}", home.text(KEYRINGRC));

    // The helper is not next to the tests. pnpm stops if the program fails.
    let output = succeed(&mut Command::new(program));
    assert!(output.stdout.is_empty(), "{}", output_text(&output));

    assert_eq!(publish(&mut files, &[SERVER]), [Ok(false), Ok(false)]);
    assert_eq!(publish(&mut files, &[]), [Ok(true), Ok(true)]);
    assert_eq!(home.text(".npmrc"), THEIRS);
    assert!(!home.at(KEYRINGRC).exists());
}

#[test]
fn a_file_that_does_not_exist_is_created_private_and_removed_again() {
    let home = Home::new();
    assert_eq!(publish(&mut home.files(), &[]), [Ok(false), Ok(false)]);
    assert!(!home.at(".npmrc").exists() && !home.at(".config").exists());
    publish(&mut home.files(), &[SERVER]);
    assert_eq!(fs::metadata(home.at(".npmrc")).unwrap().mode() & 0o777, 0o600);
    // Another agent, after a restart.
    assert_eq!(publish(&mut home.files(), &[]), [Ok(true), Ok(true)]);
    assert!(!home.at(".npmrc").exists() && !home.at(KEYRINGRC).exists());
}

#[test]
fn a_program_that_pnpm_cannot_run_is_not_named() {
    let home = Home::new();
    let mut paths = Paths::of_this_process();
    paths.home = home.at("home of dev");
    fs::create_dir(&paths.home).unwrap();
    let mut files = ClientFiles::new(&paths, false);
    assert_eq!(publish(&mut files, &[SERVER]), [Ok(false), Ok(true)]);
    let long = format!("https://npm.example.com/{}/", "a".repeat(300));
    assert_eq!(publish(&mut home.files(), &[&long]), [Ok(false), Ok(true)]);
}

#[test]
fn agents_that_share_a_home_leave_each_others_lines() {
    let home = Home::new();
    let (mut one, mut other) = (home.files(), home.files());
    publish(&mut one, &[]);
    publish(&mut other, &[]);
    publish(&mut one, &["https://one.test/"]);
    publish(&mut other, &["https://other.test/"]);
    assert_eq!(publish(&mut one, &["https://one.test/"]), [Ok(false), Ok(false)]);
    publish(&mut other, &[]);
    let text = home.text(".npmrc");
    assert!(text.contains("//one.test/:") && !text.contains("//other.test/:"), "{text}");
}

#[test]
fn what_the_user_chose_stays_and_is_named() {
    let home = Home::new();
    fs::write(home.at(".npmrc"), "//npm.example.com/team/:_authToken=secret\n").unwrap();
    let keyring = "[backend]\ndefault-keyring = keyring.backends.null.Keyring\n";
    fs::create_dir_all(home.at(KEYRINGRC).parent().unwrap()).unwrap();
    fs::write(home.at(KEYRINGRC), keyring).unwrap();
    let reports = home.files().publish(&wanted(&[SERVER]));
    let conflicts: Vec<String> = reports
        .into_iter()
        .flat_map(|report| report.outcome.unwrap().conflicts)
        .map(|conflict| conflict.to_string())
        .collect();
    assert_eq!(conflicts.len(), 2, "{conflicts:?}");
    assert!(conflicts[0].contains("`//npm.example.com/team/:_authToken`"), "{conflicts:?}");
    assert!(!conflicts[0].contains("secret"), "{conflicts:?}");
    assert!(conflicts[1].contains("keyring.backends.null.Keyring"), "{conflicts:?}");
    assert_eq!(home.text(KEYRINGRC), keyring);
    assert!(!home.text(".npmrc").contains("tokenHelper"));
}

#[test]
fn a_file_that_is_a_mount_of_its_own_is_not_written() {
    let home = Home::new();
    fs::write(home.at("of-the-host"), THEIRS).unwrap();
    fs::write(home.at(".npmrc"), "").unwrap();
    let _own = Mounted::tmpfs(&home.at("own-mounts"), "1m");
    let _mount = Mounted::bind(&home.at("of-the-host"), &home.at(".npmrc"));
    let outcomes = publish(&mut home.files(), &[SERVER]);
    let [Err(reason), Ok(true)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(reason.code(), "package-client-file");
    assert!(reason.to_string().contains("pnpm"), "{reason}");
    assert!(reason.fix().contains("publish_to_mounts"), "{}", reason.fix());
    assert_eq!(home.text("of-the-host"), THEIRS);
}

#[test]
fn the_agent_keeps_the_lines_of_served_logins_and_reset_removes_them() {
    let registry = PackageRegistry::start(&["Bearer right"]);
    let mut home = TestHome::new();
    fs::write(home.path(".npmrc"), THEIRS).unwrap();
    home.declare_packages("ACME", &[("SERVER", &registry.url("/npm/")), ("PASSWORD", "right")]);
    home.start();
    let npmrc = || fs::read_to_string(home.path(".npmrc")).unwrap();
    let line = format!("{}:tokenHelper=", registry.url("/npm/").strip_prefix("http:").unwrap());
    assert!(npmrc().contains(&line), "{}", npmrc());
    assert!(!npmrc().contains("right"));
    let program = npmrc().split_once('=').unwrap().1.lines().next().unwrap().to_owned();
    let header = output_text(&succeed(&mut home.command(&program)));
    assert_eq!(header.trim_end(), "Bearer right");
    succeed(&mut home.agent(&["wait"]));

    fs::write(home.path(".npmrc"), THEIRS).unwrap();
    wait_until("the line is not put back", || npmrc().contains(&line));
    registry.state().accepted.clear();
    assert_eq!(home.exit_of(&["refresh", "ACME"]), 1);
    wait_until("the line of a withheld login stays", || npmrc() == THEIRS);
    let withheld = succeed(&mut home.command(&program));
    assert!(withheld.stdout.is_empty(), "{}", output_text(&withheld));
    assert!(home.path(KEYRINGRC).exists());

    registry.state().accepted.push("Bearer right".to_owned());
    assert_eq!(home.exit_of(&["refresh", "ACME"]), 0);
    wait_until("the line is not back", || npmrc().contains(&line));
    let said = output_text(&succeed(&mut home.agent(&["reset"])));
    assert!(said.contains(".npmrc") && said.contains("keyringrc.cfg"), "{said}");
    assert_eq!(npmrc(), THEIRS);
    assert!(!home.path(KEYRINGRC).exists());
}

#[test]
fn github_token_alone_writes_no_file_of_package_clients() {
    let mut home = TestHome::new();
    home.set("GITHUB_TOKEN", "ghp_123");
    home.start();
    assert_eq!(home.login("https://npm.pkg.github.com/")["name"], "GITHUB_TOKEN");
    assert!(!home.path(".npmrc").exists() && !home.path(KEYRINGRC).exists());
}
