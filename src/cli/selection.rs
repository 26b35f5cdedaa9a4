//! The logins that a user names, by name or server, and why there is none.

use std::fmt;

use super::output::{package_server, server_for_people};
use crate::domain::declarations::variable::Family;
use crate::domain::servers::package_server::PackageServer;
use crate::domain::servers::server::Server;
use crate::domain::servers::userinfo::without_userinfo;
use crate::domain::spelling;
use crate::wire::api::{ProblemEntry, RegistryDocument, StatusDocument};

/// The logins that `asked` means: those of this name, or of this name in another case, or of this
/// server in any form. A URL means the package registry whose own URL covers most of it.
pub(super) fn find<'a>(
    registries: &'a [RegistryDocument],
    asked: &str,
) -> Vec<&'a RegistryDocument> {
    let named = |is_same: fn(&str, &str) -> bool| -> Vec<&RegistryDocument> {
        let called = |it: &&RegistryDocument| names_of(it).any(|name| is_same(name, asked));
        registries.iter().filter(called).collect()
    };
    let ways = [|name: &str, asked: &str| name == asked, str::eq_ignore_ascii_case];
    let found = ways.map(named).into_iter().find(|found| !found.is_empty());
    found.unwrap_or_else(|| of_server(registries, asked))
}

fn of_server<'a>(registries: &'a [RegistryDocument], asked: &str) -> Vec<&'a RegistryDocument> {
    let containers = registries.iter().filter(|registry| {
        registry.family == Family::Container
            && Server::parse(&registry.server).is_ok_and(|(server, _)| server.answers_to(asked))
    });
    let url = PackageServer::parse(asked).ok();
    let packages = registries.iter().filter_map(|registry| {
        let server = package_server(registry)?;
        server.covers(url.as_ref()?.url()).then(|| (server.depth(), registry))
    });
    let package = packages.max_by_key(|(depth, _)| *depth).map(|(_, registry)| registry);
    containers.chain(package).collect()
}

/// The declared names of a login.
fn names_of(registry: &RegistryDocument) -> impl Iterator<Item = &str> {
    [&registry.name, &registry.covers].into_iter().flatten().map(String::as_str)
}

/// Why no login is what a user asked for.
pub(super) enum NoLogin<'a> {
    /// A set of this name has a problem.
    Unusable(&'a str, &'a ProblemEntry),
    /// Nothing is declared, but perhaps something of a similar name.
    NotDeclared(&'a str, Option<&'a str>),
}

impl<'a> NoLogin<'a> {
    /// Why `status` has no login that is `asked`.
    pub(super) fn of(status: &'a StatusDocument, asked: &'a str) -> Self {
        let mut of_name =
            status.problems.iter().filter(|problem| problem.name.eq_ignore_ascii_case(asked));
        match of_name.next() {
            Some(problem) => Self::Unusable(asked, problem),
            None => Self::NotDeclared(asked, similar(status, asked)),
        }
    }

    /// The sentence while it may still come.
    pub(super) fn so_far(&self) -> String {
        self.sentence(" yet")
    }

    fn sentence(&self, yet: &str) -> String {
        let (Self::Unusable(asked, _) | Self::NotDeclared(asked, _)) = self;
        let asked = without_userinfo(asked);
        match self {
            Self::Unusable(_, problem) => {
                format!("{asked} has no login{yet} ({})", problem.problem)
            }
            Self::NotDeclared(_, Some(similar)) => {
                format!("{asked} is not declared{yet} (did you mean {similar}?)")
            }
            Self::NotDeclared(_, None) => format!("{asked} is not declared{yet}"),
        }
    }
}

impl fmt::Display for NoLogin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(""))
    }
}

/// The name or server that `asked` was most likely meant to be.
pub(super) fn similar<'a>(status: &'a StatusDocument, asked: &str) -> Option<&'a str> {
    let logins = status.registries.iter();
    let names = logins.clone().flat_map(names_of);
    let servers = logins.map(|registry| server_for_people(&registry.server));
    let sets = status.problems.iter().filter(|it| it.kind == "variables");
    let sets = sets.map(|problem| problem.name.as_str());
    spelling::nearest(asked, names.chain(sets).chain(servers))
}
