//! A snapshot of what the agent knows, from which the API answers.
//!
//! The controller updates the view after each change, in place unless a reader still holds it.
//! Readers never wait for the controller.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::exchange;
use crate::domain::credentials::login::{Login, State};
use crate::domain::credentials::replaced::ReplacedCredential;
use crate::domain::declarations::declaration::Identity;
use crate::domain::declarations::variable::Family;
use crate::domain::printable::into_printable;
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{DeclarationReason, FixContext, Reason, Severity, SourcedVariable};
use crate::domain::servers::package_server::{PackageKind, PackageServer, PackageUrl};
use crate::domain::servers::registry_server::RegistryServer;
use crate::domain::servers::server::{self, AskedServer, Kind, Server};
use crate::domain::url_paths::SecretPaths;
use crate::wire::api::{
    ProblemEntry, RegistryDocument, RemarkEntry, SourceDocument, StatusDocument, VariableEntry,
};

/// A login and the agent's next action on it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The login.
    pub login: Login,
    /// Whether an exchange or a verification is under way.
    pub busy: bool,
    /// When the agent next acts on the login without a request.
    pub due: Option<Timestamp>,
    /// The earliest time at which a client that needs a token can make the agent act before `due`.
    pub retry_on_demand_at: Option<Timestamp>,
    /// Earlier credentials that a client may still send back as a login.
    pub replaced: Vec<ReplacedCredential>,
}

/// A snapshot of everything the agent knows.
#[derive(Debug, Clone)]
pub struct View {
    /// When this agent started.
    pub started_at: Timestamp,
    /// The `seq` of the last event before this view.
    pub seq: u64,
    /// Whether every source has been read and published.
    pub complete: bool,
    /// The sources, highest precedence first.
    pub sources: Vec<SourceDocument>,
    /// Problems of the sources.
    pub source_problems: Vec<Problem>,
    /// The logins, by canonical server.
    pub entries: BTreeMap<Arc<str>, Arc<Entry>>,
    /// The tokens of docker's web login, by docker's names for them. They are not logins.
    pub web_login_tokens: BTreeMap<&'static str, Credential>,
    /// Problems of everything but sources and logins.
    pub other_problems: Vec<Problem>,
    /// The docker configuration that the agent writes.
    pub docker_config: Option<PathBuf>,
}

impl View {
    /// A view of an agent that knows nothing yet.
    pub fn empty(started_at: Timestamp) -> Self {
        Self {
            started_at,
            seq: 0,
            complete: false,
            sources: Vec::new(),
            source_problems: Vec::new(),
            entries: BTreeMap::new(),
            web_login_tokens: BTreeMap::new(),
            other_problems: Vec::new(),
            docker_config: None,
        }
    }

    /// The login for the container registry that a client asks for, in any spelling.
    pub fn by_server(&self, asked: &str) -> Option<&Arc<Entry>> {
        let container = |entry: &&Arc<Entry>| entry.login.declaration.server.container().is_some();
        self.entries.get(asked).filter(container).or_else(|| {
            let asked = AskedServer::parse(asked)?;
            self.entries.values().find(|entry| {
                let server = entry.login.declaration.server.container();
                server.is_some_and(|server| server.matches(&asked))
            })
        })
    }

    /// The login for the package registry with the longest URL that `asked` is below.
    pub fn by_url(&self, asked: &PackageUrl) -> Option<&Arc<Entry>> {
        let covering = self.entries.values().filter_map(|entry| {
            let server = entry.login.declaration.server.package()?;
            server.covers(asked).then_some((server.depth(), entry))
        });
        covering.max_by_key(|(depth, _)| *depth).map(|(_, entry)| entry)
    }

    /// The problem of the set that declares the server that a client asks for, if that set cannot
    /// be used.
    pub fn unusable_set(&self, asked: &str) -> Option<&Problem> {
        self.unusable(Family::Container, |server| {
            Server::parse(server).is_ok_and(|(server, _)| server.answers_to(asked))
        })
    }

    /// The same for the URL of a package registry.
    pub fn unusable_package_set(&self, asked: &PackageUrl) -> Option<&Problem> {
        self.unusable(Family::Package, |server| {
            PackageServer::parse(server).is_ok_and(|server| server.covers(asked))
        })
    }

    fn unusable(&self, family: Family, is_asked: impl Fn(&str) -> bool) -> Option<&Problem> {
        self.source_problems.iter().find(|problem| {
            let is_error = problem.reason.severity() == Severity::Error;
            let server = problem.server.as_deref().filter(|_| problem.family == Some(family));
            is_error && server.is_some_and(&is_asked)
        })
    }

