//! Sources that are followed, as a test sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use registry_agent::adapters::source_files::FileSources;
use registry_agent::domain::declarations::discovery::PasswordFiles;
use registry_agent::domain::reasons::Reason;
use tokio::runtime::Runtime;

pub(super) const USER: &str = "A_CONTAINER_REGISTRY_USER";
pub(super) const PASSWORD: &str = "A_CONTAINER_REGISTRY_PASSWORD";
/// The five files of the platform.
pub(super) const FILES: [&str; 5] = [
    "user-secrets-envs.json",
    ".env-secrets",
    ".user-secrets.json",
    ".env",
    "environment-variables.json",
];

/// Longer than anything takes.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Followed {
    runtime: Runtime,
    pub(super) sources: FileSources,
}

impl Followed {
    pub(super) fn new(codespaces: &Path, configured: &[PathBuf]) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut sources = FileSources::new(codespaces, configured, BTreeMap::new());
        runtime.block_on(sources.first_answers());
        Self { runtime, sources }
    }

    /// The value of a variable, in the highest file that has it.
    pub(super) fn get(&mut self, variable: &str) -> Option<String> {
        let sources = self.sources.sources();
        let value = sources.iter().find_map(|source| source.variables.get(variable))?;
        Some(value.reveal().to_owned())
    }

    pub(super) fn codes(&mut self) -> BTreeMap<String, &'static str> {
        let problems = self.sources.problems();
        let code = |reason: &Reason| reason.code();
        problems.iter().map(|problem| (problem.name.clone(), code(&problem.reason))).collect()
    }

    /// What the files that hold passwords say, once each has answered.
    pub(super) fn passwords(&mut self, paths: &BTreeSet<PathBuf>) -> PasswordFiles {
        loop {
            if let Some(passwords) = self.sources.follow_passwords(paths) {
                return passwords;
            }
            self.change();
        }
    }

    /// Waits for the next change.
    pub(super) fn change(&mut self) {
        let changed = self.sources.changed();
        self.runtime
            .block_on(async { tokio::time::timeout(LIMIT, changed).await })
            .expect("a change is reported");
    }

    /// Follows changes until the variable has the value; until then it must have one of `before`.
    pub(super) fn until(&mut self, variable: &str, value: Option<&str>, before: &[Option<&str>]) {
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

/// Whether a change is reported within a moment.
pub(super) fn changes_within_a_moment(followed: &mut Followed) -> bool {
    let changed = followed.sources.changed();
    followed
        .runtime
        .block_on(async { tokio::time::timeout(Duration::from_millis(200), changed).await.is_ok() })
}

/// Runs one test of this program alone, under a command that gives it another world.
pub(super) fn inside(test: &str, command: &[&str]) {
    let this = std::env::current_exe().expect("a program");
    let output = Command::new(command[0])
        .args(&command[1..])
        .arg(this)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .expect("the command runs");
    let output_text =
        String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output_text.contains("1 passed"), "{output_text}");
}
