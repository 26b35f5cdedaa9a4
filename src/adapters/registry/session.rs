//! A sequence of requests to a registry and its token server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{RequestBuilder, Url};
use zeroize::Zeroizing;

use super::{VerificationRequest, connection_failed};
use crate::adapters::clock::Clock;
use crate::adapters::docker_daemon;
use crate::adapters::http::{Http, HttpReply, RegistryClient, authority};
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::lifetime::RoundTrip;
use crate::domain::credentials::secret::Secret;
use crate::domain::reasons::connection::ConnectionFault;
use crate::domain::reasons::{Reason, RegistryReason};
use crate::domain::registry_protocol::challenge::Challenge;
use crate::domain::registry_protocol::response::{
    self, RawResponse, RegistryResponse, RequestStep, http_date,
};
use crate::domain::registry_protocol::token_reply::token_in;
use crate::domain::registry_protocol::verdict::not_a_registry;
use crate::domain::registry_protocol::verdict::{
    AuthMethod, Outcome, Verdict, after_authenticated_request, after_ping, after_token,
};
use crate::domain::servers::server::{Scheme, Server};

/// The client ID sent to token servers.
const CLIENT_ID: &str = "registry-agent";

/// The scope for the verification of an identity token. Azure requires one for this grant, and this
/// is the one in its reference that names no repository ("Access Tokens - Get").
const IDENTITY_TOKEN_SCOPE: &str = "registry:catalog:*";

/// The maximum number of redirects to follow, all within the registry's own origin.
const REDIRECTS: usize = 5;

/// A registry that has responded, and how to authenticate to it.
pub(super) struct Session<'a> {
    client: RegistryClient<'a>,
    server: &'a Server,
    credential: &'a Credential,
    /// The scheme, host and port of the registry.
    base: Url,
    /// The header value `Basic …` with user name and password.
    basic: Secret,
    /// How far the local clock is ahead of the registry's.
    clock_ahead: SignedDuration,
}