    /// The paths of declared package registries, which may contain tokens.
    pub fn secret_paths(&self) -> SecretPaths {
        let logins = self.entries.values();
        let logins = logins.filter_map(|entry| entry.login.declaration.server.package().cloned());
        let unusable = self.source_problems.iter().filter_map(|problem| {
            let server = problem.server.as_deref()?;
            PackageServer::parse(server).ok().filter(|_| problem.family == Some(Family::Package))
        });
        let servers: Vec<PackageServer> = logins.chain(unusable).collect();
        SecretPaths::new(servers.iter().map(PackageServer::path))
    }

    /// The token of docker's web login that a client asks for.
    pub fn web_login_token(&self, asked: &str) -> Option<&Credential> {
        self.web_login_tokens.get(server::web_login_token(asked)?)
    }

    /// The logins with this `<NAME>`, which may have one of each family, or else the login for this
    /// server or URL.
    pub fn selected(&self, asked: &str) -> Vec<&Arc<Entry>> {
        let is_called = |entry: &&Arc<Entry>| entry.login.declaration.called() == Some(asked);
        let named: Vec<_> = self.entries.values().filter(is_called).collect();
        if !named.is_empty() {
            return named;
        }
        let exact = self.entries.get(asked);
        let found = exact.or_else(|| self.by_server(asked)).or_else(|| self.by_package_url(asked));
        found.into_iter().collect()
    }

    /// The one login that is meant by a `<NAME>`, a server or a URL: of this family, or else of a container
    /// registry if there is one.
    pub fn one_selected(&self, asked: &str, family: Option<Family>) -> Option<&Arc<Entry>> {
        let of = |entry: &Arc<Entry>| entry.login.declaration.family();
        let selected = self.selected(asked);
        let found = match family {
            Some(family) => selected.into_iter().find(|entry| of(entry) == family),
            None => selected.into_iter().max_by_key(|entry| of(entry) == Family::Container),
        };
        // The same text may name a container registry and be the URL of a package registry.
        let wants_package = family == Some(Family::Package);
        found.or_else(|| self.by_package_url(asked).filter(|_| wants_package))
    }

    fn by_package_url(&self, asked: &str) -> Option<&Arc<Entry>> {
        self.by_url(PackageServer::parse(asked).ok()?.url())
    }

    /// Whether every source has been read and no login is `pending`.
    pub fn settled(&self, now: Timestamp) -> bool {
        self.complete && self.entries.values().all(|entry| entry.login.state(now) != State::Pending)
    }

    /// Problems for the user to fix.
    pub fn problems(&self, now: Timestamp) -> Vec<ProblemEntry> {
        let logins = self.entries.values().filter_map(|entry| entry.login.problem(now));
        let sources =
            self.source_problems.iter().map(|it| problem_entry(&self.with_login(it, now)));
        let logins = logins.map(|problem| problem_entry(&problem));
        sources.chain(logins).chain(self.other_problems.iter().map(problem_entry)).collect()
    }

    /// The problem, which may depend on whether the login of its server works.
    fn with_login(&self, problem: &Problem, now: Timestamp) -> Problem {
        let mut problem = problem.clone();
        let entry = problem.server.as_deref().and_then(|server| self.entries.get(server));
        let state = entry.map(|entry| entry.login.state(now));
        if let Reason::Declaration(DeclarationReason::Duplicate(duplicate)) = &mut problem.reason {
            duplicate.is_unusable =
                matches!(state, Some(State::Rejected | State::Expired | State::Invalid));
        }
        problem
    }

    /// The document of `GET /v1/status`.
    pub fn document(&self, now: Timestamp) -> StatusDocument {
        StatusDocument {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.started_at,
            at: now,
            seq: self.seq,
            settled: self.settled(now),
            docker_config: self.docker_config.as_ref().map(|file| shown(file.display())),
            sources: self.sources.clone(),
            registries: self.entries.values().map(|entry| entry.document(now)).collect(),
            problems: self.problems(now),
        }
    }
}

impl Entry {
    /// Whether the login's due time is before `now`, for example after a suspend.
    pub fn overdue(&self, now: Timestamp) -> bool {
        !self.busy && self.due.is_some_and(|due| due <= now)
    }

    /// Whether a client that needs a credential at `now` makes the agent act on this login.
    pub fn acts_on_demand(&self, now: Timestamp) -> bool {
        let retries = self.retry_on_demand_at.is_some_and(|at| at <= now);
        self.overdue(now) || (!self.busy && retries && self.login.served(now).is_none())
    }

