//! How to correct what keeps a registry from accepting a credential.

use super::FixContext;
use super::connection_fix::{CORRECT_CLOCK, install_authority, trust_in_clients, trust_on_system};
use super::google_key::SERVICE_ACCOUNT;
use super::login::new_token;
use super::registry::RegistryReason;
use super::rejection::{ACR_TOKEN_USER, RejectionHint};
use crate::domain::declarations::variable::Field;
use crate::domain::servers::web_sites;

impl RegistryReason {
    /// What to do about it, for this login.
    pub fn fix(&self, login: &FixContext) -> String {
        match self {
            Self::Refused { stray: Some(stray), .. } => stray.fix(login),
            Self::Refused { server, user, refusal, .. } => refusal.fix(server, user, login),
            Self::TokenExpired { server, .. } => new_token(server, login),
            Self::RateLimited { .. } => login.retried(),
            Self::NotAsked { .. } | Self::Undecided { .. } | Self::UnsupportedScheme { .. } => {
                "no action needed; the login is served if a client asks for it".to_owned()
            }
            Self::LoginForbidden { server, user, refusal, .. } => format!(
                "{}; or ask the registry's operator to let it read there",
                refusal.fix(server, user, &login.as_package())
            ),
            Self::NothingAtUrl { .. } => login
                .as_package()
                .set(&[(Field::Server, "the URL that the project names for its registry")]),
            Self::RedirectsAway { target, is_moved: true, .. } => {
                let target = format!("{target} if the registry has moved there");
                let fix = login.as_package().set(&[(Field::Server, &target)]);
                format!("{fix}, and name that URL in the project")
            }
            Self::RedirectsAway { target, is_moved: false, .. } => {
                let url = format!(
                    "the URL that the project names for its registry, because {target} is probably a web page"
                );
                login.as_package().set(&[(Field::Server, &url)])
            }
            Self::RealmNotAllowed { server, realm } => allow_realm(server, realm),
            Self::RealmForbidden { .. } => format!(
                "ask the registry's operator to use an https token server on the registry's own host, {}",
                login.then_check()
            ),
            Self::NotARegistry { has_packages: true, .. }
                if login.renamed_to_packages().is_some() =>
            {
                login.renamed_to_packages().unwrap_or_default()
            }
            Self::NotARegistry { server, .. } => {
                let fix = login.set(&[(
                    Field::Server,
                    web_sites::registry_of(server).unwrap_or(
                        "the host that image names begin with, such as ghcr.io in ghcr.io/OWNER/IMAGE",
                    ),
                )]);
                let packages = login.renamed_to_packages();
                let packages =
                    packages.map(|renamed| format!("; if it is a package registry, {renamed}"));
                fix + &packages.unwrap_or_default()
            }
            Self::BadChallenge { .. } => {
                "ask the registry's operator to correct the WWW-Authenticate header".to_owned()
            }
            Self::NoToken { .. } | Self::Failing { .. } => {
                format!("{}. If it persists, ask the registry's operator", login.retried())
            }
            Self::Unreached { host, fault } => fault.fix(host, login),
            Self::IdentityTokenUseless { .. } => login.set(&[
                (Field::User, "your user name"),
                (Field::Password, "your password or an access token"),
            ]),
            Self::NotAKey { fault, .. } => fault.fix(login),
            Self::NotARefreshToken { server } => {
                RejectionHint::AcrRefreshToken.fix(server, ACR_TOKEN_USER, login)
            }
            Self::ImageAccess(reason) => reason.fix(login),
            Self::ClockOff { .. } => CORRECT_CLOCK.to_owned(),
            Self::DistrustedByClients { file, directory, .. } => format!(
                "run `{}` as root, also on the machine of the docker daemon if that is another one, {}",
                install_authority(file, directory),
                login.then_check()
            ),
            Self::DistrustedByPackageClients { server, host, file } => format!(
                "run `{}` as root{}",
                trust_on_system(file, host),
                trust_in_clients(file, server)
            ),
            Self::PlainForDocker { server } => format!(
                "add {server} to `insecure-registries` in /etc/docker/daemon.json on the machine of the docker daemon, as in {{\"insecure-registries\": [\"{server}\"]}}, and restart the daemon; other clients have settings of their own"
            ),
            Self::OneHourToken { .. } => login.set(&SERVICE_ACCOUNT),
        }
    }
}

/// The lines for the configuration file. The host comes from the registry's response, so it is
/// offered for pasting only if neither a shell nor TOML could interpret it as anything but a name.
/// A second table of the same name would make the file invalid.
fn allow_realm(server: &str, realm: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c);
    if !(server.chars().all(plain) && realm.chars().all(plain)) {
        return "ask the registry's operator to use a token server with a valid host name"
            .to_owned();
    }
    format!(
        "allow {realm} only if you trust it: run \
         `f=\"${{XDG_CONFIG_HOME:-$HOME/.config}}/registry-agent/config.toml\"; mkdir -p \"${{f%/*}}\" && \
         {{ grep -qsF '[servers.\"{server}\"]' \"$f\" || \
         printf '\\n[servers.\"{server}\"]\\nrealms = [\"{realm}\"]\\n' >> \"$f\"; }}`, \
         or add \"{realm}\" to the `realms` of that server if the file has some; the agent reads the file at once"
    )
}
