//! How to make clients find the agent's logins.

use super::publish::PublishReason;
use super::shell_word;

impl PublishReason {
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
            Self::NotAFile { path, in_the_way } => {
                let path = shell_word(in_the_way.as_ref().unwrap_or(path));
                format!("move it away with `mv -i {path} {path}.broken`")
            }
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
