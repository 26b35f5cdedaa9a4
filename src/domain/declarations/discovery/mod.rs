//! Finds declarations and their problems in the sources: one pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use url::Url;

use super::declaration::{Declaration, Identity};
use super::layers::{Layers, Value};
use super::other_names;
use super::source::Source;
use super::variable::{self, Family};
use crate::domain::credentials::secret::Secret;
use crate::domain::reasons::duplicate::Duplicate;
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{DeclarationReason, SourceReason, SourcedVariable};
use crate::domain::servers::package_server::PackageServer;
use crate::domain::servers::registry_server::RegistryServer;
use crate::domain::servers::server::Server;

pub mod identity;
mod reference;
mod spelling;
mod validate;
mod variable_set;

use variable_set::Set;

/// The name of the automatic logins of `GITHUB_TOKEN`.
pub const AMBIENT_NAME: &str = "GITHUB_TOKEN";
/// The container registry of the ambient login.
const AMBIENT_SERVER: &str = "ghcr.io";

/// The registries of GitHub Packages that a codespace may read with its token ("Allowing your codespace
/// to access a private registry"). The others have permissions of their own.
const AMBIENT_PACKAGES: [&str; 3] = [
    "https://npm.pkg.github.com/",
    "https://nuget.pkg.github.com/",
    "https://rubygems.pkg.github.com/",
];

/// The user for `GITHUB_TOKEN` if `GITHUB_USER` is not set; the registries check only the token.
const AMBIENT_USER: &str = "x-access-token";

/// The contents of the files named by `_PASSWORD_FILE` variables.
pub type PasswordFiles = BTreeMap<PathBuf, Result<Secret, SourceReason>>;

/// The declarations and problems of all sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The complete sets, at most one per server, sorted by name; the ambient logins come last.
    pub declarations: Vec<Declaration>,
    /// Problems for the user to fix, sorted by name.
    pub problems: Vec<Problem>,
    /// Every declared set by family and name, including incomplete and refused ones.
    pub sets: BTreeSet<(Family, String)>,
    /// The password files that the caller must read and watch.
    pub password_files: BTreeSet<PathBuf>,
}

/// Finds what `sources` declare. A set whose `_PASSWORD_FILE` is not in `password_files` yet is
/// neither a declaration nor a problem: read [`Discovery::password_files`] and call again.
pub fn discover(sources: &[Source], password_files: &PasswordFiles) -> Discovery {
    let layers = Layers::of(sources);
    let mut found = Discovery::default();
    let mut declared_servers = BTreeSet::new();
    let mut serving = BTreeMap::new();
    for set in sets(&layers, &mut found) {
        let validated = set.validate(password_files);
        found.sets.insert((set.family, set.name.to_owned()));
        let server = validated.server.as_ref().map(|server| server.name().to_owned());
        found.problems.extend(
            validated.problems.into_iter().map(|it| Problem { server: server.clone(), ..it }),
        );
        found.password_files.extend(validated.password_file);
        declared_servers.extend(validated.server.map(|server| server.name().to_owned()));
        if let Some(declaration) = validated.declaration {
            add_declaration(declaration, validated.server_variable, &mut serving, &mut found);
        }
    }
    for ambient in ambient(&layers) {
        if !declared_servers.contains(ambient.server.name()) {
            found.sets.insert((ambient.family(), ambient.name.clone()));
            found.declarations.push(ambient);
        }
    }
    if !declared_servers.contains(AMBIENT_SERVER) {
        found.problems.extend(ambient_problem(&layers));
    }
    found.problems.extend(proxy_problems(&layers));
    found.problems.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// A `GITHUB_TOKEN` that is a reference is no login of anybody.
fn ambient_problem(layers: &Layers<'_>) -> Option<Problem> {
    let token = layers.get(AMBIENT_NAME).filter(|token| reference::is_reference(token.text))?;
    let variable = SourcedVariable::new(AMBIENT_NAME, token.source);
    Some(Problem {
        family: None,
        name: AMBIENT_NAME.to_owned(),
        source: Some(token.source.to_owned()),
        server: None,
        reason: DeclarationReason::NotExpanded { variable }.into(),
    })
}

/// Names the proxy variables that nothing can use.
fn proxy_problems<'a>(layers: &'a Layers<'_>) -> impl Iterator<Item = Problem> + 'a {
    let is_unusable = |value: &str| {
        let has_scheme = value.contains("://");
        let url = if has_scheme { value.to_owned() } else { format!("http://{value}") };
        let parsed = Url::parse(&url);
        value.contains(char::is_whitespace) || parsed.map_or(true, |url| !url.has_host())
    };
    let unusable = layers.iter().filter(move |(name, value)| {
        variable::is_proxy(name) && !value.text.is_empty() && is_unusable(value.text)
    });
    unusable.map(|(name, value)| Problem {
        family: None,
        name: name.to_owned(),
        source: Some(value.source.to_owned()),
        server: None,
        reason: DeclarationReason::BadProxy { variable: SourcedVariable::new(name, value.source) }
            .into(),
    })
}

/// The intended sets, each with its variables and misspelt variables. An invalid name is a problem.
fn sets<'a>(layers: &Layers<'a>, found: &mut Discovery) -> Vec<Set<'a>> {
    let mut sets: BTreeMap<(Family, &str), Set<'a>> = BTreeMap::new();
    for (variable, value) in layers.iter() {
        let Some(parsed) = variable::parse(variable) else { continue };
        if !variable::is_name(parsed.name) {
            if parsed.exact {
                found.problems.push(Problem {
                    family: Some(parsed.family),
                    name: parsed.name.to_owned(),
                    source: Some(value.source.to_owned()),
                    server: None,
                    reason: DeclarationReason::BadName {
                        variable: SourcedVariable::new(variable, value.source),
                    }
                    .into(),
                });
            }
            continue;
        }
        sets.entry((parsed.family, parsed.name))
            .or_insert_with(|| Set::new(parsed.family, parsed.name))
            .add(parsed.field, parsed.exact, variable, value);
    }
    for (variable, value) in layers.iter().filter(|(_, value)| !value.text.is_empty()) {
        let Some(parsed) = other_names::parse(variable) else { continue };
        let family = Family::ALL.into_iter().find(|it| sets.contains_key(&(*it, parsed.name)));
        if let Some(set) = family.and_then(|family| sets.get_mut(&(family, parsed.name))) {
            set.other_names.push((parsed.field, SourcedVariable::new(variable, value.source)));
        }
    }
    spelling::merge_misspelt(sets)
}

