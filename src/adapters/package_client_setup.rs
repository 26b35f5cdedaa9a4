//! Reads what decides whether the package clients of one shell ask the agent.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::client_obstacles::is_program;
use super::limited_command;
use crate::domain::client_files::npmrc;
use crate::domain::package_clients::setup::{
    GitSettings, Keyring, PackageClient, Shell, index_without_user, pnpm_of_another_home,
};
use crate::domain::reasons::ClientReason;
use crate::domain::servers::package_server::{PackageServer, PackageUrl};

/// Our helper, which the links in every directory of ours lead to.
const HELPER: &str = "docker-credential-registry-agent";
/// From this version on, pip asks for the user as well as for the password.
const PIP_ASKS_WITHOUT_USER: (u32, u32) = (26, 2);
/// The user of a token that is sent without one, as Python's package index has it.
const TOKEN_USER: &str = "__token__";
/// The largest file that is read.
const MAX_FILE: u64 = 1 << 20;
/// How long a client may take to state its version or its settings.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The shell of this process.
pub struct PackageClients<'a> {
    /// Looks up a variable; an empty one counts as unset.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The user's home directory.
    pub home: &'a Path,
    /// The home directory that the agent writes to, if that is known.
    pub agent_home: Option<&'a Path>,
    /// The user of the login.
    pub user: Option<&'a str>,
}

/// Whether a client asks the agent.
pub enum Asking {
    /// It does.
    Yes,
    /// It does not.
    No(ClientReason),
    /// Its file has another login, which is a problem of its own.
    Otherwise,
}

