//! Image names: registry, repository, and tag or digest.

use super::kind::Kind;
use super::server::{Server, ServerFault};

/// An image, as users and clients name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its registry.
    pub server: Server,
    /// The repository, such as `library/alpine`.
    pub repository: String,
    /// The tag or digest; `latest` if none is given.
    pub reference: String,
}

impl Image {
    /// Parses `[SERVER/]REPOSITORY[:TAG][@DIGEST]` by docker's rules (`distribution/reference`):
    /// the part before the first slash is a server if it has a dot or a colon, or is `localhost`;
    /// otherwise the image is on Docker Hub. `None` if the text names no repository.
    pub fn parse(text: &str) -> Option<Result<Self, ServerFault>> {
        let (server, rest) = registry_and_path(text).unwrap_or(("docker.io", text));
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (rest, None),
        };
        let (repository, tag) = match named.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (named, None),
        };
        let reference = digest.or(tag).unwrap_or("latest");
        if !is_repository(repository) || !is_reference(reference) {
            return None;
        }
        Some(Server::parse(server).map(|(server, _)| {
            let short = server.kind() == &Kind::DockerHub && !repository.contains('/');
            let repository =
                if short { format!("library/{repository}") } else { repository.to_owned() };
            Self { server, repository, reference: reference.to_owned() }
        }))
    }
}

/// Splits an image name behind its registry, if it states one.
pub fn registry_and_path(image: &str) -> Option<(&str, &str)> {
    let (first, rest) = image.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some((first, rest))
}

/// Lower-case letters, digits and separators between them; no character that could alter a URL.
fn is_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    text.len() <= 255 && text.split('/').all(is_part)
}

fn is_reference(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !text.starts_with(['.', '-'])
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-:+".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String) {
        let image = Image::parse(text).unwrap().unwrap();
        (image.server.name().to_owned(), image.repository, image.reference)
    }

    #[test]
    fn image_names_are_parsed_as_docker_does() {
        let hub = "https://index.docker.io/v1/";
        for (text, server, repository, reference) in [
            ("alpine", hub, "library/alpine", "latest"),
            ("alpine:3.20", hub, "library/alpine", "3.20"),
            ("me/app", hub, "me/app", "latest"),
            ("docker.io/alpine", hub, "library/alpine", "latest"),
            ("ghcr.io/org/app:v1", "ghcr.io", "org/app", "v1"),
            ("localhost/app", "localhost", "app", "latest"),
            ("127.0.0.1:5000/a/b/c@sha256:abc", "127.0.0.1:5000", "a/b/c", "sha256:abc"),
            ("r.test:5000/app:t@sha256:abc", "r.test:5000", "app", "sha256:abc"),
        ] {
            assert_eq!(parts(text), (server.into(), repository.into(), reference.into()), "{text}");
        }
    }

    #[test]
    fn an_image_needs_a_repository() {
        for text in
            ["", "ghcr.io/", "UPPER", "a//b", "ghcr.io/../x", "a b", "a?b", "app:", "app@", "a:-"]
        {
            assert!(Image::parse(text).is_none(), "{text:?}");
        }
        assert!(Image::parse("r.test:99999/app").unwrap().is_err());
    }
}