/// Adds the declaration, unless a name that sorts before it declares the same server.
fn add_declaration(
    declaration: Declaration,
    server_variable: SourcedVariable,
    serving: &mut BTreeMap<String, Vec<SourcedVariable>>,
    found: &mut Discovery,
) {
    let server = declaration.server.name().to_owned();
    let is_other = |it: &&SourcedVariable| it.variable != server_variable.variable;
    let others: Vec<_> = declaration.variables.iter().filter(is_other).cloned().collect();
    let variables = [server_variable].into_iter().chain(others).collect();
    if let Some(used) = serving.get(&server).cloned() {
        let duplicate = Duplicate {
            server: declaration.server.shown().to_owned(),
            used,
            ignored: variables,
            is_unusable: false,
        };
        found.problems.push(Problem {
            family: Some(declaration.server.family()),
            name: declaration.name,
            source: Some(declaration.source),
            server: Some(server),
            reason: DeclarationReason::Duplicate(Box::new(duplicate)).into(),
        });
        return;
    }
    serving.insert(server, variables);
    found.declarations.push(declaration);
}

/// The automatic logins of `GITHUB_TOKEN`. A token that cannot work is ignored without a problem,
/// because the platform set it and not the user.
fn ambient(layers: &Layers<'_>) -> Vec<Declaration> {
    let Some(token) = layers.get(AMBIENT_NAME) else { return Vec::new() };
    let user_variable = layers.get("GITHUB_USER");
    let user = user_variable.map_or(AMBIENT_USER, |value| value.text);
    let odd = |text: &str| text.contains(|c: char| c.is_control());
    let is_unexpanded = [token.text, user].into_iter().any(reference::is_reference);
    if odd(token.text) || odd(user) || user.contains(':') || is_unexpanded {
        return Vec::new();
    }
    let container = Server::parse(AMBIENT_SERVER).map(|(server, _)| RegistryServer::from(server));
    let packages = AMBIENT_PACKAGES.map(|url| PackageServer::parse(url).map(RegistryServer::from));
    let named = [(AMBIENT_NAME, Some(token)), ("GITHUB_USER", user_variable)];
    let variable =
        |(name, value): (&str, Option<Value<'_>>)| Some(SourcedVariable::new(name, value?.source));
    let variables: Vec<SourcedVariable> = named.into_iter().filter_map(variable).collect();
    let password = Secret::new(token.text);
    let declaration = |server| Declaration {
        name: AMBIENT_NAME.to_owned(),
        server,
        identity: Identity::Password { user: user.to_owned(), password: password.clone() },
        auth_scheme: None,
        ca_file: None,
        source: token.source.to_owned(),
        variables: variables.clone(),
        password_file: None,
        stored: None,
    };
    [container].into_iter().chain(packages).filter_map(Result::ok).map(declaration).collect()
}
