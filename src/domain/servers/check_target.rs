//! What a user asks `check` about: a name, a server or an image.

use thiserror::Error;

use super::image::{Image, ImageFault};
use super::package_server::PackageServer;
use super::server::{Server, ServerFault};
use super::userinfo::has_userinfo;
use crate::domain::declarations::variable;

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

/// Why a text is none of them. The message follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetFault {
    /// It is written like an image.
    #[error("is not a valid image name: {0}")]
    Image(ImageFault),
    /// It is written like a server.
    #[error("is not a valid server: {0}")]
    Server(ServerFault),
    /// It is written like neither.
    #[error("is neither a name, nor a server, nor an image")]
    Unknown,
}

impl CheckTarget {
    /// Parses `text`. A known name, package registry or server comes first; what remains is a server
    /// if it is written like one, and an image by docker's rules otherwise. Images may have the prefix
    /// of skopeo or helm, or that of a URL.
    pub fn parse(
        text: &str,
        known_name: impl Fn(&str) -> Option<String>,
        known_package: impl Fn(&str) -> Option<PackageServer>,
        is_known_server: impl Fn(&str) -> bool,
    ) -> Result<Self, TargetFault> {
        if let Some(name) = known_name(text) {
            return Ok(Self::Name(name));
        }
        if let Some(server) = known_package(text) {
            return Ok(Self::Package(server));
        }
        if has_userinfo(text) {
            return Err(TargetFault::Server(ServerFault::Userinfo));
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref().zip(text.split_once("://").map(|(_, rest)| rest)) {
            Some(("docker" | "oci", rest)) => return image(rest),
            Some(("https" | "http", rest)) if has_path(rest) => return image(rest),
            Some(_) => return server(text),
            None => {}
        }
        if has_path(text) {
            image(text)
        } else if is_known_server(text) || is_written_as_host(text) {
            server(text)
        } else if variable::is_name(text) && text.contains(|c: char| c.is_ascii_uppercase()) {
            Ok(Self::Name(text.to_owned()))
        } else if text.contains(char::is_whitespace) {
            Err(TargetFault::Unknown)
        } else {
            image(text)
        }
    }
}

/// The image that `text` was probably meant to name: the same in lower case, but for its tag.
pub fn in_lower_case(text: &str) -> Option<String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let start = text.len() - rest.len();
    let slash = rest.rfind('/').unwrap_or_default();
    let end = rest[slash..].find([':', '@']).map_or(rest.len(), |at| slash + at);
    let lower = format!("{}{}", rest[..end].to_ascii_lowercase(), &rest[end..]);
    Image::parse(&lower).is_ok().then(|| format!("{}{lower}", &text[..start]))
}

fn server(text: &str) -> Result<CheckTarget, TargetFault> {
    let parsed = Server::parse(text).map_err(TargetFault::Server);
    parsed.map(|(server, _)| CheckTarget::Server(server))
}

fn image(text: &str) -> Result<CheckTarget, TargetFault> {
    // Copied from a browser.
    Image::parse(text.trim_end_matches('/')).map(CheckTarget::Image).map_err(TargetFault::Image)
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
            Ok(CheckTarget::Package(server)) => format!("package {server}"),
            Ok(CheckTarget::Name(name)) => format!("name {name}"),
            Ok(CheckTarget::Server(server)) => format!("server {server}"),
            Ok(CheckTarget::Image(image)) => {
                format!("image {} {} {}", image.server.shown(), image.repository, image.reference)
            }
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn a_name_a_server_and_an_image_are_told_apart() {
        for (text, meant) in [
            ("ACME", "name ACME"),
            ("acme", "name ACME"),
            ("OTHER", "name OTHER"),
            ("https://npm.pkg.github.com/org/x", "package https://npm.pkg.github.com/org/"),
            ("https://npm.pkg.github.com/other", "image npm.pkg.github.com other latest"),
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
            ("docker://ghcr.io/org/app:v1", "image ghcr.io org/app v1"),
            ("docker://alpine", "image docker.io library/alpine latest"),
            ("oci://ghcr.io/org/chart", "image ghcr.io org/chart latest"),
            ("https://ghcr.io/org/app:v1", "image ghcr.io org/app v1"),
            ("not an image", "is neither a name, nor a server, nor an image"),
            ("ghcr.io/Org/app", "is not a valid image name: repository names are lower case"),
            ("ftp://ghcr.io", "is not a valid server: its scheme is neither https nor http"),
            ("ghcr.io:0", "is not a valid server: its port is not a number from 1 to 65535"),
        ] {
            assert_eq!(parse(text), meant, "{text}");
        }
    }

    #[test]
    fn an_image_in_lower_case_keeps_its_tag() {
        for (text, lower) in [
            ("ghcr.io/Org/App:V1", Some("ghcr.io/org/app:V1")),
            ("docker://R.test:5000/App", Some("docker://r.test:5000/app")),
            ("Team/app@sha256:ABC", Some("team/app@sha256:ABC")),
            ("ALPINE:3.20", Some("alpine:3.20")),
            ("ghcr.io/Org//App", None),
        ] {
            assert_eq!(in_lower_case(text).as_deref(), lower, "{text}");
        }
    }
}
