//! A fake ECR, public ECR, `CodeArtifact` and STS, and registries that accept only valid tokens.
//!
//! It checks signatures and responds like AWS, over plain HTTP on loopback. [`FakeAws::variables`]
//! points the SDK to it. It can do what AWS cannot do on demand: issue tokens that are valid for seconds, return
//! any error, use another clock.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};

use super::background_server::BackgroundServer;
use super::codeartifact;
use super::sigv4::Signed;

/// A running fake, stopped on drop.
pub(crate) struct FakeAws {
    port: u16,
    state: Arc<Mutex<Inner>>,
    _server: BackgroundServer,
}

/// The response to a correctly signed call.
#[derive(Clone, Default)]
pub(crate) enum Answer {
    /// Success.
    #[default]
    Grant,
    /// An AWS error.
    Refuse(u16, &'static str, String),
    /// 429 with a `Retry-After`.
    Throttle { retry_after: u64 },
    /// A status and a text that do not come from AWS.
    Raw(u16, &'static str),
    /// Success after this delay; the token is issued before it.
    Slow(Duration),
    /// No response.
    Hang,
}

/// What a test can set and inspect.
pub(crate) struct Inner {
    /// Secret key and session token by access key ID.
    pub(crate) keys: HashMap<String, (String, Option<String>)>,
    /// Responses by access key ID, else by the service of the signature: `ecr`, `ecr-public`,
    /// `codeartifact`, `sts`.
    pub(crate) answers: HashMap<String, Answer>,
    /// The lifetime of a token.
    pub(crate) token_life: SignedDuration,
    /// The lifetime of an assumed role's session.
    pub(crate) role_life: SignedDuration,
    /// How far the clock of the fake is ahead.
    pub(crate) clock_ahead: SignedDuration,
    /// Every call as `service region access-key-id`, including rejected ones.
    pub(crate) calls: Vec<String>,
    /// Rejected requests to the registries that had a password.
    pub(crate) registry_refusals: usize,
    /// What the repositories of `CodeArtifact` have, by path; any other path has an empty document.
    pub(crate) files: HashMap<String, Vec<u8>>,
    /// How long each of these files takes, except for crates.
    pub(crate) file_delay: Duration,
    /// The tokens with which the files were read.
    pub(crate) reading_tokens: HashSet<String>,
    /// The domains of `CodeArtifact`, as `DOMAIN OWNER`.
    pub(crate) domains: Vec<String>,
    pub(super) tokens: HashMap<String, Timestamp>,
}

impl FakeAws {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(Inner {
            keys: HashMap::new(),
            answers: HashMap::new(),
            token_life: SignedDuration::from_hours(12),
            role_life: SignedDuration::from_hours(1),
            clock_ahead: SignedDuration::ZERO,
            calls: Vec::new(),
            registry_refusals: 0,
            files: HashMap::new(),
            file_delay: Duration::ZERO,
            reading_tokens: HashSet::new(),
            domains: vec!["acme 111122223333".to_owned()],
            tokens: HashMap::new(),
        }));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&state));
        Self { port, state, _server: BackgroundServer::start(listener, router) }
    }

    /// `127.0.0.1:PORT`, as a registry server.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of this path in the domain `acme` of `CodeArtifact`, on the port of this fake. The host
    /// name must lead to it.
    pub(crate) fn codeartifact(&self, path: &str) -> String {
        format!("http://{}:{}{path}", codeartifact::HOST, self.port)
    }

    /// The variables that point the SDK to this fake.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        ["ECR", "ECR_PUBLIC", "CODEARTIFACT", "STS"]
            .map(|service| {
                (format!("AWS_ENDPOINT_URL_{service}"), format!("http://127.0.0.1:{}", self.port))
            })
            .into()
    }

    /// The time by the clock of the fake.
    pub(crate) fn now(&self) -> Timestamp {
        self.state().now()
    }

    /// When a token of ECR ends; `None` if it was never issued.
    pub(crate) fn token_end(&self, token: &str) -> Option<Timestamp> {
        self.state().tokens.get(token).copied()
    }

    /// Whether a registry of ECR accepts the header.
    pub(crate) fn accepts(&self, authorization: &str) -> bool {
        self.state().accepts(authorization)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap()
    }

    /// Adds an access key.
    pub(crate) fn add_key(&self, id: &str, secret: &str, session_token: Option<&str>) {
        self.state()
            .keys
            .insert(id.to_owned(), (secret.to_owned(), session_token.map(str::to_owned)));
    }

    /// Sets the response of a service or for an access key.
    pub(crate) fn answer(&self, of: &str, answer: Answer) {
        self.state().answers.insert(of.to_owned(), answer);
    }

    /// The number of calls to `service`.
    pub(crate) fn calls_of(&self, service: &str) -> usize {
        self.state().calls.iter().filter(|call| call.starts_with(&format!("{service} "))).count()
    }
}

