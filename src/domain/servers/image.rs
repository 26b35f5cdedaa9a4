//! Image names: registry, repository, and tag or digest.

use thiserror::Error;

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

/// Why a text is not the name of an image. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ImageFault {
    /// The repository has a letter in upper case.
    #[error("repository names are lower case")]
    UpperCase,
    /// The repository has another character that docker does not accept, or none.
    #[error(
        "a repository name has only a-z, 0-9 and . _ - between slashes, and each part starts with a letter or digit"
    )]
    Repository,
    /// The tag or digest is empty, or has a character that docker does not accept.
    #[error("its tag or digest is empty or has a character that neither may have")]
    Reference,
    /// The part before the repository is not a server.
    #[error(transparent)]
    Server(#[from] ServerFault),
}

impl Image {
    /// Parses `[SERVER/]REPOSITORY[:TAG][@DIGEST]` by docker's rules (`distribution/reference`):
    /// the part before the first slash is a server if it has a dot or a colon, or is `localhost`;
    /// otherwise the image is on Docker Hub.
    pub fn parse(text: &str) -> Result<Self, ImageFault> {
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
        let (server, _) = Server::parse(server)?;
        if !is_repository(repository) {
            let lower = is_repository(&repository.to_ascii_lowercase());
            return Err(if lower { ImageFault::UpperCase } else { ImageFault::Repository });
        }
        if !is_reference(reference) {
            return Err(ImageFault::Reference);
        }
        let short = server.kind() == &Kind::DockerHub && !repository.contains('/');
        let repository =
            if short { format!("library/{repository}") } else { repository.to_owned() };
        Ok(Self { server, repository, reference: reference.to_owned() })
    }

    /// The image in full, by its tag or digest.
    pub fn name(&self) -> String {
        let separator = if self.reference.contains(':') { '@' } else { ':' };
        format!("{}/{}{separator}{}", self.server.shown(), self.repository, self.reference)
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
        let image = Image::parse(text).unwrap();
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
    fn what_is_wrong_with_a_name_is_told() {
        use ImageFault as F;
        for (text, fault) in [
            ("", F::Repository),
            ("ghcr.io/", F::Repository),
            ("a//b", F::Repository),
            ("ghcr.io/../x", F::Repository),
            ("a b", F::Repository),
            ("a?b", F::Repository),
            ("UPPER", F::UpperCase),
            ("ghcr.io/Team/app:v1", F::UpperCase),
            ("app:", F::Reference),
            ("app@", F::Reference),
            ("a:-", F::Reference),
            ("r.test:99999/app", F::Server(ServerFault::Port)),
            ("user:secret@r.test/App/", F::Server(ServerFault::Userinfo)),
        ] {
            assert_eq!(Image::parse(text), Err(fault), "{text:?}");
        }
    }
}
