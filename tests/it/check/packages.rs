//! `check` and the package clients of a shell: whether they ask the agent, and what is pasted if not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use serde_json::Value;

use super::Checked;
use crate::support::git_server::GitServer;
use crate::support::package_registry::PackageRegistry;
use crate::support::pypi_server::{PypiServer, python};
use crate::support::test_home::{TestHome, output_text, succeed};

const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");

/// A shell with some package clients and no more of `PATH` than they need.
struct Shell {
    home: TestHome,
    variables: Vec<(&'static str, String)>,
    path: String,
}

impl Shell {
    /// An agent with a login for `server`, and clients of which only the names matter.
    fn new(server: &str, clients: &[&str]) -> Self {
        Self::with_home(TestHome::new(), server, clients)
    }

    /// The same for a registry that nobody can reach.
    fn unverified(server: &str, clients: &[&str]) -> Self {
        let home = TestHome::new();
        let config = home.path(".config/registry-agent/config.toml");
        fs::create_dir_all(config.parent().unwrap()).unwrap();
        fs::write(config, "verify = false\n").unwrap();
        Self::with_home(home, server, clients)
    }

    fn with_home(mut home: TestHome, server: &str, clients: &[&str]) -> Self {
        let login = [("SERVER", server), ("USER", "builder"), ("PASSWORD", "secret")];
        home.declare_packages("ACME", &login);
        home.start();
        home.exit_of(&["wait"]);
        let bin = home.path("bin");
        for client in clients {
            program(&home, &format!("bin/{client}"), "exit 0");
        }
        let shell = Self { home, variables: Vec::new(), path: bin.display().to_string() };
        for name in ["sh", "timeout", "mkdir", "rm"] {
            shell.link(name);
        }
        shell
    }

    /// Puts a program of this machine on the `PATH` of the shell.
    fn link(&self, name: &str) {
        let path = std::env::var_os("PATH").unwrap();
        let mut directories = std::env::split_paths(&path);
        let program = directories.find_map(|it| fs::canonicalize(it.join(name)).ok());
        symlink(program.unwrap(), self.home.path("bin").join(name)).unwrap();
    }

    /// A registry that asks for the login and has nothing else.
    fn with_registry(path: &str, clients: &[&str]) -> (Self, PackageRegistry) {
        let registry = PackageRegistry::start(&["Basic YnVpbGRlcjpzZWNyZXQ="]);
        (Self::new(&registry.url(path), clients), registry)
    }