impl PackageClients<'_> {
    /// The clients on `PATH` that may use the registry, and whether they ask the agent.
    pub fn of(&self, server: &PackageServer) -> Vec<(PackageClient, Asking)> {
        let is_here = |client: &PackageClient| {
            client.programs().iter().any(|name| self.program(name).is_some())
        };
        let usable = PackageClient::ALL.into_iter().filter(|client| client.may_use(server));
        usable.filter(is_here).map(|client| (client, self.asking(client, server))).collect()
    }

    fn asking(&self, client: PackageClient, server: &PackageServer) -> Asking {
        let program = |name: &str| self.program(name).map(|path| path.display().to_string());
        let shell = Shell { variable: self.variable, program: &program };
        let keyring = |client, setting: Option<String>| {
            shell.keyring(client, setting.as_deref(), &self.keyring())
        };
        let reason = match client {
            PackageClient::Cargo => shell.cargo(&self.cargo_config()),
            PackageClient::Go => shell.go(&self.go_file()),
            PackageClient::Pip => keyring("pip", self.pip_provider())
                .or_else(|| self.without_user("pip", self.pip_indexes(), server)),
            PackageClient::Uv => keyring("uv", self.uv_provider())
                .or_else(|| self.without_user("uv", self.uv_indexes(), server)),
            PackageClient::Git => shell.git(server, &git_settings(server)),
            PackageClient::Pnpm => return self.pnpm(server),
        };
        reason.map_or(Asking::Yes, Asking::No)
    }

    /// All files of cargo that may name a program, and the variables of single registries.
    fn cargo_config(&self) -> String {
        let home = self.directory("CARGO_HOME").unwrap_or_else(|| self.home.join(".cargo"));
        let of_project = above_here().into_iter().map(|directory| directory.join(".cargo"));
        let directories = of_project.chain([home]);
        let files = directories.flat_map(|it| [it.join("config.toml"), it.join("config")]);
        let mut text: String = files.filter_map(|path| read(&path)).collect();
        for (name, value) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_CREDENTIAL_PROVIDER") {
                text = format!("{text}\n{}", value.to_string_lossy());
            }
        }
        text
    }

    fn go_file(&self) -> String {
        let named = (self.variable)("GOENV").map(PathBuf::from);
        let path = named.unwrap_or_else(|| self.config_directory().join("go/env"));
        read(&path).unwrap_or_default()
    }

    /// The provider in the files of pip, of which the last one wins.
    fn pip_provider(&self) -> Option<String> {
        self.pip_files().into_iter().filter_map(|path| provider_in(&read(&path)?)).next_back()
    }

    fn pip_files(&self) -> Vec<PathBuf> {
        let files = [
            Some(PathBuf::from("/etc/pip.conf")),
            Some(self.home.join(".pip/pip.conf")),
            Some(self.config_directory().join("pip/pip.conf")),
            self.directory("VIRTUAL_ENV").map(|directory| directory.join("pip.conf")),
            self.directory("PIP_CONFIG_FILE"),
        ];
        files.into_iter().flatten().collect()
    }

    /// Where pip finds the URLs of indexes, if it asks for a login only where the URL has a user.
    fn pip_indexes(&self) -> Vec<(String, String)> {
        let asks_without = pip_version().is_none_or(|version| version >= PIP_ASKS_WITHOUT_USER);
        if asks_without {
            return Vec::new();
        }
        self.texts(&["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"], self.pip_files())
    }

    /// The provider in the files of uv, of which the nearest one wins.
    fn uv_provider(&self) -> Option<String> {
        self.uv_files().into_iter().find_map(|path| provider_in(&read(&path)?))
    }

    fn uv_files(&self) -> Vec<PathBuf> {
        let of_project = above_here().into_iter();
        let of_project = of_project.flat_map(|it| [it.join("uv.toml"), it.join("pyproject.toml")]);
        let of_user = [self.config_directory().join("uv/uv.toml"), "/etc/uv/uv.toml".into()];
        of_project.chain(of_user).collect()
    }

    /// Where uv finds the URLs of indexes that it may ask a login for only if they have a user.
    fn uv_indexes(&self) -> Vec<(String, String)> {
        let variables = ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"];
        let mut texts = self.texts(&variables, self.uv_files());
        texts.retain(|(_, text)| !text.contains("authenticate"));
        texts
    }

    /// The variables and files that exist, and their content.
    fn texts(&self, variables: &[&str], files: Vec<PathBuf>) -> Vec<(String, String)> {
        let variables = variables.iter().map(|name| (*name).to_owned());
        let variables = variables.filter_map(|name| (self.variable)(&name).map(|it| (name, it)));
        let files =
            files.into_iter().filter_map(|path| Some((path.display().to_string(), read(&path)?)));
        variables.chain(files).collect()
    }

    /// That a URL of the registry has no user, without which the client does not ask.
    fn without_user(
        &self,
        client: &str,
        texts: Vec<(String, String)>,
        server: &PackageServer,
    ) -> Option<ClientReason> {
        let found =
            |(place, text): (String, String)| Some((place, url_without_user(&text, server)?));
        let (place, url) = texts.into_iter().find_map(found)?;
        Some(index_without_user(client, &place, &url, self.user.unwrap_or(TOKEN_USER)))
    }

    fn keyring(&self) -> Keyring {
        let is_ours = |path: &PathBuf| {
            let real = fs::canonicalize(path);
            real.is_ok_and(|real| real.file_name() == Some(OsStr::new(HELPER)))
        };
        let on_path: Vec<PathBuf> = self.programs("keyring");
        let prefix = env::current_exe().ok();
        let prefix = prefix.as_deref().and_then(|it| Some(it.parent()?.parent()?.to_owned()));
        // Where `install.sh` and the packages put it.
        let installed = prefix.into_iter().flat_map(|prefix| {
            ["lib/registry-agent/bin", "lib/registry-agent"]
                .map(|directory| prefix.join(directory).join("keyring"))
        });
        let ours =
            on_path.iter().cloned().chain(installed).find(|path| is_program(path) && is_ours(path));
        let first = on_path.first().map(|path| (path.display().to_string(), is_ours(path)));
        let directory = ours.and_then(|path| Some(path.parent()?.display().to_string()));
        Keyring { first, directory }
    }

    /// pnpm asks the programs that `.npmrc` names.
    fn pnpm(&self, server: &PackageServer) -> Asking {
        let Some((key, _)) = npmrc::setting(server) else { return Asking::Otherwise };
        let path = self.home.join(".npmrc");
        let text = read(&path).unwrap_or_default();
        let settings = npmrc::login_settings(&text, &key);
        if settings.iter().any(|name| name.ends_with(":tokenHelper")) {
            return Asking::Yes;
        }
        match self.agent_home.filter(|home| settings.is_empty() && *home != self.home) {
            Some(home) => {
                let (path, home) = (path.display().to_string(), home.display().to_string());
                Asking::No(pnpm_of_another_home(&path, &home))
            }
            None => Asking::Otherwise,
        }
    }

    fn directory(&self, variable: &str) -> Option<PathBuf> {
        (self.variable)(variable).map(PathBuf::from)
    }

    fn config_directory(&self) -> PathBuf {
        self.directory("XDG_CONFIG_HOME").unwrap_or_else(|| self.home.join(".config"))
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|path| is_program(path));
        }
        self.programs(name).into_iter().next()
    }

    fn programs(&self, name: &str) -> Vec<PathBuf> {
        let path = (self.variable)("PATH").unwrap_or_default();
        let all = env::split_paths(&path).map(|directory| directory.join(name));
        all.filter(|path| is_program(path)).collect()
    }
}

