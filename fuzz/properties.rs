//! What holds for any input: one function for each fuzz target. `make fuzz` searches for an input for
//! which one fails; the tests replay the inputs in `fuzz/corpus`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use registry_agent::adapters::clock::Clock;
use registry_agent::agent::api::peer::AccessPolicy;
use registry_agent::agent::api::{ApiState, server as api_server};
use registry_agent::agent::counters::Counters;
use registry_agent::agent::events::Events;
use registry_agent::agent::view::View;
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::credentials::{ecr_token, stated_expiry};
use registry_agent::domain::declarations::discovery::{PasswordFiles, discover};
use registry_agent::domain::declarations::file_format::{self, Format, Parsed};
use registry_agent::domain::declarations::source::{Source, SourceKind};
use registry_agent::domain::docker_config::{self, PublishedEntries, Wanted};
use registry_agent::domain::registry_protocol::challenge::Challenge;
use registry_agent::domain::registry_protocol::realm::{RealmRule, rule_for};
use registry_agent::domain::registry_protocol::response::{
    RawResponse, RegistryResponse, RequestStep,
};
use registry_agent::domain::registry_protocol::token_reply;
use registry_agent::domain::servers::package_server::{PackageServer, PackageUrl};
use registry_agent::domain::servers::server::{Scheme, Server};
use registry_agent::helper;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A secret that must not appear in anything that is displayed.
const CANARY: &str = "canary-7f3a9c51e2";

/// A fuzz target.
pub(super) type Property = fn(&[u8]);

/// Each target by the name of its program and of the directory of its inputs.
pub(super) const PROPERTIES: [(&str, Property); 9] = [
    ("api_request", api_request),
    ("challenge", challenge),
    ("docker_config", docker_config),
    ("ecr_token", ecr_token),
    ("helper_input", helper_input),
    ("package_url", package_url),
    ("server", server),
    ("token_reply", token_reply),
    ("variable_file", variable_file),
];

/// Two lines: the declared server, and one that a client asks for. A canonical name parses to itself,
/// and a login that may only be sent over TLS does not answer for `http://`.
pub(super) fn server(input: &[u8]) {
    let Some((declared, asked)) = two_lines(input) else { return };
    let Ok((server, _)) = Server::parse(declared) else { return };
    let name = server.name();
    let again = match server.scheme() {
        Scheme::Http => format!("http://{name}"),
        Scheme::Https | Scheme::Unstated => name.to_owned(),
    };
    let (again, dropped) = Server::parse(&again).expect("a canonical name is valid");
    assert_eq!(again.name(), name);
    assert_eq!(again.kind(), server.kind());
    assert_eq!(dropped, None);
    assert!(server.keys().iter().all(|key| server.answers_to(key)));
    if server.answers_to(asked) && asked.trim().to_ascii_lowercase().starts_with("http://") {
        let plain = server.scheme() == Scheme::Http;
        assert!(plain || (server.scheme() == Scheme::Unstated && server.is_loopback()));
    }
}

/// Two lines: the declared URL, and one that a client asks for. A login answers for its own scheme, host
/// and port alone, and for no URL with a user name or a parent directory in it.
pub(super) fn package_url(input: &[u8]) {
    let Some((declared, asked)) = two_lines(input) else { return };
    let Ok(server) = PackageServer::parse(declared) else { return };
    let again = PackageServer::parse(server.name()).expect("a canonical URL is valid");
    assert_eq!(again.name(), server.name());
    assert!(server.covers(again.url()));
    let Ok(url) = PackageUrl::parse(asked) else { return };
    if !server.covers(&url) {
        return;
    }
    // The WHATWG parser is what most clients send the request with.
    let Ok(sent) = url::Url::parse(asked) else { return };
    let own = url::Url::parse(server.name()).expect("a canonical URL is valid");
    assert_eq!(origin(&sent), origin(&own), "{asked}");
    assert!(sent.username().is_empty() && sent.password().is_none(), "{asked}");
    let (sent, own) = (segments(&sent), segments(&own));
    assert!(sent.starts_with(&own), "{asked} leaves {}", server.name());
}

/// One `WWW-Authenticate` header a line. Only a realm on the registry's own origin gets the password.
pub(super) fn challenge(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(challenges) = Challenge::parse_all(text.lines()) else { return };
    let (server, _) = Server::parse("registry.test").expect("a name");
    for challenge in challenges {
        assert!(!challenge.scheme.is_empty());
        let Some(realm) = challenge.parameter("realm") else { continue };
        if let RealmRule::Send(url) = rule_for(&server, realm, &[]) {
            assert_eq!(url.origin().ascii_serialization(), "https://registry.test");
            assert!(url.username().is_empty() && url.password().is_none());
        }
    }
}

