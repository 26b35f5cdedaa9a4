//! Go, with the real program and modules of a proxy that checks the login.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::{ask, feature_variable, recorded_helper, table, write};
use crate::support::authority::{Authority, Identity};
use crate::support::engine::target;
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, reply};
use crate::support::test_home::{TestHome, output_text, succeed};

const PROGRAM: &str = "goauth-registry-agent";
/// `builder:secret` and `builder:renewed`
const BASIC: &str = "Basic YnVpbGRlcjpzZWNyZXQ=";
const RENEWED: &str = "Basic YnVpbGRlcjpyZW5ld2Vk";

/// A module proxy with the modules `acme.invalid/a` and `acme.invalid/b` below `/private/` and `/public/`.
struct Proxy {
    server: ScriptedRegistry,
    accepted: Arc<Mutex<String>>,
}

impl Proxy {
    /// It calls `on_b` before it sends anything of the module `b`.
    async fn start(identity: &Identity, on_b: impl Fn() + Send + Sync + 'static) -> Self {
        let modules = ["a", "b"].map(|name| (name, module_archive(name)));
        let accepted = Arc::new(Mutex::new(BASIC.to_owned()));
        let known = Arc::clone(&accepted);
        let script = move |request: &ReceivedRequest| {
            let (_, path) = request.line.split_once("://").unwrap();
            let (_, path) = path.split_once('/').unwrap();
            let (place, path) = path.split_once('/').unwrap_or((path, ""));
            let (name, file) = path
                .strip_prefix("acme.invalid/")
                .and_then(|module| module.split_once("/@v/"))
                .unwrap_or_default();
            if place == "private" && name == "b" {
                on_b();
            }
            let header = request.header("authorization");
            if place == "private" && header != Some(known.lock().unwrap().as_str()) {
                return reply(401, &["WWW-Authenticate: Basic realm=\"go\""], "");
            }
            match (modules.iter().find(|(known, _)| *known == name), file) {
                (Some(_), "list") => reply(200, &[], "v1.0.0\n"),
                (Some(_), "v1.0.0.info") => reply(200, &[], "{\"Version\":\"v1.0.0\"}"),
                (Some(_), "v1.0.0.mod") => reply(200, &[], &go_mod(name)),
                (Some((_, archive)), "v1.0.0.zip") => {
                    let length = archive.len();
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                    [head.as_bytes(), archive].concat()
                }
                (None, _) if place == "private" => reply(200, &[], ""),
                _ => reply(404, &[], ""),
            }
        };
        let server =
            ScriptedRegistry::start("127.0.0.1:0", Some(identity.acceptor()), script).await;
        Self { server, accepted }
    }

    fn url(&self, place: &str) -> String {
        format!("https://localhost:{}/{place}", self.server.address.port())
    }

    /// Which requests of the client had a login that was wrong.
    fn refused(&self) -> Vec<String> {
        let heard = self.server.heard();
        let refused = heard.into_iter().filter(|request| {
            request.header("authorization").is_some_and(|it| it != BASIC && it != RENEWED)
        });
        refused.map(|request| request.line).collect()
    }
}

fn go_mod(name: &str) -> String {
    format!("module acme.invalid/{name}\n\ngo 1.24\n")
}

fn module_archive(name: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join(format!("acme.invalid/{name}@v1.0.0"));
    write(&module.join("go.mod"), &go_mod(name));
    write(&module.join("code.go"), &format!("package {name}\n\nconst Name = \"{name}\"\n"));
    // Go takes no archive with directories.
    let pack = "import glob, zipfile\n\
                with zipfile.ZipFile('module.zip', 'w') as archive:\n    \
                [archive.write(file) for file in glob.glob('acme.invalid/*/*')]";
    succeed(Command::new("python3").args(["-c", pack]).current_dir(&directory));
    fs::read(directory.path().join("module.zip")).unwrap()
}

/// A home with a module that needs others, and the certificate authority of the proxy.
fn home_with(authority: &Authority, needed: &[&str]) -> TestHome {
    let test_home = TestHome::new();
    recorded_helper(&test_home, PROGRAM);
    write(&test_home.path("ca.pem"), &authority.pem());
    let requires = needed.iter().map(|name| format!("require acme.invalid/{name} v1.0.0\n"));
    let manifest = format!("module app.invalid\n\ngo 1.24\n\n{}", requires.collect::<String>());
    write(&test_home.path("app/go.mod"), &manifest);
    let imports = needed.iter().map(|name| format!("import \"acme.invalid/{name}\"\n"));
    let uses = needed.iter().map(|name| format!("const Of{name} = {name}.Name\n"));
    let code = format!("package app\n{}{}", imports.collect::<String>(), uses.collect::<String>());
    write(&test_home.path("app/code.go"), &code);
    test_home
}

fn go(test_home: &TestHome, proxy: &str, arguments: &[&str]) -> Command {
    let mut command = test_home.command(target().join("venv/bin/go"));
    command.args(arguments).current_dir(test_home.path("app"));
    command.env("GOPROXY", proxy).env("GOSUMDB", "off").env("GOFLAGS", "-mod=mod -modcacherw");
    command.env("GOTOOLCHAIN", "local").env("SSL_CERT_FILE", test_home.path("ca.pem"));
    command.env("GOAUTH", feature_variable(test_home, "GOAUTH"));
    command
}

