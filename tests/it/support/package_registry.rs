//! A package registry that accepts only given `Authorization` headers and records every request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};

use super::background_server::BackgroundServer;

/// A running registry on plain HTTP, stopped on drop.
pub(crate) struct PackageRegistry {
    port: u16,
    state: Arc<Mutex<PackageRegistryState>>,
    _server: BackgroundServer,
}

/// What a test can set and inspect.
#[derive(Default)]
pub(crate) struct PackageRegistryState {
    /// The headers that are accepted.
    pub(crate) accepted: Vec<String>,
    /// The challenges of a 401.
    pub(crate) challenges: Vec<String>,
    /// The paths that ask for a login, by their beginning.
    pub(crate) protected: Vec<String>,
    /// The status and, for a redirect, the location of a path, after its login.
    pub(crate) replies: BTreeMap<String, (u16, String)>,
    /// The content of a path; `{}` for others.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The path and the header of each request.
    pub(crate) requests: Vec<(String, Option<String>)>,
}

impl PackageRegistry {
    /// Starts a registry that asks for Basic or Bearer everywhere and has everything.
    pub(crate) fn start(accepted: &[&str]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(PackageRegistryState {
            accepted: accepted.iter().map(|it| (*it).to_owned()).collect(),
            challenges: vec!["Basic realm=\"packages\"".to_owned(), "Bearer".to_owned()],
            protected: vec!["/".to_owned()],
            ..PackageRegistryState::default()
        }));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&state));
        Self { port, state, _server: BackgroundServer::start(listener, router) }
    }

    /// The URL of this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, PackageRegistryState> {
        self.state.lock().unwrap()
    }

    /// The paths that got a header, and the headers.
    pub(crate) fn received(&self) -> Vec<(String, String)> {
        let requests = self.state().requests.clone();
        requests.into_iter().filter_map(|(path, header)| Some((path, header?))).collect()
    }
}

async fn serve(
    State(state): State<Arc<Mutex<PackageRegistryState>>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let mut state = state.lock().unwrap();
    let path = uri.path().to_owned();
    let authorization = headers.get("authorization").map(|it| it.to_str().unwrap().to_owned());
    state.requests.push((path.clone(), authorization.clone()));
    let is_protected = state.protected.iter().any(|start| path.starts_with(start));
    if is_protected && !authorization.is_some_and(|it| state.accepted.contains(&it)) {
        let mut response = Response::builder().status(401);
        for challenge in &state.challenges {
            response = response.header("www-authenticate", challenge);
        }
        return response.body(Body::empty()).unwrap();
    }
    let (status, location) = state.replies.get(&path).cloned().unwrap_or((200, String::new()));
    let response = Response::builder().status(status).header("location", location);
    let content = state.files.get(&path).cloned().unwrap_or_else(|| b"{}".to_vec());
    response.body(content.into()).unwrap()
}