impl Inner {
    #[expect(clippy::disallowed_methods, reason = "the stand-in has a clock of its own")]
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now() + self.clock_ahead
    }

    /// Whether a registry of ECR accepts the header.
    fn accepts(&self, authorization: &str) -> bool {
        self.is_basic(authorization, "AWS:")
    }

    pub(super) fn is_basic(&self, authorization: &str, user: &str) -> bool {
        let pair = authorization.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
        let pair = pair.and_then(|pair| String::from_utf8(pair).ok()).unwrap_or_default();
        pair.strip_prefix(user).is_some_and(|token| self.is_live(token))
    }

    pub(super) fn is_live(&self, token: &str) -> bool {
        self.tokens.get(token).is_some_and(|end| self.now() < *end)
    }
}

async fn serve(
    State(state): State<Arc<Mutex<Inner>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (mut response, delay) = {
        let mut inner = state.lock().unwrap();
        if uri.path().starts_with("/v2/") {
            (registry(&mut inner, &headers), Duration::ZERO)
        } else if codeartifact::FORMATS.iter().any(|format| uri.path().starts_with(format)) {
            codeartifact::repository(&mut inner, uri.path(), &headers)
        } else {
            aws(&mut inner, &method, &uri, &headers, &body)
        }
    };
    tokio::time::sleep(delay).await;
    let date = httpdate::fmt_http_date(state.lock().unwrap().now().try_into().unwrap());
    response.headers_mut().insert("date", date.parse().unwrap());
    response
}

