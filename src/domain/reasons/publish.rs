//! Why clients may not use the helper: the docker configuration or their environment prevents it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::step::Step;
use super::{ReasonKind, Remedy, Severity};

/// Why clients may not find the agent's logins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum PublishReason {
    /// The file is not a JSON object.
    #[error("{path} {fault}; left unchanged")]
    Malformed {
        /// The path of the file.
        path: String,
        /// What is wrong and where, without the text. It follows the path.
        fault: String,
    },
    /// A member that should contain entries is not an object.
    #[error("`{name}` in {path} is not a JSON object; left unchanged")]
    NotEntries {
        /// The path of the file.
        path: String,
        /// `credHelpers` or `auths`.
        name: String,
    },
    /// The file begins with a byte order mark.
    #[error("{path} starts with a byte order mark, which docker does not accept")]
    ByteOrderMark {
        /// The path of the file.
        path: String,
    },
    /// The user chose another helper for the registry.
    #[error("{key} already uses the credential helper `{helper}` in {path}; left unchanged")]
    OtherHelper {
        /// The path of the file.
        path: String,
        /// The key in `credHelpers`.
        key: String,
        /// The helper's name; empty for no helper.
        helper: String,
    },
    /// The user's own plain login takes the place of ours.
    #[error("{path} already has a login for {key}; left unchanged")]
    OtherLogin {
        /// The path of the file.
        path: String,
        /// The key in `auths`.
        key: String,
    },
    /// docker uses a credentials store and therefore ignores `auths`.
    #[error("{path} sets `credsStore` to `{store}`, so docker ignores the logins in `auths`")]
    StoreFirst {
        /// The path of the file.
        path: String,
        /// The name of the store.
        store: String,
    },
    /// The credentials store is not installed, so docker fails for registries that only it would
    /// serve.
    #[error("{path} sets `credsStore` to `{store}`, but docker-credential-{store} is not on PATH")]
    StoreMissing {
        /// The path of the file.
        path: String,
        /// The name of the store.
        store: String,
    },
    /// The helper is not on `PATH`.
    #[error("docker-credential-registry-agent is not on PATH, so docker cannot run it")]
    HelperMissing {
        /// The command that puts it there, if it is installed somewhere else.
        remedy: Option<Remedy>,
    },
    /// A file that podman, skopeo and buildah read first has its own login for the registry.
    #[error(
        "{path} has an entry `{entry}` in `{section}`, which podman, skopeo and buildah use instead of the agent's login for {}",
        shown_key(.key)
    )]
    Shadowed {
        /// The path of the file.
        path: String,
        /// The canonical server.
        key: String,
        /// The key of the entry, as written.
        entry: String,
        /// `auths` or `credHelpers`.
        section: Box<str>,
    },
    /// `DOCKER_AUTH_CONFIG` has its own login for the registry.
    #[error("DOCKER_AUTH_CONFIG has a login for {}, which {}", shown_key(.key), reader(.older.as_deref()))]
    ShadowedByEnvironment {
        /// The registry's key.
        key: String,
        /// The version of docker, if it is known not to read the variable.
        #[serde(default)]
        older: Option<String>,
    },
    /// The file or its directory is a separate mount, most likely from the host.
    #[error(
        "{path} is on a separate mount and is not changed: it may belong to the host, which may lack the credential helper"
    )]
    Mount {
        /// The path of the file.
        path: String,
    },
    /// The file is a directory, a device, a pipe, or a chain of links without end, or is below
    /// something that is no directory.
    #[error("{}", not_a_file(.path, .in_the_way.as_deref()))]
    NotAFile {
        /// The path of the file.
        path: String,
        /// What is in the place of one of its directories.
        #[serde(default)]
        in_the_way: Option<String>,
    },
    /// The file exceeds the size limit.
    #[error("{path} is larger than {mebibytes} MiB; left unchanged")]
    TooLarge {
        /// The path of the file.
        path: String,
        /// The limit in MiB.
        mebibytes: u64,
    },
    /// The file could not be read.
    #[error("{path} cannot be read: {fault}")]
    Unreadable {
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        fault: String,
        /// The command that makes it readable, if there is one.
        remedy: Option<Remedy>,
    },
    /// The file cannot be written because of its mode, an immutable flag, or a read-only file
    /// system.
    #[error("{path} cannot be written: {fault}")]
    Unwritable {
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        fault: String,
        /// The command that makes it writable, if there is one.
        remedy: Option<Remedy>,
    },
    /// The file would be in the root directory, which belongs to root.
    #[error(
        "{path} cannot be written: HOME is not set, or is `/`, so there is no home directory for it"
    )]
    NoHome {
        /// The path of the file.
        path: String,
        /// The ID of the user.
        uid: u32,
    },
    /// The file system has no space for a second copy of the file.
    #[error("{path} cannot be written: {fault}")]
    NoRoom {
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        fault: String,
    },
    /// The file system does not respond: it is frozen, or its server is gone.
    #[error("{path} cannot be read or written: its file system does not respond")]
    Hanging {
        /// The path of the file.
        path: String,
    },
    /// The user chose another login of an npm registry.
    #[error("{path} already has `{setting}`, so pnpm does not ask the agent; left unchanged")]
    OtherPackageLogin {
        /// The path of the file.
        path: String,
        /// The name of the setting, such as `//registry.example.com/:_authToken`.
        setting: String,
    },
    /// The user chose another backend of Python's keyring.
    #[error(
        "{path} already has `{setting}`, so poetry and twine do not ask the agent; left unchanged"
    )]
    OtherKeyring {
        /// The path of the file.
        path: String,
        /// The option and its value.
        setting: String,
    },
    /// A file of package clients could not be written.
    #[error("{}, so {clients} may not find the agent's logins", cause.to_string().trim_end_matches("; left unchanged"))]
    ClientFile {
        /// The clients that read it.
        clients: String,
        /// Why not.
        cause: Box<PublishReason>,
    },
    /// Other programs changed the file before each attempt to write it.
    #[error("other programs keep changing {path}, so it is not written")]
    Busy {
        /// The path of the file.
        path: String,
    },
}

