//! A registry of crates with a sparse index, as cargo reads it and publishes to it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::background_server::BackgroundServer;
use super::test_home::succeed;

/// The files of a registry, by their paths.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A running registry on plain HTTP, stopped on drop.
pub(crate) struct CrateRegistry {
    pub(crate) url: String,
    state: Arc<Mutex<CrateRegistryState>>,
    _server: BackgroundServer,
}

/// What a test can set and inspect.
pub(crate) struct CrateRegistryState {
    /// The header that every request needs; `None` if the registry is public.
    pub(crate) accepted: Option<String>,
    /// The challenge of a 401.
    pub(crate) challenge: &'static str,
    pub(crate) files: Files,
    /// Where downloads are, if that is another server.
    pub(crate) downloads: Option<String>,
    /// The other headers that requests had.
    pub(crate) refused: Vec<String>,
}

impl CrateRegistry {
    pub(crate) fn start(accepted: Option<&str>, challenge: &'static str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(CrateRegistryState {
            accepted: accepted.map(str::to_owned),
            challenge,
            files: [config(&url, "/", accepted.is_some())].into(),
            downloads: None,
            refused: Vec::new(),
        }));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&state));
        Self { url, state, _server: BackgroundServer::start(listener, router) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, CrateRegistryState> {
        self.state.lock().unwrap()
    }
}

/// The file that tells cargo where a registry below `path` has its crates.
pub(crate) fn config(url: &str, path: &str, is_private: bool) -> (String, Vec<u8>) {
    let config = json!({
        "dl": format!("{url}{path}dl"), "api": url, "auth-required": is_private,
    });
    (format!("{path}config.json"), config.to_string().into_bytes())
}

/// A crate and its line in the index of the registry below `path`. It needs the crate `needed` of the same
/// registry.
pub(crate) fn crate_files(url: &str, path: &str, name: &str, needed: Option<&str>) -> Files {
    let directory = tempfile::tempdir().unwrap();
    let package = directory.path().join(format!("{name}-1.0.0"));
    fs::create_dir_all(package.join("src")).unwrap();
    let dependency = needed.map_or_else(String::new, |needed| {
        let index = format!("registry-index = \"sparse+{url}{path}\"");
        format!("[dependencies.{needed}]\nversion = \"1\"\n{index}\n")
    });
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n{dependency}"
    );
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::write(package.join("src/lib.rs"), "").unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-czC").arg(directory.path()).arg(package.file_name().unwrap());
    let file = succeed(&mut tar).stdout;
    let needed: Vec<Value> = needed
        .into_iter()
        .map(|needed| {
            json!({
                "name": needed, "req": "^1", "features": [], "optional": false,
                "default_features": true, "target": null, "kind": "normal",
            })
        })
        .collect();
    files_of(path, name, "1.0.0", &needed, file)
}

fn files_of(path: &str, name: &str, version: &str, needed: &[Value], file: Vec<u8>) -> Files {
    let line = json!({
        "name": name, "vers": version, "deps": needed, "features": {}, "yanked": false,
        "cksum": hex::encode(Sha256::digest(&file)),
    });
    let (first, second) = (&name[..2], &name[2..4]);
    [
        (format!("{path}{first}/{second}/{name}"), line.to_string().into_bytes()),
        (format!("{path}dl/{name}/{version}/download"), file),
    ]
    .into()
}

async fn serve(
    State(state): State<Arc<Mutex<CrateRegistryState>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut state = state.lock().unwrap();
    let header = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    if let Some(accepted) = &state.accepted
        && header.as_ref() != Some(accepted)
    {
        let response = Response::builder().status(401);
        let response = response.header("www-authenticate", state.challenge);
        state.refused.extend(header);
        return response.body(Body::empty()).unwrap();
    }
    let path = uri.path();
    if path == "/api/v1/crates/new" {
        state.files.extend(published(&body));
        return Response::new(Body::from("{}"));
    }
    if let (Some(other), true) = (&state.downloads, path.starts_with("/dl/")) {
        let response = Response::builder().status(302).header("location", format!("{other}{path}"));
        return response.body(Body::empty()).unwrap();
    }
    match state.files.get(path) {
        Some(file) => Response::new(file.clone().into()),
        None => Response::builder().status(404).body(Body::empty()).unwrap(),
    }
}

/// What cargo sends: two parts, each with its length in front, the metadata and the crate.
fn published(body: &[u8]) -> Files {
    let part = |body: &[u8]| {
        let length = usize::try_from(u32::from_le_bytes(body[..4].try_into().unwrap())).unwrap();
        (body[4..4 + length].to_vec(), body[4 + length..].to_vec())
    };
    let (metadata, rest) = part(body);
    let (file, _) = part(&rest);
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    let text = |name: &str| metadata[name].as_str().unwrap();
    files_of("/", text("name"), text("vers"), &[], file)
}
