//! Registry servers: parsed once, matched on whole labels.

use std::fmt;

pub use super::authority::{ServerFault, is_loopback};
use super::authority::{canonical_host, parse_port, split_port};
pub use super::kind::{EcrHost, Kind};
use super::mistyped;

/// A registry server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Server {
    name: String,
    address: Address,
    kind: Kind,
    scheme: Scheme,
    /// Whether the default port was written explicitly, which adds a key.
    spelt_port: bool,
}

/// A host and its port, explicit or the default of the scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Address {
    /// The host in lower-case ASCII without a trailing dot; IPv6 in brackets.
    host: String,
    port: u16,
}

/// The declared transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `https://`: TLS only.
    Https,
    /// `http://`: plain, as declared.
    Http,
    /// No scheme: TLS, or plain HTTP for a loopback host without TLS.
    Unstated,
}

/// Docker Hub's canonical name, which is the key that docker itself uses.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The servers under which docker's web login keeps its tokens, besides the login of Docker Hub
/// (`docker/cli`, `cli/internal/oauth/manager`).
const WEB_LOGIN_TOKENS: [&str; 2] =
    ["https://index.docker.io/v1/access-token", "https://index.docker.io/v1/refresh-token"];

/// The token of docker's web login that `asked` stands for, by docker's own name. It is not a login
/// of the registry.
pub fn web_login_token(asked: &str) -> Option<&'static str> {
    Typed::parse(asked.trim()).ok()?.web_login_token()
}

impl Server {
    /// Parses a server in any spelling. The second value is the dropped path, if it is not `/v1/`
    /// or `/v2/`.
    pub fn parse(declared: &str) -> Result<(Self, Option<String>), ServerFault> {
        let mut typed = Typed::parse(declared)?;
        let plain_hub = typed.scheme == Scheme::Http && matches!(typed.port, None | Some(80));
        if plain_hub && Kind::of_host(&typed.host) == Kind::DockerHub {
            // Docker Hub always uses TLS; a plain request would expose the password.
            (typed.scheme, typed.port) = (Scheme::Https, None);
        }
        let own_port = typed.scheme.port();
        let spelt_port = typed.port == Some(own_port);
        let address = Address { host: typed.host, port: typed.port.unwrap_or(own_port) };
        let kind = match Kind::of_host(&address.host) {
            Kind::DockerHub if address.port != own_port => Kind::Generic,
            kind => kind,
        };
        let name = match kind {
            Kind::DockerHub => DOCKER_HUB.to_owned(),
            _ if address.port == own_port => address.host.clone(),
            _ => format!("{}:{}", address.host, address.port),
        };
        let dropped = match typed.path.as_str() {
            "" | "v1" | "v2" => None,
            path => Some(format!("/{path}")),
        };
        Ok((Self { name, address, kind, scheme: typed.scheme, spelt_port }, dropped))
    }

    /// The canonical name: the host in lower case, with the port if it is not the scheme's default;
    /// `https://index.docker.io/v1/` for Docker Hub.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as people write it: `docker.io` for Docker Hub.
    pub fn shown(&self) -> &str {
        match self.kind {
            Kind::DockerHub => "docker.io",
            _ => &self.name,
        }
    }

    /// What declares it: its name as people write it, with the declared scheme.
    pub fn declared(&self) -> String {
        match self.scheme.as_str().filter(|_| self.kind != Kind::DockerHub) {
            Some(scheme) => format!("{scheme}://{}", self.shown()),
            None => self.shown().to_owned(),
        }
    }

    /// The kind of the registry.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The declared transport.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The keys under which clients look for its credential.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = vec![self.name.clone()];
        let host = &self.address.host;
        if self.kind == Kind::DockerHub {
            keys.push("docker.io".to_owned());
            if self.spelt_port {
                keys.push(format!("docker.io:{}", self.address.port));
            }
        } else if self.spelt_port {
            keys.push(format!("{host}:{}", self.address.port));
        }
        keys
    }

    /// Whether `asked`, a server in a client's spelling, refers to this registry.
    ///
    /// Surrounding white space and a path are ignored, except for the two paths of Docker Hub's own
    /// tokens. A request with `http://` never matches a credential that may only be sent over TLS.
    pub fn answers_to(&self, asked: &str) -> bool {
        AskedServer::parse(asked).is_some_and(|asked| self.matches(&asked))
    }

    /// Like [`Server::answers_to`], but with a parsed name, to compare it with many servers.
    pub fn matches(&self, AskedServer(typed): &AskedServer) -> bool {
        let may_be_plain =
            self.scheme == Scheme::Http || (self.scheme == Scheme::Unstated && self.is_loopback());
        if typed.scheme == Scheme::Http && !may_be_plain {
            return false;
        }
        let meant = match typed.scheme {
            Scheme::Unstated => self.scheme,
            stated => stated,
        };
        let port = typed.port.unwrap_or(meant.port());
        if port != self.address.port {
            return false;
        }
        if self.kind == Kind::DockerHub {
            return Kind::of_host(&typed.host) == Kind::DockerHub
                && typed.web_login_token().is_none();
        }
        typed.host == self.address.host
    }

    /// The host and port of the registry API, as the authority of a URL (`registry-1.docker.io` for
    /// Docker Hub).
    pub fn authority(&self) -> &str {
        match self.kind {
            Kind::DockerHub => "registry-1.docker.io",
            _ => &self.name,
        }
    }

    /// The host of the registry API, without a port; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        match self.kind {
            Kind::DockerHub => "registry-1.docker.io",
            _ => &self.address.host,
        }
    }

    /// The port of the registry API.
    pub fn port(&self) -> u16 {
        self.address.port
    }

    /// Whether the host is a loopback name or address.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.address.host)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Scheme {
    /// The scheme as declared; `None` if none is.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Https => Some("https"),
            Self::Http => Some("http"),
            Self::Unstated => None,
        }
    }

    /// The default port.
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https | Self::Unstated => 443,
        }
    }
}

/// The server that a client asks for, in any spelling.
pub struct AskedServer(Typed);

impl AskedServer {
    /// Parses `asked`; `None` if no server could match it.
    pub fn parse(asked: &str) -> Option<Self> {
        Typed::parse(asked.trim()).ok().map(Self)
    }
}

/// The parts of a typed server name.
struct Typed {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
    /// Without surrounding slashes, query and fragment.
    path: String,
}

impl Typed {
    fn parse(text: &str) -> Result<Self, ServerFault> {
        if text.chars().any(char::is_control) {
            return Err(ServerFault::ControlCharacter);
        }
        let text = text.trim();
        if let Some(fault) = mistyped::fault_of(text) {
            return Err(fault);
        }
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Unstated, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some(_) => return Err(ServerFault::Scheme),
        };
        if rest.is_empty() {
            return Err(ServerFault::Empty);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(ServerFault::Userinfo);
        }
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let (host, port) = split_port(authority)?;
        Ok(Self {
            scheme,
            host: canonical_host(host)?,
            port: port.map(parse_port).transpose()?,
            path: path.trim_matches('/').to_owned(),
        })
    }

    fn web_login_token(&self) -> Option<&'static str> {
        let name = self.path.strip_prefix("v1/")?;
        let mut tokens = WEB_LOGIN_TOKENS.into_iter();
        let found = tokens.find(|token| token.strip_prefix(DOCKER_HUB) == Some(name))?;
        (Kind::of_host(&self.host) == Kind::DockerHub).then_some(found)
    }
}
