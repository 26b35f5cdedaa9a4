//! Reasons about registries: responses, connections, images.

use registry_agent::domain::reasons::RegistryReason;
use registry_agent::domain::reasons::connection::ConnectionFault;
use registry_agent::domain::reasons::image_access::{Action, ImageAccessReason};
use registry_agent::domain::reasons::rejection::RejectionHint;
use registry_agent::domain::registry_protocol::realm::RealmFault;

use super::{Sample, sample};

const HOST: &str = "registry.example.com";

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
            R::NotARegistry {
                server: server(),
                seen: seen("200, a web page (text/html)"),
                has_packages: false,
            },
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
            F::WrongName { names: vec!["mirror.example.com".into()] },
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
