//! The proxies from environment variables, by curl's rules.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

use crate::domain::credentials::secret::Secret;
use crate::domain::declarations::source::Variables;

/// The proxy that a request uses.
#[derive(Debug, Clone)]
pub(crate) struct UsedProxy {
    /// Scheme, host and port, without user name and password.
    pub(crate) address: String,
    /// The variable that names it.
    pub(crate) variable: String,
    /// Whether the variable contains a user name and a password.
    pub(crate) has_login: bool,
}

/// The proxies for all requests, and the hosts that bypass them.
#[derive(Default)]
pub(super) struct Proxies {
    rules: Vec<Proxy>,
    /// The same rules, to find the proxy that a request uses.
    matcher: Option<Matcher>,
    /// The variables that name them: for `http`, for `https`, for both.
    variables: [Option<String>; 3],
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case. A
    /// value that is not a URL counts as unset.
    pub(super) fn of_environment(environment: &Variables) -> Self {
        let name = |of: &str| {
            let upper = format!("{of}_PROXY");
            let lower = upper.to_lowercase();
            [upper, lower].into_iter().find(|name| environment.contains_key(name))
        };
        let value = |of: &str| {
            let value = name(of).and_then(|name| environment.get(&name));
            value.map(Secret::reveal).unwrap_or_default().to_owned()
        };
        let [http, https, all, no] = ["HTTP", "HTTPS", "ALL", "NO"].map(value);
        // The first proxy that matches a request is used.
        let rules = [Proxy::http(&http), Proxy::https(&https), Proxy::all(&all)];
        let except = NoProxy::from_string(&no);
        Self {
            rules: rules
                .into_iter()
                .filter_map(Result::ok)
                .map(|proxy| proxy.no_proxy(except.clone()))
                .collect(),
            variables: ["HTTP", "HTTPS", "ALL"].map(name),
            matcher: Some(Matcher::builder().http(http).https(https).all(all).no(no).build()),
        }
    }

    /// Makes the client use these proxies and ignore those in the environment of the process.
    pub(super) fn apply_to(&self, builder: ClientBuilder) -> ClientBuilder {
        self.rules.iter().fold(builder.no_proxy(), |builder, proxy| builder.proxy(proxy.clone()))
    }

    /// Whether a request to `url` uses another proxy than with `others`, or another login for it.
    pub(super) fn differ(&self, others: &Self, url: &Url) -> bool {
        let used = |proxies: &Self| {
            let found = proxies.matcher.as_ref()?.intercept(&url.as_str().parse().ok()?)?;
            let raw =
                found.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned()));
            Some((found.uri().clone(), found.basic_auth().cloned(), raw))
        };
        used(self) != used(others)
    }

    /// The proxy for a request to `url`.
    pub(super) fn proxy_of(&self, url: &Url) -> Option<UsedProxy> {
        let intercept = self.matcher.as_ref()?.intercept(&url.as_str().parse().ok()?)?;
        let uri = intercept.uri();
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let [http, https, all] = &self.variables;
        let own = if url.scheme() == "http" { http } else { https };
        Some(UsedProxy {
            address: format!("{}://{}{port}", uri.scheme_str()?, uri.host()?),
            variable: own.as_ref().or(all.as_ref())?.clone(),
            has_login: intercept.basic_auth().is_some() || intercept.raw_auth().is_some(),
        })
    }
}
