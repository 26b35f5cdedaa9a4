//! Reasons about registries: logins, connections, images.

use registry_agent::domain::credentials::authorization::AuthScheme;
use registry_agent::domain::reasons::RegistryReason;
use registry_agent::domain::reasons::connection::ConnectionFault;
use registry_agent::domain::reasons::google_key::KeyFault;
use registry_agent::domain::reasons::image_access::{Action, ImageAccessReason};
use registry_agent::domain::reasons::rejection::RejectionHint;
use registry_agent::domain::reasons::stray::StrayCharacters;
use registry_agent::domain::registry_protocol::realm::RealmFault;

use super::{Sample, sample};

const HOST: &str = "registry.example.com";

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn rejections() -> Vec<Sample> {
    use RejectionHint as H;
    let refused = |server: &str, user: &str, refusal, cause| {
        let seen = "GET /v2/ with the login: 401, authentication required".to_owned();
        let (server, user) = (server.to_owned(), user.to_owned());
        sample(RegistryReason::Refused { server, user, refusal, stray: None, seen }, cause)
    };
    let copied = |stray, cause| {
        let seen = "GET /v2/ with the login: 401, authentication required".to_owned();
        let (server, user) = (HOST.to_owned(), "dev".to_owned());
        let (refusal, stray) = (H::Plain, Some(stray));
        sample(RegistryReason::Refused { server, user, refusal, stray, seen }, cause)
    };
    let hub = "https://index.docker.io/v1/";
    vec![
        refused(
            HOST,
            "dev",
            H::Plain,
            "User and password do not belong together, or the account is locked.",
        ),
        copied(
            StrayCharacters::QuotedPassword,
            "A shell removes quotation marks around a value; env files, secrets and many settings keep them.",
        ),
        copied(StrayCharacters::QuotedUser, ""),
        copied(
            StrayCharacters::BlankInPassword,
            "A blank, a tab or a line end was copied together with the value.",
        ),
        copied(StrayCharacters::BlankInUser, ""),
        refused(
            hub,
            "dev@example.com",
            H::DockerHubEmail,
            "Docker Hub often rejects e-mail addresses.",
        ),
        refused(
            hub,
            "dev",
            H::DockerHub,
            "The password or token is wrong or was revoked, or the account uses two-factor authentication, \
             which the account's password alone does not satisfy.",
        ),
        refused(
            "ghcr.io",
            "octocat",
            H::GhcrFineGrained,
            "ghcr.io accepts classic personal access tokens and GITHUB_TOKEN, but not tokens that begin with \
             github_pat_.",
        ),
        refused(
            "ghcr.io",
            "octocat",
            H::GhcrAmbient,
            "GITHUB_TOKEN is valid for a limited time, and only for packages that the repository may read.",
        ),
        refused(
            "ghcr.io",
            "octocat",
            H::Ghcr,
            "The token is wrong, expired or lacks read:packages, or the organization requires it to be \
             authorized for single sign-on.",
        ),
        refused(
            "mycompany.azurecr.io",
            "00000000-0000-0000-0000-000000000000",
            H::AcrRefreshToken,
            "With the all-zero user, the password is a refresh token, which expires after three hours.",
        ),
        refused(
            "mycompany.azurecr.io",
            "acr-user",
            H::Acr,
            "The secret of the service principal or token is wrong or has expired, or it has no role in this \
             registry.",
        ),
        refused(
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com",
            "AWS",
            H::Ecr,
            "With the user AWS, the password is an ECR token, which expires after twelve hours.",
        ),
        refused(
            "https://npm.pkg.github.com/",
            "octocat",
            H::GithubPackages,
            "GitHub Packages accepts classic personal access tokens and, for packages that the repository may \
             read, GITHUB_TOKEN.",
        ),
        refused(
            "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/",
            "aws",
            H::CodeArtifact,
            "With the user aws, the password is a CodeArtifact token, which expires after at most twelve hours. \
             If the agent got the token from AWS itself, the identity may not read this repository.",
        ),
        refused(
            "https://europe-west1-python.pkg.dev/acme/python/",
            "_json_key_base64",
            H::GooglePackages,
            "The key was deleted, or the service account is disabled or has no role.",
        ),
        refused(
            "https://pkgs.dev.azure.com/acme/_packaging/feed/",
            "dev",
            H::AzureArtifacts,
            "The token is wrong or expired, lacks the scope Packaging, or belongs to another organization.",
        ),
        refused(
            "https://gitlab.com/api/v4/projects/1/packages/npm/",
            "gitlab+deploy-token-1",
            H::GitlabPackages,
            "The token is wrong, was revoked or lacks read_package_registry.",
        ),
        refused(
            "https://cargo.example.com/index/",
            "",
            H::OtherScheme { sent: AuthScheme::Bearer, offered: AuthScheme::Raw },
            "The variable _SCHEME, or else the kind of the registry, selects how the login is sent.",
        ),
        refused(
            "https://nexus.example.com/repository/npm/",
            "dev",
            H::SchemeNotStated,
            "The registry asks for a login without naming a scheme. The login may be right, but sent in the \
             wrong one.",
        ),
        refused(
            "https://nexus.example.com/repository/npm/",
            "",
            H::UserMissing,
            "The registry asks for a user and a password. Without a user, the password is sent with an empty one, \
             which some registries accept.",
        ),
        refused(
            "europe-docker.pkg.dev",
            "_json_key",
            H::GoogleKey,
            "The key was deleted, or the service account is disabled or has no role.",
        ),
        refused(
            "europe-docker.pkg.dev",
            "oauth2accesstoken",
            H::GoogleAccessToken,
            "The access token has probably expired.",
        ),
        refused(
            "europe-docker.pkg.dev",
            "dev@example.com",
            H::GoogleUser,
            "Google registries accept only a few fixed user names, not Google accounts.",
        ),
        refused(
            "registry.gitlab.com",
            "gitlab+deploy-token-1",
            H::GitLab,
            "The token is wrong or expired, or lacks read_registry. read_repository covers git, not images.",
        ),
        refused(
            "quay.io",
            "dev",
            H::QuayUser,
            "The account's own password does not work if you log in to Quay through Red Hat or GitHub.",
        ),
        refused(
            "harbor.example.com",
            "robot+ci",
            H::HarborRobot,
            "The $ in the name of a robot account is easily lost in a shell or Compose file.",
        ),
    ]
}

