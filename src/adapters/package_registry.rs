//! Asks a package registry whether it accepts a credential.
//!
//! The rules are in [`crate::domain::registry_protocol::package_verdict`]; this module sends the requests.

use std::path::Path;

use jiff::SignedDuration;
use reqwest::Url;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};

use super::clock::Clock;
use super::http::{Http, HttpReply, RegistryClient};
use super::registry::connection_failed;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::lifetime::RoundTrip;
use crate::domain::credentials::precheck;
use crate::domain::credentials::secret::Secret;
use crate::domain::reasons::RegistryReason;
use crate::domain::reasons::connection::ConnectionFault;
use crate::domain::registry_protocol::challenge::Challenge;
use crate::domain::registry_protocol::package_verdict::{
    Unasked, after_login, asks_for_login, more_telling, not_asked, resources,
};
use crate::domain::registry_protocol::response::{
    RawResponse, RegistryResponse, RequestStep, http_date,
};
use crate::domain::registry_protocol::verdict::{Outcome, Verdict};
use crate::domain::servers::package_server::{PackageServer, PackageUrl};
use crate::domain::servers::userinfo::strip_userinfo;

/// How many times a registry may forbid the login before a verification ends.
const MAX_FORBIDDEN: usize = 2;

/// The parameters of a verification.
pub struct PackageVerification {
    /// The registry.
    pub server: PackageServer,
    /// The credential to verify.
    pub credential: Credential,
    /// The declared scheme (`_SCHEME`).
    pub auth_scheme: Option<AuthScheme>,
}

/// Asks the registry whether it accepts the credential, which is sent only to URLs that ask for it.
///
/// Ends within [`super::http::Limits::total`]. The future can be dropped at any time.
pub async fn verify(
    http: &Http,
    question: &PackageVerification,
    ca_file: Option<&Path>,
) -> Verdict {
    if let Some(reason) = precheck::fault_of(&question.server.clone().into(), &question.credential)
    {
        return Verdict::because(Outcome::Invalid, reason);
    }
    let authority = || question.server.authority().to_owned();
    let asked = async {
        let client = http
            .client(&(&question.server).into(), ca_file)
            .await
            .map_err(|fault| connection_failed(authority(), fault))?;
        let clock_ahead = SignedDuration::ZERO;
        let unasked = Unasked::default();
        let mut session = Session { client, question, clock_ahead, forbidden: 0, unasked };
        let verdict = session.ask().await?;
        let verdict = verdict.with_clock(question.server.name(), session.clock_ahead);
        Ok(verdict.with_remark_beside(ca_file.and(session.certificate_remark())))
    };
    match tokio::time::timeout(http.limits().total, asked).await {
        Ok(Ok(verdict) | Err(verdict)) => verdict,
        Err(_) => connection_failed(authority(), ConnectionFault::TimedOut),
    }
}

struct Session<'a> {
    client: RegistryClient<'a>,
    question: &'a PackageVerification,
    /// How far the local clock is ahead of the registry's.
    clock_ahead: SignedDuration,
    /// How many times the registry answered the login with 403.
    forbidden: usize,
    /// What the resources do for a request without the login.
    unasked: Unasked,
}

