//! Reasons about variables, the files they come from, and tokens declared as passwords.

use registry_agent::domain::reasons::{
    DeclarationReason, LoginReason, Remedy, SourceReason, SourcedVariable, Writer,
};

use registry_agent::domain::reasons::duplicate::Duplicate;
use registry_agent::domain::servers::server::ServerFault;

use super::{Sample, sample};

const AT: &str = "2026-11-24 06:00:00 UTC";

/// A variable of the set `ACME` that `sync` sent.
fn acme(suffix: &str) -> SourcedVariable {
    SourcedVariable::new(format!("ACME_CONTAINER_REGISTRY_{suffix}"), "sync")
}

/// A variable of the package set `NPM` that `sync` sent.
fn npm(suffix: &str) -> SourcedVariable {
    SourcedVariable::new(format!("NPM_PACKAGE_REGISTRY_{suffix}"), "sync")
}

pub(super) fn variables() -> Vec<Sample> {
    let mut variables = required();
    variables.extend(misplaced());
    variables.extend(values());
    variables
}

fn required() -> Vec<Sample> {
    use DeclarationReason as R;
    vec![
        sample(
            R::Missing {
                missing: "ACME_CONTAINER_REGISTRY_USER".into(),
                misspelt: Some(acme("USERNAME")),
                others: vec![acme("SERVER"), acme("PASSWORD")],
            },
            "A registry needs three variables: _SERVER, _USER and _PASSWORD. One of them is missing, and a \
             variable with a similar name is set.",
        ),
        sample(
            R::Lost { server: "mycompany.azurecr.io".into() },
            "What `sync` sends is in the memory of the agent and of its supervisor. Either survives the death of \
             the other, but both were killed before one could start the other again. The entries in the docker \
             configuration stay.",
        ),
        sample(
            R::Misnamed {
                variables: ["SERVER", "USER", "PASSWORD"]
                    .map(|field| {
                        let other = format!("ACME_REGISTRY_{field}");
                        let read = format!("ACME_CONTAINER_REGISTRY_{field}");
                        (SourcedVariable::new(other, "this shell"), read)
                    })
                    .to_vec(),
            },
            "No variable of the set has the name that the agent reads. Other programs use such names, so the \
             agent does not take their values for its own.",
        ),
        sample(
            R::Split {
                others: vec![(
                    SourcedVariable::new("ACNE_CONTAINER_REGISTRY_PASSWORD", "sync"),
                    "ACME_CONTAINER_REGISTRY_PASSWORD".into(),
                )],
                rest: vec![acme("SERVER"), acme("USER")],
            },
            "The variables of a set begin with the same name, and all of them have _CONTAINER_REGISTRY_ or all \
             have _PACKAGE_REGISTRY_. Here they are a complete set but for their names. The fix renames the \
             smaller part.",
        ),
        sample(
            R::Missing {
                missing: "ACME_CONTAINER_REGISTRY_SERVER".into(),
                misspelt: None,
                others: vec![acme("USER"), acme("PASSWORD")],
            },
            "A registry needs three variables: _SERVER, _USER and _PASSWORD. One of them is not set in any \
             source. Empty variables count as not set.",
        ),
        sample(
            R::Missing {
                missing: "ACME_CONTAINER_REGISTRY_PASSWORD".into(),
                misspelt: None,
                others: vec![
                    SourcedVariable::new("ACME_CONTAINER_REGISTRY_SERVER", "start"),
                    SourcedVariable::new("ACME_CONTAINER_REGISTRY_USER", "start"),
                ],
            },
            "Server and user are set, but no source provides the password. A secret that was added after the \
             container started is often still missing there.",
        ),
        sample(
            R::InUnreadFile {
                missing: "ACME_CONTAINER_REGISTRY_PASSWORD".into(),
                file: Box::new(SourceReason::Malformed {
                    path: "/workspaces/.codespaces/shared/.env".into(),
                    fault: "line 3 is not a complete NAME=value assignment".into(),
                    has_values: false,
                }),
            },
            "No source sets the variable, but one of the files with variables cannot be read, or not yet. The \
             variable may be in it.",
        ),
        sample(
            R::IncompletePush {
                missing: "ACME_CONTAINER_REGISTRY_PASSWORD".into(),
                misspelt: None,
            },
            "`sync` ran in a shell without all variables of a set that was complete before. A shell \
             without the secret does not remove a login.",
        ),
        sample(
            R::SpellingIgnored {
                ignored: acme("USERNAME"),
                used: "ACME_CONTAINER_REGISTRY_USER".into(),
            },
            "Two variables of the set mean the same, and only the one with the exact name counts.",
        ),
    ]
}

