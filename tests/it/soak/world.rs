//! What a run consists of: a home on a small disk, registries, AWS, and accounts whose truth is known.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use tempfile::TempDir;

use super::question::Served;
use super::registry::FlappingRegistry;
use super::tally::Tally;
use super::truth::Truth;
use crate::support::authority::Authority;
use crate::support::aws::FakeAws;
use crate::support::mounts::Mounted;
use crate::support::test_home::{TestHome, succeed};

pub(super) const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-south-1"];
pub(super) const PUSHED: [&str; 3] = ["PUSHED", "CHANGED", SYNCED_ONLY];
/// Declared now and then, and not in the environment of helpers: what an agent finds at its start stays
/// declared whatever `sync` sends.
pub(super) const SYNCED_ONLY: &str = "SOMETIMES";
pub(super) const STORED: &str = "STORED";
pub(super) const IN_FILE: &str = "INFILE";
pub(super) const IN_DIRECTORY: &str = "INDIR";

const ACCESS_KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "secret-key");
const TOKEN_LIFE: SignedDuration = SignedDuration::from_secs(20);

/// The home, what it talks to, and what is right.
pub(super) struct World {
    pub(super) home: TestHome,
    pub(super) disk: Mounted,
    /// The declared files; not on the small disk.
    files: TempDir,
    pub(super) aws: Arc<FakeAws>,
    /// The last one serves all names of ECR.
    pub(super) registries: Vec<FlappingRegistry>,
    pub(super) accounts: Vec<Account>,
    /// The variables of a shell.
    environment: Mutex<BTreeMap<String, String>>,
    /// Passwords that the registries accept, as `Authorization` headers.
    accepted: Arc<Mutex<HashSet<String>>>,
    /// Held shared by everything that relies on memory, and alone to erase it.
    pub(super) memory: RwLock<()>,
    /// When nobody could answer: the agent was stopped for longer than a helper waits.
    pub(super) stopped: Mutex<Vec<(Instant, Option<Instant>)>>,
    pub(super) tally: Tally,
}

/// A server and its login.
pub(super) struct Account {
    pub(super) name: &'static str,
    pub(super) server: String,
    pub(super) truth: Right,
}

/// What the helper may answer.
pub(super) enum Right {
    /// A password that this run changes.
    Password(Truth),
    /// A living token of AWS.
    Token(Served),
}

impl World {
    /// Starts everything; the calling thread has a network and an `/etc` of its own.
    pub(super) fn start(parent: &TempDir, authority: &Authority) -> Self {
        let disk = Mounted::tmpfs(&parent.path().join("disk"), "8m");
        let home = TestHome::within(&parent.path().join("disk"));
        let aws = Arc::new(FakeAws::start());
        aws.state().token_life = TOKEN_LIFE;
        aws.add_key(ACCESS_KEY.0, ACCESS_KEY.1, None);
        let accepted = Arc::<Mutex<HashSet<String>>>::default();
        let mut registries = Vec::new();
        let mut accounts = Vec::new();
        for name in PUSHED.into_iter().chain([STORED, IN_FILE, IN_DIRECTORY]) {
            let known = Arc::clone(&accepted);
            let accepts = move |header: &str| known.lock().unwrap().contains(header);
            let registry = FlappingRegistry::start("127.0.0.1:0", None, accepts);
            let server = format!("127.0.0.1:{}", registry.port);
            registries.push(registry);
            let truth = Right::Password(Truth::new(None));
            accounts.push(Account { name, server, truth });
        }
        let hosts: Vec<String> = REGIONS.iter().map(|region| ecr_host(region)).collect();
        let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let tokens = Arc::clone(&aws);
        let accepts = move |header: &str| tokens.accepts(header);
        let tls = Some(authority.sign(&names).acceptor());
        registries.push(FlappingRegistry::start("127.0.0.1:443", tls, accepts));
        for (name, server) in ["ECRONE", "ECRTWO", "ECRTHREE"].into_iter().zip(hosts) {
            accounts.push(Account { name, server, truth: Right::Token(Mutex::default()) });
        }
        let world = Self {
            home,
            disk,
            files: tempfile::tempdir().unwrap(),
            environment: Mutex::new(aws.variables().into_iter().collect()),
            aws,
            registries,
            accounts,
            accepted,
            memory: RwLock::new(()),
            stopped: Mutex::default(),
            tally: Tally::default(),
        };
        world.declare_everything();
        world
    }

