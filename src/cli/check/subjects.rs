//! Which logins and sets of variables a `check` is about.

use std::collections::BTreeMap;

use super::package_target;
use super::report::Finding;
use crate::cli::output::package_server;
use crate::cli::selection;
use crate::cli::shell_sets::{misnamed_sets, of_this_shell, undeclared};
use crate::cli::status_report::keeps_clients_away;
use crate::domain::declarations::declaration::Declaration;
use crate::domain::declarations::discovery::Discovery;
use crate::domain::declarations::variable::{self, Family};
use crate::domain::reasons::{ClientReason, Reason, ReasonKind};
use crate::domain::servers::check_target::{CheckTarget, TargetFault, in_lower_case};
use crate::domain::servers::image::{Image, ImageFault};
use crate::domain::servers::mistyped;
use crate::domain::servers::server::Server;
use crate::domain::servers::userinfo::without_userinfo;
use crate::domain::servers::web_sites;
use crate::wire::api::{ProblemEntry, RegistryDocument, StatusDocument};

/// The code of a set whose server another set declares as well.
const DUPLICATE: &str = "server-declared-twice";

/// The code of a set whose variables have several names.
const SPLIT: &str = "set-split";

/// What to walk.
pub(super) enum Walk<'a> {
    /// A login that the agent knows, with the problems of its set and of its sources.
    Login(&'a RegistryDocument, Vec<&'a ProblemEntry>),
    /// A set or a file that is no login, with its problems.
    Broken(String, Vec<&'a ProblemEntry>),
    /// Something that the agent does not know.
    Unknown(String, Vec<Finding>),
}

/// What `text` means, given what the agent and this shell know.
pub(super) fn target(text: &str, status: &StatusDocument) -> Result<CheckTarget, Finding> {
    // A value that is pasted with its variable may be a secret.
    let text = match text.split_once('=') {
        Some((variable, _)) if variable::is_name(variable) => variable,
        _ => text,
    };
    let asked = package_target::asked(text, status)?;
    let text = asked.as_deref().unwrap_or(text);
    let sets = of_this_shell().sets.into_iter().map(|(_, name)| name);
    let shell: Vec<String> = sets.chain(misnamed_sets().into_keys()).collect();
    let names = || {
        let logins = status.registries.iter().flat_map(|r| [&r.name, &r.covers]).flatten();
        logins.chain(status.problems.iter().map(|problem| &problem.name)).chain(&shell)
    };
    let in_any_case = |text: &str| {
        let exact = names().find(|name| *name == text);
        exact.or_else(|| names().find(|name| name.eq_ignore_ascii_case(text))).cloned()
    };
    // Who pastes a whole variable, or its beginning, means its set.
    let of_variable = |text: &str| {
        let parsed = variable::parse(text)?;
        let is_upper = !text.contains(|c: char| c.is_ascii_lowercase());
        let written = || (parsed.exact || is_upper).then(|| parsed.name.to_owned());
        in_any_case(parsed.name).or_else(written)
    };
    let known = |text: &str| in_any_case(text.trim_end_matches('/')).or_else(|| of_variable(text));
    let package = |text: &str| {
        let mut called = selection::find(&status.registries, text).into_iter();
        called.find_map(package_server)
    };
    let is_known = |text: &str| !selection::find(&status.registries, text).is_empty();
    let parsed = CheckTarget::parse(text, known, package, is_known);
    let is_declared = match &parsed {
        Ok(CheckTarget::Server(server)) => is_known(server.name()),
        Ok(CheckTarget::Image(image)) => is_known(image.server.name()),
        _ => false,
    };
    if !is_declared && let Some((fault, meant)) = begins_with_login(text, status) {
        let (text, fault) = (text.to_owned(), fault.to_owned());
        return Err(finding(ClientReason::NotUnderstood { text, fault, meant: Some(meant) }));
    }
    if let Some(not_covered) = package_target::not_covered(text, &parsed, status) {
        return Err(not_covered);
    }
    match parsed {
        // A word without a path may be a mistyped name or server as well as an image on Docker Hub.
        Ok(CheckTarget::Image(image))
            if !text.contains('/')
                && !is_known(image.server.name())
                && selection::similar(status, text).is_some() =>
        {
            Ok(match Server::parse(text) {
                Ok((server, _)) if !variable::is_name(text) => CheckTarget::Server(server),
                _ => CheckTarget::Name(text.to_owned()),
            })
        }
        parsed => parsed.map_err(|fault| {
            let repaired = mistyped::repaired(text);
            let is_other = repaired != text.trim();
            let meant = is_other.then(|| CheckTarget::parse(&repaired, known, package, is_known));
            not_understood(text, fault, meant.is_some_and(|it| it.is_ok()).then_some(repaired))
        }),
    }
}

