//! What a user asks `check` about: a name, a server or an image.

use super::image::Image;
use super::package_server::PackageServer;
use super::server::Server;

/// The argument of `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckTarget {
    /// The `<NAME>` of a set of variables.
    Name(String),
    /// A registry.
    Server(Server),
    /// An image on a registry.
    Image(Image),
    /// A package registry that is declared.
    Package(PackageServer),
}

impl CheckTarget {
    /// Parses `text`. A known name, package registry or server comes first; what remains is a server if it is written
    /// like one, and an image by docker's rules otherwise.
    pub fn parse(
        text: &str,
        known_name: impl Fn(&str) -> Option<String>,
        known_package: impl Fn(&str) -> Option<PackageServer>,
        is_known_server: impl Fn(&str) -> bool,
    ) -> Self {
        if let Some(name) = known_name(text) {
            return Self::Name(name);
        }
        if let Some(server) = known_package(text) {
            return Self::Package(server);
        }
        let server = || Server::parse(text).ok().map(|(server, _)| Self::Server(server));
        let image = || Image::parse(text)?.ok().map(Self::Image);
        let found = if text.contains("://") {
            server()
        } else if has_path(text) {
            image().or_else(server)
        } else if is_known_server(text) || is_written_as_host(text) {
            server()
        } else if text.contains(|c: char| c.is_ascii_uppercase()) {
            None
        } else {
            image()
        };
        found.unwrap_or_else(|| Self::Name(text.to_owned()))
    }
}

/// Whether there is a path other than that of the registry API.
fn has_path(text: &str) -> bool {
    let path = text.trim_end_matches('/').split_once('/').map(|(_, path)| path);
    path.is_some_and(|path| !matches!(path, "v1" | "v2"))
}

/// Whether the part before a port or tag can only be a host.
fn is_written_as_host(text: &str) -> bool {
    let host = text.split([':', '/']).next().unwrap_or_default();
    host.contains('.') || host == "localhost" || text.starts_with('[')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::servers::package_server::PackageUrl;

    fn parse(text: &str) -> String {
        let name = |text: &str| text.eq_ignore_ascii_case("ACME").then(|| "ACME".to_owned());
        let package = |text: &str| {
            let asked = PackageUrl::parse(text).ok()?;
            let server = PackageServer::parse("https://npm.pkg.github.com/org/").ok()?;
            server.covers(&asked).then_some(server)
        };
        match CheckTarget::parse(text, name, package, |text| text == "registry:5000") {
            CheckTarget::Package(server) => format!("package {server}"),
            CheckTarget::Name(name) => format!("name {name}"),
            CheckTarget::Server(server) => format!("server {server}"),
            CheckTarget::Image(image) => {
                format!("image {} {} {}", image.server.shown(), image.repository, image.reference)
            }
        }
    }

    #[test]
    fn a_name_a_server_and_an_image_are_told_apart() {
        for (text, meant) in [
            ("ACME", "name ACME"),
            ("acme", "name ACME"),
            ("OTHER", "name OTHER"),
            ("https://npm.pkg.github.com/org/x", "package https://npm.pkg.github.com/org/"),
            ("https://npm.pkg.github.com/other", "server npm.pkg.github.com"),
            ("ghcr.io", "server ghcr.io"),
            ("https://ghcr.io/v2/", "server ghcr.io"),
            ("ghcr.io/v2/", "server ghcr.io"),
            ("docker.io", "server https://index.docker.io/v1/"),
            ("https://index.docker.io/v1/", "server https://index.docker.io/v1/"),
            ("localhost:5000", "server localhost:5000"),
            ("[::1]:5000", "server [::1]:5000"),
            ("registry:5000", "server registry:5000"),
            ("alpine", "image docker.io library/alpine latest"),
            ("ubuntu:22.04", "image docker.io library/ubuntu 22.04"),
            ("me/app", "image docker.io me/app latest"),
            ("ghcr.io/org/app", "image ghcr.io org/app latest"),
            ("127.0.0.1:5000/a/b:t@sha256:abc", "image 127.0.0.1:5000 a/b sha256:abc"),
            ("not an image", "name not an image"),
        ] {
            assert_eq!(parse(text), meant, "{text}");
        }
    }
}
