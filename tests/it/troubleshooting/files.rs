//! Reasons about the files that variables come from, and tokens declared as passwords.

use registry_agent::domain::reasons::{LoginReason, Remedy, SourceReason, Writer};

use super::{Sample, sample};

const AT: &str = "2026-11-24 06:00:00 UTC";

pub(super) fn files() -> Vec<Sample> {
    use SourceReason as R;
    let path = || "/workspaces/.codespaces/shared/.env".to_owned();
    vec![
        sample(
            R::Malformed {
                path: path(),
                fault: "line 3 is not a complete NAME=value assignment".into(),
                has_values: true,
            },
            "The file does not have the format that its name stands for, or was not written completely.",
        ),
        sample(
            R::BadValue { path: path(), variable: "ACME_CONTAINER_REGISTRY_PASSWORD".into() },
            "The value is not encoded as the file's format requires, for example in base64. The other values \
             of the file are used.",
        ),
        sample(
            R::Link { path: path() },
            "A link here would let anyone who can write to the workspace choose which file is read.",
        ),
        sample(
            R::OtherOwner { path: path(), owner: "mallory".into(), is_directory: false },
            "Only root, as whom the platform runs, and you write these files. A file of another user could send your \
             passwords to a server of that user.",
        ),
        sample(
            R::NotAFile { path: path() },
            "A directory, device, pipe or socket is in the place of the file.",
        ),
        sample(
            R::TooLarge { path: path(), limit: 16_777_216 },
            "Files with variables are small. The limit protects the agent against the wrong file.",
        ),
        sample(
            R::NotWatched { path: path(), seconds: 5, fault: "no space left on device".into() },
            "The kernel's inotify limits are reached, usually by other programs. Changes are still noticed, \
             but later.",
        ),
        sample(
            R::Missing { path: "/run/secrets/acme".into() },
            "A variable or the configuration names this path, but there is nothing.",
        ),
        sample(
            R::NoSource { path: "/home/dev/registries.env".into() },
            "A variable or the configuration names this path, but there is nothing.",
        ),
        sample(
            R::Empty { path: "/run/secrets/acme".into() },
            "The file exists, but contains nothing except perhaps a line end.",
        ),
        sample(
            R::KeptOpen { path: path(), writer: Some(Writer { pid: 4321, program: "vim".into() }) },
            "A file is read when its writer closes it. This one stays open, so its content is used only once it \
             has not changed for 10 seconds. Until then its last good values stay in use.",
        ),
        sample(
            R::Hanging { path: "/mnt/nfs/secrets".into() },
            "It is on a network or FUSE file system whose server is down, for example. Its last good values \
             stay in use, and it is read again when the file system responds.",
        ),
        sample(
            R::Configuration {
                path: "/etc/registry-agent/config.toml".into(),
                fault: "/etc/registry-agent/config.toml line 3: unknown key `usr` (did you mean `user`?)".into(),
            },
            "The file was changed while the agent ran, and is no longer a valid configuration. A \
             running agent keeps the configuration it started with; a new one does not start.",
        ),
        sample(
            R::OtherConfiguration {
                path: "/home/dev/.config/registry-agent/config.toml".into(),
                owner: "mallory".into(),
                remedy: Some(Remedy::Root(
                    "chown dev /home/dev/.config/registry-agent/config.toml".into(),
                )),
            },
            "The configuration says where variables are read from. `sudo -E`, for example, leaves `HOME` as it is, so \
             root finds the file of the user who called it. A file whose owner also owns your home directory in \
             `/etc/passwd` is used.",
        ),
        sample(
            R::Unreadable {
                path: path(),
                fault: "permission denied (os error 13)".into(),
                remedy: Some(Remedy::Root("chown dev /workspaces/.codespaces/shared/.env".into())),
            },
            "The agent runs as your user and has exactly that user's permissions.",
        ),
        sample(
            R::Unreadable {
                path: "/etc/environment".into(),
                fault: "permission denied (os error 13)".into(),
                remedy: None,
            },
            "The agent runs as your user and has exactly that user's permissions.",
        ),
    ]
}

pub(super) fn logins() -> Vec<Sample> {
    use LoginReason as R;
    vec![
        sample(
            R::NotAsked { server: "ghcr.io".into() },
            "Verification is switched off, so nothing is known about whether the registry accepts the login.",
        ),
        sample(
            R::TokenEnds { server: "mycompany.azurecr.io".into(), at: AT.into() },
            "The declared password is a token that expires in less than an hour.",
        ),
        sample(
            R::TokenEnded { server: "mycompany.azurecr.io".into(), at: AT.into() },
            "The declared password is a token that has expired. Clients no longer get it.",
        ),
        sample(
            R::ShorterThanBuild { server: "mycompany.azurecr.io".into(), at: AT.into() },
            "A build that starts now may push or pull with the token after it has expired.",
        ),
        sample(
            R::StoredUnreadable {
                path: "/home/dev/.local/state/registry-agent/logins.json".into(),
                fault: "permission denied (os error 13)".into(),
            },
            "The file holds what you gave to `docker login`. Declared logins are not affected.",
        ),
        sample(
            R::StoredHanging { path: "/home/dev/.local/state/registry-agent/logins.json".into() },
            "The file system is frozen, or it is a network file system whose server is down. \
             Declared logins are not affected.",
        ),
    ]
}