/// `Content-Type`, `Retry-After` and `Date`, one a line, and then the body. What is displayed is one
/// printable line without the secret that the registry may repeat.
pub(super) fn token_reply(input: &[u8]) {
    let mut parts = input.splitn(4, |&byte| byte == b'\n');
    let mut header = || parts.next().and_then(|line| str::from_utf8(line).ok());
    let (content_type, retry_after, date) = (header(), header(), header());
    let body = parts.next().unwrap_or_default();
    let token = token_reply::token_in(body);
    assert!(token.is_none_or(|token| !token.reveal().is_empty()));
    let secret = Secret::new(CANARY);
    for status in [200, 401, 403, 429, 503] {
        let raw = RawResponse { status, api_version: false, content_type, retry_after, date, body };
        let response = RegistryResponse::read(RequestStep::Token, &raw, &[&secret]);
        let shown = response.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(!shown.contains(CANARY), "{shown:?}");
        assert!(response.retry_after.is_none_or(|wait| wait <= Duration::from_hours(24)));
    }
}

/// A digit that selects the format, and the file. A line declares a variable only if its name is one, and
/// no problem repeats a password.
pub(super) fn variable_file(input: &[u8]) {
    const FORMATS: [Format; 6] = [
        Format::JsonObject,
        Format::JsonArray,
        Format::Base64Lines,
        Format::EnvLines,
        Format::EnvFile,
        Format::PamLines,
    ];
    let Some((first, file)) = input.split_first() else { return };
    let Some(&format) = FORMATS.get(usize::from(first.wrapping_sub(b'0'))) else { return };
    let Ok(Parsed { variables, refused }) = file_format::parse(format, file) else { return };
    for name in variables.keys().chain(&refused) {
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_json = matches!(format, Format::JsonObject | Format::JsonArray);
        assert!(is_json || (!name.is_empty() && name.chars().all(valid)), "{name:?}");
    }
    // A password that another name or value contains cannot be told apart from it.
    let texts = variables.iter().flat_map(|(name, value)| [name.as_str(), value.reveal()]);
    let texts: Vec<String> = texts.map(str::to_owned).collect();
    let is_unique = |it: &str| texts.iter().filter(|text| text.contains(it)).count() == 1;
    let passwords: Vec<String> = variables
        .iter()
        .filter(|(name, value)| name.ends_with("_PASSWORD") && value.reveal().len() >= 12)
        .map(|(_, value)| value.reveal().to_owned())
        .filter(|password| is_unique(password))
        .collect();
    let sources = [Source { kind: SourceKind::Pushed, name: "sync".to_owned(), variables }];
    for problem in discover(&sources, &PasswordFiles::new()).problems {
        let shown = format!("{} {} {}", problem.name, problem.reason, problem.reason.fix());
        assert!(!passwords.iter().any(|password| shown.contains(password)), "{shown:?}");
    }
}

/// A docker configuration. What is published is found again, and unpublishing restores the file.
pub(super) fn docker_config(input: &[u8]) {
    const KEYS: [&str; 2] = ["ghcr.io", "https://index.docker.io/v1/"];
    let Ok(text) = str::from_utf8(input) else { return };
    let helpers =
        Wanted { helpers: KEYS.iter().map(ToString::to_string).collect(), ..Wanted::default() };
    let login = |key: &&str| ((*key).to_owned(), Credential::plain("u", CANARY.into()));
    let auths = Wanted { auths: KEYS.iter().map(login).collect(), ..Wanted::default() };
    let _ = docker_config::check("config.json", text).map_err(|fault| fault.to_string());
    let _ = docker_config::environment_logins(text);
    for wanted in [&helpers, &auths] {
        let none = PublishedEntries::default();
        let edit =
            |text: &str, wanted, ours| docker_config::edit("config.json", text, wanted, ours);
        let Ok(published) = edit(text, wanted, &none) else { continue };
        let new = published.text.unwrap_or_else(|| text.to_owned());
        // serde_json refuses escapes of half a character, which docker reads.
        assert!(is_json(&new) || !is_json(text), "{text:?} became {new:?}");
        if !wanted.helpers.is_empty() {
            let found: BTreeSet<String> = docker_config::keys_with_our_helper(&new);
            assert!(published.ours.helpers.is_subset(&found), "{new}");
        }
        let again = edit(&new, wanted, &published.ours).expect("an edited file can be edited");
        assert_eq!(again.text, None, "a second edit changes nothing");
        let restored = edit(&new, &Wanted::default(), &again.ours).expect("it can be undone");
        let restored = restored.text.unwrap_or(new);
        // An entry of our helper that was there before counts as ours.
        let is_empty = text.trim_start_matches('\u{feff}').trim().is_empty();
        if !is_empty && docker_config::keys_with_our_helper(text).is_empty() {
            assert!(restored == text || restored.trim().is_empty(), "{text:?} became {restored:?}");
        }
    }
}

