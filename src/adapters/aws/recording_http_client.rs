//! The SDK's way to the network: the one HTTP client of the agent, and what the answers said.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use thiserror::Error;
use url::{Host, Url};

use crate::adapters::clock::Clock;
use crate::adapters::http::authority;
use crate::domain::credentials::lifetime::RoundTrip;
use crate::domain::registry_protocol::response::retry_after;

/// A connector over `reqwest` that remembers what the last answer told besides its body.
#[derive(Clone)]
pub(super) struct RecordingHttpClient {
    client: reqwest::Client,
    /// For the metadata services of the machine, past any proxy.
    direct: Option<reqwest::Client>,
    clock: Clock,
    seen: Arc<Mutex<LastResponse>>,
    limit: Option<Duration>,
}

/// What was seen of the last request and its answer.
#[derive(Debug, Clone)]
pub(super) struct LastResponse {
    /// The host that was called.
    pub(super) host: String,
    /// When it was asked and answered.
    pub(super) trip: RoundTrip,
    /// How long the service asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// What kept a request from being answered. Its texts name no secret: a proxy's password, which
/// an address may hold, is never in them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum TransportFault {
    /// The proxy is not there or said no.
    #[error("the proxy failed: {0}")]
    Proxy(&'static str),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// Anything else that is not an answer.
    #[error("{0}")]
    Unreachable(&'static str),
}

/// AWS's answers to these calls are a few KiB.
const LARGEST_BODY: usize = 256 * 1024;

impl RecordingHttpClient {
    pub(super) fn new(client: reqwest::Client, clock: Clock) -> Self {
        let seen =
            LastResponse { host: String::new(), trip: unanswered(clock.now()), retry_after: None };
        Self { client, direct: None, clock, seen: Arc::new(Mutex::new(seen)), limit: None }
    }

    /// The same client with a second client that ignores proxies, for the metadata services. It
    /// trusts no certificate, because they speak plain HTTP.
    pub(super) fn with_direct_way(&self) -> Self {
        let direct = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .build();
        Self { direct: direct.ok(), ..self.clone() }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn seen(&self) -> LastResponse {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LastResponse> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let url = Url::parse(request.uri()).map_err(|error| ConnectorError::user(error.into()))?;
        let sent_at = self.clock.now();
        *self.lock() =
            LastResponse { host: authority(&url), trip: unanswered(sent_at), retry_after: None };
        let request = to_reqwest(request)?;
        let client = self.direct.as_ref().filter(|_| is_metadata(&url)).unwrap_or(&self.client);
        let exchange = async {
            let mut answer = client.execute(request).await?;
            let received_at = self.clock.now();
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > LARGEST_BODY {
                    body.clear();
                    break;
                }
            }
            Ok((answer, received_at, body))
        };
        let sent = match self.limit {
            Some(limit) => tokio::time::timeout(limit, exchange)
                .await
                .map_err(|_| ConnectorError::timeout(TransportFault::TimedOut.into()))?,
            None => exchange.await,
        };
        let (answer, received_at, body) =
            sent.map_err(|error: reqwest::Error| from_reqwest(&error))?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let date = header("date").and_then(http_date);
        *self.lock() = LastResponse {
            host: authority(&url),
            trip: RoundTrip { sent_at, received_at, date },
            retry_after: header("retry-after").and_then(|text| retry_after(text, header("date"))),
        };
        to_smithy(&answer, body)
    }
}

/// A request that was sent, or is about to be.
fn unanswered(sent_at: Timestamp) -> RoundTrip {
    RoundTrip { sent_at, received_at: sent_at, date: None }
}

impl fmt::Debug for RecordingHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordingHttpClient")
    }
}

impl HttpConnector for RecordingHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

impl HttpClient for RecordingHttpClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        // Only the metadata client asks for both; the others are limited from outside.
        let limit = settings.connect_timeout().zip(settings.read_timeout()).map(|(c, r)| c + r);
        SharedHttpConnector::new(Self { limit, ..self.clone() })
    }
}

/// The agent's clock, as the SDK wants it.
#[derive(Debug)]
pub(super) struct SdkTime(pub(super) Clock);

impl TimeSource for SdkTime {
    fn now(&self) -> SystemTime {
        SystemTime::try_from(self.0.now()).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

fn to_reqwest(request: HttpRequest) -> Result<reqwest::Request, ConnectorError> {
    let (parts, body) =
        request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?.into_parts();
    // These calls have bodies of a few bytes, never streams.
    let mut request = reqwest::Request::new(
        parts.method,
        Url::parse(&parts.uri.to_string()).map_err(|error| ConnectorError::user(error.into()))?,
    );
    *request.headers_mut() = parts.headers;
    *request.body_mut() = body.bytes().map(|bytes| bytes.to_vec().into());
    Ok(request)
}

fn to_smithy(answer: &reqwest::Response, body: Vec<u8>) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(answer.status().as_u16())
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    for (name, value) in answer.headers() {
        if let Ok(value) = value.to_str() {
            let (name, value) = (name.as_str().to_owned(), value.to_owned());
            response
                .headers_mut()
                .try_append(name, value)
                .map_err(|error| ConnectorError::other(error.into(), None))?;
        }
    }
    Ok(response)
}

fn from_reqwest(error: &reqwest::Error) -> ConnectorError {
    match fault(error) {
        TransportFault::TimedOut => ConnectorError::timeout(TransportFault::TimedOut.into()),
        fault => ConnectorError::io(fault.into()),
    }
}

/// Sorts a failure by type where there is one, else by the words of `hyper-util` and `rustls`.
fn fault(error: &reqwest::Error) -> TransportFault {
    let chain = || std::iter::successors(Some(error as &dyn Error), |e| (*e).source());
    let says = |word: &str| chain().any(|e| e.to_string().to_ascii_lowercase().contains(word));
    let io = chain().find_map(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind);
    if says("proxy authorization required") {
        return TransportFault::Proxy("the proxy requires a user and a password");
    }
    if says("tunnel error: failed to create underlying connection") {
        return TransportFault::Proxy("the proxy does not respond");
    }
    if says("tunnel error") {
        return TransportFault::Proxy("the proxy refused the connection");
    }
    if error.is_timeout() {
        return TransportFault::TimedOut;
    }
    TransportFault::Unreachable(match io {
        _ if error.is_dns() || says("dns error") => "its name cannot be resolved",
        _ if says("certificate") => "its TLS certificate is not trusted",
        Some(io::ErrorKind::ConnectionRefused) => "connection refused",
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            "there is no route to it"
        }
        _ if error.is_connect() => "no connection",
        _ => "the connection broke off",
    })
}

/// Whether `url` is one of the addresses of EC2, ECS and EKS that only the machine itself can reach.
fn is_metadata(url: &Url) -> bool {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        _ => return false,
    };
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => {
            const METADATA: [u16; 2] = [0xfd00, 0x0ec2];
            Ipv6Addr::segments(&ip)[..2] == METADATA
        }
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_addresses_go_past_the_proxy_and_others_do_not() {
        let is = |text: &str| is_metadata(&Url::parse(text).unwrap());
        assert!(is("http://169.254.169.254/latest"));
        assert!(is("http://169.254.170.2/v2/credentials"));
        assert!(is("http://[fd00:ec2::254]/latest"));
        assert!(!is("http://127.0.0.1:5000/"));
        assert!(!is("https://api.ecr.eu-west-1.amazonaws.com/"));
    }
}
