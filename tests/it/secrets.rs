//! Plants recognizable secrets in every source, lets everything happen to them, and searches for them
//! in every place where they could have been left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::aws::FakeAws;
use crate::support::canary::Canary;
use crate::support::mounts::Mounted;
use crate::support::package_registry::PackageRegistry;
use crate::support::processes::{self, kill_9, only_pair, send, wait_until};
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, run_with_input};

const STORED: &str = "canary/of \"the\" stored login";
const SECRET_KEY: &str = "canary/of/the/secret/key/canary/of/the/sec";
const SESSION: &str = "canary-of-the-session-token";
const PACKAGE_TOKEN: &str = "canary-of-a-package-token";
const MALFORMED: &str = "canary-of-a-malformed-request";

/// Logins that a registry accepts, by their name, which is that of their source, and password.
const SOURCES: [(&str, &str); 8] = [
    ("PUSHED", "canary/of \"a\" pushed variable"),
    ("CODESPACES", "canary/of \"a\" file of Codespaces"),
    ("DIRECTORY", "canary/of \"a\" secrets directory"),
    ("FILE", "canary/of \"an\" environment file"),
    ("CREDENTIALS", "canary/of \"a\" credentials directory"),
    ("PASSWORD_FILE", "canary/of \"a\" password file"),
    ("ENVIRONMENT", "canary/of \"the\" agent's environment"),
    ("RETIRED", "canary/of \"a\" retired declaration"),
];

/// Values that no registry accepts, or that were put where they do not belong.
const UNUSABLE: [(&str, &str); 11] = [
    ("GITHUB_TOKEN", "canary-of-the-token-of-github"),
    ("AWS_SECRET_ACCESS_KEY", "canary/of/the/process/environment/canary"),
    ("HTTPS_PROXY", "http://proxy:canary-of-the-proxy@127.0.0.1:9"),
    ("WRONG_CONTAINER_REGISTRY_PASSWORD", "canary/of \"a\" wrong password"),
    ("HALF_CONTAINER_REGISTRY_PASSWORD", "canary/of \"half\" a declaration"),
    ("MISSPELT_CONTAINER_REGISTRY_PASSWD", "canary/of \"a\" misspelt variable"),
    ("URL_CONTAINER_REGISTRY_SERVER", "https://user:canary-of-a-url@registry.test"),
    ("CONTROL_CONTAINER_REGISTRY_PASSWORD", "canary-of-a-value\u{1b}[31m-with-an-escape"),
    ("PYPI_PACKAGE_REGISTRY_PASSWORD", "canary/of \"a\" wrong package password"),
    ("NPMURL_PACKAGE_REGISTRY_SERVER", "https://user:canary-of-a-package-url@packages.test/"),
    ("SWAPPED_CONTAINER_REGISTRY_USER", "canary/of/a/swapped/secret/key/canary/00"),
];

const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const OTHER_ECR: &str = "444455556666.dkr.ecr.eu-west-1.amazonaws.com";

/// Every command that reports something. `export` is left out: it exists to write the secrets.
const COMMANDS: [&[&str]; 17] = [
    &["status"],
    &["status", "--json"],
    &["events"],
    &["events", "--json"],
    &["wait", "--timeout", "1s"],
    &["check"],
    &["check", "--json"],
    &["check", "PUSHED"],
    &["check", "WRONG"],
    &["check", "CLOUD"],
    &["check", "NPM"],
    &["check", "PYPI"],
    &["check", "HALF"],
    &["refresh"],
    &["refresh", "WRONG"],
    &["sync"],
    &["exec", "NPM", "--", "true"],
];

/// A home in which every source holds a secret, and the registries that know them.
struct Planted {
    home: TestHome,
    registry: Registry,
    others: Vec<Registry>,
    packages: PackageRegistry,
    _aws: FakeAws,
    _workspaces: Mounted,
    /// The files that hold a secret because the user put it there.
    holders: Vec<PathBuf>,
}

