//! From all sources to what is declared and what is wrong with it: one pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::declaration::{Declaration, Identity};
use super::layers::Layers;
use super::source::Source;
use super::variable;
use crate::domain::credentials::secret::Secret;
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{DeclarationReason, SourceReason};
use crate::domain::servers::server::Server;

mod spelling;
mod validate;
mod variable_set;

use variable_set::Set;

/// The name of the login that `GITHUB_TOKEN` makes by itself.
pub const AMBIENT_NAME: &str = "GITHUB_TOKEN";

/// The user that `GITHUB_TOKEN` goes with where `GITHUB_USER` is not known; the registry looks at the
/// token alone.
const AMBIENT_USER: &str = "x-access-token";

/// What the files that `_PASSWORD_FILE`s name hold.
pub type PasswordFiles = BTreeMap<PathBuf, Result<Secret, SourceReason>>;

/// Everything the sources say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The complete sets, at most one for a server, sorted by name; the ambient login last.
    pub declarations: Vec<Declaration>,
    /// What a user should put right, sorted by name.
    pub problems: Vec<Problem>,
    /// Every declared name, of incomplete and refused sets too.
    pub names: BTreeSet<String>,
    /// The files that hold passwords: to be read, followed, and handed in again.
    pub password_files: BTreeSet<PathBuf>,
}

/// Finds out what `sources` declare. A set whose `_PASSWORD_FILE` is not in `password_files` yet
/// neither counts nor is a problem: read [`Discovery::password_files`] and call again.
pub fn discover(sources: &[Source], password_files: &PasswordFiles) -> Discovery {
    let layers = Layers::of(sources);
    let mut found = Discovery::default();
    let mut declared_servers = BTreeSet::new();
    let mut serving = BTreeMap::new();
    for set in sets(&layers, &mut found) {
        let judged = set.judge(password_files);
        found.names.insert(set.name.to_owned());
        found.problems.extend(judged.problems);
        found.password_files.extend(judged.password_file);
        declared_servers.extend(judged.server.map(|server| server.name().to_owned()));
        if let Some(declaration) = judged.declaration {
            admit(declaration, &mut serving, &mut found);
        }
    }
    if let Some(ambient) = ambient(&layers)
        && !declared_servers.contains(ambient.server.name())
    {
        found.names.insert(ambient.name.clone());
        found.declarations.push(ambient);
    }
    found.problems.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The sets that were meant, each with its own variables and the look-alikes it may have; a name that
/// cannot be one is a problem.
fn sets<'a>(layers: &Layers<'a>, found: &mut Discovery) -> Vec<Set<'a>> {
    let mut sets: BTreeMap<&str, Set<'a>> = BTreeMap::new();
    for (variable, value) in layers.iter() {
        let Some(parsed) = variable::parse(variable) else { continue };
        if !variable::is_name(parsed.name) {
            if parsed.exact {
                found.problems.push(Problem {
                    name: parsed.name.to_owned(),
                    source: Some(value.source.to_owned()),
                    reason: DeclarationReason::BadName { variable: variable.to_owned() }.into(),
                });
            }
            continue;
        }
        sets.entry(parsed.name).or_insert_with(|| Set::new(parsed.name)).add(
            parsed.field,
            parsed.exact,
            variable,
            value,
        );
    }
    spelling::settle(sets)
}

/// Takes the declaration in, unless a name that sorts before it has its server.
fn admit(declaration: Declaration, serving: &mut BTreeMap<String, String>, found: &mut Discovery) {
    let server = declaration.server.name();
    if let Some(other) = serving.get(server) {
        let (server, other) = (server.to_owned(), other.clone());
        found.problems.push(Problem {
            name: declaration.name,
            source: Some(declaration.source),
            reason: DeclarationReason::Duplicate { server, other }.into(),
        });
        return;
    }
    serving.insert(server.to_owned(), declaration.name.clone());
    found.declarations.push(declaration);
}

/// The login that `GITHUB_TOKEN` makes by itself. One that cannot work is passed over in silence: the
/// platform made it, not the user.
fn ambient(layers: &Layers<'_>) -> Option<Declaration> {
    let token = layers.get("GITHUB_TOKEN")?;
    let user = layers.get("GITHUB_USER").map_or(AMBIENT_USER, |value| value.text);
    let odd = |text: &str| text.contains(|c: char| c.is_control());
    if odd(token.text) || odd(user) || user.contains(':') {
        return None;
    }
    let (server, _) = Server::parse("ghcr.io").ok()?;
    let identity = Identity::Password { user: user.to_owned(), password: Secret::new(token.text) };
    Some(Declaration {
        name: AMBIENT_NAME.to_owned(),
        server,
        identity,
        ca_file: None,
        source: token.source.to_owned(),
    })
}
