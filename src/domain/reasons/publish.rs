//! What can keep the docker configuration from pointing at the helper, and clients from asking it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::shell_word;

/// Why clients may not find what the agent holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum PublishReason {
    /// The file is not a JSON object.
    #[error("{path} is not a JSON object ({fault}); left unchanged")]
    Malformed {
        /// The file.
        path: String,
        /// Line and column of the fault, without the text.
        fault: String,
    },
    /// A member that should hold entries holds something else.
    #[error("`{name}` in {path} is not a JSON object; left unchanged")]
    NotEntries {
        /// The file.
        path: String,
        /// `credHelpers` or `auths`.
        name: String,
    },
    /// The file begins with a byte order mark.
    #[error("{path} starts with a byte order mark, which docker does not accept")]
    ByteOrderMark {
        /// The file.
        path: String,
    },
    /// A user chose another helper for the registry.
    #[error("{key} already uses the credential helper `{helper}` in {path}; left unchanged")]
    OtherHelper {
        /// The file.
        path: String,
        /// The key in `credHelpers`.
        key: String,
        /// The helper's name, empty for none.
        helper: String,
    },
    /// A user's own plain login stands where ours should.
    #[error("{path} already has a login for {key}; left unchanged")]
    OtherLogin {
        /// The file.
        path: String,
        /// The key in `auths`.
        key: String,
    },
    /// docker asks a credentials store and so does not look into `auths`.
    #[error("{path} sets `credsStore` to `{store}`, so docker ignores the logins in `auths`")]
    StoreFirst {
        /// The file.
        path: String,
        /// The store's name.
        store: String,
    },
    /// The credentials store has no program, so docker fails for what it alone would serve.
    #[error("{path} sets `credsStore` to `{store}`, but docker-credential-{store} is not on PATH")]
    StoreMissing {
        /// The file.
        path: String,
        /// The store's name.
        store: String,
    },
    /// The helper is not where clients look for it.
    #[error("docker-credential-registry-agent is not on PATH, so docker cannot run it")]
    HelperMissing,
    /// A file that podman and its kin read first has its own answer for the registry.
    #[error("{path} has a login for {key}, which podman, skopeo and buildah use instead")]
    Shadowed {
        /// The file.
        path: String,
        /// The registry's key.
        key: String,
    },
    /// The environment has its own answer for the registry.
    #[error("DOCKER_AUTH_CONFIG has a login for {key}, which docker uses instead")]
    ShadowedByEnvironment {
        /// The registry's key.
        key: String,
    },
    /// The file, or its directory, is a mount of its own: the host's, most likely.
    #[error(
        "{path} is on a separate mount and is not changed: it may belong to the host, which may lack the credential helper"
    )]
    Mount {
        /// The file.
        path: String,
    },
    /// The file is a directory, a device, a pipe, or one of a chain of links without end.
    #[error("{path} is not a regular file; left unchanged")]
    NotAFile {
        /// The file.
        path: String,
    },
    /// The file is larger than any configuration.
    #[error("{path} is larger than {mebibytes} MiB; left unchanged")]
    TooLarge {
        /// The file.
        path: String,
        /// The limit.
        mebibytes: u64,
    },
    /// The file could not be read.
    #[error("{path} cannot be read: {fault}")]
    Unreadable {
        /// The file.
        path: String,
        /// The error of the operating system.
        fault: String,
    },
    /// The file may not be written: its mode, an immutable flag, a read-only file system.
    #[error("{path} cannot be written: {fault}")]
    Unwritable {
        /// The file.
        path: String,
        /// The error of the operating system.
        fault: String,
    },
    /// The file system has no room for a second copy of the file.
    #[error("{path} cannot be written: {fault}")]
    NoRoom {
        /// The file.
        path: String,
        /// The error of the operating system.
        fault: String,
    },
    /// The file system of the file does not answer: it is frozen, or its server is gone.
    #[error("{path} cannot be read or written: its file system does not respond")]
    Hanging {
        /// The file.
        path: String,
    },
    /// Others wrote the file each time before we could.
    #[error("other programs keep changing {path}, so it is not written")]
    Busy {
        /// The file.
        path: String,
    },
}