impl PublishReason {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "docker-config-malformed",
            Self::NotEntries { .. } => "docker-config-not-entries",
            Self::ByteOrderMark { .. } => "docker-config-byte-order-mark",
            Self::OtherHelper { .. } => "other-helper",
            Self::OtherLogin { .. } => "other-login",
            Self::StoreFirst { .. } => "credentials-store-first",
            Self::StoreMissing { .. } => "credentials-store-missing",
            Self::HelperMissing { .. } => "helper-not-on-path",
            Self::Shadowed { .. } => "shadowed-by-auth-file",
            Self::ShadowedByEnvironment { .. } => "shadowed-by-environment",
            Self::Mount { .. } => "docker-config-mount",
            Self::NotAFile { .. } => "docker-config-not-a-file",
            Self::TooLarge { .. } => "docker-config-too-large",
            Self::Unreadable { .. } => "docker-config-unreadable",
            Self::Unwritable { .. } => "docker-config-unwritable",
            Self::NoHome { .. } => "docker-config-without-home",
            Self::NoRoom { .. } => "docker-config-no-room",
            Self::Hanging { .. } => "docker-config-hangs",
            Self::OtherPackageLogin { .. } => "other-package-login",
            Self::OtherKeyring { .. } => "other-keyring",
            Self::ClientFile { .. } => "package-client-file",
            Self::Busy { .. } => "docker-config-busy",
        }
    }

    /// What it is about.
    pub fn kind(&self) -> ReasonKind {
        match self {
            Self::HelperMissing { .. }
            | Self::Shadowed { .. }
            | Self::ShadowedByEnvironment { .. }
            | Self::OtherPackageLogin { .. }
            | Self::OtherKeyring { .. }
            | Self::ClientFile { .. } => ReasonKind::Client,
            _ => ReasonKind::DockerConfiguration,
        }
    }

    /// Whether it keeps clients from a login.
    pub fn severity(&self) -> Severity {
        match self {
            // Our registries have an entry of their own in `credHelpers`.
            Self::StoreMissing { .. } | Self::ShadowedByEnvironment { older: Some(_), .. } => {
                Severity::Remark
            }
            // Not everybody uses these clients.
            Self::OtherPackageLogin { .. }
            | Self::OtherKeyring { .. }
            | Self::ClientFile { .. } => Severity::Remark,
            _ => Severity::Error,
        }
    }

    /// The one registry that it is about, as clients name it.
    pub fn registry(&self) -> Option<&str> {
        match self {
            Self::OtherHelper { key, .. }
            | Self::OtherLogin { key, .. }
            | Self::Shadowed { key, .. }
            | Self::ShadowedByEnvironment { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::HelperMissing { .. } => Step::Helper,
            Self::StoreFirst { .. }
            | Self::StoreMissing { .. }
            | Self::Shadowed { .. }
            | Self::ShadowedByEnvironment { .. } => Step::NotShadowed,
            _ => Step::Published,
        }
    }
}

/// Who uses the login in `DOCKER_AUTH_CONFIG`; `older` is a docker that does not.
fn reader(older: Option<&str>) -> String {
    older.map_or_else(
        || "docker uses instead".to_owned(),
        |version| {
            format!("docker uses instead from version 28.3 on; this docker has version {version}")
        },
    )
}

fn not_a_file(path: &str, in_the_way: Option<&str>) -> String {
    match in_the_way {
        None => format!("{path} is not a regular file; left unchanged"),
        Some(other) => format!("{other} is not a directory, so {path} cannot be read or written"),
    }
}

/// A server as people write it.
fn shown_key(key: &str) -> &str {
    if key == "https://index.docker.io/v1/" { "docker.io" } else { key }
}