pub(super) fn tokens() -> Vec<Sample> {
    use RegistryReason as R;
    let seen = || "GET /v2/ with the login: 401, token has expired".to_owned();
    let mut samples = vec![
        sample(
            R::TokenExpired { server: HOST.into(), seen: seen() },
            "The password is a token that has expired.",
        ),
        sample(
            R::PlainForDocker { server: "registry.example.com:5000".into() },
            "The server is declared with http://. The agent speaks to it as declared, but the docker daemon \
             insists on TLS for every host but localhost and 127.0.0.0/8. podman, skopeo and buildah need \
             `insecure = true` for it in registries.conf.",
        ),
        sample(
            R::OneHourToken { server: "europe-docker.pkg.dev".into() },
            "The user oauth2accesstoken goes with a short-lived access token. It is used until it expires.",
        ),
        sample(
            R::IdentityTokenUseless { server: HOST.into() },
            "`docker login` stored an identity token, which works only with a token server. This registry \
             has none.",
        ),
        sample(
            R::NotARefreshToken { server: "mycompany.azurecr.io".into() },
            "With the all-zero user, the password must be the token that `az acr login --expose-token` \
             prints. Nothing was sent.",
        ),
    ];
    for (user, fault, cause) in [
        ("_json_key", KeyFault::Path, "Nothing was sent to the registry."),
        ("_json_key", KeyFault::Base64, "An encoded key needs the user _json_key_base64."),
        (
            "_json_key_base64",
            KeyFault::NotBase64,
            "A key that is not encoded needs the user _json_key.",
        ),
        ("_json_key_base64", KeyFault::Wrapped, "`base64` breaks lines unless told otherwise."),
        ("_json_key", KeyFault::NotJson, "The key file is probably incomplete."),
        ("_json_key", KeyFault::OtherType, "Only keys of service accounts work as a password."),
        ("_json_key", KeyFault::Incomplete, "The JSON is not the key file of a service account."),
    ] {
        let (server, user) = ("europe-docker.pkg.dev".into(), user.into());
        samples.push(sample(R::NotAKey { server, user, fault }, cause));
    }
    samples
}

