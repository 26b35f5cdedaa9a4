//! How to correct what keeps a request from a response.

use std::borrow::Cow;

use super::connection::{ConnectionFault, name_of};
use super::{FixContext, shell_word};
use crate::domain::declarations::variable::Field;
use crate::domain::package_clients::format::PackageFormat;
use crate::domain::servers::package_server::PackageServer;

impl ConnectionFault {
    /// What to do about a failed request to `host`, which is `HOST:PORT`, for this login.
    pub fn fix(&self, host: &str, login: &FixContext) -> String {
        let name = name_of(host);
        if let Some(fix) = self.fix_of_tls(host, login).or_else(|| self.fix_of_proxy(name)) {
            return fix;
        }
        let correct_server = |value: &str| correct_server(host, value, login);
        // The path of a package registry belongs to its server.
        let or_url = |of_container, of_package| {
            if login.package().is_some() { of_package } else { of_container }
        };
        match self {
            Self::NoSuchHost => format!(
                "{}; or connect to the network or VPN that knows {name}",
                correct_server(or_url("the registry's host", "the registry's URL"))
            ),
            Self::NoNameServer => format!(
                "check the network, and that /etc/resolv.conf names a name server that responds; {}",
                login.then_check()
            ),
            Self::Refused => format!(
                "check that a registry runs at {host}, {}; or {}",
                login.then_check(),
                correct_server(or_url("the registry's host and port", "the registry's URL"))
            ),
            Self::Silent { in_tls } => format!(
                "check that a registry runs at {host}, {}; a server that is overloaded{} does not answer either",
                login.then_check(),
                if *in_tls { " or expects plain HTTP" } else { " or expects TLS" }
            ),
            Self::NoRoute { .. } | Self::TimedOut => {
                "check network, VPN and firewall; if this network needs a proxy, set HTTPS_PROXY to http://PROXY:PORT and run `registry-agent sync`".to_owned()
            }
            Self::NotHttp => {
                correct_server(or_url("the host and port of a registry", "the URL of a package registry"))
            },
            _ => format!("{}. If it persists, ask the registry's operator", login.retried()),
        }
    }

    fn fix_of_tls(&self, host: &str, login: &FixContext) -> Option<String> {
        let correct_server = |value: &str| correct_server(host, value, login);
        Some(match self {
            Self::NotTls => format!(
                "{}; otherwise ask the registry's operator to turn on TLS",
                correct_server(&format!(
                    "{} (only if passwords may cross this network unencrypted)",
                    without_tls(host, login)
                ))
            ),
            // A package registry may lead to another port of its host.
            Self::SpeaksTls { server } => match login.package() {
                Some(package) => login.set(&[(Field::Server, &package.at("https", server))]),
                None => correct_server(&format!("{server} (without http://)")),
            },
            // Package clients do not read the directory for docker.
            Self::UnknownAuthority { .. } if login.package().is_some() => format!(
                "{}; or save it as ca.pem and run `{}` as root, for package clients too, {}",
                login.set(&[(
                    Field::CaFile,
                    "the path of a file with the certificate of its authority, which the registry's operator has",
                )]),
                trust_on_system("ca.pem", host),
                login.then_check()
            ),
            Self::UnknownAuthority { directory } => format!(
                "ask the registry's operator for the certificate of its authority, save it as ca.pem, run `{}` as root, {}{}",
                install_authority("ca.pem", directory),
                login.then_check(),
                ca_file(login)
            ),
            Self::WrongName { .. } if login.package().is_some() => {
                correct_server("the same URL with a name that the certificate contains")
            }
            Self::WrongName { .. } => correct_server("a name that the certificate contains"),
            Self::Expired { .. } => format!(
                "ask the registry's operator to renew the certificate, {}; if this machine's clock is wrong, {CORRECT_CLOCK}",
                login.then_check()
            ),
            Self::NotYetValid { .. } => format!(
                "{CORRECT_CLOCK}, {}; if the clock is right, ask the registry's operator for a certificate that is valid now",
                login.then_check()
            ),
            Self::HandshakeEnded | Self::Tls { .. } => format!(
                "ask the registry's operator whether {host} supports TLS 1.2 or 1.3 and requires no client certificate"
            ),
            Self::CaFile { was_read: true, .. } if login.has(Field::CaFile) => login
                .set(&[(Field::CaFile, "the path of a file with CA certificates in PEM format")]),
            Self::CaFile { path, .. } => format!(
                "write the CA certificates to {path} in PEM format and let the agent's user read it, {}",
                login.then_check()
            ),
            _ => return None,
        })
    }

