//! Names to addresses, from `/etc/hosts` and the name servers of `/etc/resolv.conf`.
//!
//! Written in Rust, since a static program cannot load what `getaddrinfo` wants at run time. Both
//! files are looked at before each lookup, so that a VPN or another network is noticed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Resolver, TokioResolver};
use reqwest::dns::{Name, Resolve, Resolving};
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
    current: Mutex<Option<(Stamp, TokioResolver)>>,
}

/// Device, inode, size and times of both files: what changes with them.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.current();
        Box::pin(async move {
            let found = resolver?.lookup_ip(name.as_str()).await.map_err(|error| {
                if error.is_no_records_found() {
                    ResolveFault::NoSuchHost
                } else {
                    tracing::debug!(name = name.as_str(), %error, "lookup failed");
                    ResolveFault::NoAnswer
                }
            })?;
            // The caller puts the port in.
            let addresses: Vec<_> =
                found.iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

impl SystemResolver {
    /// The resolver of what the files say now.
    fn current(&self) -> Result<TokioResolver, ResolveFault> {
        let stamp = ["/etc/hosts", "/etc/resolv.conf"].map(stamp);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, resolver)) = current.as_ref().filter(|(known, _)| *known == stamp) {
            return Ok(resolver.clone());
        }
        let resolver = build().map_err(|error| {
            tracing::warn!(%error, "no resolver");
            ResolveFault::NoAnswer
        })?;
        *current = Some((stamp, resolver.clone()));
        Ok(resolver)
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
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // As the C library: what changes in DNS is seen at the next lookup, and lookups are rare here.
    options.cache_size = 0;
    options.timeout = options.timeout.min(Duration::from_secs(2));
    builder.build()
}
