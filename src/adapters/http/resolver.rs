//! Names to addresses, from `/etc/hosts` and the name servers of `/etc/resolv.conf`.
//!
//! Written in Rust, since a static program cannot load what `getaddrinfo` wants at run time. Both
//! files are looked at before each lookup, so that a VPN or another network is noticed.

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

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum ResolveFault {
    /// It does not exist.
    #[error("no such host")]
    NoSuchHost,
    /// No name server said anything of use.
    #[error("no name server answers")]
    NoAnswer,
}

/// The system's name service.
#[derive(Default)]
pub(super) struct SystemResolver {
    current: Mutex<Option<(Stamp, Names)>>,
}

/// What the two files said when they were read.
#[derive(Clone)]
struct Names {
    hosts: Arc<Hosts>,
    servers: TokioResolver,
}

/// Device, inode, size and times of both files: what changes with them.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.current();
        Box::pin(async move {
            let found = names?.addresses(name.as_str()).await?;
            // The caller puts the port in.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

impl Names {
    /// The addresses of a host. What `/etc/hosts` has is the whole answer, as with the C library: the
    /// name servers are not asked for the family it lacks.
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
                tracing::debug!(name, %error, "lookup failed");
                ResolveFault::NoAnswer
            }
        })?;
        Ok(found.iter().collect())
    }
}

impl SystemResolver {
    /// What the files say now.
    fn current(&self) -> Result<Names, ResolveFault> {
        let stamp = ["/etc/hosts", "/etc/resolv.conf"].map(stamp);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, names)) = current.as_ref().filter(|(known, _)| *known == stamp) {
            return Ok(names.clone());
        }
        let servers = build().map_err(|error| {
            tracing::warn!(%error, "no resolver");
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
        // resolv.conf(5): with no name server said, it is the one on this machine.
        let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![local]);
        Resolver::builder_with_config(config, TokioRuntimeProvider::default())
    });
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // As the C library: what changes in DNS is seen at the next lookup, and lookups are rare here.
    options.cache_size = 0;
    // Twice, and so that "no name server answers" is known before the time to connect is over.
    options.timeout = options.timeout.min(Duration::from_millis(2500));
    options.attempts = options.attempts.min(1);
    builder.build()
}
