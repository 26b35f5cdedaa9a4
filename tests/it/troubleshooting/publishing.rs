//! Reasons about the docker configuration and the clients that read it.

use registry_agent::domain::reasons::{PublishReason, Remedy};

use super::{Sample, sample};

pub(super) fn clients() -> Vec<Sample> {
    let mut clients = entries();
    clients.extend(programs());
    clients.extend(files());
    clients
}

fn path() -> String {
    "/home/dev/.docker/config.json".to_owned()
}

fn key() -> String {
    "ghcr.io".to_owned()
}

fn entries() -> Vec<Sample> {
    use PublishReason as R;
    vec![
        sample(
            R::Malformed { path: path(), fault: "is not valid JSON (line 3, column 5)".into() },
            "The agent never replaces a file that it cannot parse. Clients cannot read it either.",
        ),
        sample(
            R::NotEntries { path: path(), name: "credHelpers".into() },
            "The member must be a JSON object with one entry for each registry.",
        ),
        sample(
            R::ByteOrderMark { path: path() },
            "Some editors on Windows put an invisible mark at the start of a file.",
        ),
        sample(
            R::OtherHelper { path: path(), key: key(), helper: "gcloud".into() },
            "You or another tool chose this helper, so clients ask it and not the agent.",
        ),
        sample(
            R::OtherLogin { path: path(), key: key() },
            "With `mode = \"auths\"` the agent writes logins to this file, but it does not overwrite a login \
             that it did not write.",
        ),
        sample(
            R::OtherPackageLogin {
                path: "/home/dev/.npmrc".into(),
                setting: "//npm.example.com/:_authToken".into(),
            },
            "The agent tells pnpm in this file where to ask, but a login of your own is in it already.",
        ),
        sample(
            R::OtherKeyring {
                path: "/home/dev/.config/python_keyring/keyringrc.cfg".into(),
                setting: "default-keyring = keyring.backends.null.Keyring".into(),
            },
            "The agent tells Python's keyring in this file to ask it, but you or another tool chose a backend.",
        ),
        sample(
            R::ClientFile {
                clients: "pnpm".into(),
                cause: Box::new(R::Mount { path: "/home/dev/.npmrc".into() }),
            },
            "The agent tells pnpm, poetry and twine in files of your home where to ask for logins.",
        ),
        sample(
            R::StoreFirst { path: path(), store: "desktop".into() },
            "With `mode = \"auths\"` the agent writes logins to `auths`, but docker reads the credentials \
             store first.",
        ),
        sample(
            R::StoreMissing { path: path(), store: "desktop".into() },
            "docker runs this program for every registry that has no entry in `credHelpers`, and fails \
             without it.",
        ),
    ]
}

fn programs() -> Vec<Sample> {
    use PublishReason as R;
    vec![
        sample(
            R::HelperMissing {
                remedy: Some(Remedy::Root(
                    "ln -sf /opt/registry-agent/docker-credential-registry-agent /usr/local/bin/"
                        .into(),
                )),
            },
            "Clients find the credential helper by name, on their own PATH.",
        ),
        sample(
            R::Shadowed {
                path: "/run/user/1000/containers/auth.json".into(),
                key: key(),
                entry: key(),
                section: "auths".into(),
            },
            "These clients read this file before the docker configuration. A login of your own is in it.",
        ),
        sample(
            R::Shadowed {
                path: "/run/user/1000/containers/auth.json".into(),
                key: key(),
                entry: key(),
                section: "credHelpers".into(),
            },
            "The entry names another credential helper.",
        ),
        sample(
            R::ShadowedByEnvironment { key: key(), older: None },
            "docker 28.3 and later read this variable before their configuration file.",
        ),
    ]
}

fn files() -> Vec<Sample> {
    use PublishReason as R;
    vec![
        sample(
            R::Mount { path: path() },
            "A file or directory that is mounted into the container is usually shared with the host. An \
             entry for a helper that the host lacks would break docker there.",
        ),
        sample(
            R::NotAFile { path: path(), in_the_way: None },
            "A directory, device or pipe is in the place of the file, or its symbolic links form a loop.",
        ),
        sample(
            R::TooLarge { path: path(), mebibytes: 64 },
            "No docker configuration is this large, so it is probably another file.",
        ),
        sample(
            R::Unreadable {
                path: path(),
                fault: "permission denied (os error 13)".into(),
                remedy: Some(Remedy::Root("chown -R dev /home/dev/.docker".into())),
            },
            "The file belongs to another user, often to root after a `sudo docker login`.",
        ),
        sample(
            R::Unwritable {
                path: path(),
                fault: "read-only file system (os error 30)".into(),
                remedy: None,
            },
            "The agent replaces the file, so it needs write access to the directory too.",
        ),
        sample(
            R::NoHome { path: "/.docker/config.json".into(), uid: 1000 },
            "The container runs as a user that /etc/passwd lacks.",
        ),
        sample(
            R::NoRoom { path: path(), fault: "no space left on device (os error 28)".into() },
            "The agent writes a new file before it replaces the old one. The old one is unchanged.",
        ),
        sample(
            R::Hanging { path: path() },
            "The file system is frozen, or it is a network file system whose server is down. Credentials are \
             still served.",
        ),
        sample(
            R::Busy { path: path() },
            "Another program changed the file each time the agent was about to replace it.",
        ),
    ]
}