impl PublishReason {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "docker-config-malformed",
            Self::NotEntries { .. } => "docker-config-not-entries",
            Self::ByteOrderMark { .. } => "docker-config-byte-order-mark",
            Self::OtherHelper { .. } => "other-helper",
            Self::OtherLogin { .. } => "other-login",
            Self::StoreFirst { .. } => "credentials-store-first",
            Self::StoreMissing { .. } => "credentials-store-missing",
            Self::HelperMissing => "helper-not-on-path",
            Self::Shadowed { .. } => "shadowed-by-auth-file",
            Self::ShadowedByEnvironment { .. } => "shadowed-by-environment",
            Self::Mount { .. } => "docker-config-mount",
            Self::NotAFile { .. } => "docker-config-not-a-file",
            Self::TooLarge { .. } => "docker-config-too-large",
            Self::Unreadable { .. } => "docker-config-unreadable",
            Self::Unwritable { .. } => "docker-config-unwritable",
            Self::NoRoom { .. } => "docker-config-no-room",
            Self::Hanging { .. } => "docker-config-hangs",
            Self::Busy { .. } => "docker-config-busy",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Malformed { path, .. } => {
                let path = shell_word(path);
                format!("correct {path}, or move it away: `mv {path} {path}.broken`")
            }
            Self::NotEntries { path, name } => {
                format!("change `{name}` in {path} to a JSON object, such as {{}}")
            }
            Self::ByteOrderMark { path } => {
                format!("save {path} as UTF-8 without a byte order mark")
            }
            Self::OtherHelper { path, key, .. } => {
                format!(
                    "remove {key} from `credHelpers` in {path} to use the declared login, or remove its declaration"
                )
            }
            Self::OtherLogin { path, key } => {
                let dir = path.rsplit_once('/').map_or(".", |(dir, _)| dir);
                format!(
                    "run `docker --config {} logout {key}` to use the declared login, or remove its declaration",
                    shell_word(dir)
                )
            }
            Self::StoreFirst { path, .. } => {
                format!(
                    "remove `credsStore` from {path}, or set `mode = \"helper\"` in the configuration"
                )
            }
            Self::StoreMissing { path, store } => {
                format!("install docker-credential-{store}, or remove `credsStore` from {path}")
            }
            Self::HelperMissing => {
                "install docker-credential-registry-agent in a directory on PATH, \
                 such as /usr/local/bin"
                    .to_owned()
            }
            Self::Shadowed { path, key } => {
                // podman and skopeo do not accept Docker Hub's URL here.
                let key = if key.contains("index.docker.io") { "docker.io" } else { key };
                format!(
                    "remove the login for {key} from {path}, for example with `podman logout --authfile {} {key}`",
                    shell_word(path)
                )
            }
            Self::ShadowedByEnvironment { key } => {
                format!(
                    "run `unset DOCKER_AUTH_CONFIG` where docker runs, or remove {key} from the variable"
                )
            }
            Self::Mount { .. } => "set DOCKER_CONFIG to a directory inside the container and run \
                                   `registry-agent sync`, or set `publish_to_mounts = true` \
                                   in the configuration"
                .to_owned(),
            Self::NotAFile { path } => format!("replace {path} with a regular file, or remove it"),
            Self::TooLarge { path, mebibytes } => {
                format!("reduce {path} to at most {mebibytes} MiB")
            }
            Self::Unreadable { path, .. } => {
                format!(
                    "give the agent's user permission to read {path}, or set DOCKER_CONFIG to another directory and run `registry-agent sync`"
                )
            }
            Self::Unwritable { path, .. } => {
                format!(
                    "give the agent's user permission to write {path} and its directory, or set DOCKER_CONFIG to another directory and run `registry-agent sync`"
                )
            }
            Self::NoRoom { path, .. } => {
                format!(
                    "free space on the file system of {path}, or set DOCKER_CONFIG to a directory elsewhere and run `registry-agent sync`"
                )
            }
            Self::Hanging { path } => {
                format!(
                    "make the file system of {path} respond again, or set DOCKER_CONFIG to a directory elsewhere and run `registry-agent sync`"
                )
            }
            Self::Busy { path } => format!("stop the program that keeps changing {path}"),
        }
    }
}
