//! Resolves host names, from `/etc/hosts` and the name servers in `/etc/resolv.conf`.
//!
//! This is in Rust because a static program cannot load the libraries that `getaddrinfo` needs at
//! run time. Both files are checked before each lookup, so that a VPN or a change of network takes
//! effect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::{Hosts, Resolver, TokioResolver};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// Why a host name could not be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum ResolveFault {
    /// The name does not exist.
    #[error("no such host")]
    NoSuchHost,
    /// No name server sent a usable response.
    #[error("no name server responds")]
    NoAnswer,
}

/// The system's name service.
#[derive(Default)]
pub(super) struct SystemResolver {
    current: Mutex<Option<(Stamp, Names)>>,
}

/// The content of the two files when they were read.
#[derive(Clone)]
struct Names {
    hosts: Arc<Hosts>,
    servers: TokioResolver,
}

/// Device, inode, size and times of both files, which change whenever their content does.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.current();
        Box::pin(async move {
            let found = names?.addresses(name.as_str()).await?;
            // The caller sets the port.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

impl Names {
    /// The addresses of a host. If `/etc/hosts` lists the name, that is the complete answer, as in
    /// the C library: name servers are not asked for a missing address family.
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveFault> {
        let mut known = Vec::new();
        if let Ok(host) = hickory_resolver::proto::rr::Name::from_utf8(name) {
            for family in [RecordType::A, RecordType::AAAA] {
                let found = self.hosts.lookup_static_host(&Query::query(host.clone(), family));
                let records = found.iter().flat_map(Lookup::answers);
                known.extend(records.filter_map(|record| record.data.ip_addr()));
            }
        }
        if !known.is_empty() {
            return Ok(known);
        }
        let found = self.servers.lookup_ip(name).await.map_err(|error| {
            if error.is_no_records_found() {
                ResolveFault::NoSuchHost
            } else {
                tracing::debug!("the lookup of {name} failed: {error}");
                ResolveFault::NoAnswer
            }
        })?;
        Ok(found.iter().collect())
    }
}

impl SystemResolver {
    /// The addresses of a host; none if they cannot be found.
    pub(super) async fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let Ok(names) = self.current() else { return Vec::new() };
        names.addresses(name).await.unwrap_or_default()
    }

    /// The current content of the files.
    fn current(&self) -> Result<Names, ResolveFault> {
        let stamp = ["/etc/hosts", "/etc/resolv.conf"].map(stamp);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, names)) = current.as_ref().filter(|(known, _)| *known == stamp) {
            return Ok(names.clone());
        }
        let servers = build().map_err(|error| {
            tracing::warn!("/etc/resolv.conf cannot be used: {error}");
            ResolveFault::NoAnswer
        })?;
        let names = Names { hosts: Arc::new(Hosts::from_system().unwrap_or_default()), servers };
        *current = Some((stamp, names.clone()));
        Ok(names)
    }
}

fn stamp(path: &str) -> Option<(u64, u64, u64, i64, i64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

fn build() -> Result<TokioResolver, NetError> {
    let mut builder = Resolver::builder_tokio().unwrap_or_else(|_| {
        // resolv.conf(5): the default name server is on the local machine.
        let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![local]);
        Resolver::builder_with_config(config, TokioRuntimeProvider::default())
    });
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // As in the C library: changes in DNS take effect at the next lookup, and lookups are rare
    // here.
    options.cache_size = 0;
    // Two attempts must fail before the connect timeout, so that "no name server responds" is
    // reported.
    options.timeout = options.timeout.min(Duration::from_millis(2500));
    options.attempts = options.attempts.min(1);
    builder.build()
}