#[test]
fn no_secret_is_left_anywhere_but_where_the_user_put_it() {
    for log_format in ["text", "json"] {
        let mut planted = Planted::new(log_format);
        let mut outputs = planted.run();
        outputs.extend(planted.processes());
        let token = planted.home.credential(ECR).expect("a token of the stand-in").1;
        let mut secrets: Vec<&str> = vec![STORED, SECRET_KEY, SESSION, PACKAGE_TOKEN, MALFORMED];
        secrets.extend(SOURCES.map(|(_, secret)| secret));
        secrets.extend(UNUSABLE.map(|(_, value)| secret_part(value)));
        secrets.push(&token);
        let secrets: Vec<_> = secrets.into_iter().map(|it| (it, Canary::new(it))).collect();

        for output in &outputs {
            for (secret, canary) in &secrets {
                let form = canary.form_in(output.as_bytes());
                assert_eq!(form, None, "{secret} is in {output}");
            }
        }
        planted.assert_files_hold_nothing(&secrets);
    }
}

impl Planted {
    fn new(log_format: &str) -> Self {
        let workspaces = Mounted::tmpfs(Path::new("/workspaces"), "1m");
        let users = SOURCES.map(|(name, password)| (name, password));
        let users: Vec<_> = users.into_iter().chain([("own", STORED)]).collect();
        let registries: Vec<_> =
            (0..10).map(|_| Registry::start(&Auth::Htpasswd(&users), None)).collect();
        let packages = PackageRegistry::start(&[&format!("Bearer {PACKAGE_TOKEN}")]);
        let aws = FakeAws::start();
        aws.add_key("ASIACANARY0000000001", SECRET_KEY, Some(SESSION));
        let mut home = TestHome::new();
        let mut holders = Vec::new();
        let mut write = |path: PathBuf, content: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            holders.push(path);
        };

        write(
            home.path(".config/registry-agent/config.toml"),
            &format!(
                "log_level = \"trace\"\nlog_format = \"{log_format}\"\nsources = [\"$CREDENTIALS_DIRECTORY\", \"~/secrets\", \"~/registries.env\"]\n"
            ),
        );
        for ((name, password), registry) in SOURCES.iter().zip(&registries) {
            let variable = |suffix: &str| format!("{name}_CONTAINER_REGISTRY_{suffix}");
            home.set(&variable("SERVER"), &registry.server());
            home.set(&variable("USER"), name);
            match *name {
                "CODESPACES" => write(
                    "/workspaces/.codespaces/shared/user-secrets-envs.json".into(),
                    &json!({ variable("PASSWORD"): password }).to_string(),
                ),
                "DIRECTORY" => write(home.path("secrets").join(variable("PASSWORD")), password),
                "FILE" => write(
                    home.path("registries.env"),
                    &format!("{}='{password}'\n", variable("PASSWORD")),
                ),
                "CREDENTIALS" => {
                    write(home.path("credentials").join(variable("PASSWORD")), password);
                }
                "PASSWORD_FILE" => {
                    write(home.path("password"), password);
                    let file = home.path("password");
                    home.set(&variable("PASSWORD_FILE"), file.to_str().unwrap());
                }
                "ENVIRONMENT" => {}
                _ => home.set(&variable("PASSWORD"), password),
            }
        }
        home.declare("CLOUD", ECR, ("ASIACANARY0000000001", SECRET_KEY));
        home.set("CLOUD_CONTAINER_REGISTRY_SESSION_TOKEN", SESSION);
        let npm = packages.url("/npm/");
        home.declare_packages("NPM", &[("SERVER", &npm), ("PASSWORD", PACKAGE_TOKEN)]);

