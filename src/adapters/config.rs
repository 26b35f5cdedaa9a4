//! Reads the configuration files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::paths::CREDENTIALS;
use super::user_namespace::uid_outside;
use super::{ownership, passwd, permissions};
use crate::domain::reasons::SourceReason;
use crate::domain::spelling;

/// How clients receive credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Through the credential helper: no secret is written to a file.
    #[default]
    Helper,
    /// In `auths` in plain text, for clients that cannot run a helper.
    Auths,
}

/// The form of the log's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A time, a level and a sentence.
    #[default]
    Text,
    /// A JSON document, which also names the kind of an event and its subject.
    Json,
}

/// The settings for one server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Hosts of token servers that may receive this registry's password, with the port if it is not
    /// 443.
    #[serde(default)]
    pub realms: Vec<String>,
}

/// Where variables are looked for by default.
const DEFAULT_SOURCES: [&str; 3] = [CREDENTIALS, "/run/secrets", "/etc/environment"];

/// The configuration, with a default for every key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The user that the agent runs as when root starts it.
    pub user: Option<String>,
    /// How clients receive credentials.
    pub mode: Mode,
    /// Whether to verify credentials with their registries.
    pub verify: bool,
    /// Whether `GITHUB_TOKEN` serves as a login for `ghcr.io` and GitHub Packages.
    pub github_token: bool,
    /// The log level: `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
    /// The form of the log's lines.
    pub log_format: LogFormat,
    /// Env files and secrets directories, highest precedence first.
    pub sources: Vec<PathBuf>,
    /// Whether to write a docker configuration that is a separate mount.
    pub publish_to_mounts: bool,
    /// The settings per server, by the server's name as written.
    pub servers: BTreeMap<String, ServerConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user: None,
            mode: Mode::Helper,
            verify: true,
            github_token: true,
            log_level: "info".to_owned(),
            log_format: LogFormat::Text,
            sources: DEFAULT_SOURCES.map(PathBuf::from).into(),
            publish_to_mounts: false,
            servers: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The sources that the user added. The default ones may not exist.
    pub fn own_sources(&self) -> impl Iterator<Item = &PathBuf> {
        self.sources.iter().filter(|path| !DEFAULT_SOURCES.iter().any(|it| path.as_os_str() == *it))
    }
}

/// Why a configuration file cannot be used. The message contains the file and the line.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file exists but cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// The content of the file is invalid.
    #[error("{} line {line}: {fault}", path.display())]
    Malformed {
        /// The path of the file.
        path: PathBuf,
        /// The number of the line, starting at 1.
        line: usize,
        /// What is wrong.
        fault: String,
    },
}

impl ConfigError {
    /// The path of the affected file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. } | Self::Malformed { path, .. } => path,
        }
    }
}

/// The content of the configuration files.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Why the file in the home directory is ignored.
    pub ignored: Option<SourceReason>,
}

/// Reads the file of the system, and that in the home directory, which takes precedence. A missing one is
/// skipped, and so is one that another user has put into the home: `sudo -E` and images leave `HOME` as
/// it is.
pub fn load([system, own]: &[PathBuf; 2]) -> Result<Loaded, ConfigError> {
    let mut config = Config::default();
    if let Some((text, _)) = read(system)? {
        parse(system, &text)?.lay_over(&mut config);
    }
    let mut ignored = None;
    match read(own)? {
        Some((text, owner)) if has_trusted_owner(owner) => parse(own, &text)?.lay_over(&mut config),
        Some((_, owner)) => {
            ignored = Some(SourceReason::OtherConfiguration {
                path: own.display().to_string(),
                owner: ownership::name_of(owner),
                remedy: permissions::to_own(own),
            });
        }
        None => {}
    }
    Ok(Loaded { config, ignored })
}

/// The user for whose agent root acts, even if another line is invalid: an error must not make root look for
/// another user's agent. Only the file of the system decides that: `HOME` may be another user's.
pub fn user([system, _]: &[PathBuf; 2]) -> Option<String> {
    let text = fs::read_to_string(system).ok()?;
    text.lines().find_map(|line| toml::from_str::<Layer>(line).ok()?.user)
}