    fn declare_everything(&self) {
        self.set("AWS_EC2_METADATA_DISABLED", Some("true"));
        for account in &self.accounts {
            if let Right::Token(_) = account.truth {
                self.set_declared(account, Some(&own(ACCESS_KEY)));
            }
        }
        for name in PUSHED.into_iter().chain([STORED, IN_FILE, IN_DIRECTORY]) {
            let login = self.fresh_login(name);
            self.account(name).password().begin(Some(login.clone()));
            match name {
                IN_FILE => fs::write(self.env_file(), self.env_text(&login)).unwrap(),
                IN_DIRECTORY => self.write_directory(&login),
                _ => self.set_declared(self.account(name), Some(&login)),
            }
        }
        let sources = [self.env_file(), self.secrets_directory()];
        let directory = self.home.path(".config/registry-agent");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("config.toml"), format!("sources = {sources:?}\n")).unwrap();
        succeed(self.home.agent(&["sync"]).envs(self.environment()));
        for account in &self.accounts {
            if let Right::Password(truth) = &account.truth {
                truth.confirm();
            }
        }
    }

    /// A login that was never used before, which the registry accepts.
    pub(super) fn fresh_login(&self, name: &str) -> (String, String) {
        let password =
            format!("{name}-{}-{}", self.tally.next(), "x".repeat(fastrand::usize(..40)));
        let login = (format!("user-of-{name}"), password);
        let header = STANDARD.encode(format!("{}:{}", login.0, login.1));
        self.accepted.lock().unwrap().insert(format!("Basic {header}"));
        login
    }

    pub(super) fn account(&self, name: &str) -> &Account {
        self.accounts.iter().find(|account| account.name == name).unwrap()
    }

    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        self.environment.lock().unwrap().clone()
    }

    /// The variables of a shell in which a helper is called.
    pub(super) fn environment_of_helpers(&self) -> BTreeMap<String, String> {
        let mut environment = self.environment();
        environment.retain(|variable, _| !variable.starts_with(SYNCED_ONLY));
        environment
    }

    fn set(&self, variable: &str, value: Option<&str>) {
        let mut environment = self.environment.lock().unwrap();
        match value {
            Some(value) => environment.insert(variable.to_owned(), value.to_owned()),
            None => environment.remove(variable),
        };
    }

    /// Declares a login in the environment of the shell, or nothing.
    pub(super) fn set_declared(&self, account: &Account, login: Option<&(String, String)>) {
        let values = [
            ("SERVER", login.map(|_| account.server.as_str())),
            ("USER", login.map(|(user, _)| user.as_str())),
            ("PASSWORD", login.map(|(_, password)| password.as_str())),
        ];
        let mut environment = self.environment.lock().unwrap();
        for (suffix, value) in values {
            let variable = format!("{}_CONTAINER_REGISTRY_{suffix}", account.name);
            match value {
                Some(value) => environment.insert(variable, value.to_owned()),
                None => environment.remove(&variable),
            };
        }
    }

    pub(super) fn env_file(&self) -> PathBuf {
        self.files.path().join("registries.env")
    }

    pub(super) fn secrets_directory(&self) -> PathBuf {
        self.files.path().join("secrets")
    }

    pub(super) fn env_text(&self, (user, password): &(String, String)) -> String {
        let server = &self.account(IN_FILE).server;
        format!(
            "# a set\n{IN_FILE}_CONTAINER_REGISTRY_SERVER={server}\n\
             {IN_FILE}_CONTAINER_REGISTRY_USER={user}\n\
             {IN_FILE}_CONTAINER_REGISTRY_PASSWORD={password}\n"
        )
    }

    /// One file for each variable; an existing one is replaced.
    pub(super) fn write_directory(&self, (user, password): &(String, String)) {
        let directory = self.secrets_directory();
        fs::create_dir_all(&directory).unwrap();
        let server = &self.account(IN_DIRECTORY).server;
        for (suffix, value) in [("SERVER", server), ("USER", user), ("PASSWORD", password)] {
            let file = directory.join(format!("{IN_DIRECTORY}_CONTAINER_REGISTRY_{suffix}"));
            let new = self.files.path().join("new");
            fs::write(&new, value).unwrap();
            fs::rename(new, file).unwrap();
        }
    }
}

impl Account {
    /// The truth of an account with a password.
    pub(super) fn password(&self) -> &Truth {
        let Right::Password(truth) = &self.truth else { panic!("{} has tokens", self.name) };
        truth
    }
}

pub(super) fn ecr_host(region: &str) -> String {
    format!("111122223333.dkr.ecr.{region}.amazonaws.com")
}

pub(super) fn pause(millis: u64) {
    registry_agent::adapters::clock::pause(std::time::Duration::from_millis(millis));
}

fn own((user, password): (&str, &str)) -> (String, String) {
    (user.to_owned(), password.to_owned())
}
