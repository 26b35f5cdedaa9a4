//! What each package client needs so that it asks the agent, by the environment and the files of one shell.

use super::format::PackageFormat;
use crate::domain::reasons::{ClientReason, shell_word};
use crate::domain::servers::package_server::PackageServer;

/// The clients that can ask the agent, in the order in which `check` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageClient {
    /// Rust's.
    Cargo,
    /// Go's.
    Go,
    /// Python's, whatever its name.
    Pip,
    /// Python's, of Astral.
    Uv,
    /// git over HTTP.
    Git,
    /// JavaScript's.
    Pnpm,
}

/// The program that cargo runs for a login.
pub const CARGO: &str = "cargo-credential-registry-agent";
/// The program that Go runs for a login.
pub const GO: &str = "goauth-registry-agent";
/// The program that git runs for a login.
pub const GIT: &str = "git-credential-registry-agent";

const CARGO_PROVIDERS: &str = "CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS";

/// What a shell has.
pub struct Shell<'a> {
    /// Looks up a variable; an empty one counts as unset.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The program that the shell runs for a name or a path.
    pub program: &'a dyn Fn(&str) -> Option<String>,
}

/// The program `keyring` of a shell.
#[derive(Default)]
pub struct Keyring {
    /// The first one on `PATH`, and whether it is the agent's.
    pub first: Option<(String, bool)>,
    /// The directory of the agent's.
    pub directory: Option<String>,
}

/// The settings of git that concern logins.
#[derive(Default)]
pub struct GitSettings {
    /// All `credential.….helper` and their values.
    pub helpers: Vec<(String, String)>,
    /// The helper that matches the URL best.
    pub best_helper: Option<String>,
    /// Whether git names the path of a repository at this URL.
    pub use_path: bool,
}

impl PackageClient {
    /// All clients.
    pub const ALL: [Self; 6] = [Self::Cargo, Self::Go, Self::Pip, Self::Uv, Self::Git, Self::Pnpm];

    /// The names of its program.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Cargo => &["cargo"],
            Self::Go => &["go"],
            Self::Pip => &["pip", "pip3"],
            Self::Uv => &["uv"],
            Self::Git => &["git"],
            Self::Pnpm => &["pnpm"],
        }
    }

    /// Whether it may ask for what is at `server`. Go sends logins over TLS only.
    pub fn may_use(self, server: &PackageServer) -> bool {
        let format = match self {
            Self::Cargo => PackageFormat::Cargo,
            Self::Go => PackageFormat::Go,
            Self::Pip | Self::Uv => PackageFormat::Python,
            Self::Git => PackageFormat::Git,
            Self::Pnpm => PackageFormat::Npm,
        };
        let is_sent = self != Self::Go || server.scheme() == "https";
        is_sent && format.is_likely_in(server)
    }
}

