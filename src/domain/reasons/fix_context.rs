//! What a fix must know about the login that it is for: its variables, and where they are set.

use jiff::SignedDuration;

use super::declaration_fix::rename_all;
use super::{SourcedVariable, list};
use crate::domain::declarations::declaration::{Declaration, Identity};
use crate::domain::declarations::discovery::AMBIENT_NAME;
use crate::domain::declarations::variable::{self, Family, Field};
use crate::domain::servers::package_server::PackageServer;

/// The login that a fix is for. The default is any declared login, as documentation names it.
#[derive(Debug, Clone, Default)]
pub struct FixContext {
    /// The family of its set of variables.
    family: Family,
    /// The `<NAME>` of its set of variables.
    set: Option<String>,
    /// The variables of that set, if they are known.
    variables: Option<Vec<SourcedVariable>>,
    /// The file that its password was read from.
    password_file: Option<String>,
    /// How it came about if it has no set.
    other: Option<OtherLogin>,
    /// Host and port of its server, if it is a login of a particular one.
    host: Option<String>,
    /// Its server, if that is a package registry.
    package: Option<PackageServer>,
    /// Whether AWS issues its credential.
    exchanged: bool,
    /// How long until the agent tries it again by itself.
    retry_in: Option<SignedDuration>,
}

/// A login that no set of variables declares.
#[derive(Debug, Clone)]
enum OtherLogin {
    /// `docker login SERVER` stored it, perhaps over the set of variables `covers`.
    Stored { server: String, covers: Option<String> },
    /// The platform provides `GITHUB_TOKEN`. The host of its registry, and what declares another login.
    Ambient { host: String, server: String },
}