fn declare(test_home: &mut TestHome, url: &str, password: &str) {
    let file = test_home.path("ca.pem").display().to_string();
    let login = [("SERVER", url), ("USER", "builder"), ("CA_FILE", &file), ("PASSWORD", password)];
    test_home.declare_packages("ACME", &login);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_modules_are_installed_without_a_password() {
    let authority = Authority::new("go");
    let proxy = Proxy::start(&authority.sign(&["localhost"]), || {}).await;
    let mut test_home = home_with(&authority, &["a", "b"]);
    declare(&mut test_home, &proxy.url("private"), "secret");
    test_home.start();
    assert_eq!(test_home.login("ACME")["state"], "ready");
    succeed(&mut go(&test_home, &proxy.url("private"), &["build", "./..."]));
    assert_eq!(proxy.refused(), Vec::<String>::new());
    let version = output_text(&succeed(&mut go(&test_home, "off", &["version"])));
    let version = version.trim().trim_start_matches("go version ");
    table::record("Go", version, "`go build` with private modules", &test_home.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_goes_on_over_a_password_that_changes() {
    let authority = Authority::new("go");
    let test_home = Arc::new(Mutex::new(home_with(&authority, &["a", "b"])));
    let (home, renewed) = (Arc::clone(&test_home), Mutex::new(false));
    // The proxy changes it once Go has used the old one.
    let replace = Arc::new(Mutex::new(None::<Box<dyn Fn() + Send>>));
    let on_b = Arc::clone(&replace);
    let proxy = Proxy::start(&authority.sign(&["localhost"]), move || {
        let mut renewed = renewed.lock().unwrap();
        if let (false, Some(replace)) = (*renewed, on_b.lock().unwrap().as_ref()) {
            replace();
            *renewed = true;
        }
    })
    .await;
    let url = proxy.url("private");
    declare(&mut home.lock().unwrap(), &url, "secret");
    test_home.lock().unwrap().start_agent();
    let accepted = Arc::clone(&proxy.accepted);
    let changed_url = url.clone();
    *replace.lock().unwrap() = Some(Box::new(move || {
        RENEWED.clone_into(&mut accepted.lock().unwrap());
        let mut home = home.lock().unwrap();
        declare(&mut home, &changed_url, "renewed");
        home.sync();
        home.exit_of(&["wait"]);
    }));
    let mut download = {
        let home = test_home.lock().unwrap();
        go(&home, &url, &["mod", "download", "acme.invalid/a@v1.0.0", "acme.invalid/b@v1.0.0"])
    };
    succeed(&mut download);
    *replace.lock().unwrap() = None;
    let used: Vec<String> = proxy
        .server
        .heard()
        .iter()
        .filter_map(|it| it.header("authorization").map(str::to_owned))
        .collect();
    assert!(used.iter().any(|header| header == BASIC), "{used:?}");
    assert!(used.iter().any(|header| header == RENEWED), "{used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn public_modules_are_installed_while_a_login_is_withheld_and_no_agent_runs() {
    let authority = Authority::new("go");
    let proxy = Proxy::start(&authority.sign(&["localhost"]), || {}).await;
    let mut test_home = home_with(&authority, &["a", "b"]);
    let public = proxy.url("public");
    let build = |test_home: &TestHome| {
        let _ = fs::remove_dir_all(test_home.path("go/pkg/mod"));
        succeed(&mut go(test_home, &public, &["build", "./..."]));
    };
    build(&test_home);
    declare(&mut test_home, &proxy.url("private"), "wrong");
    test_home.sync();
    assert_eq!(test_home.login("ACME")["state"], "rejected");
    build(&test_home);
    let _ = fs::remove_dir_all(test_home.path("go/pkg/mod"));
    let output = go(&test_home, &proxy.url("private"), &["build", "-x", "./..."]).output().unwrap();
    let text = output_text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("registry-agent: the login is rejected"), "{text}");
    test_home.exit_of(&["stop"]);
    build(&test_home);
}

#[test]
fn only_the_urls_that_go_can_tell_apart_get_a_login() {
    let mut test_home = TestHome::new();
    for (name, server) in
        [("TLS", "https://go.invalid/mods/"), ("PLAIN", "http://127.0.0.1:9/mods/")]
    {
        let login = [("SERVER", server), ("PASSWORD", "token"), ("SCHEME", "bearer")];
        test_home.declare_packages(name, &login);
    }
    test_home.start();
    test_home.exit_of(&["wait"]);
    let head = "HTTP/1.1 401 Unauthorized\nX-Canary: canary\n\n";
    let answer = |arguments: &[&str]| {
        let output = ask(&test_home, PROGRAM, arguments, head);
        assert!(output.status.success(), "{}", output_text(&output));
        output_text(&output)
    };
    let found = "https://go.invalid/mods\n\nAuthorization: Bearer token\n\n";
    assert_eq!(answer(&["https://go.invalid/mods/acme.invalid/a/@v/list"]), found);
    assert_eq!(answer(&[]), "");
    assert_eq!(answer(&["https://go.invalid/"]), "");
    assert_eq!(answer(&["http://127.0.0.1:9/mods/x"]), "");
    assert_eq!(answer(&[&Path::new("/mods").display().to_string()]), "");
}
