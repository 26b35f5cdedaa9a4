//! Clients that cannot run a helper install a private package through `exec`. The registry is a
//! directory of files that only the login may read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{TOKEN, exec};
use crate::package_clients::table::record;
use crate::support::package_registry::PackageRegistry;
use crate::support::test_home::{TestHome, output_text, succeed};

const USER: &str = "dev";
const BASIC_PASSWORD: &str = "p:w@+ d";

/// A registry that wants a token, or a user and a password, and a home with that login.
struct ClientTest {
    home: TestHome,
    registry: PackageRegistry,
}

impl ClientTest {
    fn with_token() -> Self {
        Self::start(&format!("Bearer {TOKEN}"), &[("PASSWORD", TOKEN)])
    }

    fn with_password() -> Self {
        let pair = STANDARD.encode(format!("{USER}:{BASIC_PASSWORD}"));
        Self::start(&format!("Basic {pair}"), &[("USER", USER), ("PASSWORD", BASIC_PASSWORD)])
    }

    /// Only files are there: clients try other resources first.
    fn start(header: &str, login: &[(&str, &str)]) -> Self {
        let registry = PackageRegistry::start(&[header]);
        let mut home = TestHome::new();
        home.declare_packages("ACME", &[("SERVER", &registry.url("/team/"))]);
        home.declare_packages("ACME", login);
        home.start_agent();
        fs::create_dir(home.path("project")).unwrap();
        Self { home, registry }
    }

    fn serve(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.registry.state().files.insert(path.to_owned(), content.into());
    }

    fn write(&self, file: &str, content: &str) {
        fs::write(self.home.path(file), content).unwrap();
    }

    /// The output of a command in the project.
    fn shell(&self, script: &str) -> Vec<u8> {
        let mut command = self.home.command("sh");
        command.args(["-ec", script]).current_dir(self.home.path("project"));
        succeed(&mut command).stdout
    }

    /// Runs the client without a login, which fails, and through `exec`.
    fn installs(&self, client: &[&str], installed: &str) {
        let project = self.home.path("project");
        let run = |mut command: Command| {
            let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap();
            let path = format!("{}:{}", programs().display(), path.display());
            command.env("PATH", path).current_dir(&project).output().unwrap()
        };
        let mut without = self.home.command(client[0]);
        without.args(&client[1..]);
        let output = run(without);
        assert!(!output.status.success(), "without a login: {}", output_text(&output));
        let output = run(exec(&self.home, &[&["ACME", "--"], client].concat()));
        let text = output_text(&output);
        assert!(output.status.success(), "{text}");
        assert!(project.join(installed).exists(), "{text}");
        assert!(!text.contains(TOKEN) && !text.contains(BASIC_PASSWORD), "{text}");
    }

    /// Records what a client has just done, for the table of `docs/packages.md`.
    fn record(&self, client: &str, version: &[&str], what: &str) {
        let mut command = self.home.command(version[0]);
        let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap());
        command.args(&version[1..]).env("PATH", path).env("COMPOSER_ALLOW_SUPERUSER", "1");
        let output = String::from_utf8(succeed(&mut command).stdout).unwrap();
        // Composer says when it was built.
        let number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        let version = output.split_whitespace().find(number).unwrap();
        record(client, version, what, &["registry-agent exec".to_owned()]);
    }

    /// An npm registry with one package.
    fn serve_npm(&self) {
        self.shell("mkdir package; echo '{\"name\": \"private\", \"version\": \"1.0.0\"}' > package/package.json");
        self.serve("/team/private/-/private-1.0.0.tgz", self.shell("tar -cz package | tee ../tgz"));
        let digest = self.shell("sha1sum < ../tgz | cut -d' ' -f1");
        let digest = String::from_utf8(digest).unwrap();
        let tarball = self.registry.url("/team/private/-/private-1.0.0.tgz");
        let dist = json!({"tarball": tarball, "shasum": digest.trim()});
        let version = json!({"name": "private", "version": "1.0.0", "dist": dist});
        let package = json!({
            "name": "private", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}
        });
        self.serve("/team/private", package.to_string());
        let project = json!({"name": "project", "dependencies": {"private": "1.0.0"}});
        self.write("project/package.json", &project.to_string());
    }
}

/// The programs that `scripts/setup` installs.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin")
}

fn npm_package(program: &str) -> String {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/npm/node_modules");
    package.join(program).display().to_string()
}

#[test]
fn npm_installs_with_a_token_and_with_a_password() {
    for setup in [ClientTest::with_token(), ClientTest::with_password()] {
        setup.serve_npm();
        let registry = format!("--registry={}", setup.registry.url("/team/"));
        let npm = ["npm", "install", &registry, "--no-audit", "--no-fund", "--fetch-retries=0"];
        setup.installs(&npm, "node_modules/private/package.json");
        setup.record("npm", &["npm", "--version"], "`npm install` with a private package");
    }
}