/// The text of a file and the user ID of its owner; `None` if there is none.
fn read(path: &Path) -> Result<Option<(String, u32)>, ConfigError> {
    let read = || {
        let mut file = File::open(path)?;
        let owner = file.metadata()?.uid();
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok((text, owner))
    };
    match read() {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Whether a file of `owner` in the home directory counts. A home that is mounted from elsewhere has the owner
/// that it has there.
fn has_trusted_owner(owner: u32) -> bool {
    let owns_home = || {
        let user = passwd::by_uid(uid_outside(Uid::effective().as_raw())).ok().flatten();
        user.is_some_and(|user| fs::metadata(user.home).is_ok_and(|home| home.uid() == owner))
    };
    ownership::is_trusted(owner) || owns_home()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The content of one file; missing keys are `None`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    user: Option<String>,
    mode: Option<Mode>,
    verify: Option<bool>,
    github_token: Option<bool>,
    log_level: Option<Level>,
    log_format: Option<LogFormat>,
    sources: Option<Vec<SourcePath>>,
    publish_to_mounts: Option<bool>,
    #[serde(default)]
    servers: BTreeMap<String, ServerConfig>,
}

/// A path that means the same in every directory.
#[derive(Debug, Deserialize)]
#[serde(try_from = "PathBuf")]
struct SourcePath(PathBuf);

impl TryFrom<PathBuf> for SourcePath {
    type Error = String;

    fn try_from(path: PathBuf) -> Result<Self, String> {
        let is_fixed = ["/", "~", CREDENTIALS].into_iter().any(|start| path.starts_with(start));
        let relative = || {
            format!(
                "`{}` in `sources` is a relative path; use one that begins with `/` or `~/`",
                path.display()
            )
        };
        if is_fixed { Ok(Self(path)) } else { Err(relative()) }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Layer {
    fn lay_over(self, config: &mut Config) {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        if self.user.is_some() {
            config.user = self.user;
        }
        set(&mut config.mode, self.mode);
        set(&mut config.verify, self.verify);
        set(&mut config.github_token, self.github_token);
        set(&mut config.log_level, self.log_level.map(|level| format!("{level:?}").to_lowercase()));
        set(&mut config.log_format, self.log_format);
        let sources = self.sources.map(|paths| paths.into_iter().map(|path| path.0).collect());
        set(&mut config.sources, sources);
        set(&mut config.publish_to_mounts, self.publish_to_mounts);
        config.servers.extend(self.servers);
    }
}

fn parse(path: &Path, text: &str) -> Result<Layer, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Malformed {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1),
        fault: fault_in(line_at(text, error.span().map_or(0, |span| span.start)), error.message()),
    })
}

fn line_at(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// What is wrong in `line`, with its key.
fn fault_in(line: &str, message: &str) -> String {
    let server = line.trim().strip_prefix("[servers.").and_then(|rest| rest.strip_suffix(']'));
    if let Some(server) = server.filter(|it| it.contains('.') && !it.contains(['"', '\''])) {
        return format!("the server needs quotation marks: [servers.\"{server}\"]");
    }
    let fault = in_words(message);
    match line.split_once('=').map(|(key, _)| key.trim()) {
        Some(key) if !fault.contains(&format!("`{key}`")) => format!("`{key}`: {fault}"),
        _ => fault,
    }
}

/// The message of the TOML parser, with what was probably meant instead of a list of all keys.
fn in_words(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let first = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    let list = || known.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" or ");
    if message.starts_with("unknown field `") {
        return match spelling::nearest(first, known.iter().copied()) {
            Some(key) => format!("unknown key `{first}` (did you mean `{key}`?)"),
            None => format!("unknown key `{first}`; use {}", list()),
        };
    }
    if message.starts_with("unknown variant `") {
        return format!("unknown value `{first}`; use {}", list());
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_texts(texts: &[&str]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let files = ["0.toml", "1.toml"].map(|name| dir.path().join(name));
        for (file, text) in files.iter().zip(texts) {
            fs::write(file, text).unwrap();
        }
        Ok(load(&files)?.config)
    }

    #[test]
    fn the_later_file_wins_key_by_key() {
        let config = load_texts(&[
            "user = \"vscode\"\nmode = \"auths\"",
            "mode = \"helper\"\nverify = false",
        ])
        .unwrap();
        assert_eq!(config.user.as_deref(), Some("vscode"));
        assert_eq!((config.mode, config.verify), (Mode::Helper, false));
    }

    #[test]
    fn realms_are_set_per_server() {
        let config =
            load_texts(&["[servers.\"registry.example.com\"]\nrealms = [\"auth.example.com\"]"])
                .unwrap();
        assert_eq!(config.servers["registry.example.com"].realms, ["auth.example.com"]);
    }

    #[test]
    fn a_fault_names_the_file_and_the_line() {
        for (text, line) in [
            ("user = \"a\"\nusr = \"b\"", "line 2"),
            ("mode = \"plain\"", "line 1"),
            ("\n\nlog_level = \"loud\"", "line 3"),
            ("log_format = \"xml\"", "line 1"),
            ("verify = ", "line 1"),
            ("\nsources = [\"/run/secrets\", \"reg.env\"]", "line 2"),
        ] {
            let error = load_texts(&[text]).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains("0.toml"), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_unknown_key_or_value_is_named_with_what_was_probably_meant() {
        for (text, fault) in [
            ("mod = 1", "unknown key `mod` (did you mean `mode`?)"),
            ("log_levle = 1", "unknown key `log_levle` (did you mean `log_level`?)"),
            ("x = 1", "unknown key `x`; use `user` or `mode` or "),
            ("mode = \"plain\"", "unknown value `plain`; use `helper` or `auths`"),
            ("sources = [\"reg.env\"]", "`reg.env` in `sources` is a relative path; "),
            ("sources = [\"$HOME/reg.env\"]", "`$HOME/reg.env` in `sources` is a relative path; "),
            ("[servers.\"a.test\"]\nrealm = []", "unknown key `realm` (did you mean `realms`?)"),
            ("[servers.a.test]\nrealms = []", "quotation marks: [servers.\"a.test\"]"),
            ("verify = \"yes\"", "`verify`: invalid type"),
            ("mode = \"plain\"", "`mode`: unknown value"),
        ] {
            let error = load_texts(&[text]).unwrap_err().to_string();
            assert!(error.contains(fault), "{text:?}: {error}");
        }
    }
}