/// An authorization token of ECR, or a password that states its end.
pub(super) fn ecr_token(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Some((user, password)) = ecr_token::user_and_password(text) {
        assert!(!user.is_empty() && !password.reveal().is_empty());
        let _ = stated_expiry::end_of(&password);
    }
    let _ = stated_expiry::end_of(&Secret::new(text));
}

/// The bytes of a connection to the agent's socket. Whatever they are, the agent serves the next client.
pub(super) fn api_request(input: &[u8]) {
    static SOCKET: OnceLock<PathBuf> = OnceLock::new();
    let socket = SOCKET.get_or_init(serve_api);
    let head = exchange(socket, input, Duration::from_millis(200));
    assert!(head.is_empty() || head.starts_with(b"HTTP/1."), "{}", head.escape_ascii());
    let health = exchange(socket, b"GET /healthz HTTP/1.0\r\n\r\n", Duration::from_secs(30));
    assert!(health.starts_with(b"HTTP/1.0 200"), "{}", health.escape_ascii());
}

/// The client's digit, its arguments on the rest of the line, and standard input. No agent runs and none
/// is wanted, so every client is told that there is no login, in printable text.
pub(super) fn helper_input(input: &[u8]) {
    // The program `keyring` is left out: it becomes the next one on PATH.
    const PROGRAMS: [&str; 10] = [
        "docker-credential-registry-agent",
        "registry-agent-credential-provider",
        "bazel-credential-registry-agent",
        "cargo-credential-registry-agent",
        "git-credential-registry-agent",
        "goauth-registry-agent",
        "npm-credential-registry-agent",
        "nuget-plugin-registry-agent",
        "terraform-credentials-registry-agent",
        "keyring-registry-agent",
    ];
    let Some((first, rest)) = input.split_first() else { return };
    let Some(program) = PROGRAMS.get(usize::from(first.wrapping_sub(b'0'))) else { return };
    let mut parts = rest.splitn(2, |&byte| byte == b'\n');
    let arguments = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let arguments: Vec<OsString> = arguments.split_whitespace().map(OsString::from).collect();
    let mut stdin = parts.next().unwrap_or_default();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    helper::run(OsStr::new(program), &arguments, &mut stdin, &mut stdout, &mut stderr);
    let text = String::from_utf8(stderr).expect("the notice is text");
    assert!(!text.lines().any(|line| line.chars().any(char::is_control)), "{text:?}");
    assert!(str::from_utf8(&stdout).is_ok());
}

fn is_json(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    text.trim().is_empty() || serde_json::from_str::<serde_json::Value>(text).is_ok()
}

fn two_lines(input: &[u8]) -> Option<(&str, &str)> {
    str::from_utf8(input).ok()?.split_once('\n')
}

/// Scheme, host and port. A name with a dot at its end is the same one in DNS.
fn origin(url: &url::Url) -> (&str, Option<&str>, Option<u16>) {
    let host = url.host_str().map(|host| host.strip_suffix('.').unwrap_or(host));
    (url.scheme(), host, url.port_or_known_default())
}

/// The decoded segments of a URL's path, without the empty one at its end.
fn segments(url: &url::Url) -> Vec<Vec<u8>> {
    let path = url.path().trim_end_matches('/');
    path.split('/').map(|segment| percent_decode_str(segment).collect()).collect()
}

/// Sends bytes and returns the beginning of the response. A stream of events does not end, so the
/// response counts as complete when nothing more arrives within `timeout`.
fn exchange(socket: &PathBuf, bytes: &[u8], timeout: Duration) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).expect("the API accepts connections");
    stream.set_read_timeout(Some(timeout)).expect("a time limit");
    // The agent may close the connection before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response);
    response
}

/// Serves the API of an agent that knows nothing, on a thread of its own, for the rest of the process.
fn serve_api() -> PathBuf {
    let directory = tempfile::tempdir().expect("a directory").keep();
    let socket = directory.join("agent.sock");
    let path = socket.clone();
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = UnixListener::bind(&path).expect("a socket");
            let clock = Clock::system();
            let (_view, view) = watch::channel(Arc::new(View::empty(clock.now())));
            let (commands, answered) = mpsc::channel(1);
            drop(answered);
            let stop = CancellationToken::new();
            let state = ApiState {
                clock,
                view,
                commands,
                events: Events::restored(Vec::new()),
                counters: Counters::default(),
                others_turn: Arc::new(Semaphore::new(1)),
                stop: CancellationToken::new(),
                rights: AccessPolicy { owner: 0 },
            };
            ready.send(()).expect("the caller waits");
            api_server::serve(listener, state, stop).await;
        });
    });
    wait.recv().expect("the API is served");
    socket
}
