//! Which declared package registry comes nearest to a URL that none covers, and what differs.

use std::cmp::Reverse;

use super::authority::is_loopback;
use super::package_server::PackageServer;
use crate::domain::spelling;

/// What was probably meant by a URL that no declared package registry covers.
#[derive(Debug, PartialEq, Eq)]
pub enum Nearest<'a> {
    /// A URL of this registry.
    Of {
        /// The registry.
        server: &'a PackageServer,
        /// The URL that was probably meant.
        meant: String,
        /// What that URL has and the other has not, such as "the port 8443".
        differs: Vec<String>,
        /// What the registry's own URL has to be to cover the URL, unless that would send in plain text what
        /// is declared with TLS.
        covering: Option<String>,
    },
    /// The registries below the URL, in their order.
    Below(Vec<&'a PackageServer>),
}

/// What was probably meant by `asked`, which none of `declared` covers.
pub fn nearest<'a>(
    asked: &PackageServer,
    declared: impl IntoIterator<Item = &'a PackageServer>,
) -> Option<Nearest<'a>> {
    let declared: Vec<&PackageServer> = declared.into_iter().collect();
    let of_origin = || declared.iter().copied().filter(|it| is_same_origin(it, asked));
    let below: Vec<_> = of_origin().filter(|it| asked.covers(it.url())).collect();
    if !below.is_empty() {
        return Some(Nearest::Below(below));
    }
    let is_only = of_origin().count() == 1;
    let near = declared.iter().filter_map(|server| near(asked, server, is_only));
    near.min_by_key(|(distance, _)| *distance).map(|(_, nearest)| nearest)
}

fn is_same_origin(one: &PackageServer, other: &PackageServer) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}

/// How far `server` is from `asked`, of two the one with the longer path less, and what differs; `None` if they
/// have nothing to do with each other.
fn near<'a>(
    asked: &PackageServer,
    server: &'a PackageServer,
    is_only: bool,
) -> Option<((usize, Reverse<usize>), Nearest<'a>)> {
    let mut differs = Vec::new();
    let is_other_scheme = asked.scheme() != server.scheme();
    if is_other_scheme {
        differs.push(format!("the scheme {}", server.scheme()));
    }
    let both_loopback = is_loopback(asked.host()) && is_loopback(server.host());
    if asked.host() != server.host() {
        let is_typo = spelling::nearest(asked.host(), [server.host()]).is_some();
        if !(is_typo || both_loopback) {
            return None;
        }
        differs.push(format!("the host {}", server.host()));
    }
    // Each scheme has a port of its own, which a URL does not state.
    let states_port = |it: &PackageServer| it.authority() != it.host();
    let is_other_port = asked.port() != server.port()
        && (!is_other_scheme || states_port(asked) || states_port(server));
    if is_other_port {
        differs.push(format!("the port {}", server.port()));
    }
    let at_origin = PackageServer::parse(&asked.at(server.scheme(), server.authority())).ok()?;
    let (meant, covering) = if server.covers(at_origin.url()) {
        (at_origin.name().to_owned(), server.at(asked.scheme(), asked.authority()))
    } else if asked.host() == server.host() && has_similar_path(asked, server)
        || (is_only && is_same_origin(asked, server))
    {
        differs.push(format!("the path {}", server.path()));
        (server.name().to_owned(), asked.name().to_owned())
    } else {
        return None;
    };
    let is_plain = asked.scheme() == "http" && server.scheme() == "https" && !asked.is_loopback();
    let covering = (!is_plain).then_some(covering);
    let distance = (differs.len(), Reverse(server.depth()));
    Some((distance, Nearest::Of { server, meant, differs, covering }))
}