/// Where a user changes a value.
#[derive(PartialEq, Eq)]
enum Place<'a> {
    Shell,
    File(&'a str),
    Codespaces,
    PasswordFile(&'a str),
}

/// The directory of the files that the Codespaces platform writes.
const CODESPACES: &str = "/workspaces/.codespaces/";

impl FixContext {
    /// The context of this login, which the agent tries again in `retry_in`.
    pub fn of(declaration: &Declaration, retry_in: Option<SignedDuration>) -> Self {
        let server = || super::shown(declaration.server.name()).to_owned();
        let other = match &declaration.stored {
            Some(stored) => {
                Some(OtherLogin::Stored { server: server(), covers: stored.covers.clone() })
            }
            None => (declaration.name == AMBIENT_NAME).then(|| OtherLogin::Ambient {
                host: declaration.server.authority().to_owned(),
                server: server(),
            }),
        };
        Self {
            family: declaration.family(),
            set: declaration.set_name().map(str::to_owned),
            variables: other.is_none().then(|| declaration.variables.clone()),
            password_file: declaration.password_file.as_ref().map(|it| it.display().to_string()),
            other,
            host: Some(declaration.server.authority().to_owned()),
            package: declaration.server.package().cloned(),
            exchanged: matches!(declaration.identity, Identity::Aws(_)),
            retry_in,
        }
    }

    /// The context of a problem with a set, whose password is from `source`.
    pub fn of_set(family: Family, name: &str, source: Option<&str>) -> Self {
        let password = Field::Password.variable(family, name);
        let variables = source.map(|source| SourcedVariable::new(password, source));
        let variables = Some(variables.into_iter().collect());
        Self { family, set: Some(name.to_owned()), variables, ..Self::default() }
    }

    /// Whether AWS issues the login's credential.
    pub(super) fn is_exchanged(&self) -> bool {
        self.exchanged
    }

    /// Whether `host` belongs to another server than the login, such as its token server.
    pub(super) fn is_elsewhere(&self, host: &str) -> bool {
        self.host.as_deref().is_some_and(|own| own != host)
    }

    /// The same login as one of packages, which documentation names so only here.
    pub(super) fn as_package(&self) -> Self {
        Self { family: Family::Package, ..self.clone() }
    }

    /// How to rename the variables of a set for a container registry to those for a package registry.
    pub(super) fn renamed_to_packages(&self) -> Option<String> {
        if self.other.is_some() || self.family == Family::Package {
            return None;
        }
        let (Some(set), Some(variables)) = (&self.set, &self.variables) else {
            return Some("rename `<NAME>_CONTAINER_REGISTRY_SERVER` to `<NAME>_PACKAGE_REGISTRY_SERVER` and the other variables likewise, then run `registry-agent sync` in a shell that has them".to_owned());
        };
        let renamed = variables.iter().filter_map(|it| {
            let field = variable::parse(&it.variable)?.field;
            Some((it.clone(), field.variable(Family::Package, set)))
        });
        Some(rename_all(&renamed.collect::<Vec<_>>(), "them"))
    }

    /// The URL of the login's package registry; `None` if it is one of containers.
    pub(super) fn package(&self) -> Option<&PackageServer> {
        self.package.as_ref()
    }

    /// Whether the login's set has this variable. In documentation it has all of them.
    pub(super) fn has(&self, field: Field) -> bool {
        self.other.is_none() && (self.variables.is_none() || self.source(field).is_some())
    }

    /// The full name of a variable of the login's set.
    pub(super) fn variable(&self, field: Field) -> String {
        match &self.set {
            Some(set) => field.variable(self.family, set),
            None => format!("`{}`", field.variable(self.family, "<NAME>")),
        }
    }

    /// How to give variables new values, where they are set today.
    pub(super) fn set(&self, changes: &[(Field, &str)]) -> String {
        match &self.other {
            Some(OtherLogin::Stored { server, covers }) => {
                log_in_again(server, covers.as_deref(), changes)
            }
            Some(OtherLogin::Ambient { host, .. })
                if changes.iter().any(|(field, _)| *field == Field::Server) =>
            {
                format!("check that {host} can be reached from this network")
            }
            Some(OtherLogin::Ambient { server, .. }) => {
                declare_github(self.family, server, changes)
            }
            None => self.set_variables(changes, |changes| list(changes), "; "),
        }
    }

    /// How to correct the login of `user`, of which either the user or the password is wrong.
    pub(super) fn correct(&self, user: &str) -> String {
        if let Some(OtherLogin::Stored { server, covers }) = &self.other {
            return log_in_with(server, covers.as_deref(), " with the right user and password");
        }
        let password = format!("the current password or token of {user}");
        let changes = [(Field::Password, password.as_str()), (Field::User, "the right user")];
        self.set_variables(&changes, |changes| changes.join(", or "), "; or ")
    }

    /// What to run after a change that the agent cannot see.
    pub(super) fn then_check(&self) -> String {
        let login = match (&self.set, &self.other) {
            (Some(set), _) => set.as_str(),
            (None, Some(OtherLogin::Stored { server, .. })) => server,
            (None, Some(OtherLogin::Ambient { .. })) => AMBIENT_NAME,
            (None, None) => "<NAME>",
        };
        format!("then run `registry-agent check {login}`")
    }

    /// That there is nothing to do, and when the agent tries again.
    pub(super) fn retried(&self) -> String {
        match self.retry_in {
            Some(wait) if wait.as_secs() < 1 => "no action needed; retried at once".to_owned(),
            Some(wait) => format!("no action needed; retried in {}", super::duration(wait)),
            None => "no action needed; retried automatically".to_owned(),
        }
    }

    /// The changes place by place. `listed` joins those in one place, `separator` the places.
    fn set_variables(
        &self,
        changes: &[(Field, &str)],
        listed: impl Fn(&[String]) -> String,
        separator: &str,
    ) -> String {
        let mut places: Vec<(Place<'_>, Vec<String>)> = Vec::new();
        for (field, value) in changes {
            let place = self.place(*field);
            let change = match &place {
                Place::PasswordFile(path) => format!("write {value} into {path}"),
                _ => format!("{}{} to {value}", self.variable(*field), self.now_from(*field)),
            };
            match places.iter_mut().find(|(known, _)| *known == place) {
                Some((_, changes)) => changes.push(change),
                None => places.push((place, vec![change])),
            }
        }
        let steps: Vec<String> = places
            .iter()
            .map(|(place, changes)| {
                let (all, them) = (listed(changes), if changes.len() == 1 { "it" } else { "them" });
                match place {
                    Place::PasswordFile(_) => all,
                    Place::File(path) => format!("change {all} in {path}"),
                    Place::Codespaces => format!(
                        "set {all} in https://github.com/settings/codespaces, then restart the codespace"
                    ),
                    Place::Shell => format!(
                        "set {all}, then run `registry-agent sync` in a shell that has {them}"
                    ),
                }
            })
            .collect();
        steps.join(separator)
    }

    fn place(&self, field: Field) -> Place<'_> {
        if let (Field::Password, Some(path)) = (field, &self.password_file) {
            return Place::PasswordFile(path);
        }
        // A variable that is not set yet belongs beside the others.
        let beside = [field, Field::Password, Field::PasswordFile, Field::User, Field::Server];
        match beside.iter().find_map(|field| self.source(*field)) {
            Some(source) if source.starts_with(CODESPACES) => Place::Codespaces,
            Some(source) if source.starts_with('/') => Place::File(source),
            _ => Place::Shell,
        }
    }

    /// The label of the source of a variable.
    fn source(&self, field: Field) -> Option<&str> {
        let name = field.variable(self.family, self.set.as_deref()?);
        let found = self.variables.iter().flatten().find(|it| *it.variable == *name);
        found.map(|it| &*it.source)
    }

    /// ` (from `sync`)`, where the place of the change does not tell the source.
    fn now_from(&self, field: Field) -> String {
        match self.source(field) {
            Some(source) if !source.starts_with('/') => format!(" (from `{source}`)"),
            _ => String::new(),
        }
    }
}

/// A stored login is replaced by another `docker login`, or removed by `docker logout`.
fn log_in_again(server: &str, covers: Option<&str>, changes: &[(Field, &str)]) -> String {
    let value = |of| changes.iter().find(|(field, _)| *field == of).map(|(_, value)| *value);
    if let Some(value) = value(Field::Server) {
        return format!(
            "run `docker logout {server}`, then `docker login` with {value} as the server"
        );
    }
    let user = value(Field::User).map(|value| format!("{value} as the user"));
    let password = value(Field::Password).map(|value| format!("{value} as the password"));
    let with: Vec<String> = user.into_iter().chain(password).collect();
    let with = if with.is_empty() { String::new() } else { format!(" with {}", list(&with)) };
    log_in_with(server, covers, &with)
}

fn log_in_with(server: &str, covers: Option<&str>, with: &str) -> String {
    match covers {
        Some(name) => format!(
            "run `docker logout {server}` to use the declared login {name} again; or run `docker login {server}`{with}"
        ),
        None => format!(
            "run `docker login {server}`{with}; or run `docker logout {server}` to remove the stored login"
        ),
    }
}

/// `GITHUB_TOKEN` belongs to the platform, so another login for its registry is declared beside it.
fn declare_github(family: Family, server: &str, changes: &[(Field, &str)]) -> String {
    let value = |of| changes.iter().find(|(field, _)| *field == of).map(|(_, value)| *value);
    let user = value(Field::User).unwrap_or("your GitHub user name");
    let password = value(Field::Password).unwrap_or("a token");
    let name = match family {
        Family::Container => "GHCR",
        Family::Package => "GITHUB",
    };
    let variable = |field: Field| field.variable(family, name);
    format!(
        "set {} to {server}, {} to {user} and {} to {password}, then run `registry-agent sync` in a \
         shell that has them",
        variable(Field::Server),
        variable(Field::User),
        variable(Field::Password)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credentials::secret::Secret;
    use crate::domain::servers::server::Server;

    const CHANGES: [(Field, &str); 2] =
        [(Field::User, "your Docker ID"), (Field::Password, "an access token")];

    fn context(user: &str, password: &str, file: Option<&str>) -> FixContext {
        let variable = |field: Field, source| {
            SourcedVariable::new(field.variable(Family::Container, "HUB"), source)
        };
        let declaration = Declaration {
            name: "HUB".to_owned(),
            server: Server::parse("docker.io").unwrap().0.into(),
            identity: Identity::Password { user: "u".to_owned(), password: Secret::new("p") },
            auth_scheme: None,
            ca_file: None,
            source: password.to_owned(),
            variables: vec![variable(Field::User, user), variable(Field::Password, password)],
            password_file: file.map(Into::into),
            stored: None,
        };
        FixContext::of(&declaration, None)
    }

    #[test]
    fn a_fix_names_each_variable_and_the_place_where_it_is_set() {
        assert_eq!(
            context("sync", "sync", None).set(&CHANGES),
            "set HUB_CONTAINER_REGISTRY_USER (from `sync`) to your Docker ID and \
             HUB_CONTAINER_REGISTRY_PASSWORD (from `sync`) to an access token, then run \
             `registry-agent sync` in a shell that has them"
        );
        assert_eq!(
            context("/srv/app.env", "/run/secrets", None).set(&CHANGES),
            "change HUB_CONTAINER_REGISTRY_USER to your Docker ID in /srv/app.env; \
             change HUB_CONTAINER_REGISTRY_PASSWORD to an access token in /run/secrets"
        );
        assert_eq!(
            context("start", "start", Some("/run/acme")).set(&CHANGES[1..]),
            "write an access token into /run/acme"
        );
        let file = "/workspaces/.codespaces/shared/.env-secrets";
        assert_eq!(
            context(file, file, None).set(&CHANGES[1..]),
            "set HUB_CONTAINER_REGISTRY_PASSWORD to an access token in \
             https://github.com/settings/codespaces, then restart the codespace"
        );
    }

    #[test]
    fn the_default_context_names_the_variables_as_documents_do() {
        assert_eq!(
            FixContext::default().set(&CHANGES[1..]),
            "set `<NAME>_CONTAINER_REGISTRY_PASSWORD` to an access token, then run \
             `registry-agent sync` in a shell that has it"
        );
    }
}