pub(super) fn answers() -> Vec<Sample> {
    use RegistryReason as R;
    let server = || HOST.to_owned();
    let seen = |text: &str| format!("GET /v2/: {text}");
    let mut samples = vec![
        sample(
            R::RateLimited {
                server: server(),
                wait: Some(60),
                seen: seen("429, too many requests"),
            },
            "The registry asks its clients to slow down. The login stays in use.",
        ),
        sample(
            R::ClockOff { server: server(), seconds: 3600 },
            "The registry accepts the login, but its time and this machine's differ. Certificates, tokens and \
             AWS may fail because of it.",
        ),
        sample(
            R::DistrustedByClients {
                server: server(),
                file: "/home/dev/ca.pem".into(),
                directory: HOST.into(),
            },
            "The certificate is signed by a private authority. The agent trusts it because of _CA_FILE or \
             SSL_CERT_FILE. The docker daemon, podman and others look in /etc/docker/certs.d, podman also in \
             /etc/containers/certs.d.",
        ),
        sample(
            R::NotAsked { server: server() },
            "The registry allows anonymous access, or asks for a login only for some images or packages.",
        ),
        sample(
            R::RealmNotAllowed { server: server(), realm: "auth.example.com".into() },
            "The registry sends its clients to a token server on another host. The agent sends a password \
             there only with your permission, so the login is not verified. Clients still get it.",
        ),
    ];
    for (realm, fault) in [
        ("http://auth.example.com", RealmFault::Plain),
        ("https://auth.example.com", RealmFault::Userinfo),
        ("https://192.0.2.1", RealmFault::Address),
        ("https://169.254.169.254", RealmFault::LinkLocal),
    ] {
        let cause = "An attacker could receive a password that is sent there. The login is not served, because \
                     clients would send the password without asking.";
        samples.push(sample(
            R::RealmForbidden { server: server(), realm: realm.into(), fault },
            cause,
        ));
    }
    samples.extend(answers_of_packages());
    samples.extend([
        sample(
            R::NotARegistry { server: server(), seen: seen("200, a web page (text/html)") },
            "The host responds, but not to the registry API. It may be the web page of the registry.",
        ),
        sample(
            R::BadChallenge { server: server(), fault: "it names no realm".into() },
            "This header tells clients how to log in. Other clients cannot log in either.",
        ),
        sample(
            R::NoToken { server: server(), seen: seen("200, no token in the response") },
            "The token server did not reject the login, but sent no token either.",
        ),
        sample(
            R::Failing { server: server(), seen: seen("503, service unavailable") },
            "The registry or a proxy in front of it has a fault. The login stays in use.",
        ),
    ]);
    samples
}

fn answers_of_packages() -> Vec<Sample> {
    use RegistryReason as R;
    vec![
        sample(
            R::DistrustedByPackageClients {
                server: "https://nexus.example.com/repository/npm/".into(),
                host: "nexus.example.com".into(),
                file: "/home/dev/ca.pem".into(),
            },
            "The certificate is signed by a private authority. The agent trusts it because of _CA_FILE. Most \
             clients use the certificates of the system, or have a setting of their own.",
        ),
        sample(
            R::Undecided {
                server: "https://nexus.example.com/repository/npm/".into(),
                seen: "GET with the login: 404".into(),
            },
            "The package registry asks for a login, but has none of the resources that tell whether it is \
             accepted: npm's user, an index of Python packages or of cargo, or git references. Clients get the \
             login.",
        ),
        sample(
            R::LoginForbidden {
                server: "https://pypi.example.com/".into(),
                user: "octo".into(),
                refusal: RejectionHint::Plain,
                seen: "GET with the login: 403".into(),
            },
            "Most registries answer 401 to a wrong password, and 403 to a login that they know and that has \
             no right. Some, such as pypiserver, answer 403 to a wrong password too. Clients get the login.",
        ),
        sample(
            R::NothingAtUrl { server: "https://nexus.example.com/repository/nmp/".into() },
            "The path is mistyped, or the registry has moved. Clients get the login.",
        ),
        sample(
            R::RedirectsAway {
                server: "https://npm.example.com/".into(),
                target: "https://packages.example.com/npm/".into(),
                is_moved: true,
            },
            "The registry has moved. Package clients follow the redirect without the login.",
        ),
        sample(
            R::RedirectsAway {
                server: "https://nexus.example.com/npm/".into(),
                target: "https://sso.example.com/login".into(),
                is_moved: false,
            },
            "A proxy or the web page of the registry answers at this URL.",
        ),
        sample(
            R::UnsupportedScheme {
                server: "https://nuget.example.com/feed/".into(),
                scheme: Some("Negotiate".into()),
            },
            "The agent can send a login as Basic, as Bearer or as it is. Clients get the login.",
        ),
    ]
}

