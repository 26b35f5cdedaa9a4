//! The URLs of package registries that a person may name to `check`, as projects and tools write them.

use super::report::Finding;
use super::subjects::finding;
use crate::cli::output::package_server;
use crate::cli::selection;
use crate::domain::declarations::variable::Family;
use crate::domain::reasons::ClientReason;
use crate::domain::reasons::client::NearestLogin;
use crate::domain::servers::check_target::{CheckTarget, TargetFault};
use crate::domain::servers::image::ImageFault;
use crate::domain::servers::nearest_package::{Nearest, nearest};
use crate::domain::servers::package_server::{PackageKind, PackageServer};
use crate::domain::servers::userinfo::{has_userinfo, user_of};
use crate::wire::api::{RegistryDocument, StatusDocument};

/// The URL in `text`, if there is something around it that people and projects write: a login, quotation
/// marks, `sparse+` or a revision. An error is that the login belongs to another user.
///
/// What looks like a login may be a password, so it counts only before a host that is declared or nearly so.
pub(super) fn asked(text: &str, status: &StatusDocument) -> Result<Option<String>, Finding> {
    let declared: Vec<_> = packages(status).map(|(server, _)| server).collect();
    let is_near = |url: &PackageServer| {
        let is_covered = declared.iter().any(|it| it.covers(url.url()));
        is_covered || declared.iter().any(|it| it.host() == url.host())
    };
    let cleaned = PackageServer::cleaned(text);
    let is_marked = !has_userinfo(text) && PackageServer::parse(text).is_err();
    let of_repository = || PackageServer::of_repository(text).filter(is_near);
    let found = cleaned
        .filter(|url| is_near(url) || (is_marked && nearest(url, &declared).is_some()))
        .or_else(of_repository)
        .or_else(|| PackageServer::cleaned(text).filter(|_| text.starts_with("sparse+")));
    let Some(url) = found.filter(|_| text.contains("://")) else { return Ok(None) };
    if PackageServer::parse(text).is_ok_and(|parsed| parsed == url) {
        return Ok(None);
    }
    let login = selection::find(&status.registries, url.name()).into_iter();
    let login =
        login.filter(|it| it.family == Family::Package).find(|it| it.kind != "codeartifact");
    if let Some(RegistryDocument { name: Some(name), user: Some(user), .. }) = login
        && user_of(text).is_some_and(|asked| asked != *user)
    {
        let (name, user) = (name.clone(), user.clone());
        let url = url.name().to_owned();
        return Err(finding(ClientReason::OtherUser { url, name, user }));
    }
    Ok(Some(url.name().to_owned()))
}

/// That no package login covers this URL, if it is one of a package registry: a package login is near, its
/// host serves packages only, or it cannot be that of an image.
pub(super) fn not_covered(
    text: &str,
    parsed: &Result<CheckTarget, TargetFault>,
    status: &StatusDocument,
) -> Option<Finding> {
    let asked = PackageServer::parse(text).ok()?;
    let is_url = text.contains("://");
    let declared: Vec<_> = packages(status).collect();
    let of_host = declared.iter().any(|(server, _)| server.host() == asked.host());
    let near = nearest(&asked, declared.iter().map(|(server, _)| server));
    // Of these hosts the other kinds tell by a path that an image may have, too.
    let is_of_packages = is_url && PackageKind::is_only_of_packages(asked.host());
    let is_of_packages = is_of_packages || of_host || (is_url && near.is_some());
    let is_declared = |server: &str| !selection::find(&status.registries, server).is_empty();
    let is_meant = match parsed {
        Ok(CheckTarget::Image(image)) => is_of_packages && !is_declared(image.server.name()),
        Ok(CheckTarget::Server(server)) => is_of_packages && !is_declared(server.name()),
        Err(TargetFault::Image(ImageFault::UpperCase)) => is_of_packages,
        Err(TargetFault::Image(_)) => is_url,
        _ => false,
    };
    let login_of = |server: &PackageServer| {
        declared.iter().find(|(known, _)| known == server).map(|(_, registry)| *registry)
    };
    let name_of = |server| login_of(server)?.name.clone();
    let mut below = Vec::new();
    let nearest = match near {
        None => None,
        Some(Nearest::Below(servers)) => {
            below = servers.into_iter().filter_map(name_of).collect();
            None
        }
        Some(Nearest::Of { server, meant, differs, covering }) => name_of(server).map(|name| {
            let value = server.name().to_owned();
            let variable = login_of(server).and_then(server_variable);
            let change = variable.zip(covering).map(|(variable, it)| [variable, value, it]);
            Box::new(NearestLogin { name, meant, differs, change })
        }),
    };
    let url = text.to_owned();
    is_meant.then(|| finding(ClientReason::NotCovered { url, nearest, below }))
}

fn packages(status: &StatusDocument) -> impl Iterator<Item = (PackageServer, &RegistryDocument)> {
    status.registries.iter().filter_map(|it| Some((package_server(it)?, it)))
}

/// The variable that declares the URL of a login.
fn server_variable(registry: &RegistryDocument) -> Option<String> {
    let mut names = registry.variables.iter().map(|variable| &variable.name);
    names.find(|name| name.ends_with("_PACKAGE_REGISTRY_SERVER")).cloned()
}
