//! Package clients in a dev container with the Feature: they install private packages at the first
//! terminal, with nothing but the variables of the logins.

use std::path::Path;

use serde_json::json;

use crate::support::crate_registry::{CrateRegistry, crate_files};
use crate::support::engine::{DEBIAN, target};
use crate::support::pypi_server::PypiServer;
use crate::support::test_workspace::TestWorkspace;
use crate::support::verdaccio::{Verdaccio, node};

const PASSWORD: &str = "canary-of-packages";
/// `dev:canary-of-packages`
const BASIC: &str = "Basic ZGV2OmNhbmFyeS1vZi1wYWNrYWdlcw==";

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn cargo_pip_and_pnpm_install_private_packages_at_the_first_terminal() {
    let crates = CrateRegistry::start(Some(BASIC), "Basic realm=\"crates\"");
    crates.state().files.extend(crate_files(&crates.url, "/", "greeter", None));
    let index = PypiServer::start(Some(("dev", PASSWORD)));
    index.add("acme_private", "1.0");
    let npm = Verdaccio::start(("dev", PASSWORD));
    npm.publish("@private/one");

    let toolchain = Path::new(env!("CARGO")).parent().unwrap().parent().unwrap();
    let pip = target().join("venv/lib");
    let mut test_workspace = TestWorkspace::new(json!({
        "image": DEBIAN,
        "remoteUser": "dev",
        "runArgs": [
            format!("--volume={}:/opt/rust:ro", toolchain.display()),
            format!("--volume={}:/opt/venv:ro", pip.display()),
            format!("--volume={}:/opt/node:ro", node().display()),
            format!("--volume={}:/opt/npm:ro", target().join("npm/node_modules").display()),
        ],
        "containerEnv": {
            "CRATES_PACKAGE_REGISTRY_SERVER": crates.url,
            "CRATES_PACKAGE_REGISTRY_USER": "dev",
            "PYPI_PACKAGE_REGISTRY_SERVER": index.url("/"),
            "PYPI_PACKAGE_REGISTRY_USER": "dev",
            "NPM_PACKAGE_REGISTRY_SERVER": npm.url(),
            "NPM_PACKAGE_REGISTRY_USER": "dev",
        },
    }));
    let password = |name: &str| format!("{name}_PACKAGE_REGISTRY_PASSWORD");
    let secrets = ["CRATES", "PYPI", "NPM"].map(|name| (password(name), json!(PASSWORD)));
    test_workspace.up(&serde_json::Map::from_iter(secrets).into());

    let plugins = test_workspace.stdout("dev", "printenv YARN_PLUGINS");
    assert_eq!(plugins.trim(), "/usr/local/lib/registry-agent/yarn-plugin.cjs");
    test_workspace.stdout("dev", &format!("test -f {plugins}"));

    // What a project has.
    let project = format!(
        "mkdir -p ~/app/.cargo ~/app/src && cd ~/app && touch src/lib.rs && cat > .cargo/config.toml <<'TOML'\n\
         [registries.acme]\nindex = \"sparse+{}/\"\nTOML\n\
         cat > Cargo.toml <<'TOML'\n\
         [package]\nname = \"app\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\
         [dependencies]\ngreeter = {{ version = \"1\", registry = \"acme\" }}\nTOML\n",
        crates.url
    );
    test_workspace.stdout("dev", &project);
    let pip = format!(
        "PYTHONPATH=$(echo /opt/venv/python3*/site-packages) python3 -m pip install --no-cache-dir --no-deps \
         --target ~/packages --index-url {} acme_private",
        index.url("/simple/")
    );
    test_workspace.stdout("dev", &pip);
    test_workspace.stdout("dev", "test -f ~/packages/acme_private.py");
    let pnpm = format!(
        "mkdir -p ~/web && cd ~/web && echo {{}} > package.json && \
         /opt/node /opt/npm/pnpm/bin/pnpm.cjs add --registry={} @private/one && \
         test -f node_modules/@private/one/package.json",
        npm.url()
    );
    test_workspace.stdout("dev", &pnpm);
    let fetch = "cd ~/app && PATH=/opt/rust/bin:$PATH cargo fetch";
    test_workspace.stdout("dev", fetch);

    // A login shell sets PATH anew.
    test_workspace.stdout("dev", "rm -rf ~/packages ~/.cargo ~/web");
    for script in [&pip, &pnpm, fetch] {
        test_workspace.stdout("dev", &format!("bash -lc '{script}'"));
    }
    let refused = &crates.state().refused;
    assert!(refused.is_empty(), "{refused:?}");
    assert!(!test_workspace.any_file_has(PASSWORD), "the password is in a file");
}