    /// The login's part of the status document.
    pub fn document(&self, now: Timestamp) -> RegistryDocument {
        let login = &self.login;
        let declaration = &login.declaration;
        let server = &declaration.server;
        let (region, account) = region_and_account(server);
        let reason = login.reason_at(now);
        let retry_in =
            self.due.map(|due| due.duration_since(now)).filter(SignedDuration::is_positive);
        let context = FixContext::of(declaration, retry_in);
        let credential = login.credential.as_ref();
        RegistryDocument {
            name: (!login.is_stored()).then(|| declaration.name.clone()),
            covers: declaration.stored.as_ref().and_then(|stored| stored.covers.clone()),
            stored_as: declaration.stored.as_ref().map(|stored| stored.key.clone()),
            server: server.name().to_owned(),
            family: server.family(),
            scheme: server.transport().map(str::to_owned),
            proxy: login.proxy.clone(),
            kind: server.kind_name().to_owned(),
            region,
            account,
            user: shown_user(&declaration.identity),
            source: declaration.source.clone(),
            keys: server.keys(),
            state: login.state(now).as_str().to_owned(),
            code: reason.as_ref().map(|reason| reason.code().to_owned()),
            severity: reason.as_ref().map(Reason::severity),
            hint: reason.as_ref().map(|reason| shown(reason.fix_for(&context))),
            step: reason.as_ref().and_then(Reason::step).map(|step| step.to_string()),
            reason: reason.map(shown),
            remarks: remarks(login, now),
            variables: declaration.variables.iter().map(variable_entry).collect(),
            verified_at: login.verified_at,
            issued_at: credential.and_then(|credential| credential.issued_at),
            expires_at: credential.and_then(|credential| credential.expires_at),
            next_refresh_at: self.due,
        }
    }
}

/// The AWS region and account in the host name.
fn region_and_account(server: &RegistryServer) -> (Option<String>, Option<String>) {
    match server {
        RegistryServer::Container(server) => match server.kind() {
            Kind::Ecr(host) => (Some(host.region.clone()), Some(host.account.clone())),
            Kind::EcrPublic => (Some("us-east-1".to_owned()), None),
            _ => (None, None),
        },
        RegistryServer::Package(server) => match server.kind() {
            PackageKind::CodeArtifact(host) => {
                (Some(host.region.clone()), Some(host.owner.clone()))
            }
            _ => (None, None),
        },
    }
}

fn remarks(login: &Login, now: Timestamp) -> Vec<RemarkEntry> {
    let entry = |reason: Reason| RemarkEntry {
        code: reason.code().to_owned(),
        severity: reason.severity(),
        step: reason.step().map(|step| step.to_string()),
        hint: shown(reason.fix_for(&FixContext::of(&login.declaration, None))),
        text: shown(reason),
    };
    login.remarks(now).into_iter().map(entry).collect()
}

fn variable_entry(SourcedVariable { variable, source }: &SourcedVariable) -> VariableEntry {
    VariableEntry { name: variable.to_string(), source: source.to_string() }
}

/// The problem in the form that `status` shows.
pub fn problem_entry(problem: &Problem) -> ProblemEntry {
    let registry = problem.reason.registry().or(problem.server.as_deref());
    let family = problem.family.unwrap_or_default();
    let context = FixContext::of_set(family, &problem.name, problem.source.as_deref());
    ProblemEntry {
        name: shown(&problem.name),
        family: problem.family,
        source: problem.source.as_ref().map(shown),
        code: problem.reason.code().to_owned(),
        kind: problem.reason.kind().as_str().to_owned(),
        severity: problem.reason.severity(),
        registry: registry.map(shown),
        step: problem.reason.step().map(|step| step.to_string()),
        problem: shown(&problem.reason),
        hint: shown(problem.reason.fix_for(&context)),
    }
}

/// Paths and values of variables may contain anything.
fn shown(text: impl fmt::Display) -> String {
    into_printable(text.to_string())
}

/// The user name, with an access key ID shortened: it is an identifier, but need not be shown in
/// full.
fn shown_user(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Password { user, .. } => Some(shown(user)),
        Identity::Token(_) => None,
        Identity::Aws(identity) => match (&identity.keys, &identity.profile) {
            (Some(keys), _) => Some(exchange::shortened(&keys.access_key_id)),
            (None, Some(profile)) => Some(shown(format_args!("profile {profile}"))),
            (None, None) => None,
        },
    }
}
