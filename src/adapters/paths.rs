//! The paths of the socket, lock, state and configuration, for one user and environment.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::passwd::User;
use super::user_namespace;

/// The directory for sockets that the dev container Feature creates for the agent's user.
pub const SYSTEM_RUNTIME_DIR: &str = "/run/registry-agent";

/// How a path of the configuration begins that is below the files that systemd passes to a service
/// (`LoadCredential=` in systemd.exec(5)).
pub const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY";

/// The docker configuration of a user without a home directory.
pub const NO_HOME_CONFIG: &str = "/.docker/config.json";

/// The paths of one user.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The user ID, which owns the user's files and processes as this process sees them.
    pub uid: u32,
    /// The user ID in the container, which names directories that other processes have to find.
    pub uid_outside: u32,
    /// The home directory; `/` if neither `HOME` nor the passwd file has one.
    pub home: PathBuf,
    socket: Option<PathBuf>,
    xdg_runtime: Option<PathBuf>,
    xdg_state: Option<PathBuf>,
    xdg_config: Option<PathBuf>,
    /// The directory with the files that systemd passes to a service.
    credentials: Option<PathBuf>,
}

impl Paths {
    /// The paths of the user who runs this process, according to its environment.
    pub fn of_this_process() -> Self {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let uid = Uid::effective().as_raw();
        let uid_outside = user_namespace::uid_outside(uid);
        let home = absolute("HOME")
            .or_else(|| super::passwd::by_uid(uid_outside).ok().flatten().map(|user| user.home))
            .unwrap_or_else(|| PathBuf::from("/"));
        Self {
            uid,
            uid_outside,
            home,
            socket: own_socket(),
            xdg_runtime: absolute("XDG_RUNTIME_DIR"),
            xdg_state: absolute("XDG_STATE_HOME"),
            xdg_config: absolute("XDG_CONFIG_HOME"),
            credentials: absolute("CREDENTIALS_DIRECTORY"),
        }
    }

    /// The paths of `user`, when root switches to that user: of the environment, only
    /// `$REGISTRY_AGENT_SOCKET` applies to that user.
    pub fn of_user(user: &User) -> Self {
        Self {
            uid: user.uid,
            uid_outside: user.uid,
            home: user.home.clone(),
            socket: own_socket(),
            xdg_runtime: None,
            xdg_state: None,
            xdg_config: None,
            credentials: None,
        }
    }

    /// The sockets that an agent may listen on, in order of preference.
    pub fn sockets(&self) -> Vec<PathBuf> {
        if let Some(own) = &self.socket {
            return vec![own.clone()];
        }
        let mut sockets = vec![Path::new(SYSTEM_RUNTIME_DIR).join("agent.sock")];
        sockets.extend(self.xdg_runtime.iter().map(|dir| dir.join("registry-agent/agent.sock")));
        // Not in the home directory: containers that share it would share one agent and all its
        // passwords.
        sockets.extend(self.lock_dirs().into_iter().map(|dir| dir.join("agent.sock")));
        sockets
    }

    /// Whether the home directory is not known. Containers set `HOME` to `/` for a user that the
    /// passwd file lacks.
    pub fn has_no_home(&self) -> bool {
        self.home == Path::new("/")
    }

    /// Whether `$REGISTRY_AGENT_SOCKET` sets the socket.
    pub fn has_own_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// The candidate directories for the lock that makes an agent the only one of its user and
    /// container, in order of preference. They are outside the home directory, which several
    /// containers may share, and independent of the rest of the environment.
    pub fn lock_dirs(&self) -> Vec<PathBuf> {
        if let Some(own) = &self.socket {
            let mut name = OsString::from(own);
            name.push(".lock");
            return vec![PathBuf::from(name)];
        }
        let name = format!("registry-agent-{}", self.uid_outside);
        ["/tmp", "/dev/shm", "/var/tmp"].iter().map(|dir| Path::new(dir).join(&name)).collect()
    }

    /// The directory of the log and the stored logins.
    pub fn state_dir(&self) -> PathBuf {
        self.xdg_state
            .clone()
            .unwrap_or_else(|| self.home.join(".local/state"))
            .join("registry-agent")
    }

    /// The configuration files; later ones take precedence.
    pub fn config_files(&self) -> [PathBuf; 2] {
        let user = self.xdg_config.clone().unwrap_or_else(|| self.home.join(".config"));
        [PathBuf::from("/etc/registry-agent/config.toml"), user.join("registry-agent/config.toml")]
    }

    /// The path of the docker configuration; `docker_config` is the value of `DOCKER_CONFIG`.
    pub fn docker_config_file(&self, docker_config: Option<&str>) -> PathBuf {
        match docker_config {
            Some(dir) if !dir.is_empty() => PathBuf::from(dir).join("config.json"),
            _ => self.home.join(".docker/config.json"),
        }
    }

    /// The user's configuration of npm and pnpm.
    pub fn npmrc(&self) -> PathBuf {
        self.home.join(".npmrc")
    }

    /// The configuration of Python's keyring (`keyring/util/platform_.py`).
    pub fn keyringrc(&self) -> PathBuf {
        let user = self.xdg_config.clone().unwrap_or_else(|| self.home.join(".config"));
        user.join("python_keyring/keyringrc.cfg")
    }

    /// `path` with a leading `~` replaced by the home directory, or a leading [`CREDENTIALS`] by the
    /// directory of this service; `None` if that has none.
    pub fn expand(&self, path: &Path) -> Option<PathBuf> {
        let (base, rest) = if let Ok(rest) = path.strip_prefix(CREDENTIALS) {
            (self.credentials.as_ref()?, rest)
        } else if let Ok(rest) = path.strip_prefix("~") {
            (&self.home, rest)
        } else {
            return Some(path.to_owned());
        };
        // Joining an empty path would add a slash.
        Some(base.iter().chain(rest).collect())
    }

    /// The variables that make another process of this program use the same paths.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![("HOME", self.home.clone().into_os_string())];
        let mut add = |name, path: &Option<PathBuf>| {
            variables.extend(path.iter().map(|path| (name, path.clone().into_os_string())));
        };
        add("REGISTRY_AGENT_SOCKET", &self.socket);
        add("XDG_RUNTIME_DIR", &self.xdg_runtime);
        add("XDG_STATE_HOME", &self.xdg_state);
        add("XDG_CONFIG_HOME", &self.xdg_config);
        add("CREDENTIALS_DIRECTORY", &self.credentials);
        for name in ["PATH", "REGISTRY_AGENT_LOG", "NOTIFY_SOCKET", "JOURNAL_STREAM"] {
            variables.extend(variable(name).map(|value| (name, value)));
        }
        variables
    }
}

/// The socket in `$REGISTRY_AGENT_SOCKET`; a relative path starts at the working directory.
fn own_socket() -> Option<PathBuf> {
    let path = PathBuf::from(variable("REGISTRY_AGENT_SOCKET")?);
    Some(std::path::absolute(&path).unwrap_or(path))
}

/// A variable of the environment; an empty one counts as unset.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
