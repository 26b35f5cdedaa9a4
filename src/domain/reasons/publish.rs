//! Why clients may not use the helper: the docker configuration or their environment prevents it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::step::Step;
use super::{ReasonKind, Remedy, Severity, shell_word};

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
    /// The file is a directory, a device, a pipe, or a chain of links without end.
    #[error("{path} is not a regular file; left unchanged")]
    NotAFile {
        /// The path of the file.
        path: String,
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

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Malformed { path, .. } => {
                let path = shell_word(path);
                format!("correct {path}, or move it away with `mv -i {path} {path}.broken`")
            }
            Self::NotEntries { path, name } => {
                format!("change `{name}` in {path} to a JSON object, such as {{}}")
            }
            Self::ByteOrderMark { path } => {
                let path = shell_word(path);
                // Portable: busybox's sed knows no escapes for bytes.
                format!("run `sed -i \"1s/^$(printf '\\357\\273\\277')//\" {path}`")
            }
            Self::OtherHelper { path, key, helper } => {
                format!(
                    "remove \"{key}\": \"{helper}\" from `credHelpers` in {path} to use the declared login, or remove its declaration"
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
            Self::HelperMissing { remedy: None } => {
                "install docker-credential-registry-agent in a directory on PATH, \
                 such as /usr/local/bin"
                    .to_owned()
            }
            // They do not find an entry under another spelling, nor one that names a helper.
            Self::Shadowed { path, entry, section, .. }
                if &**section == "auths" && !entry.contains("://") && !entry.contains("index.docker.io") =>
            {
                format!(
                    "run `podman logout --authfile {} {}`, or the same with skopeo or buildah",
                    shell_word(path),
                    shell_word(entry)
                )
            }
            Self::Shadowed { path, entry, section, .. } => {
                format!("remove the entry \"{entry}\" from `{section}` in {path}")
            }
            Self::ShadowedByEnvironment { key, .. } => {
                format!(
                    "run `unset DOCKER_AUTH_CONFIG` in the shell that runs docker, or remove {key} from the variable"
                )
            }
            Self::Mount { .. } => "set DOCKER_CONFIG to a directory inside the container and run \
                                   `registry-agent sync` and docker in a shell that has the variable, \
                                   or set `publish_to_mounts = true` in the configuration"
                .to_owned(),
            Self::NotAFile { path } => format!("replace {path} with a regular file, or remove it"),
            Self::TooLarge { path, mebibytes } => {
                format!("reduce {path} to at most {mebibytes} MiB")
            }
            Self::HelperMissing { remedy: Some(remedy) }
            | Self::Unreadable { remedy: Some(remedy), .. }
            | Self::Unwritable { remedy: Some(remedy), .. } => remedy.to_string(),
            Self::Unreadable { .. } | Self::Unwritable { .. } => {
                "set DOCKER_CONFIG to a directory that you may write to, and run \
                 `registry-agent sync` and docker in a shell that has the variable"
                    .to_owned()
            }
            Self::NoHome { uid, .. } => {
                let home = format!("/tmp/home-{uid}");
                format!(
                    "run `mkdir -m 700 {home} && export HOME={home} && registry-agent stop && registry-agent sync` in a shell that has the variables, or choose another directory of your own; set HOME to it where docker runs too"
                )
            }
            Self::NoRoom { path, .. } => {
                format!(
                    "free space on the file system of {path}; the agent tries again every second"
                )
            }
            Self::Hanging { path } => {
                format!(
                    "make the file system of {path} respond again, or set DOCKER_CONFIG to a directory elsewhere and run `registry-agent sync`"
                )
            }
            Self::OtherPackageLogin { path, setting } | Self::OtherKeyring { path, setting } => {
                format!("remove `{setting}` from {path} to use the agent's logins")
            }
            Self::ClientFile { cause, .. } => cause.fix_of_client_file(),
            Self::Busy { path } => format!("stop the program that keeps changing {path}"),
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

impl PublishReason {
    /// What to do if a file of package clients cannot be written. No variable selects another one.
    fn fix_of_client_file(&self) -> String {
        match self {
            Self::Mount { .. } => "set `publish_to_mounts = true` in the configuration".to_owned(),
            Self::Malformed { path, .. } => format!("save {path} as UTF-8"),
            Self::Unreadable { path, remedy: None, .. }
            | Self::Unwritable { path, remedy: None, .. } => {
                format!("make {path} and its directory writable for the agent's user")
            }
            _ => self.fix(),
        }
    }
}

/// A server as people write it.
fn shown_key(key: &str) -> &str {
    if key == "https://index.docker.io/v1/" { "docker.io" } else { key }
}