fn duplicate(is_unusable: bool) -> DeclarationReason {
    let set = |name: &str| {
        let variable =
            |field| SourcedVariable::new(format!("{name}_CONTAINER_REGISTRY_{field}"), "sync");
        ["SERVER", "USER", "PASSWORD"].map(variable).to_vec()
    };
    let (server, used, ignored) = ("ghcr.io".to_owned(), set("ACME"), set("WORK"));
    DeclarationReason::Duplicate(Box::new(Duplicate { server, used, ignored, is_unusable }))
}

/// Values that cannot work, and hosts that have no registry.
fn misplaced() -> Vec<Sample> {
    use DeclarationReason as R;
    vec![
        sample(
            R::WebSite {
                variable: acme("SERVER"),
                host: "hub.docker.com".into(),
                registry: "docker.io".into(),
            },
            "People look at images there, but no image name begins with that host.",
        ),
        sample(
            R::PackageHost {
                variable: acme("SERVER"),
                host: "npm.pkg.github.com".into(),
                renamed: ["SERVER", "USER", "PASSWORD"]
                    .map(|field| (acme(field), format!("ACME_PACKAGE_REGISTRY_{field}")))
                    .to_vec(),
            },
            "Package registries have variables of their own.",
        ),
        sample(
            R::KeysSwapped { user: acme("USER"), password: acme("PASSWORD") },
            "The user is the access key ID (AKIA… or ASIA…), and the password is the secret access key. Nothing \
             was sent to AWS, which would have shown the secret key in the place of its ID.",
        ),
        sample(
            R::TwoKeyIds { user: acme("USER"), password: acme("PASSWORD") },
            "The password is the secret access key, a text of 40 characters that AWS shows once.",
        ),
        sample(
            R::SecretKeyAsUser { user: acme("USER") },
            "The user is the access key ID (AKIA… or ASIA…), and the password is the secret access key. Nothing \
             was sent to AWS, which would have shown the secret key in the place of its ID.",
        ),
        sample(
            R::BadProxy { variable: SourcedVariable::new("HTTPS_PROXY", "sync") },
            "curl and other programs cannot use the value either. It is not shown, because it may contain a \
             password.",
        ),
        sample(
            R::BadRole { variable: acme("ROLE_ARN") },
            "The name of a role is not enough, because it does not tell the account. Nothing was sent to AWS.",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn values() -> Vec<Sample> {
    use DeclarationReason as R;
    vec![
        sample(
            R::EmptyServer { variable: acme("SERVER") },
            "Other variables of the set have values. An empty server never means Docker Hub.",
        ),
        sample(
            R::OtherSpelling {
                ignored: SourcedVariable::new("ACME_PACKAGE_REGISTRY_USERNAME", "sync"),
                read: "ACME_PACKAGE_REGISTRY_USER".into(),
            },
            "A package registry may take a password without a user, so the login is used without one.",
        ),
        sample(
            R::BadServer {
                variable: acme("SERVER"),
                fault: "it contains a user name or password".into(),
                meant: None,
            },
            "The value is not a host name or address with an optional port. The value itself is not shown, \
             because it may contain a password.",
        ),
        sample(
            R::BadServer {
                variable: acme("SERVER"),
                fault: ServerFault::SchemeEnd.to_string(),
                meant: Some("http://registry.example.com:5000".into()),
            },
            "Without ://, the scheme would be the host.",
        ),
        sample(
            R::BadServer {
                variable: acme("SERVER"),
                fault: ServerFault::EcrForm.to_string(),
                meant: Some("<12 digits>.dkr.ecr.<region>.amazonaws.com".into()),
            },
            "No registry has this host: the account, the region or `dkr` is missing, or a part is mistyped.",
        ),
        sample(
            R::BadValue { variable: acme("USER"), what: "a control character".into() },
            "No registry accepts this character in this place. It is usually copied by accident, together \
             with the value.",
        ),
        sample(
            R::NotExpanded { variable: acme("PASSWORD") },
            "Secrets, env files and single quotes in a shell keep `${NAME}` and `$NAME` as they are. \
             `${localEnv:NAME}` works only in devcontainer.json.",
        ),
        sample(
            R::Quoted { variable: acme("PASSWORD"), is_refused: false },
            "Env files of docker and secrets keep quotation marks that a shell would remove. The value is used \
             as it is, because a password may contain them.",
        ),
        sample(
            R::Quoted { variable: acme("ROLE_ARN"), is_refused: true },
            "Env files of docker and secrets keep quotation marks that a shell would remove.",
        ),
        sample(
            R::WhiteSpace { variable: acme("PASSWORD"), at: "ends".into() },
            "It is usually copied by accident, together with the value. One line end is removed. The value is \
             used as it is otherwise, because a password may contain white space.",
        ),
        sample(
            R::TwoPasswords { password: acme("PASSWORD"), file: acme("PASSWORD_FILE") },
            "Only one of the two variables can provide the password.",
        ),
        sample(
            R::BadScheme { variable: npm("SCHEME") },
            "_SCHEME says how package clients send the password: as a Bearer token, with the user (Basic), or \
             as the whole Authorization header (raw). Without it, the kind of the registry decides.",
        ),
        sample(
            R::BadName {
                variable: SourcedVariable::new("my-acme_CONTAINER_REGISTRY_SERVER", "sync"),
            },
            "The text before _CONTAINER_REGISTRY_ is the name of the set.",
        ),
        sample(
            R::RelativePath { variable: acme("PASSWORD_FILE") },
            "A relative path would depend on the directory that a process was started in.",
        ),
        sample(
            R::PasswordFile {
                variable: acme("PASSWORD_FILE"),
                reason: Box::new(SourceReason::Missing { path: "/run/secrets/acme".into() }),
            },
            "The file named by the variable cannot be used. The agent reads it as soon as it changes.",
        ),
        sample(
            duplicate(false),
            "One server has one login. If two sets declare it, the set whose name sorts first is used.",
        ),
        sample(
            duplicate(true),
            "The set whose name sorts first is used even if the registry rejects its login.",
        ),
        sample(
            R::PathDropped { variable: acme("SERVER"), path: "/my-org".into() },
            "Clients choose a login by the registry's host, not by the repository.",
        ),
        sample(
            R::TokenAlready {
                variable: SourcedVariable::new("WORK_CONTAINER_REGISTRY_ROLE_ARN", "sync"),
                user: "AWS".into(),
            },
            "With the user AWS, the password is an ECR token that was created elsewhere. The agent does not \
             create one, so this variable has nothing to apply to.",
        ),
        sample(
            R::OnlyForEcr { variable: acme("ROLE_ARN"), server: "ghcr.io".into() },
            "_SESSION_TOKEN, _ROLE_ARN and _PROFILE describe an AWS identity.",
        ),
        sample(
            R::OnlyForEcr {
                variable: npm("ROLE_ARN"),
                server: "https://nexus.example.com/repository/npm/".into(),
            },
            "",
        ),
    ]
}

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
            R::Unreadable {
                path: path(),
                fault: "permission denied (os error 13)".into(),
                remedy: Some(Remedy::Root("chown dev /workspaces/.codespaces/shared/.env".into())),
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
