//! What can keep the docker configuration from pointing at the helper, and clients from asking it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why clients may not find what the agent holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum PublishReason {
    /// The file is not a JSON object.
    #[error("{path} is not a JSON object ({fault}); it is left as it is")]
    Malformed {
        /// The file.
        path: String,
        /// Line and column of the fault, without the text.
        fault: String,
    },
    /// A member that should hold entries holds something else.
    #[error("`{name}` in {path} is not an object; the file is left as it is")]
    NotEntries {
        /// The file.
        path: String,
        /// `credHelpers` or `auths`.
        name: String,
    },
    /// The file begins with a byte order mark.
    #[error("{path} begins with a byte order mark, so docker refuses to read it")]
    ByteOrderMark {
        /// The file.
        path: String,
    },
    /// A user chose another helper for the registry.
    #[error("{path} names the credential helper `{helper}` for {key}, which is left so")]
    OtherHelper {
        /// The file.
        path: String,
        /// The key in `credHelpers`.
        key: String,
        /// The helper's name, empty for none.
        helper: String,
    },
    /// A user's own plain login stands where ours should.
    #[error("{path} holds a login for {key} that registry-agent did not write, which is left so")]
    OtherLogin {
        /// The file.
        path: String,
        /// The key in `auths`.
        key: String,
    },
    /// docker asks a credentials store and so does not look into `auths`.
    #[error("{path} sets `credsStore` to `{store}`, so docker does not read the logins in `auths`")]
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
    #[error("docker-credential-registry-agent is not on PATH, so docker cannot ask for logins")]
    HelperMissing,
    /// A file that podman and its kin read first has its own answer for the registry.
    #[error("{path} holds a login for {key}, which podman, skopeo and buildah use instead")]
    Shadowed {
        /// The file.
        path: String,
        /// The registry's key.
        key: String,
    },
    /// The environment has its own answer for the registry.
    #[error("DOCKER_AUTH_CONFIG holds a login for {key}, which docker uses instead")]
    ShadowedByEnvironment {
        /// The registry's key.
        key: String,
    },
    /// The file, or its directory, is a mount of its own: the host's, most likely.
    #[error("{path} is on a mount of its own, so it is not written: the host may lack the helper")]
    Mount {
        /// The file.
        path: String,
    },
    /// The file is a directory, a device, a pipe, or one of a chain of links without end.
    #[error("{path} is not a regular file; it is left as it is")]
    NotAFile {
        /// The file.
        path: String,
    },
    /// The file is larger than any configuration.
    #[error("{path} is larger than {mebibytes} MiB; it is left as it is")]
    TooLarge {
        /// The file.
        path: String,
        /// The limit.
        mebibytes: u64,
    },
    /// The file could not be read.
    #[error("{path} could not be read: {fault}")]
    Unreadable {
        /// The file.
        path: String,
        /// The error of the operating system.
        fault: String,
    },
    /// The file may not be written: its mode, an immutable flag, a read-only file system.
    #[error("{path} could not be written: {fault}")]
    Unwritable {
        /// The file.
        path: String,
        /// The error of the operating system.
        fault: String,
    },
    /// The file system has no room for a second copy of the file.
    #[error("{path} could not be written: {fault}")]
    NoRoom {
        /// The file.
        path: String,
        /// The error of the operating system.
        fault: String,
    },
    /// Others wrote the file each time before we could.
    #[error("{path} is being written by others all the time")]
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
            Self::Busy { .. } => "docker-config-busy",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Malformed { path, .. } => format!("repair or remove {path}"),
            Self::NotEntries { path, name } => format!("make `{name}` in {path} an object"),
            Self::ByteOrderMark { path } => {
                format!("save {path} as UTF-8 without a byte order mark")
            }
            Self::OtherHelper { path, key, .. } => {
                format!("remove {key} from `credHelpers` in {path}, or its declaration")
            }
            Self::OtherLogin { key, .. } => {
                format!("run `docker logout {key}`, or remove its declaration")
            }
            Self::StoreFirst { path, .. } => {
                format!("remove `credsStore` from {path}, or set `mode = \"helper\"`")
            }
            Self::StoreMissing { path, store } => {
                format!("install docker-credential-{store}, or remove `credsStore` from {path}")
            }
            Self::HelperMissing => {
                "install docker-credential-registry-agent into a directory on PATH, \
                 such as /usr/local/bin"
                    .to_owned()
            }
            Self::Shadowed { path, key } => {
                format!("run `podman logout --authfile {path} {key}`")
            }
            Self::ShadowedByEnvironment { key } => {
                format!("unset DOCKER_AUTH_CONFIG, or remove {key} from it")
            }
            Self::Mount { .. } => "set DOCKER_CONFIG to a directory of the container's own, or \
                                   `publish_to_mounts = true`"
                .to_owned(),
            Self::NotAFile { path } => format!("put a regular file at {path}, or nothing"),
            Self::TooLarge { path, .. } => format!("remove what does not belong into {path}"),
            Self::Unreadable { path, .. } => {
                format!("make {path} readable for the agent's user, or set DOCKER_CONFIG")
            }
            Self::Unwritable { path, .. } => {
                format!("let the agent's user write {path} and its directory, or set DOCKER_CONFIG")
            }
            Self::NoRoom { path, .. } => {
                format!("free space on the file system of {path}, or set DOCKER_CONFIG")
            }
            Self::Busy { path } => format!("find the program that keeps writing {path}"),
        }
    }
}