/// npm prefers a token to a user and a password, wherever each is set.
#[test]
fn a_token_in_npmrc_that_wins_over_the_environment_is_named() {
    for (setup, wins) in [(ClientTest::with_token(), false), (ClientTest::with_password(), true)] {
        setup.serve_npm();
        let url = setup.registry.url("/team/");
        let key = format!("{}:_authToken", url.strip_prefix("http:").unwrap());
        setup.write("project/.npmrc", &format!("{key}=old\n"));
        let registry = format!("--registry={url}");
        let npm = ["npm", "install", &registry, "--no-audit", "--no-fund", "--fetch-retries=0"];
        let mut command = exec(&setup.home, &[&["ACME", "--"], &npm[..]].concat());
        let output = command.current_dir(setup.home.path("project")).output().unwrap();
        let text = output_text(&output);
        assert_eq!(!output.status.success(), wins, "{text}");
        let line = text.lines().find(|line| line.contains("instead of"));
        assert_eq!(line.is_some(), wins, "{text}");
        let path = setup.home.path("project/.npmrc").display().to_string();
        assert!(line.is_none_or(|line| line.contains(&path) && line.contains(&key)), "{text}");
    }
}

#[test]
fn yarn_1_and_bun_install_through_a_reference_in_npmrc() {
    let (yarn, bun) = (npm_package("yarn/bin/yarn.js"), npm_package(".bin/bun"));
    for (name, program) in [("yarn 1", &["node", &yarn][..]), ("bun", &[&bun])] {
        let setup = ClientTest::with_token();
        setup.serve_npm();
        let url = setup.registry.url("/team/");
        let key = url.strip_prefix("http:").unwrap();
        let reference = "${REGISTRY_AGENT_ACME_PASSWORD}";
        // Without the last line, yarn sends a token only for packages with a scope.
        let text = format!("registry={url}\n{key}:_authToken={reference}\nalways-auth=true\n");
        setup.write(".npmrc", &text);
        setup.installs(&[program, &["install"]].concat(), "node_modules/private/package.json");
        let what = format!("`{} install` with a private package", name.replace(" 1", ""));
        setup.record(name, &[program, &["--version"]].concat(), &what);
    }
}

#[test]
fn bundler_installs() {
    let setup = ClientTest::with_password();
    setup.write(
        "project/private.gemspec",
        "Gem::Specification.new do |gem|\n\
         gem.name = 'private'\ngem.version = '1.0.0'\ngem.summary = 'a'\ngem.authors = ['b']\n\
         gem.files = []\nend\n",
    );
    let gem = setup.shell("gem build --silent private.gemspec; cat private-1.0.0.gem");
    // The format of `rubygems/compact_index`.
    let info = format!("---\n1.0.0 |checksum:{}\n", hex::encode(Sha256::digest(&gem)));
    setup.write("project/info", &info);
    let digest = String::from_utf8(setup.shell("md5sum < info | cut -d' ' -f1")).unwrap();
    let versions = format!("created_at: 2026-01-01T00:00:00Z\n---\nprivate 1.0.0 {digest}");
    setup.serve("/team/versions", versions);
    setup.serve("/team/info/private", info);
    setup.serve("/team/gems/private-1.0.0.gem", gem);
    let source = setup.registry.url("/team/");
    setup.write("project/Gemfile", &format!("source '{source}'\ngem 'private'\n"));
    setup.shell("bundle config set --local path gems; bundle config set --local retry 0");
    setup.installs(&["bundle", "install"], "gems/ruby");
    setup.record("Bundler", &["bundle", "--version"], "`bundle install` with a private gem");
}

#[test]
fn composer_installs_with_a_token_and_with_a_password() {
    for setup in [ClientTest::with_token(), ClientTest::with_password()] {
        setup.write("project/private.php", "<?php\n");
        setup.serve("/team/private.tar", setup.shell("tar -c private.php"));
        let dist = json!({"type": "tar", "url": setup.registry.url("/team/private.tar")});
        let package = json!({"name": "acme/private", "version": "1.0.0", "dist": dist});
        let packages = json!({"packages": {"acme/private": {"1.0.0": package}}});
        setup.serve("/team/packages.json", packages.to_string());
        let repository = json!({"type": "composer", "url": setup.registry.url("/team/")});
        let project = json!({
            "require": {"acme/private": "1.0.0"},
            "repositories": [repository, {"packagist.org": false}],
            "config": {"secure-http": false},
        });
        setup.write("project/composer.json", &project.to_string());
        let composer = ["env", "COMPOSER_ALLOW_SUPERUSER=1", "composer", "install"];
        setup.installs(&[&composer[..], &["--no-interaction"]].concat(), "vendor/acme/private");
        let version = ["composer", "--no-ansi", "--version"];
        setup.record("Composer", &version, "`composer install` with a private package");
    }
}