/// The first URL at or below `server` in a text that names no user.
fn url_without_user(text: &str, server: &PackageServer) -> Option<String> {
    let origin = format!("{}://{}/", server.scheme(), server.authority());
    let url = |at| {
        let url: &str = &text[at..];
        let end = url.find(|c: char| c.is_whitespace() || "\"'`,;<>".contains(c));
        &url[..end.unwrap_or(url.len())]
    };
    let mut urls = text.match_indices(&origin).map(|(at, _)| url(at));
    let is_ours = |url: &&str| PackageUrl::parse(url).is_ok_and(|asked| server.covers(&asked));
    urls.find(is_ours).map(|url| url.split(['?', '#']).next().unwrap_or_default().to_owned())
}

/// The version of pip: the first two numbers.
fn pip_version() -> Option<(u32, u32)> {
    let output =
        limited_command::output(Command::new("pip").arg("--version"), &[], TIMEOUT).ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.strip_prefix("pip ")?.split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The value of `keyring-provider`, as pip and uv write it.
fn provider_in(text: &str) -> Option<String> {
    let setting = |line: &str| {
        let (name, value) = line.split_once(['=', ':'])?;
        let value = value.split('#').next().unwrap_or_default();
        let is_it = name.trim() == "keyring-provider";
        is_it.then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    text.lines().find_map(setting)
}

fn git_settings(server: &PackageServer) -> GitSettings {
    let helpers = git(&["--null", "--get-regexp", r"^credential\.(.*\.)?helper$"]);
    let helpers = helpers.unwrap_or_default();
    let helpers = helpers.split('\0').filter_map(|entry| entry.split_once('\n'));
    let helpers = helpers.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let url = server.name();
    let best = git(&["--get-urlmatch", "credential.helper", url]);
    let use_path = git(&["--type=bool", "--get-urlmatch", "credential.useHttpPath", url]);
    GitSettings {
        helpers,
        best_helper: best.map(|value| value.trim().to_owned()),
        use_path: use_path.is_some_and(|value| value.trim() == "true"),
    }
}

/// What `git config` prints; `None` if it fails, as without such a setting.
fn git(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let output =
        limited_command::output(command.arg("config").args(arguments), &[], TIMEOUT).ok()?;
    output.status.success().then_some(())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The directories of a project, from the current one upwards.
pub fn above_here() -> Vec<PathBuf> {
    let here = env::current_dir().unwrap_or_default();
    here.ancestors().map(Path::to_owned).collect()
}

/// A configuration file of a client. One that cannot be read says nothing to the client either.
pub fn read(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    let is_plain = found.is_file() && found.len() <= MAX_FILE;
    is_plain
        .then(|| fs::read(path).ok())
        .flatten()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