        for (variable, value) in UNUSABLE {
            home.set(variable, value);
        }
        home.set("WRONG_CONTAINER_REGISTRY_SERVER", &registries[8].server());
        home.set("WRONG_CONTAINER_REGISTRY_USER", "puller");
        home.set("MISSPELT_CONTAINER_REGISTRY_SERVER", "misspelt.test");
        home.set("CONTROL_CONTAINER_REGISTRY_SERVER", &registries[9].server());
        home.set("CONTROL_CONTAINER_REGISTRY_USER", "puller");
        home.set("PYPI_PACKAGE_REGISTRY_SERVER", &packages.url("/pypi/"));
        home.set("PYPI_PACKAGE_REGISTRY_USER", "puller");
        home.set("SWAPPED_CONTAINER_REGISTRY_SERVER", OTHER_ECR);
        home.set("SWAPPED_CONTAINER_REGISTRY_PASSWORD", "AKIACANARY0000000002");
        for (variable, value) in aws.variables() {
            home.set(&variable, &value);
        }
        let mut registries = registries.into_iter();
        let registry = registries.next().unwrap();
        let others = registries.collect();
        Self { home, registry, others, packages, _aws: aws, _workspaces: workspaces, holders }
    }

    /// Everything that may happen, and what was printed meanwhile.
    fn run(&mut self) -> Vec<String> {
        let mut outputs = vec![output_text(&self.start().output().unwrap())];
        outputs.push(output_text(
            &self.home.with_declared(self.home.agent(&["sync"])).output().unwrap(),
        ));
        self.home.exit_of(&["wait", "--timeout", "20s"]);
        let status = self.home.status();
        for (name, _) in SOURCES {
            let login = self.home.login(name);
            assert_eq!(login["state"], "ready", "the secret of {name} is unused: {status:#}");
        }
        assert_eq!(self.home.login("WRONG")["state"], "rejected");
        for name in ["HALF", "SWAPPED", "URL", "NPMURL"] {
            assert!(!self.home.problems(name).is_empty(), "{name}: {status:#}");
        }
        let server = self.registry.server();
        let stored = json!({ "ServerURL": server, "Username": "own", "Secret": STORED });
        assert!(self.home.helper("store", &stored.to_string()).status.success());
        let truncated = format!("{{\"ServerURL\": \"x.test\", \"Secret\": {MALFORMED}");
        let (npm, pypi) = (self.packages.url("/npm/"), self.packages.url("/pypi/"));
        assert!(self.home.authorization(&npm).unwrap().ends_with(PACKAGE_TOKEN));
        for output in [
            self.home.helper("store", &truncated),
            self.ask("PUT", "/v1/environment", &format!("{{\"A\": [\"{MALFORMED}\"]}}")),
            self.ask("POST", "/v1/logins", &format!("{{\"Username\": {MALFORMED}}}")),
            self.ask("GET", &format!("/v1/registries/{MALFORMED}%ff"), ""),
        ] {
            // The response to a path repeats the path, which is no secret.
            outputs.push(output_text(&output).replace(&format!("{MALFORMED}%ff"), ""));
        }

        // A crash, of which nothing may be written, and deaths of each and of both.
        let pair = only_pair(&self.home.lock());
        send(pair.agent.pid, Signal::SIGABRT);
        wait_until("the agent survives", || !processes::is_alive(pair.agent.pid));
        assert!(self.home.credential(ECR).is_some());
        kill_9(&only_pair(&self.home.lock()).supervisor);
        assert!(self.home.credential(ECR).is_some());
        let pair = only_pair(&self.home.lock());
        kill_9(&pair.supervisor);
        kill_9(&pair.agent);
        outputs.push(output_text(&self.start().output().unwrap()));
        for name in ["SERVER", "USER", "PASSWORD"] {
            self.home.unset(&format!("RETIRED_CONTAINER_REGISTRY_{name}"));
        }
        outputs.push(output_text(
            &self.home.with_declared(self.home.agent(&["sync"])).output().unwrap(),
        ));

        for arguments in COMMANDS {
            for level in ["info", "trace"] {
                let mut command = self.home.with_declared(self.home.agent(arguments));
                outputs
                    .push(output_text(&command.env("REGISTRY_AGENT_LOG", level).output().unwrap()));
            }
        }
        outputs.push(self.home.package_credential(&pypi).1.to_string());
        for target in ["/metrics", "/v1/status", "/v1/registries/PUSHED", "/v1/events"] {
            outputs.push(output_text(&self.ask("GET", target, "")));
        }
        outputs.push(output_text(&self.home.helper("list", "")));
        for server in [&self.others[7].server(), OTHER_ECR, "ghcr.io", "unknown.test"] {
            let output = self.home.helper("get", server);
            outputs.push(String::from_utf8(output.stderr).unwrap());
        }
        outputs
    }

    /// The command that starts the agent: its core is not limited, and its environment holds a secret.
    fn start(&self) -> Command {
        let mut command = self.home.command("sh");
        let script = "ulimit -c unlimited && exec \"$@\"";
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_registry-agent"), "start"]);
        let (name, password) = SOURCES[6];
        command.env(format!("{name}_CONTAINER_REGISTRY_PASSWORD"), password);
        command.env("CREDENTIALS_DIRECTORY", self.home.path("credentials"));
        command
    }

    /// What any user may read of both processes.
    fn processes(&self) -> Vec<String> {
        let pair = only_pair(&self.home.lock());
        let mut outputs = Vec::new();
        for pid in [pair.supervisor.pid, pair.agent.pid] {
            for file in ["cmdline", "environ"] {
                let content = fs::read(format!("/proc/{pid}/{file}")).unwrap();
                outputs.push(format!("{file}: {}", String::from_utf8_lossy(&content)));
            }
            let directory = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
            for entry in fs::read_dir(directory).unwrap().flatten() {
                assert!(!entry.file_name().as_encoded_bytes().starts_with(b"core"), "{entry:?}");
            }
            assert!(processes::zombies_of(pid).is_empty());
        }
        outputs
    }

    /// Searches every file that the run may have written, also after a `reset`.
    fn assert_files_hold_nothing(&self, secrets: &[(&str, Canary)]) {
        let stored = self.home.path(".local/state/registry-agent/logins.json");
        let log = fs::read(self.home.path(".local/state/registry-agent/agent.log")).unwrap();
        assert!(!log.is_empty(), "the log that is searched says nothing");
        assert!(Canary::new(STORED).form_in(&fs::read(&stored).unwrap()).is_some());
        self.search(secrets, |file, secret| file == stored && secret == STORED);
        assert_eq!(self.home.exit_of(&["reset"]), 0);
        self.search(secrets, |_, _| false);
    }

    fn search(&self, secrets: &[(&str, Canary)], is_expected: impl Fn(&Path, &str) -> bool) {
        let shared = ["/workspaces", "/dev/shm/registry-agent-0", "/tmp/registry-agent-0"]
            .map(PathBuf::from);
        let directories = shared.into_iter().chain([self.home.path("")]);
        for file in directories.flat_map(|directory| files(&directory)) {
            let Ok(content) = fs::read(&file) else { continue };
            if self.holders.contains(&file) {
                continue;
            }
            for (secret, canary) in secrets {
                let form = canary.form_in(&content);
                let expected = is_expected(&file, secret);
                assert!(expected || form.is_none(), "{secret} is in {}", file.display());
            }
        }
    }

    /// Sends a request to the agent with curl.
    fn ask(&self, method: &str, target: &str, body: &str) -> Output {
        let mut curl = self.home.command("curl");
        curl.args(["--silent", "--include", "--max-time", "20", "--request", method])
            .args(["--data-binary", "@-", "--unix-socket", "agent.sock"])
            .arg(format!("http://agent{target}"));
        let output = run_with_input(&mut curl, body);
        assert!(output.status.success(), "{}", output_text(&output));
        output
    }
}

/// The password in a URL; other values are secrets as a whole.
fn secret_part(value: &str) -> &str {
    let after = value.split_once("://").and_then(|(_, rest)| rest.split_once(':'));
    after.and_then(|(_, rest)| rest.split_once('@')).map_or(value, |(password, _)| password)
}

/// Every regular file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}
