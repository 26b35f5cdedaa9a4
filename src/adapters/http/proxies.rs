//! The proxies from environment variables, by curl's rules.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

use crate::domain::credentials::secret::Secret;
use crate::domain::declarations::source::Variables;

/// The proxies for all requests, and the hosts that bypass them.
#[derive(Default)]
pub(super) struct Proxies {
    proxies: Vec<Proxy>,
    /// The same rules, to find the proxy that a request uses.
    matcher: Option<Matcher>,
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case. A
    /// value that is not a URL counts as unset.
    pub(super) fn of_environment(environment: &Variables) -> Self {
        let value = |name: &str| {
            let value = environment.get(name).or_else(|| environment.get(&name.to_lowercase()));
            value.map(Secret::reveal).unwrap_or_default()
        };
        let [http, https, all, no] =
            ["HTTP", "HTTPS", "ALL", "NO"].map(|of| value(&format!("{of}_PROXY")).to_owned());
        // The first proxy that matches a request is used.
        let proxies = [Proxy::http(&http), Proxy::https(&https), Proxy::all(&all)];
        let except = NoProxy::from_string(&no);
        Self {
            proxies: proxies
                .into_iter()
                .filter_map(Result::ok)
                .map(|proxy| proxy.no_proxy(except.clone()))
                .collect(),
            matcher: Some(Matcher::builder().http(http).https(https).all(all).no(no).build()),
        }
    }

    /// Makes the client use these proxies and ignore those in the environment of the process.
    pub(super) fn apply_to(&self, builder: ClientBuilder) -> ClientBuilder {
        self.proxies.iter().fold(builder.no_proxy(), |builder, proxy| builder.proxy(proxy.clone()))
    }

    /// The proxy for a request to `url`, without its user name and password.
    pub(super) fn proxy_of(&self, url: &Url) -> Option<String> {
        let intercept = self.matcher.as_ref()?.intercept(&url.as_str().parse().ok()?)?;
        let uri = intercept.uri();
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{}{port}", uri.scheme_str()?, uri.host()?))
    }
}