pub(super) fn connections() -> Vec<Sample> {
    use ConnectionFault as F;
    let proxy = || "http://proxy.example.com:3128".to_owned();
    let variable = || "HTTPS_PROXY".to_owned();
    let instant = |text: &str| Some(text.parse().expect("an instant"));
    let cases = [
        (F::NoSuchHost, "The name is mistyped, or only another network or a VPN resolves it."),
        (F::NoNameServer, "Name resolution itself does not work on this machine."),
        (F::Refused, "The host is up, but nothing listens on this port."),
        (
            F::NoRoute { error: "network is unreachable".into() },
            "This machine has no network path to the host.",
        ),
        (F::TimedOut, "The host is down, overloaded, or a firewall drops the packets."),
        (
            F::Silent { in_tls: true },
            "The host is reached, but nothing there speaks TLS, or the server is stuck.",
        ),
        (F::Silent { in_tls: false }, "The host is reached, but the server is stuck."),
        (F::BrokenOff, "The registry or a proxy in front of it ended the connection."),
        (F::NotHttp, "Another service listens on this port."),
        (
            F::NotTls,
            "The registry uses plain HTTP. The agent uses it without TLS only if the server is declared \
             with http://, or is on loopback and declared without https://.",
        ),
        (
            F::SpeaksTls { server: format!("{HOST}:443") },
            "The agent asked without TLS, because the server is declared so. The server answers over TLS.",
        ),
        (
            F::HandshakeEnded,
            "The two sides have no TLS version in common, the registry requires a client certificate, or a \
             firewall interferes.",
        ),
        (
            F::UnknownAuthority { directory: HOST.into() },
            "The certificate is self-signed or signed by a private certificate authority that this machine \
             does not trust. For a package registry, set `<NAME>_PACKAGE_REGISTRY_CA_FILE` to the path of a file with \
             the certificate of its authority, or add that to the certificates of the system.",
        ),
        (
            F::WrongName { names: vec!["registry.example.com".into()] },
            "The server is declared with an alias or address that its certificate lacks.",
        ),
        (
            F::Expired {
                at: instant("2025-01-01T00:00:00Z"),
                now: instant("2026-11-24T06:00:00Z"),
            },
            "The certificate was not renewed in time, or this machine's clock is wrong.",
        ),
        (
            F::NotYetValid {
                at: instant("2026-11-24T06:00:00Z"),
                now: instant("2026-11-24T05:00:00Z"),
            },
            "This machine's clock is behind, or the certificate was issued for a later time.",
        ),
        (
            F::Tls { error: "received fatal alert: ProtocolVersion".into() },
            "The two sides did not agree on how to encrypt the connection.",
        ),
        (
            F::ProxyLogin { proxy: proxy(), variable: variable() },
            "The proxy lets nobody through without a user and a password.",
        ),
        (
            F::ProxyLoginRefused { proxy: proxy(), variable: variable() },
            "User or password is wrong, or contains characters that a URL cannot contain as they are.",
        ),
        (F::ProxyRefused { proxy: proxy() }, "The proxy does not allow connections to this host."),
        (
            F::ProxyUnreachable {
                proxy: proxy(),
                variable: variable(),
                fault: Box::new(F::Refused),
            },
            "HTTPS_PROXY names a proxy that does not respond.",
        ),
        (
            F::CaFile {
                path: "/etc/acme/ca.pem".into(),
                error: "it does not exist".into(),
                was_read: false,
            },
            "The file named by _CA_FILE, SSL_CERT_FILE or a certs.d directory cannot be used.",
        ),
        (
            F::Other { error: "connection closed before message completed".into() },
            "The request failed for a reason that has no explanation of its own here.",
        ),
    ];
    cases
        .into_iter()
        .map(|(fault, cause)| {
            sample(RegistryReason::Unreached { host: format!("{HOST}:443"), fault }, cause)
        })
        .collect()
}

pub(super) fn images() -> Vec<Sample> {
    use ImageAccessReason as R;
    let mut samples = Vec::new();
    for (kind, server) in [
        ("generic", HOST),
        ("docker-hub", "https://index.docker.io/v1/"),
        ("ghcr", "ghcr.io"),
        ("acr", "mycompany.azurecr.io"),
        ("ecr", "111122223333.dkr.ecr.eu-west-1.amazonaws.com"),
        ("ecr-public", "public.ecr.aws"),
        ("artifact-registry", "europe-docker.pkg.dev"),
    ] {
        for action in [Action::Pull, Action::Push] {
            // Everybody may pull from the public gallery.
            if (kind, action) == ("ecr-public", Action::Pull) {
                continue;
            }
            let reason = R::NotGranted {
                server: server.into(),
                kind: kind.into(),
                repository: "team/app".into(),
                action,
            };
            let cause = if samples.is_empty() {
                "The registry accepts the login, but the account or token lacks a permission for this \
                 repository."
            } else {
                ""
            };
            samples.push((reason, cause));
        }
    }
    samples.extend([
        (
            R::GithubTokenReadsOnly { server: "ghcr.io".into() },
            "The token of a codespace never has permission to publish packages.",
        ),
        (
            R::NoSuchImage {
                server: HOST.into(),
                repository: "team/app".into(),
                reference: "v1".into(),
            },
            "Many registries give the same response for a missing image and for one that the login may not \
             read.",
        ),
        (
            R::PushUnknown { server: HOST.into() },
            "The agent never writes to a registry, so it cannot find out.",
        ),
        (
            R::Unknown { server: HOST.into(), seen: "GET /v2/team/app/manifests/v1: 500".into() },
            "The response says neither yes nor no.",
        ),
    ]);
    samples
        .into_iter()
        .map(|(reason, cause)| sample(RegistryReason::ImageAccess(reason), cause))
        .collect()
}