/// What is wrong with `NAME/PATH` or `NAME:TAG` if `NAME` is a login, and what was meant.
fn begins_with_login(text: &str, status: &StatusDocument) -> Option<(&'static str, String)> {
    let (name, rest) = text.split_at(text.find(['/', ':', '@'])?);
    let mut logins = status.registries.iter().filter(|it| it.family == Family::Container);
    let login =
        logins.find(|it| it.name.as_deref().is_some_and(|it| it.eq_ignore_ascii_case(name)))?;
    let Some(path) = rest.strip_prefix('/') else {
        let fault = "is the name of a login with a tag, which only an image has";
        return Some((fault, login.name.clone()?)).filter(|_| !rest.starts_with("://"));
    };
    let (server, _) = Server::parse(&login.server).ok()?;
    let image = format!("{}/{}", server.shown(), path.trim_end_matches('/'));
    let fault = "begins with the name of a login instead of its server";
    Image::parse(&image).is_ok().then_some((fault, image))
}

fn not_understood(text: &str, fault: TargetFault, meant: Option<String>) -> Finding {
    let is_upper = matches!(fault, TargetFault::Image(ImageFault::UpperCase));
    let meant = meant.or_else(|| in_lower_case(text).filter(|_| is_upper));
    let (text, fault) = (without_userinfo(text).into_owned(), fault.to_string());
    finding(ClientReason::NotUnderstood { text, fault, meant })
}

/// Everything to walk for `target`; at least one.
pub(super) fn walks<'a>(status: &'a StatusDocument, target: Option<&CheckTarget>) -> Vec<Walk<'a>> {
    let Some(target) = target else { return all(status) };
    let about = status.registries.iter().filter(|registry| is_about(registry, target));
    let mut walks: Vec<Walk<'_>> = about.clone().map(|registry| login(status, registry)).collect();
    // A name may have a login of one family and an incomplete set of the other.
    let is_new = |problem: &&ProblemEntry| !about.clone().any(|it| concerns(problem, it));
    let problems: Vec<&ProblemEntry> = status
        .problems
        .iter()
        .filter(|problem| match target {
            CheckTarget::Name(name) => problem.name == *name || mentions(problem, name),
            CheckTarget::Server(server) => is_for(problem, server),
            CheckTarget::Image(image) => is_for(problem, &image.server),
            CheckTarget::Package(_) => false,
        })
        .filter(is_new)
        .collect();
    if let Some(first) = problems.first()
        && (walks.is_empty() || matches!(target, CheckTarget::Name(_)))
    {
        walks.push(Walk::Broken(first.name.clone(), problems));
    }
    if walks.is_empty() {
        walks.push(unknown(target, status));
    }
    walks
}

/// Whether a problem that has another name is about variables of the set `name`, too.
fn mentions(problem: &ProblemEntry, name: &str) -> bool {
    let mut words = problem.problem.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    problem.code == SPLIT
        && words.any(|word| variable::parse(word).is_some_and(|it| it.exact && it.name == name))
}

/// Whether `target` is this login, or on its registry.
fn is_about(registry: &RegistryDocument, target: &CheckTarget) -> bool {
    // Without its scheme, the name of a server on another scheme's port means the same server.
    let known = Server::parse(&registry.server);
    let is_of = |server: &Server| {
        let same = known.as_ref().is_ok_and(|(known, _)| known.name() == server.name());
        registry.family == Family::Container && (same || registry.server == server.name())
    };
    match target {
        CheckTarget::Name(name) => {
            [&registry.name, &registry.covers].into_iter().any(|it| it.as_ref() == Some(name))
        }
        CheckTarget::Server(server) => is_of(server),
        CheckTarget::Image(image) => is_of(&image.server),
        CheckTarget::Package(server) => registry.server == server.name(),
    }
}

fn is_for(problem: &ProblemEntry, server: &Server) -> bool {
    if problem.family == Some(Family::Package) {
        return false;
    }
    let named = problem.registry.as_deref().map(Server::parse);
    named.is_some_and(|named| named.is_ok_and(|(named, _)| named.name() == server.name()))
}

fn all(status: &StatusDocument) -> Vec<Walk<'_>> {
    let mut walks: Vec<Walk<'_>> =
        status.registries.iter().map(|registry| login(status, registry)).collect();
    let mut broken: BTreeMap<&str, Vec<&ProblemEntry>> = BTreeMap::new();
    for problem in &status.problems {
        let known = status.registries.iter().any(|registry| concerns(problem, registry));
        if !known && problem.step.as_deref().is_none_or(is_before_the_registry) {
            broken.entry(&problem.name).or_default().push(problem);
        }
    }
    walks
        .extend(broken.into_iter().map(|(name, problems)| Walk::Broken(name.to_owned(), problems)));
    let shell = of_this_shell();
    let mut names: Vec<&Declaration> = shell.declarations.iter().collect();
    names.retain(|declared| !status.registries.iter().any(|r| r.server == declared.server.name()));
    walks.extend(names.into_iter().map(not_synced));
    let unknown = undeclared(status).into_iter();
    walks.extend(unknown.map(|(name, reasons)| {
        Walk::Unknown(name, reasons.into_iter().map(Finding::from).collect())
    }));
    if walks.is_empty() {
        walks.push(Walk::Unknown("-".to_owned(), vec![finding(ClientReason::NothingDeclared)]));
    }
    walks
}