fn registry(inner: &mut Inner, headers: &HeaderMap) -> Response<Body> {
    let response = Response::builder().header("docker-distribution-api-version", "registry/2.0");
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    if authorization.is_some_and(|authorization| inner.accepts(authorization)) {
        return response.body("{}".into()).unwrap();
    }
    inner.registry_refusals += usize::from(authorization.is_some());
    response
        .status(401)
        .header("www-authenticate", "Basic realm=\"https://stand-in.invalid/\",service=\"ecr.amazonaws.com\"")
        .body(r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#.into())
        .unwrap()
}

fn aws(
    inner: &mut Inner,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> (Response<Body>, Duration) {
    let Some(signed) = Signed::of(headers) else {
        return (
            error("ecr", 403, "MissingAuthenticationToken", "Missing Authentication Token"),
            Duration::ZERO,
        );
    };
    let service = signed.service.as_str();
    inner.calls.push(format!("{service} {} {}", signed.region, signed.access_key_id));
    if let Some((status, code, message)) = check(inner, &signed, method, uri, headers, body) {
        return (error(service, status, code, &message), Duration::ZERO);
    }
    let answers = &inner.answers;
    let answer = answers.get(signed.access_key_id.as_str()).or_else(|| answers.get(service));
    let answer = answer.cloned().unwrap_or_default();
    let delay = if let Answer::Slow(delay) = answer { delay } else { Duration::ZERO };
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let response = match (answer, service, target) {
        (Answer::Hang, ..) => return (Response::default(), Duration::from_hours(1)),
        (Answer::Refuse(status, code, message), ..) => error(service, status, code, &message),
        (Answer::Raw(status, text), ..) => {
            Response::builder().status(status).body(text.into()).unwrap()
        }
        (Answer::Throttle { retry_after }, ..) => {
            let mut response = error(service, 400, "ThrottlingException", "Rate exceeded");
            response.headers_mut().insert("retry-after", retry_after.into());
            response
        }
        (_, "ecr", Some("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")) => {
            let (token, end) = grant(inner);
            json(
                200,
                &format!(
                    r#"{{"authorizationData":[{{"authorizationToken":"{token}","expiresAt":{end},"proxyEndpoint":"https://111122223333.dkr.ecr.{}.amazonaws.com"}}]}}"#,
                    signed.region
                ),
            )
        }
        (_, "ecr-public", Some("SpencerFrontendService.GetAuthorizationToken")) => {
            let (token, end) = grant(inner);
            json(
                200,
                &format!(
                    r#"{{"authorizationData":{{"authorizationToken":"{token}","expiresAt":{end}}}}}"#
                ),
            )
        }
        (_, "codeartifact", None) if uri.path() == "/v1/authorization-token" => {
            codeartifact::token(inner, method, uri)
        }
        (_, "sts", None) if body.starts_with(b"Action=AssumeRole&") => assume_role(inner),
        _ => error(service, 400, "UnknownOperationException", "no such operation"),
    };
    (response, delay)
}

/// The checks that AWS makes before it looks at the action, in order.
fn check(
    inner: &Inner,
    signed: &Signed,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<(u16, &'static str, String)> {
    let sts = signed.service == "sts";
    let Some((secret, session_token)) = inner.keys.get(&signed.access_key_id) else {
        let code = if sts { "InvalidClientTokenId" } else { "UnrecognizedClientException" };
        return Some((
            403,
            code,
            "The security token included in the request is invalid.".to_owned(),
        ));
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let wrong = if sts { "SignatureDoesNotMatch" } else { "InvalidSignatureException" };
    let date = header("x-amz-date").unwrap_or_default();
    if (at(date).duration_since(inner.now())).abs() > SignedDuration::from_mins(5) {
        return Some((403, wrong, format!("Signature expired: {date} is not within 5 min.")));
    }
    if !date.starts_with(&signed.date) || !signed.is_of(secret, method, uri, headers, body) {
        let text = "The request signature we calculated does not match the signature you provided.";
        return Some((403, wrong, text.to_owned()));
    }
    if header("x-amz-security-token") != session_token.as_deref() {
        let code = if sts { "ExpiredToken" } else { "ExpiredTokenException" };
        return Some((
            403,
            code,
            "The security token included in the request is expired".to_owned(),
        ));
    }
    None
}

/// `20261124T042115Z`.
fn at(date: &str) -> Timestamp {
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).unwrap();
    civil.to_zoned_datetime(jiff::tz::TimeZone::UTC).unwrap().timestamp()
}

/// A new token, which the registry accepts until it expires.
fn grant(inner: &mut Inner) -> (String, String) {
    let end = inner.now() + inner.token_life;
    let told = format!(
        r#"{{"payload":"{}","version":"2","type":"DATA_KEY","expiration":{}}}"#,
        inner.tokens.len(),
        end.as_second(),
    );
    let password = STANDARD.encode(told);
    let token = STANDARD.encode(format!("AWS:{password}"));
    inner.tokens.insert(password, end);
    (token, format!("{:.3}", end.as_duration().as_secs_f64()))
}

fn assume_role(inner: &mut Inner) -> Response<Body> {
    let (id, secret, token) = ("ASIAROLESESSIONKEY00", "role-secret", "role-session-token");
    inner.keys.insert(id.to_owned(), (secret.to_owned(), Some(token.to_owned())));
    let end = (inner.now() + inner.role_life).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let xml = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
         <AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>arn:aws:sts::111122223333:assumed-role/r/x</Arn></AssumedRoleUser>\
         <Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>{end}</Expiration></Credentials>\
         </AssumeRoleResult></AssumeRoleResponse>"
    );
    Response::builder().header("content-type", "text/xml").body(xml.into()).unwrap()
}

pub(super) fn error(service: &str, status: u16, code: &str, message: &str) -> Response<Body> {
    if service == "sts" {
        let xml = format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        );
        return Response::builder()
            .status(status)
            .header("content-type", "text/xml")
            .body(xml.into())
            .unwrap();
    }
    if service == "codeartifact" {
        let mut response = json(status, &format!(r#"{{"message":"{message}"}}"#));
        response.headers_mut().insert("x-amzn-errortype", code.parse().unwrap());
        return response;
    }
    // The JSON services respond to every rejected caller with 400.
    let status = if status == 403 { 400 } else { status };
    json(status, &format!(r#"{{"__type":"{code}","message":"{message}"}}"#))
}

pub(super) fn json(status: u16, text: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .body(text.to_owned().into())
        .unwrap()
}
