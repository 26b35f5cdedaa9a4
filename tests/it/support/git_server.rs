//! `git http-backend` behind a server that checks the login.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};

use super::background_server::BackgroundServer;
use super::test_home::succeed;

/// A running server of bare repositories on plain HTTP, stopped on drop.
pub(crate) struct GitServer {
    pub(crate) url: String,
    repositories: PathBuf,
    state: Arc<Mutex<GitServerState>>,
    _server: BackgroundServer,
}

/// What a test can set and inspect.
pub(crate) struct GitServerState {
    /// The headers of which every request needs one that is not below `/public/`.
    pub(crate) accepted: Vec<String>,
    /// The challenge of a 401.
    pub(crate) challenge: &'static str,
    /// The server that has the repositories instead.
    pub(crate) moved: Option<String>,
    /// The other headers that requests had.
    pub(crate) refused: Vec<String>,
    repositories: PathBuf,
}

impl GitServer {
    /// Serves the repositories in a directory.
    pub(crate) fn start(repositories: &Path, accepted: &[&str], challenge: &'static str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let repositories = repositories.to_owned();
        let state = Arc::new(Mutex::new(GitServerState {
            accepted: accepted.iter().map(|header| (*header).to_owned()).collect(),
            challenge,
            moved: None,
            refused: Vec::new(),
            repositories: repositories.clone(),
        }));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&state));
        Self { url, repositories, state, _server: BackgroundServer::start(listener, router) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, GitServerState> {
        self.state.lock().unwrap()
    }

    /// An empty repository at this path.
    pub(crate) fn create(&self, path: &str) {
        let repository = self.repositories.join(path);
        let mut init = Command::new("git");
        succeed(
            init.args(["init", "--quiet", "--bare", "--initial-branch", "main"]).arg(&repository),
        );
        let mut allow = Command::new("git");
        allow.arg("-C").arg(&repository).args(["config", "http.receivepack", "true"]);
        succeed(&mut allow);
    }
}

async fn serve(
    State(state): State<Arc<Mutex<GitServerState>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut state = state.lock().unwrap();
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let authorization = header("authorization");
    let is_public = uri.path().starts_with("/public/");
    let is_accepted = authorization.as_ref().is_some_and(|it| state.accepted.contains(it));
    if !is_public && !is_accepted {
        let response = Response::builder().status(401);
        let response = response.header("www-authenticate", state.challenge);
        state.refused.extend(authorization);
        return response.body(Body::empty()).unwrap();
    }
    if let Some(other) = &state.moved {
        let response = Response::builder().status(302).header("location", format!("{other}{uri}"));
        return response.body(Body::empty()).unwrap();
    }
    let mut backend = Command::new("git");
    backend.arg("http-backend").env("GIT_HTTP_EXPORT_ALL", "1");
    backend.env("GIT_PROJECT_ROOT", &state.repositories).env("PATH_INFO", uri.path());
    backend.env("QUERY_STRING", uri.query().unwrap_or_default());
    backend.env("REQUEST_METHOD", method.as_str());
    for (variable, name) in [
        ("CONTENT_TYPE", "content-type"),
        ("HTTP_CONTENT_ENCODING", "content-encoding"),
        ("HTTP_GIT_PROTOCOL", "git-protocol"),
    ] {
        backend.env(variable, header(name).unwrap_or_default());
    }
    backend.env("CONTENT_LENGTH", body.len().to_string());
    let mut child = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::thread::spawn(move || input.write_all(&body));
    response(&child.wait_with_output().unwrap().stdout)
}

/// The response that a CGI program prints.
fn response(printed: &[u8]) -> Response<Body> {
    let end = printed.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&printed[..end]).unwrap();
    let mut response = Response::builder();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(printed[end + 4..].to_vec().into()).unwrap()
}