impl Session<'_> {
    /// Asks for one resource after the other, until one tells. An error is a verdict that ends it early.
    ///
    /// The registry's own URL has to exist, so a failure there ends it. Another resource may fail, but
    /// then the registry has not answered, unless a later one tells.
    ///
    /// Some registries answer a wrong password with 403, and lock the account after a few of them.
    async fn ask(&mut self) -> Result<Verdict, Verdict> {
        let server = &self.question.server;
        let mut untold = None;
        for resource in resources(server) {
            let Ok(url) = Url::parse(&format!("{}{resource}", server.name())) else { continue };
            self.unasked.asked += 1;
            let told = match self.asks(resource, &url).await {
                Ok(Some(offered)) => self.log_in(url, &offered).await,
                Ok(None) => continue,
                Err(verdict) => Err(verdict),
            };
            match told {
                Ok(verdict) => return Ok(verdict),
                Err(verdict) if verdict.outcome == Outcome::RateLimited => return Err(verdict),
                Err(verdict) if resource.is_empty() && verdict.outcome != Outcome::Unverified => {
                    return Err(verdict);
                }
                Err(verdict) => untold = Some(more_telling(untold, verdict)),
            }
            if self.forbidden == MAX_FORBIDDEN {
                break;
            }
        }
        Ok(untold.unwrap_or_else(|| self.unasked.verdict(server)))
    }

    /// A remark if clients would reject the registry's certificate.
    fn certificate_remark(&self) -> Option<RegistryReason> {
        let file = self.client.file_that_clients_lack()?.display().to_string();
        let server = &self.question.server;
        let (server, host) = (server.name().to_owned(), server.authority().to_owned());
        Some(RegistryReason::DistrustedByPackageClients { server, host, file })
    }

    /// Sends the login to `url`, which asks for it in one of the schemes `offered`.
    async fn log_in(&mut self, url: Url, offered: &[AuthScheme]) -> Result<Verdict, Verdict> {
        let PackageVerification { server, credential, auth_scheme } = self.question;
        let Ok(asked) = PackageUrl::parse(url.as_str()) else { return Err(not_asked(server)) };
        let usual = || server.scheme_for(&asked, !credential.user.is_empty(), offered, None);
        let sent = auth_scheme.unwrap_or_else(usual);
        let value = HeaderValue::from_str(sent.authorization(credential).reveal());
        let Ok(mut authorization) = value else { return Err(not_asked(server)) };
        authorization.set_sensitive(true);
        let reply = self.get(url, Some(authorization)).await?;
        self.forbidden += usize::from(reply.status == 403);
        let answer = self.read(RequestStep::WithLogin, &reply);
        let learnt = |verdict| Verdict { offered_scheme: Some(sent), ..verdict };
        after_login(server, credential, sent, offered, &answer).map(learnt).map_err(learnt)
    }

    /// The schemes in which `url` asks for a login; `None` if it asks for none. Nothing secret is sent.
    async fn asks(
        &mut self,
        resource: &'static str,
        url: &Url,
    ) -> Result<Option<Vec<AuthScheme>>, Verdict> {
        let clock = Clock::system();
        let sent_at = clock.now();
        let reply = self.client.send(self.client.request().get(url.clone())).await;
        let server = &self.question.server;
        if resource.is_empty()
            && url.scheme() == "http"
            && let Some(authority) = self
                .client
                .tls_server(server.host(), server.port(), server.authority(), &reply)
                .await
        {
            let fault = ConnectionFault::SpeaksTls { server: authority.clone() };
            return Err(connection_failed(authority, fault));
        }
        let reply = reply.map_err(|fault| self.failed(fault))?;
        self.unasked.missing += usize::from(reply.status == 404);
        let date = reply.headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?));
        self.clock_ahead = RoundTrip { sent_at, received_at: clock.now(), date }.clock_skew();
        if let Some(target) = redirect(url, &reply) {
            refuse_tls(url, &target)?;
            let target = PackageUrl::parse(&strip_userinfo(target.as_str())).ok();
            self.unasked.redirected.extend(target.map(|target| (resource, target)));
        }
        let answer = self.read(RequestStep::Anonymous, &reply);
        let lines = reply.headers.get_all(WWW_AUTHENTICATE).iter();
        let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        let challenges = Challenge::parse_all(lines.iter().map(AsRef::as_ref)).ok();
        asks_for_login(&self.question.server, &answer, challenges.as_deref())
    }

    async fn get(
        &self,
        url: Url,
        authorization: Option<HeaderValue>,
    ) -> Result<HttpReply, Verdict> {
        let mut request = self.client.request().get(url);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.client.send(request).await.map_err(|fault| self.failed(fault))
    }

    fn failed(&self, fault: ConnectionFault) -> Verdict {
        connection_failed(self.question.server.authority().to_owned(), fault)
    }

    /// Parses the response and removes the credential from it.
    fn read(&self, step: RequestStep, reply: &HttpReply) -> RegistryResponse {
        let header = |name: HeaderName| reply.headers.get(name).and_then(|it| it.to_str().ok());
        let response = RawResponse {
            status: reply.status,
            api_version: false,
            content_type: header(CONTENT_TYPE),
            retry_after: header(RETRY_AFTER),
            date: header(DATE),
            body: &reply.body.bytes,
        };
        let credential = &self.question.credential;
        let sent: Vec<Secret> = [AuthScheme::Basic, AuthScheme::Bearer]
            .map(|scheme| scheme.authorization(credential))
            .into();
        let secrets: Vec<&Secret> = sent.iter().chain([&credential.secret]).collect();
        RegistryResponse::read(step, &response, &secrets)
    }
}

/// Where a response redirects to.
fn redirect(url: &Url, reply: &HttpReply) -> Option<Url> {
    let leads = matches!(reply.status, 301 | 302 | 303 | 307 | 308);
    let target = reply.headers.get(LOCATION).filter(|_| leads)?;
    url.join(target.to_str().ok()?).ok()
}

/// A registry that is declared with `http://` and redirects to TLS must not get the credential in
/// plain text.
fn refuse_tls(url: &Url, target: &Url) -> Result<(), Verdict> {
    if url.scheme() == "http" && target.scheme() == "https" && target.host_str() == url.host_str() {
        // The port that speaks TLS is that of the redirect.
        let authority = target.authority().to_owned();
        let fault = ConnectionFault::SpeaksTls { server: authority.clone() };
        return Err(connection_failed(authority, fault));
    }
    Ok(())
}