    /// Our helper under the name by which a client runs it.
    fn install(&self, path: &str) {
        let link = self.home.path(path);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(HELPER, link).unwrap();
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.home.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn with(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((variable, value.into()));
        self
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.home.command(program);
        command.env("PATH", &self.path).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_TERMINAL_PROMPT", "0").envs(self.variables.clone());
        command
    }

    /// The remarks on the clients: each sentence and its fix.
    fn remarks(&self) -> Vec<(String, String)> {
        let mut check = self.command(env!("CARGO_BIN_EXE_registry-agent"));
        let checked = Checked::by(check.args(["check", "--json", "ACME"]));
        assert_eq!(checked.status, 0, "a remark fails nothing: {:#?}", checked.steps);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let remarks = checked.step("helper")["remarks"].as_array().unwrap();
        remarks
            .iter()
            .inspect(|remark| assert_eq!(remark["code"], "client-not-set-up"))
            .map(|remark| (text(&remark["text"]), text(&remark["hint"])))
            .collect()
    }

    /// The only remark, which is about `client`, with the command of its fix.
    fn remark(&self, client: &str) -> (String, String) {
        let remarks = self.remarks();
        assert!(remarks.len() == 1 && remarks[0].0.starts_with(client), "{remarks:#?}");
        let (text, fix) = remarks[0].clone();
        let command = fix.strip_prefix("run `").and_then(|fix| fix.strip_suffix('`'));
        (text, command.unwrap_or_else(|| panic!("{fix}")).to_owned())
    }

    /// Pastes a fix, after which `check` has no remark and `script` sees its effect.
    fn paste(&self, fix: &str, script: &str) -> String {
        let check = format!("{} check --json ACME", env!("CARGO_BIN_EXE_registry-agent"));
        let mut shell = self.command("sh");
        shell.args(["-ec", &format!("{fix}\n{check}\n")]);
        let output = succeed(&mut shell);
        let steps: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let helper = steps.iter().find(|step| step["step"] == "helper").unwrap();
        assert_eq!(helper["remarks"].as_array().map(Vec::len), Some(0), "{fix}: {helper:#}");
        assert_eq!(helper["outcome"], "passed", "{fix}: {helper:#}");
        let mut shell = self.command("sh");
        output_text(&succeed(shell.args(["-ec", &format!("{fix}\n{script}")])))
    }
}

fn program(home: &TestHome, path: &str, script: &str) {
    let path = home.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn cargo_that_does_not_name_the_agents_program_is_told_what_to_export() {
    const VARIABLE: &str = "CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS";
    let (shell, _registry) = Shell::with_registry("/index/", &["cargo"]);
    shell.install("bin/cargo-credential-registry-agent");
    let installed = shell.home.path("bin/cargo-credential-registry-agent").display().to_string();
    let (text, fix) = shell.remark("cargo");
    assert!(text.contains(VARIABLE), "{text}");
    let value = shell.paste(&fix, &format!("echo ${VARIABLE}"));
    assert_eq!(value.trim(), format!("cargo:token {installed}"));

    // The provider that the user has stays.
    let shell =
        shell.with(VARIABLE, "cargo:token cargo:libsecret /gone/cargo-credential-registry-agent");
    let (text, fix) = shell.remark("cargo");
    assert!(text.contains("/gone/cargo-credential-registry-agent"), "{text}");
    let value = shell.paste(&fix, &format!("echo ${VARIABLE}"));
    assert_eq!(value.trim(), format!("cargo:token cargo:libsecret {installed}"));

    // Files of cargo name it as well.
    let (shell, _registry) = Shell::with_registry("/index/", &["cargo"]);
    shell.install("bin/cargo-credential-registry-agent");
    let comment = "# global-credential-providers = [\"cargo-credential-registry-agent\"]\n";
    shell.write(".cargo/config.toml", comment);
    shell.remark("cargo");
    let setting =
        "[registry]\nglobal-credential-providers = [\"cargo-credential-registry-agent\"]\n";
    shell.write(".cargo/config.toml", setting);
    assert_eq!(shell.remarks(), []);
}

#[test]
fn go_that_does_not_name_the_agents_program_is_told_what_to_export() {
    let shell = Shell::unverified("https://goproxy.invalid/", &["go"]);
    shell.install("bin/goauth-registry-agent");
    let installed = shell.home.path("bin/goauth-registry-agent").display().to_string();
    let (text, fix) = shell.remark("go");
    assert!(text.contains("GOAUTH"), "{text}");
    let value = shell.paste(&fix, "echo \"$GOAUTH\"");
    assert_eq!(value.trim(), format!("netrc; {installed}"));

    // What `go env -w` writes.
    shell.write(".config/go/env", &format!("GOAUTH=git /src; {installed}\n"));
    assert_eq!(shell.remarks(), []);
    // Go sends no login without TLS.
    let shell = Shell::unverified("http://goproxy.invalid/", &["go"]);
    assert_eq!(shell.remarks(), []);
}

#[test]
fn pip_and_uv_are_told_which_keyring_they_run_and_the_fix_installs() {
    let private = PypiServer::start(Some(("builder", "secret")));
    private.add("acme_private", "1.0");
    let mut shell = Shell::new(&private.url("/"), &["uv"]);
    let pip = format!("exec {} -m pip \"$@\"", python().display());
    program(&shell.home, "bin/pip", &pip);
    shell.install("ours/keyring");
    let ours = shell.home.path("ours").display().to_string();
    program(&shell.home, "bin/keyring", "exit 1");
    shell.path = format!("{}:{ours}", shell.path);
    let remarks = shell.remarks();
    let clients: Vec<&str> =
        remarks.iter().map(|(text, _)| text.split(' ').next().unwrap()).collect();
    assert_eq!(clients, ["pip", "uv"], "{remarks:#?}");
    for (text, _) in &remarks {
        let other = shell.home.path("bin/keyring").display().to_string();
        assert!(text.contains(&other) && text.contains("_KEYRING_PROVIDER"), "{text}");
    }
    let fixes: Vec<&str> = remarks
        .iter()
        .map(|(_, fix)| fix.strip_prefix("run `").unwrap().strip_suffix('`').unwrap())
        .collect();
    let install = format!(
        "pip install --quiet --no-input --disable-pip-version-check --index-url {} --target ../installed acme-private",
        private.url("/simple/")
    );
    shell.paste(&fixes.join("\n"), &format!("mkdir -p project\ncd project\n{install}"));
    assert!(shell.home.path("installed/acme_private.py").exists());

    // The configuration of each counts as well.
    shell.path = format!("{ours}:{}", shell.path);
    shell.write(".config/pip/pip.conf", "[global]\nkeyring-provider = subprocess\n");
    shell.write(".config/uv/uv.toml", "keyring-provider = \"subprocess\"\n");
    assert_eq!(shell.remarks(), []);
}

#[test]
fn an_index_without_a_user_is_named_to_clients_that_ask_only_with_one() {
    let (mut shell, registry) = Shell::with_registry("/simple/", &["uv"]);
    shell.install("ours/keyring");
    shell.path = format!("{}:{}", shell.home.path("ours").display(), shell.path);
    let shell =
        shell.with("PIP_KEYRING_PROVIDER", "subprocess").with("UV_KEYRING_PROVIDER", "subprocess");
    let url = registry.url("/simple/");
    let with_user = url.replace("://", "://builder@");
    for (version, asks) in [("23.0.1", false), ("26.1", false), ("26.2", true), ("27.0", true)] {
        program(&shell.home, "bin/pip", &format!("echo 'pip {version} from /x (python 3.11)'"));
        shell.write(".config/pip/pip.conf", &format!("[global]\nindex-url = {url}\n"));
        if asks {
            assert_eq!(shell.remarks(), [], "{version}");
            continue;
        }
        let (text, fix) = shell.remarks().remove(0);
        assert!(text.starts_with("pip ") && text.contains(&url), "{text}");
        assert!(fix.contains(&with_user) && fix.contains("pip/pip.conf"), "{fix}");
        for other in [&with_user, "https://pypi.org/simple/", &registry.url("/other/")] {
            shell.write(".config/pip/pip.conf", &format!("[global]\nindex-url = {other}\n"));
            assert_eq!(shell.remarks(), [], "{other}");
        }
    }
    let index = |more: &str| format!("[[index]]\nurl = \"{url}\"\n{more}");
    shell.write(".config/uv/uv.toml", &index(""));
    let (text, fix) = shell.remarks().remove(0);
    assert!(text.starts_with("uv ") && fix.contains(&with_user), "{text}; {fix}");
    shell.write(".config/uv/uv.toml", &index("authenticate = \"always\"\n"));
    assert_eq!(shell.remarks(), []);
    let shell = shell.with("UV_INDEX", format!("acme={url}"));
    let (text, fix) = shell.remarks().remove(0);
    assert!(text.contains("UV_INDEX has") && fix.contains(&with_user), "{text}; {fix}");
}

#[test]
fn git_is_told_which_settings_it_lacks_and_the_fix_clones() {
    let directory = tempfile::tempdir().unwrap();
    let server =
        GitServer::start(directory.path(), &["Basic YnVpbGRlcjpzZWNyZXQ="], "Basic realm=\"git\"");
    server.create("private/team/app.git");
    let shell = Shell::new(&format!("{}/private/team/", server.url), &[]);
    shell.link("git");
    shell.install("bin/git-credential-registry-agent");
    let (text, fix) = shell.remark("git");
    assert!(text.contains("credential.helper") && text.contains(&server.url), "{text}");

    // The helper alone: git asks for the host, and the helper says what is missing.
    let helper = fix.split(" && ").next().unwrap();
    succeed(shell.command("sh").args(["-c", helper]));
    let clone = format!("git clone --quiet {}/private/team/app.git", server.url);
    let refused = shell.command("sh").args(["-c", &clone]).output().unwrap();
    let said = output_text(&refused);
    let (text, path_fix) = shell.remark("git");
    assert!(text.contains("credential.useHttpPath"), "{text}");
    assert!(!refused.status.success() && said.contains(&path_fix), "{said}");

    shell.paste(&path_fix, &format!("{clone} first"));
    succeed(shell.command("sh").args(["-c", "rm .gitconfig"]));
    shell.paste(&fix, &format!("{clone} second"));

    // A helper of the user's own stays, and a setting for one repository is enough.
    succeed(shell.command("sh").args(["-c", "rm .gitconfig"]));
    let own = format!("git config --global credential.{}.helper store", server.url);
    succeed(shell.command("sh").args(["-c", &own]));
    let (_, fix) = shell.remark("git");
    shell.paste(&fix, &format!("git config --get credential.{}.helper store", server.url));
    succeed(shell.command("sh").args(["-c", "rm .gitconfig"]));
    let own = format!(
        "git config --global credential.{0}/private/team/app.git.helper registry-agent && git config --global credential.useHttpPath true",
        server.url
    );
    succeed(shell.command("sh").args(["-c", &own]));
    assert_eq!(shell.remarks(), []);
}

#[test]
fn pnpm_of_another_home_is_told_where_the_agent_writes() {
    let (shell, _registry) = Shell::with_registry("/npm/", &["pnpm"]);
    assert_eq!(shell.remarks(), []);
    let other = shell.home.path("other");
    fs::create_dir(&other).unwrap();
    let home = shell.home.path("").display().to_string();
    let shell = shell.with("HOME", other.display().to_string());
    let (text, fix) = shell.remark("pnpm");
    assert!(text.contains("other/.npmrc"), "{text}");
    let shown = shell.paste(&fix, "echo $HOME");
    assert_eq!(shown.trim(), home.trim_end_matches('/'));
}

#[test]
fn a_login_of_the_users_own_in_npmrc_is_a_remark() {
    let registry = PackageRegistry::start(&["Basic YnVpbGRlcjpzZWNyZXQ="]);
    let mut home = TestHome::new();
    let url = registry.url("/npm/");
    let key = url.strip_prefix("http:").unwrap();
    fs::write(home.path(".npmrc"), format!("{key}:_authToken=old\n")).unwrap();
    let login = [("SERVER", url.as_str()), ("USER", "builder"), ("PASSWORD", "secret")];
    home.declare_packages("ACME", &login);
    home.start_agent();
    let checked = Checked::of(&home, &["ACME"]);
    assert_eq!(checked.status, 0, "{:#?}", checked.steps);
    assert_eq!(checked.remarks("not-shadowed"), ["other-package-login"]);
}

#[test]
fn nobody_reads_about_clients_that_are_missing_or_have_no_packages_there() {
    let clients = ["cargo", "go", "pip", "uv", "git", "pnpm"];
    for (path, expected) in [
        ("/repository/pypi-group/", &["pip", "uv"][..]),
        ("/repository/crates/", &["cargo"]),
        ("/repository/npm/", &[]),
        ("/all/", &["cargo", "pip", "uv", "git"]),
    ] {
        let (shell, _registry) = Shell::with_registry(path, &clients);
        let remarks = shell.remarks();
        let named: Vec<&str> =
            remarks.iter().map(|(text, _)| text.split(' ').next().unwrap()).collect();
        assert_eq!(named, expected, "{path}: {remarks:#?}");
    }
    let (shell, _registry) = Shell::with_registry("/all/", &[]);
    assert_eq!(shell.remarks(), []);
}