impl Shell<'_> {
    /// cargo runs the programs that a variable or `config.toml` name.
    pub fn cargo(&self, config: &str) -> Option<ClientReason> {
        let value = (self.variable)(CARGO_PROVIDERS);
        let config: Vec<&str> =
            config.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let in_config = || config.iter().find_map(|line| word_for(line, CARGO));
        let named = value.as_deref().and_then(|value| word_for(value, CARGO)).or_else(in_config);
        let fault = self.fault_of(named, CARGO_PROVIDERS, CARGO)?;
        let others = value.as_deref().unwrap_or("cargo:token").split_whitespace();
        let others = others.filter(|word| word_for(word, CARGO).is_none());
        let mut providers: Vec<String> = others.map(str::to_owned).collect();
        let export = |program: String| {
            providers.push(program);
            format!("export {CARGO_PROVIDERS}={}", shell_word(&providers.join(" ")))
        };
        let command = (self.program)(CARGO).map(export);
        Some(not_set_up("cargo", fault, command, CARGO))
    }

    /// Go runs the commands of `GOAUTH`; `file` is what `go env -w` writes.
    pub fn go(&self, file: &str) -> Option<ClientReason> {
        let in_file = || file.lines().find_map(|line| line.strip_prefix("GOAUTH="));
        let value = (self.variable)("GOAUTH").or_else(|| in_file().map(str::to_owned));
        let value = value.unwrap_or_else(|| "netrc".to_owned());
        let commands = || value.split(';').map(str::trim).filter(|command| !command.is_empty());
        let fault =
            self.fault_of(commands().find_map(|command| word_for(command, GO)), "GOAUTH", GO)?;
        let others = commands().filter(|it| word_for(it, GO).is_none() && *it != "off");
        let mut kept: Vec<String> = others.map(str::to_owned).collect();
        let export = |program: String| {
            kept.push(program);
            format!("export GOAUTH={}", shell_word(&kept.join("; ")))
        };
        let command = (self.program)(GO).map(export);
        Some(not_set_up("go", fault, command, GO))
    }

    /// pip and uv run the first `keyring` on `PATH` if a variable or a setting says so.
    pub fn keyring(
        &self,
        client: &str,
        setting: Option<&str>,
        keyring: &Keyring,
    ) -> Option<ClientReason> {
        let variable = format!("{}_KEYRING_PROVIDER", client.to_uppercase());
        let value = (self.variable)(&variable);
        let is_set = value.as_deref().or(setting) == Some("subprocess");
        let other = match &keyring.first {
            Some((_, true)) => None,
            Some((path, false)) => Some(format!("{path} is the first `keyring` on PATH")),
            None => Some("no `keyring` is on PATH".to_owned()),
        };
        let unset = (!is_set).then(|| format!("{variable} is not `subprocess`"));
        let faults: Vec<String> = [&other, &unset].into_iter().flatten().cloned().collect();
        if faults.is_empty() {
            return None;
        }
        let directory = keyring.directory.as_deref();
        let path = other
            .and(directory)
            .map(|directory| format!("PATH={}:\"$PATH\"", shell_word(directory)));
        let provider = unset.map(|_| format!("{variable}=subprocess"));
        let parts: Vec<String> = path.into_iter().chain(provider).collect();
        let command = directory.map(|_| format!("export {}", parts.join(" ")));
        Some(not_set_up(client, faults.join(", and "), command, "the agent's `keyring`"))
    }

    /// git runs the helpers that its settings name for a URL. It names the path only if it is told to.
    pub fn git(&self, server: &PackageServer, settings: &GitSettings) -> Option<ClientReason> {
        let applies = |key: &str| {
            let scope = key.strip_prefix("credential.").and_then(|it| it.strip_suffix(".helper"));
            scope.is_none_or(|scope| {
                PackageServer::parse(scope)
                    .is_ok_and(|scope| scope.covers(server.url()) || server.covers(scope.url()))
            })
        };
        let all = settings.helpers.iter().filter(|(key, _)| applies(key)).map(|(_, value)| value);
        let mut all = all.chain(&settings.best_helper);
        let program = all.find_map(|value| program_of_git(value));
        let origin = format!("{}://{}", server.scheme(), server.authority());
        let mut faults = Vec::new();
        let mut commands = Vec::new();
        match program {
            None => {
                let key = format!("credential.{origin}.helper");
                let has_other = settings.helpers.iter().any(|(known, _)| *known == key);
                let add = if has_other { "--add " } else { "" };
                faults.push(format!("`credential.helper` for {server} is not `registry-agent`"));
                commands
                    .push(format!("git config --global {add}{} registry-agent", shell_word(&key)));
            }
            Some(program) if (self.program)(program).is_none() => {
                faults.push(format!("{program} is not an executable program on PATH"));
            }
            Some(_) => {}
        }
        if server.path() != "/" && !settings.use_path {
            faults.push(format!("`credential.useHttpPath` for {server} is not `true`"));
            commands.push(use_path_command(&origin));
        }
        if faults.is_empty() {
            return None;
        }
        let has_program = (self.program)(program.unwrap_or(GIT)).is_some();
        let command = has_program.then(|| commands.join(" && "));
        Some(not_set_up("git", faults.join(", and "), command, GIT))
    }

    /// What is wrong with the word that names our program, or with the lack of one.
    fn fault_of(&self, named: Option<&str>, variable: &str, program: &str) -> Option<String> {
        match named {
            None => Some(format!("{variable} does not name {program}")),
            Some(named) if (self.program)(named).is_none() => {
                Some(format!("{named} is not an executable program"))
            }
            Some(_) => None,
        }
    }
}

/// The command after which git names the paths of repositories.
pub fn use_path_command(origin: &str) -> String {
    let key = format!("credential.{origin}.useHttpPath");
    format!("git config --global {} true", shell_word(&key))
}

/// That the URL of an index in `place` has no user, without which `client` does not ask.
pub fn index_without_user(client: &str, place: &str, url: &str, user: &str) -> ClientReason {
    let with_user = url.replacen("://", &format!("://{user}@"), 1);
    ClientReason::NotSetUp {
        client: client.to_owned(),
        fault: format!("{place} has {url}, and {client} asks only if the URL has a user"),
        fix: format!("write {with_user} in {place}"),
    }
}