fn login<'a>(status: &'a StatusDocument, registry: &'a RegistryDocument) -> Walk<'a> {
    let problems = status.problems.iter().filter(|problem| concerns(problem, registry));
    Walk::Login(registry, problems.collect())
}

/// Whether a problem is about this login's variables, or a file that they come from.
fn concerns(problem: &ProblemEntry, registry: &RegistryDocument) -> bool {
    let names = [&registry.name, &registry.covers];
    let of_family = problem.family.is_none_or(|family| family == registry.family);
    let is_named = of_family && names.into_iter().any(|name| name.as_ref() == Some(&problem.name));
    let is_duplicate =
        problem.code == DUPLICATE && problem.registry.as_ref() == Some(&registry.server);
    is_named
        || (of_family && is_duplicate)
        || registry.variables.iter().any(|variable| variable.source == problem.name)
        || is_proxy_of(&problem.name, registry)
}

/// Whether requests to this registry would use the proxy in the variable.
fn is_proxy_of(variable: &str, registry: &RegistryDocument) -> bool {
    let scheme = registry.scheme.as_deref().unwrap_or("https").to_ascii_uppercase();
    let is_loopback = match package_server(registry) {
        Some(server) => server.is_loopback(),
        None => Server::parse(&registry.server).is_ok_and(|(server, _)| server.is_loopback()),
    };
    let upper = variable.to_ascii_uppercase();
    !is_loopback
        && variable::is_proxy(variable)
        && (upper == format!("{scheme}_PROXY") || upper == "ALL_PROXY")
}

fn is_before_the_registry(step: &str) -> bool {
    matches!(step, "declared" | "values" | "server")
}

/// The agent does not know it; this shell may.
fn unknown<'a>(target: &CheckTarget, status: &StatusDocument) -> Walk<'a> {
    let shell = of_this_shell();
    let is_meant = |declared: &&Declaration| match target {
        CheckTarget::Name(name) => declared.name == *name,
        CheckTarget::Server(server) => declared.server.name() == server.name(),
        CheckTarget::Image(image) => declared.server.name() == image.server.name(),
        CheckTarget::Package(server) => declared.server.name() == server.name(),
    };
    if let Some(declared) = shell.declarations.iter().find(is_meant) {
        return not_synced(declared);
    }
    match target {
        CheckTarget::Name(name) => unknown_name(name, &shell, status),
        CheckTarget::Server(server) => {
            let similar = || selection::similar(status, server.shown());
            let meant = web_sites::registry_of(server.host()).or_else(similar);
            let meant = meant.map(str::to_owned);
            not_declared(server.shown(), meant, status)
        }
        CheckTarget::Image(image) => {
            let similar = selection::similar(status, image.server.shown());
            let similar = similar.and_then(|server| Server::parse(server).ok());
            let meant = similar.map(|(server, _)| Image { server, ..image.clone() }.name());
            not_declared(image.server.shown(), meant, status)
        }
        CheckTarget::Package(server) => not_declared(server.name(), None, status),
    }
}

fn unknown_name<'a>(name: &str, shell: &Discovery, status: &StatusDocument) -> Walk<'a> {
    let of_name = shell.problems.iter().filter(|problem| problem.name == *name);
    let mut own: Vec<Finding> = of_name.map(|problem| problem.reason.clone().into()).collect();
    if own.is_empty() {
        let misnamed = misnamed_sets().remove(name);
        let meant = selection::similar(status, name).map(str::to_owned);
        match (misnamed, unread_sources(status)) {
            (Some(misnamed), _) => own.push(misnamed.into()),
            (None, unread) if meant.is_none() && !unread.is_empty() => own = unread,
            (None, _) => {
                own.push(finding(ClientReason::NoSuchName { name: name.to_owned(), meant }));
            }
        }
    }
    Walk::Unknown(name.to_owned(), own)
}

fn not_declared<'a>(server: &str, meant: Option<String>, status: &StatusDocument) -> Walk<'a> {
    let server = server.to_owned();
    let unread = unread_sources(status);
    if meant.is_none() && !unread.is_empty() {
        return Walk::Unknown(server, unread);
    }
    let reason = ClientReason::NotDeclared { server: server.clone(), meant };
    Walk::Unknown(server, vec![finding(reason)])
}

/// What is wrong with the files that may declare what the agent does not know.
fn unread_sources(status: &StatusDocument) -> Vec<Finding> {
    let of_sources = status.problems.iter().filter(|it| it.kind == ReasonKind::Source.as_str());
    of_sources.filter(|problem| keeps_clients_away(problem)).map(Finding::from).collect()
}

fn not_synced<'a>(declared: &Declaration) -> Walk<'a> {
    let name = declared.name.clone();
    Walk::Unknown(name.clone(), vec![finding(ClientReason::NotSynced { name })])
}

pub(super) fn finding(reason: ClientReason) -> Finding {
    Reason::from(reason).into()
}