impl<'a> Session<'a> {
    /// Connects to the registry without a credential, and determines the authentication method.
    pub(super) async fn open(
        http: &'a Http,
        question: &VerificationRequest<'a>,
    ) -> Result<(Self, AuthMethod), Verdict> {
        let VerificationRequest { server, credential, ca_file, realms } = *question;
        let host = || server.authority().to_owned();
        let client = http
            .client(&server.into(), ca_file)
            .await
            .map_err(|fault| connection_failed(host(), fault))?;
        let pair = Zeroizing::new(format!("{}:{}", credential.user, credential.secret.reveal()));
        let basic = Secret::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let plain = server.scheme() == Scheme::Http;
        let base = base(server, plain).ok_or_else(|| {
            connection_failed(
                host(),
                ConnectionFault::Other { error: "its name is not a valid URL host".to_owned() },
            )
        })?;
        let clock_ahead = SignedDuration::ZERO;
        let mut session = Self { client, server, credential, base, basic, clock_ahead };
        let clock = Clock::system();
        let mut sent_at = clock.now();
        let mut reply = session.get("/v2/", None).await;
        let may_be_plain = server.scheme() == Scheme::Unstated
            && server.is_loopback()
            && !http.has_spoken_tls(server);
        if may_be_plain && reply.as_ref().is_err_and(speaks_no_tls) {
            // Nothing secret has been sent yet. From here on the transport is fixed.
            if let Some(base) = self::base(server, true) {
                session.base = base;
                sent_at = clock.now();
                reply = session.get("/v2/", None).await;
            }
        }
        if plain && let Some(server) = session.tls_server(&reply).await {
            return Err(connection_failed(host(), ConnectionFault::SpeaksTls { server }));
        }
        let reply = reply.map_err(|fault| connection_failed(host(), fault))?;
        let date = reply.headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?));
        session.clock_ahead = RoundTrip { sent_at, received_at: clock.now(), date }.clock_skew();
        http.note_response(server, session.base.scheme() == "https");
        let answer = session.read(RequestStep::Ping, &reply, &[]);
        if let Some(verdict) = session.redirected_away(&answer, &reply) {
            return Err(verdict);
        }
        let lines: Vec<_> = reply
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        let challenges = Challenge::parse_all(lines.iter().map(AsRef::as_ref));
        match after_ping(server, &answer, challenges, realms, &session.secrets()) {
            Ok(auth_method) => Ok((session, auth_method)),
            // A server that requires a login for every path has answered 401 here.
            Err(verdict) if answer.status == 404 => Err(session.or_packages(verdict).await),
            Err(verdict) => Err(verdict),
        }
    }

    /// The server with TLS if it speaks TLS although `http://` is declared: it redirects to TLS, or
    /// [`RegistryClient::tls_server`] finds it.
    async fn tls_server(&self, reply: &Result<HttpReply, ConnectionFault>) -> Option<String> {
        if let Ok(reply) = reply
            && let Some(target) = redirect(&self.base, reply)
        {
            let same = target.host_str() == self.base.host_str();
            return (same && target.scheme() == "https").then(|| authority(&target));
        }
        let (host, port) = (self.server.host(), self.server.port());
        self.client.tls_server(host, port, self.server.authority(), reply).await
    }

    /// How far the local clock is ahead of the registry's, by the registry's `Date`.
    pub(super) fn clock_ahead(&self) -> SignedDuration {
        self.clock_ahead
    }

    /// A remark if clients would reject the registry's certificate.
    pub(super) fn certificate_remark(&self) -> Option<RegistryReason> {
        let file = self.client.file_that_clients_lack()?.display().to_string();
        let (server, directory) = (self.server.name(), self.server.authority());
        let (server, directory) = (server.to_owned(), directory.to_owned());
        Some(RegistryReason::DistrustedByClients { server, file, directory })
    }

    /// A remark if docker does not speak plain HTTP to the registry. It does to a loopback address, and
    /// to those that its daemon allows, which may run on another machine.
    pub(super) fn plain_remark(&self) -> Option<RegistryReason> {
        let is_plain = self.server.scheme() == Scheme::Http && !self.server.is_loopback();
        let allowed = || docker_daemon::insecure_registries();
        let is_meant =
            is_plain && !allowed().iter().any(|it| self.server.answers_to(&format!("http://{it}")));
        let server = self.server.shown().to_owned();
        is_meant.then_some(RegistryReason::PlainForDocker { server })
    }

    /// Sends user name and password to the registry itself.
    pub(super) async fn verify_with_password(&self) -> Result<Verdict, Verdict> {
        let basic = self.basic()?;
        self.verify_with(&basic, &[]).await
    }

    /// Sends a token to the registry.
    pub(super) async fn verify_with_token(&self, token: &Secret) -> Result<Verdict, Verdict> {
        let Some(bearer) = bearer(token) else { return Err(self.no_token("an unusable token")) };
        self.verify_with(&bearer, &[token]).await
    }

    async fn verify_with(
        &self,
        authorization: &HeaderValue,
        more: &[&Secret],
    ) -> Result<Verdict, Verdict> {
        let reply = self
            .get("/v2/", Some(authorization))
            .await
            .map_err(|fault| connection_failed(self.server.authority().to_owned(), fault))?;
        let answer = self.read(RequestStep::Authenticated, &reply, more);
        if let Some(verdict) = self.redirected_away(&answer, &reply) {
            return Err(verdict);
        }
        Ok(after_authenticated_request(self.server, self.credential, &answer))
    }

    /// Exchanges the credential at the realm for a token of the given scope
    /// (`distribution/distribution`, its two specifications of token authentication).
    pub(super) async fn token(
        &self,
        realm: &Url,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Secret, Verdict> {
        let service = service.filter(|service| !service.is_empty());
        let make = self.client.request();
        let request = if self.credential.is_identity_token() {
            let fields = [
                Some(("grant_type", "refresh_token")),
                service.map(|service| ("service", service)),
                Some(("client_id", CLIENT_ID)),
                Some(("scope", scope.unwrap_or(IDENTITY_TOKEN_SCOPE))),
                Some(("refresh_token", self.credential.secret.reveal())),
            ];
            make.post(realm.clone()).form(&fields.into_iter().flatten().collect::<Vec<_>>())
        } else {
            let fields = [
                service.map(|service| ("service", service)),
                Some(("account", self.credential.user.as_str())),
                Some(("client_id", CLIENT_ID)),
                scope.map(|scope| ("scope", scope)),
            ];
            let request =
                make.get(realm.clone()).query(&fields.into_iter().flatten().collect::<Vec<_>>());
            request.header(AUTHORIZATION, self.basic()?)
        };
        let reply = self
            .client
            .send(request)
            .await
            .map_err(|fault| connection_failed(authority(realm), fault))?;
        if (200..300).contains(&reply.status) {
            if !reply.body.whole {
                return Err(self.no_token("a response of more than 64 KiB"));
            }
            if let Some(token) = token_in(&reply.body.bytes) {
                return Ok(token);
            }
        }
        let mut answer = self.read(RequestStep::Token, &reply, &[]);
        if let Some(target) = self.redirect(realm, &reply) {
            answer.message = Some(format!("which leads to {target}"));
        }
        Err(after_token(self.server, self.credential, &answer))
    }

    async fn get(
        &self,
        path: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<HttpReply, ConnectionFault> {
        self.ask(path, |url| {
            let request = self.client.request().get(url);
            match authorization {
                Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
                None => request,
            }
        })
        .await
    }

    /// Sends a HEAD request for `path`, accepting the media types `accept`.
    pub(super) async fn head(
        &self,
        path: &str,
        accept: &[&str],
        authorization: &HeaderValue,
    ) -> Result<HttpReply, ConnectionFault> {
        self.ask(path, |url| {
            let request = self.client.request().head(url).header(ACCEPT, accept.join(", "));
            request.header(AUTHORIZATION, authorization.clone())
        })
        .await
    }

    /// Sends a request to the registry itself, following redirects only within its own origin.
    async fn ask(
        &self,
        path: &str,
        request: impl Fn(Url) -> RequestBuilder,
    ) -> Result<HttpReply, ConnectionFault> {
        let mut url = self.base.clone();
        url.set_path(path);
        let mut followed = 0;
        loop {
            let reply = self.client.send(request(url.clone())).await?;
            match redirect(&url, &reply) {
                Some(target) if target.origin() == self.base.origin() && followed < REDIRECTS => {
                    url = target;
                    followed += 1;
                }
                _ => return Ok(reply),
            }
        }
    }

    /// Parses the response and removes every secret of this session from it.
    pub(super) fn read(
        &self,
        step: RequestStep,
        reply: &HttpReply,
        more: &[&Secret],
    ) -> RegistryResponse {
        let header = |name: HeaderName| reply.headers.get(name).and_then(|it| it.to_str().ok());
        let response = RawResponse {
            status: reply.status,
            api_version: reply.headers.contains_key("docker-distribution-api-version"),
            content_type: header(CONTENT_TYPE),
            retry_after: header(RETRY_AFTER),
            date: header(DATE),
            body: &reply.body.bytes,
        };
        let mut secrets = self.secrets();
        secrets.extend(more);
        RegistryResponse::read(step, &response, &secrets)
    }

    /// The same verdict, which says if what is no container registry has packages of npm or Python.
    async fn or_packages(&self, mut verdict: Verdict) -> Verdict {
        if let Some(Reason::Registry(RegistryReason::NotARegistry { has_packages, .. })) =
            verdict.reason.as_deref_mut()
        {
            for path in ["/-/whoami", "/simple/"] {
                let reply = self.get(path, None).await;
                *has_packages |= reply.is_ok_and(|reply| matches!(reply.status, 200 | 401));
            }
        }
        verdict
    }

    /// The verdict on a redirect to another origin or in a loop.
    fn redirected_away(&self, answer: &RegistryResponse, reply: &HttpReply) -> Option<Verdict> {
        let target = self.redirect(&self.base, reply)?;
        let message = Some(format!("which leads to {target}"));
        Some(not_a_registry(self.server, &RegistryResponse { message, ..answer.clone() }))
    }

    fn redirect(&self, from: &Url, reply: &HttpReply) -> Option<String> {
        let target = redirect(from, reply)?;
        Some(response::clean(&target.origin().ascii_serialization(), &self.secrets()))
    }

    pub(super) fn no_token(&self, what: &str) -> Verdict {
        let seen = format!("{}: {what}", RequestStep::Token);
        let reason = RegistryReason::NoToken { server: self.server.name().to_owned(), seen };
        Verdict::because(Outcome::Unreachable, reason)
    }

    /// The header value `Basic …`. An identity token is never sent this way.
    pub(super) fn basic(&self) -> Result<HeaderValue, Verdict> {
        let server = || self.server.name().to_owned();
        if self.credential.is_identity_token() {
            let reason = RegistryReason::IdentityTokenUseless { server: server() };
            return Err(Verdict::because(Outcome::Invalid, reason));
        }
        sensitive(self.basic.reveal()).ok_or_else(|| self.no_token("an unusable password"))
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.credential.secret, &self.basic]
    }
}

/// The header value `Bearer …`; `None` if the token is not valid in a header.
pub(super) fn bearer(token: &Secret) -> Option<HeaderValue> {
    sensitive(&Zeroizing::new(format!("Bearer {}", token.reveal())))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The registry's base URL. Without a port in the name, the scheme's default port applies, also for
/// `localhost`.
fn base(server: &Server, plain: bool) -> Option<Url> {
    let scheme = if plain { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{}/", server.authority())).ok()
}

fn speaks_no_tls(fault: &ConnectionFault) -> bool {
    matches!(
        fault,
        ConnectionFault::NotTls | ConnectionFault::HandshakeEnded | ConnectionFault::Refused
    )
}

/// The target of a redirect.
fn redirect(from: &Url, reply: &HttpReply) -> Option<Url> {
    let leads = matches!(reply.status, 301 | 302 | 303 | 307 | 308);
    leads.then(|| location(&reply.headers).and_then(|target| from.join(target).ok()))?
}

fn location(headers: &HeaderMap) -> Option<&str> {
    headers.get(LOCATION)?.to_str().ok()
}