/// Whether the first segments that differ are spelled alike, or one begins with the other.
fn has_similar_path(asked: &PackageServer, server: &PackageServer) -> bool {
    let segments = |it: &'_ PackageServer| -> Vec<String> {
        it.path().split('/').filter(|it| !it.is_empty()).map(str::to_lowercase).collect()
    };
    let (asked, own) = (segments(asked), segments(server));
    let mut pairs = asked.iter().zip(&own).filter(|(asked, own)| asked != own);
    let Some((asked, own)) = pairs.next() else { return true };
    let begins = asked.starts_with(own.as_str()) || own.starts_with(asked.as_str());
    begins || spelling::nearest(asked, [own.as_str()]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: [&str; 6] = [
        "https://packages.test:8443/cargo/",
        "https://packages.test:8443/go/",
        "https://packages.test:8443/team/npm/",
        "http://127.0.0.1:4873/",
        "https://nexus.test/repository/pypi/",
        "https://pypi.test/simple/",
    ];

    #[test]
    fn what_differs_from_the_nearest_registry_is_named() {
        let declared = DECLARED.map(|url| PackageServer::parse(url).unwrap());
        for (asked, expected) in [
            (
                "http://packages.test:8443/cargo/x",
                "https://packages.test:8443/cargo/x/: the scheme https",
            ),
            (
                "https://packages.test/cargo/",
                "https://packages.test:8443/cargo/: the port 8443, or https://packages.test/cargo/",
            ),
            (
                "http://packages.test/go/",
                "https://packages.test:8443/go/: the scheme https and the port 8443",
            ),
            (
                "https://pakages.test:8443/go/mod",
                "https://packages.test:8443/go/mod/: the host packages.test, or https://pakages.test:8443/go/",
            ),
            (
                "http://localhost:4873/@acme/x",
                "http://127.0.0.1:4873/@acme/x/: the host 127.0.0.1, or http://localhost:4873/",
            ),
            (
                "http://[::1]:4837/",
                "http://127.0.0.1:4873/: the host 127.0.0.1 and the port 4873, or http://[::1]:4837/",
            ),
            (
                "https://127.0.0.1:4873/",
                "http://127.0.0.1:4873/: the scheme http, or https://127.0.0.1:4873/",
            ),
            (
                "http://nexus.test/repository/pypi/",
                "https://nexus.test/repository/pypi/: the scheme https",
            ),
            (
                "https://packages.test:8443/crago/",
                "https://packages.test:8443/cargo/: the path /cargo/, or https://packages.test:8443/crago/",
            ),
            (
                "https://packages.test:8443/cargo-private/x",
                "https://packages.test:8443/cargo/: the path /cargo/, or https://packages.test:8443/cargo-private/x/",
            ),
            (
                "https://packages.test:8443/team/np/",
                "https://packages.test:8443/team/npm/: the path /team/npm/, or https://packages.test:8443/team/np/",
            ),
            // The only registry of its host.
            (
                "https://nexus.test/pypi/",
                "https://nexus.test/repository/pypi/: the path /repository/pypi/, or https://nexus.test/pypi/",
            ),
            ("https://packages.test:8443/", "below: 3"),
            ("https://packages.test:8443/team/", "below: 1"),
            // Other registries.
            ("https://packages.test:8443/nuget/", "-"),
            ("https://packages.test:8443/team/maven/", "-"),
            ("https://other.test/cargo/", "-"),
            (
                "https://packages.test:8443/goat-farm/",
                "https://packages.test:8443/go/: the path /go/, or https://packages.test:8443/goat-farm/",
            ),
        ] {
            let url = PackageServer::parse(asked).unwrap();
            let found = match nearest(&url, &declared) {
                None => "-".to_owned(),
                Some(Nearest::Below(all)) => format!("below: {}", all.len()),
                Some(Nearest::Of { meant, differs, covering, .. }) => {
                    let or = covering.map(|it| format!(", or {it}")).unwrap_or_default();
                    format!("{meant}: {}{or}", differs.join(" and "))
                }
            };
            assert_eq!(found, expected, "{asked}");
        }
    }
}
