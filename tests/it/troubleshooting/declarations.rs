//! Reasons about variables.

use registry_agent::domain::reasons::duplicate::Duplicate;
use registry_agent::domain::reasons::{DeclarationReason, SourceReason, SourcedVariable};
use registry_agent::domain::servers::server::ServerFault;

use super::{Sample, sample};

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
                all: Box::default(),
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
                all: Box::default(),
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
                all: Box::default(),
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
