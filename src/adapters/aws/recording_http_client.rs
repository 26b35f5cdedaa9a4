//! HTTP client for the AWS SDK that records the time and the headers of each response.

use std::fmt;
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
use crate::adapters::http::{Body, Http, authority, connection_fault};
use crate::domain::credentials::lifetime::RoundTrip;
use crate::domain::reasons::connection::ConnectionFault;
use crate::domain::registry_protocol::response::{http_date, retry_after};

/// A connector over `reqwest` that records everything but the body of the last response.
#[derive(Clone)]
pub(super) struct RecordingHttpClient {
    http: Arc<Http>,
    client: reqwest::Client,
    /// For the metadata services of the machine, which are reached without a proxy.
    direct: Option<reqwest::Client>,
    clock: Clock,
    seen: Arc<Mutex<LastResponse>>,
    limit: Option<Duration>,
}

/// What was recorded of the last request and its response.
#[derive(Debug, Clone)]
pub(super) struct LastResponse {
    /// The host that was called.
    pub(super) host: String,
    /// When the request was sent and the response received.
    pub(super) trip: RoundTrip,
    /// How long the service asked clients to wait (`Retry-After`).
    pub(super) retry_after: Option<Duration>,
}

/// Why a request got no response. The text names no host, because the SDK may print it.
#[derive(Debug, Error)]
#[error("{}", .0.code())]
pub(super) struct TransportFault(pub(super) ConnectionFault);

/// The maximum size of a response, in bytes; those of AWS have a few KiB.
const LARGEST_BODY: usize = 256 * 1024;

impl RecordingHttpClient {
    pub(super) fn new(http: Arc<Http>, clock: Clock) -> Result<Self, ConnectionFault> {
        let seen =
            LastResponse { host: String::new(), trip: unanswered(clock.now()), retry_after: None };
        let client = http.aws_client()?;
        Ok(Self {
            http,
            client,
            direct: None,
            clock,
            seen: Arc::new(Mutex::new(seen)),
            limit: None,
        })
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
        let direct = self.direct.as_ref().filter(|_| is_metadata(&url));
        let client = direct.unwrap_or(&self.client);
        let proxy = if direct.is_none() { self.http.proxy_of(&url) } else { None };
        let exchange = async {
            let mut answer = client.execute(request).await?;
            let received_at = self.clock.now();
            let body = Body::read(&mut answer, LARGEST_BODY).await?;
            Ok((answer, received_at, body))
        };
        let sent = match self.limit {
            Some(limit) => tokio::time::timeout(limit, exchange)
                .await
                .map_err(|_| failed(ConnectionFault::TimedOut))?,
            None => exchange.await,
        };
        let (answer, received_at, body) =
            sent.map_err(|error| failed(connection_fault::of(&error, proxy.clone())))?;
        if let Some(proxy) = proxy.filter(|_| answer.status().as_u16() == 407) {
            return Err(failed(connection_fault::proxy_login(proxy)));
        }
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let date = header("date").and_then(http_date);
        *self.lock() = LastResponse {
            host: authority(&url),
            trip: RoundTrip { sent_at, received_at, date },
            retry_after: header("retry-after").and_then(|text| retry_after(text, header("date"))),
        };
        to_smithy(&answer, if body.whole { &body.bytes } else { &[] })
    }
}

/// The times of a request that has no response yet.
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
        // Only the metadata client sets both; callers limit the other clients.
        let limit = settings.connect_timeout().zip(settings.read_timeout()).map(|(c, r)| c + r);
        SharedHttpConnector::new(Self { limit, ..self.clone() })
    }
}

/// Provides the agent's clock to the SDK.
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
    // The bodies of these calls have a few bytes and are never streams.
    let mut request = reqwest::Request::new(
        parts.method,
        Url::parse(&parts.uri.to_string()).map_err(|error| ConnectorError::user(error.into()))?,
    );
    *request.headers_mut() = parts.headers;
    *request.body_mut() = body.bytes().map(|bytes| bytes.to_vec().into());
    Ok(request)
}

fn to_smithy(answer: &reqwest::Response, body: &[u8]) -> Result<HttpResponse, ConnectorError> {
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

fn failed(fault: ConnectionFault) -> ConnectorError {
    let timed_out = fault == ConnectionFault::TimedOut;
    let error = TransportFault(fault).into();
    if timed_out { ConnectorError::timeout(error) } else { ConnectorError::io(error) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_addresses_bypass_the_proxy_and_others_do_not() {
        let is = |text: &str| is_metadata(&Url::parse(text).unwrap());
        assert!(is("http://169.254.169.254/latest"));
        assert!(is("http://169.254.170.2/v2/credentials"));
        assert!(is("http://[fd00:ec2::254]/latest"));
        assert!(!is("http://127.0.0.1:5000/"));
        assert!(!is("https://api.ecr.eu-west-1.amazonaws.com/"));
    }
}
