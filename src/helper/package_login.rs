//! The login for a URL that a package client is about to request.

use std::io::Write;
use std::time::{Duration, Instant};

use super::agent::Agent;
use super::encode;
use super::notice::Notice;
use crate::adapters::paths::Paths;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::declarations::discovery::AMBIENT_NAME;
use crate::domain::declarations::variable::Family;
use crate::domain::package_clients::format::PackageFormat;
use crate::domain::servers::package_server::{PackageServer, PackageUrl};
use crate::wire::api::{RegistryDocument, StatusDocument};
use crate::wire::package_credential::PackageCredential;

/// The longest that a package client waits.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest URL that a request to the agent has room for. No registry has one as long.
const LONGEST_URL: usize = 4096;

/// Asks this user's agent for the logins of one client.
pub(super) struct PackageLogins {
    pub(super) paths: Paths,
    /// The longest that one question may take.
    pub(super) timeout: Duration,
    /// The scheme that the client sends to most registries, if it has one of its own.
    pub(super) scheme: Option<AuthScheme>,
}

impl PackageLogins {
    /// The login that answers for `url`, or `None` if the registry is not ours, or no agent is wanted.
    ///
    /// # Errors
    ///
    /// If the login is withheld or the agent fails. Clients that go on without a login then also install
    /// public packages.
    pub(super) fn find(&self, url: &str) -> Result<Option<PackageCredential>, Notice> {
        if url.len() > LONGEST_URL {
            return Ok(None);
        }
        let agent = self.agent();
        // The agent has to say why a login is not there yet before this process gives up on the agent.
        let wait = agent.remaining().as_secs();
        let scheme = self.scheme.map(|scheme| format!("&scheme={}", scheme.as_str()));
        let scheme = scheme.unwrap_or_default();
        let target = format!("/v1/credential?url={}&wait={wait}{scheme}", encode(url));
        let none = match agent.ask("GET", &target, b"", |body| serde_json::from_slice(body).ok()) {
            Ok(login) => return Ok(Some(login)),
            Err(none) => none,
        };
        // A URL may contain a password.
        match Notice::of_unknown_registry(&none, "this registry") {
            Some(notice) => Err(notice),
            None if none.is_unknown() || none.is_expected() => Ok(None),
            None => Err(Notice::of_failure(&none)),
        }
    }

    /// The same for a client that shows standard error.
    pub(super) fn find_or_print(
        &self,
        url: &str,
        stderr: &mut impl Write,
    ) -> Option<PackageCredential> {
        self.find(url).unwrap_or_else(|notice| {
            notice.print(stderr, None);
            None
        })
    }

    /// Why the agent takes no login from the client for `url`, or `None` if the registry is not ours.
    pub(super) fn refusal_to_store(&self, url: &str) -> Option<String> {
        let asked = PackageUrl::parse(url).ok()?;
        let covering = self.registries()?.into_iter().filter(|(server, _)| server.covers(&asked));
        let covering = covering.map(|(server, registry)| (server.depth(), registry));
        let (_, registry) = covering.max_by_key(|(depth, _)| *depth)?;
        let name = registry.name.filter(|name| name != AMBIENT_NAME);
        let name = name.unwrap_or_else(|| "NAME".to_owned());
        Some(format!(
            "not supported: registry-agent has the login of {}; to change it, set \
             {name}_PACKAGE_REGISTRY_PASSWORD and run `registry-agent sync`",
            registry.server
        ))
    }

    /// A registry below `url` that may have repositories of git.
    pub(super) fn repositories_below(&self, url: &str) -> Option<PackageServer> {
        let asked = PackageServer::parse(url).ok()?;
        let mut servers = self.registries()?.into_iter().map(|(server, _)| server);
        servers.find(|server| asked.covers(server.url()) && PackageFormat::Git.may_be_in(server))
    }

    /// The package registries that the agent knows.
    fn registries(&self) -> Option<Vec<(PackageServer, RegistryDocument)>> {
        let parse = |body: &[u8]| serde_json::from_slice::<StatusDocument>(body).ok();
        let status = self.agent().ask("GET", "/v1/status", b"", parse).ok()?;
        let packages = status.registries.into_iter().filter(|it| it.family == Family::Package);
        let parsed = packages.filter_map(|it| Some((PackageServer::parse(&it.server).ok()?, it)));
        Some(parsed.collect())
    }

    fn agent(&self) -> Agent {
        Agent { paths: self.paths.clone(), deadline: Instant::now() + self.timeout }
    }
}