    fn fix_of_proxy(&self, name: &str) -> Option<String> {
        Some(match self {
            Self::ProxyLogin { proxy, variable } | Self::ProxyLoginRefused { proxy, variable } => {
                let (scheme, address) = proxy.split_once("://").unwrap_or(("http", proxy));
                format!(
                    "set {variable} to {scheme}://USER:PASSWORD@{address} with the proxy's user and password (write @ as %40, : as %3A, / as %2F, % as %25), then {SYNC_ALL}"
                )
            }
            Self::ProxyRefused { proxy } => format!(
                "ask the operator of {proxy} to allow connections to {name}; if {name} needs no proxy, add it to NO_PROXY and {SYNC_ALL}"
            ),
            Self::ProxyUnreachable { proxy, variable, fault } if **fault == Self::NotTls => {
                let plain = proxy.replacen("https://", "http://", 1);
                format!(
                    "set {variable} to {plain}, with the user and the password if it has any, then {SYNC_ALL}"
                )
            }
            Self::ProxyUnreachable { variable, .. } => format!(
                "set {variable} to the proxy of this network, or unset it if there is none, then {SYNC_ALL}; if only {name} needs no proxy, add it to NO_PROXY"
            ),
            _ => return None,
        })
    }
}

/// How to correct the server, unless the registry itself leads to `host`.
fn correct_server(host: &str, value: &str, login: &FixContext) -> String {
    if login.is_elsewhere(host) {
        format!(
            "ask the registry's operator to correct {host}, to which the registry sends its clients"
        )
    } else {
        login.set(&[(Field::Server, value)])
    }
}

/// A push replaces the one before it, so it has to come from a shell that has everything.
const SYNC_ALL: &str = "run `registry-agent sync` in a shell that also has the registry variables";

/// How to correct the clock. It starts with a verb.
pub(super) const CORRECT_CLOCK: &str = "correct the clock (`sudo timedatectl set-ntp true` where systemd runs; in a container, on its host)";

/// The command that makes the authorities in `file` trusted ones for the registry of `directory`.
pub(super) fn install_authority(file: &str, directory: &str) -> String {
    let directory = format!("/etc/docker/certs.d/{directory}");
    let (to, from) = (format!("{directory}/ca.crt"), shell_word(file));
    format!("mkdir -p {} && cp {from} {}", shell_word(&directory), shell_word(&to))
}

/// The command that makes the authorities in `file` trusted ones of the whole system, for the certificate of
/// `host`, which is `HOST:PORT`.
pub(super) fn trust_on_system(file: &str, host: &str) -> String {
    let to = format!("/usr/local/share/ca-certificates/{}.crt", name_of(host));
    format!("cp {} {} && update-ca-certificates", shell_word(file), shell_word(&to))
}

/// The settings of the clients that may use the package registry `server` and bring certificates of their own,
/// once the authorities in `file` are trusted ones of the system. It follows a command.
pub(super) fn trust_in_clients(file: &str, server: &str) -> String {
    const OF_PYTHON: &str = "PIP_CERT=/etc/ssl/certs/ca-certificates.crt REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt UV_SYSTEM_CERTS=1";
    let server = PackageServer::parse(server).ok();
    let may_use = |format: PackageFormat| server.as_ref().is_none_or(|it| format.is_likely_in(it));
    let node = || format!("NODE_EXTRA_CA_CERTS={}", shell_word(file));
    let (clients, settings) = match (may_use(PackageFormat::Npm), may_use(PackageFormat::Python)) {
        (true, true) => {
            ("npm, pnpm, pip before 24.2, poetry and uv", format!("{} {OF_PYTHON}", node()))
        }
        (true, false) => ("npm and pnpm", node()),
        (false, true) => ("pip before 24.2, poetry and uv", OF_PYTHON.to_owned()),
        (false, false) => return String::new(),
    };
    format!("; for {clients}, which bring certificates of their own, also run `export {settings}`")
}

/// The other way to trust an authority, which helps the agent alone.
fn ca_file(login: &FixContext) -> String {
    if login.has(Field::Server) {
        format!(
            "; if docker trusts the certificate already, set {} to the path of that file instead and run `registry-agent sync`",
            login.variable(Field::CaFile)
        )
    } else {
        String::new()
    }
}

/// The login's server without TLS.
fn without_tls(host: &str, login: &FixContext) -> String {
    let authority = with_port(host);
    match login.package() {
        Some(package) => package.at("http", &authority),
        None => format!("http://{authority}"),
    }
}

/// `host` with its port, which is that of https unless it is given: with `http://`, a client takes
/// another.
fn with_port(host: &str) -> Cow<'_, str> {
    if name_of(host) == host { format!("{host}:443").into() } else { host.into() }
}