/// pnpm reads the `.npmrc` of its own home: `path` has no line of the agent's, which writes to `home`.
pub fn pnpm_of_another_home(path: &str, home: &str) -> ClientReason {
    let fault = format!("{path} does not name the agent's program");
    let command = format!("export HOME={}", shell_word(home));
    not_set_up("pnpm", fault, Some(command), "npm-credential-registry-agent")
}

fn not_set_up(client: &str, fault: String, command: Option<String>, program: &str) -> ClientReason {
    let fix = command.map_or_else(
        || format!("install {program} in a directory on PATH, such as /usr/local/bin"),
        |command| format!("run `{command}`"),
    );
    ClientReason::NotSetUp { client: client.to_owned(), fault, fix }
}

/// The word of a setting that names the program, by its name or a path.
fn word_for<'a>(text: &'a str, program: &str) -> Option<&'a str> {
    let is_separator = |c: char| c.is_whitespace() || "\"'[],=;!".contains(c);
    let mut words = text.split(is_separator);
    words.find(|word| word.rsplit('/').next() == Some(program))
}

/// The program of ours that a value of `credential.helper` runs.
fn program_of_git(value: &str) -> Option<&str> {
    let first = value.split_whitespace().next();
    if first == Some("registry-agent") { Some(GIT) } else { word_for(value, GIT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(
        variables: &[(&str, &str)],
        judge: impl Fn(&Shell<'_>) -> Option<ClientReason>,
    ) -> Option<(String, String)> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let program = |name: &str| {
            let is_gone = name.starts_with("/gone/");
            let path = if name.contains('/') { name.to_owned() } else { format!("/bin/{name}") };
            (!is_gone).then_some(path)
        };
        let reason = judge(&Shell { variable: &variable, program: &program });
        reason.map(|reason| (reason.to_string(), reason.fix()))
    }

    #[test]
    fn go_keeps_what_else_the_user_has_set() {
        let fix = |variables: &[(&str, &str)], file: &str| {
            reason(variables, |shell| shell.go(file)).map(|(_, fix)| fix)
        };
        let export = |value: &str| Some(format!("run `export GOAUTH='{value}'`"));
        assert_eq!(fix(&[], ""), export("netrc; /bin/goauth-registry-agent"));
        let own = "git /home/dev/src; corp-auth";
        let both = format!("{own}; /bin/goauth-registry-agent");
        assert_eq!(fix(&[("GOAUTH", own)], ""), export(&both));
        assert_eq!(fix(&[], &format!("GOAUTH={own}\n")), export(&both));
        assert_eq!(fix(&[], &format!("GOAUTH={both}\n")), None);
        assert_eq!(fix(&[("GOAUTH", "netrc; goauth-registry-agent")], ""), None);
        let off = fix(&[("GOAUTH", "off")], "");
        assert_eq!(off, Some("run `export GOAUTH=/bin/goauth-registry-agent`".to_owned()));
        let gone = "netrc; /gone/goauth-registry-agent";
        let fault = reason(&[("GOAUTH", gone)], |shell| shell.go("")).unwrap().0;
        assert!(fault.contains("/gone/goauth-registry-agent is not an executable"), "{fault}");
    }

    #[test]
    fn gits_settings_count_where_their_url_applies() {
        let server = PackageServer::parse("https://git.example.com/team/").unwrap();
        let asks = |key: &str, value: &str, best: Option<&str>| {
            let settings = GitSettings {
                helpers: vec![(key.to_owned(), value.to_owned())],
                best_helper: best.map(str::to_owned),
                use_path: true,
            };
            reason(&[], |shell| shell.git(&server, &settings)).is_none()
        };
        for (key, value, expected) in [
            ("credential.helper", "registry-agent", true),
            ("credential.helper", "store", false),
            ("credential.https://git.example.com.helper", "registry-agent", true),
            ("credential.https://git.example.com/team/app.git.helper", "registry-agent", true),
            ("credential.https://git.example.com/other.helper", "registry-agent", false),
            ("credential.http://git.example.com.helper", "registry-agent", false),
            ("credential.https://example.com.helper", "registry-agent", false),
            ("credential.helper", "/usr/local/bin/git-credential-registry-agent", true),
            ("credential.helper", "!git-credential-registry-agent", true),
            ("credential.helper", "/gone/git-credential-registry-agent", false),
        ] {
            assert_eq!(asks(key, value, None), expected, "{key} = {value}");
        }
        // A pattern with `*`, which git matched.
        assert!(asks("credential.https://*.example.com.helper", "x", Some("registry-agent")));
    }
}
