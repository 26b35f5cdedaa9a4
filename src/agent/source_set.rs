//! Combines everything that variables come from: files, pushed and inherited environments, and the
//! logins stored by `docker login`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::login_store::LoginStore;
use crate::adapters::source_files::FileSources;
use crate::adapters::stored_logins::{StoredChange, StoredLogins};
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::login::Login;
use crate::domain::declarations::declaration::{Declaration, Identity, STORED, StoredAs};
use crate::domain::declarations::discovery::{self, Discovery};
use crate::domain::declarations::layers::{self, Layers};
use crate::domain::declarations::other_names::Wanted;
use crate::domain::declarations::push::{self, IncompleteSets, PUSHED, PushedLogin};
use crate::domain::declarations::source::{Source, SourceKind, Variables};
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{DeclarationReason, Reason};
use crate::wire::api::SourceDocument;
use crate::wire::handoff::{SavedState, conceal, reveal};

/// Reads and combines the sources.
pub struct SourceSet {
    files: FileSources,
    environment: Variables,
    environment_at: Option<Timestamp>,
    pushed: Option<Variables>,
    pushed_at: Option<Timestamp>,
    /// What the sets that were kept from an earlier push lack in the last one.
    kept: Vec<Problem>,
    /// What `sync` declared, as last discovered; `None` if nothing was pushed.
    pushed_logins: Option<Vec<PushedLogin>>,
    /// What an earlier `sync` declared to processes that died with it.
    lost: Vec<PushedLogin>,
    /// Those of the lost logins that nothing else declares.
    lost_problems: Vec<Problem>,
    stored: StoredLogins,
    /// The variables that configure AWS, proxies, TLS and docker.
    merged_environment: Variables,
    github_token: bool,
    sources: Vec<Source>,
    updated: BTreeMap<String, (Variables, Timestamp)>,
    file_problems: Vec<Problem>,
    problems: Vec<Problem>,
    /// When the next effective stored login ends.
    stored_end: Option<Timestamp>,
}

impl SourceSet {
    /// The sources in the state that the previous agent left in `saved`.
    pub fn new(files: FileSources, saved: &mut SavedState, github_token: bool) -> Self {
        let environment = conceal(std::mem::take(&mut saved.environment));
        let pushed = saved.pushed.take().map(conceal);
        let mut sources = Self {
            files,
            environment,
            environment_at: saved.environment_at,
            pushed,
            pushed_at: saved.pushed_at,
            kept: std::mem::take(&mut saved.kept),
            pushed_logins: None,
            lost: Vec::new(),
            lost_problems: Vec::new(),
            stored: StoredLogins::default(),
            merged_environment: Variables::new(),
            github_token,
            sources: Vec::new(),
            updated: BTreeMap::new(),
            file_problems: Vec::new(),
            problems: Vec::new(),
            stored_end: None,
        };
        sources.sources = sources.in_order(sources.files.sources());
        sources
    }

    /// The same sources, after an agent that had these logins of `sync` and left no state.
    #[must_use]
    pub fn after_losing(mut self, lost: Vec<PushedLogin>) -> Self {
        if self.pushed.is_none() {
            self.lost = lost;
        }
        self
    }

    /// What to note of `sync` for the case that all processes die; `None` for what is noted already.
    pub fn logins_to_note(&self) -> Option<Vec<PushedLogin>> {
        let pushed = self.pushed_logins.as_ref()?;
        Some(self.lost.iter().chain(pushed).cloned().collect())
    }

    /// The keys of lost logins, which stay published until the user sends them again.
    pub fn lost_keys(&self) -> impl Iterator<Item = &String> {
        let is_missing = |login: &&PushedLogin| {
            self.lost_problems.iter().any(|it| it.server.as_ref() == Some(&login.server))
        };
        self.lost.iter().filter(is_missing).flat_map(|login| &login.keys)
    }

    /// The variables that configure AWS, proxies, TLS and docker, from every source as last read.
    pub fn merged_environment(&self) -> &Variables {
        &self.merged_environment
    }

    /// Replaces the logins stored by `docker login`.
    pub fn set_stored(&mut self, stored: StoredLogins) {
        self.stored = stored;
    }

    /// Waits until every file has responded once or timed out.
    pub async fn first_answers(&mut self, now: Timestamp) {
        self.files.first_answers().await;
        while self.wanted(now).is_none() {
            self.changed().await;
        }
    }

    /// Combines the sources into the desired logins, at most one per server. `None` while a
    /// password file has not responded; [`SourceSet::changed`] resolves when it does.
    pub fn wanted(&mut self, now: Timestamp) -> Option<Vec<Declaration>> {
        self.sources = self.in_order(self.files.sources());
        self.merged_environment = layers::merged_environment(&self.sources);
        self.note_updates(now);
        // Without a password file's answer, an end that has come must not wake the controller again.
        self.stored_end = None;
        let found = self.discover()?;
        self.file_problems = self.files.problems();
        self.pushed_logins = self
            .pushed
            .as_ref()
            .map(|_| found.declarations.iter().filter_map(PushedLogin::of).collect());
        let is_declared = |lost: &PushedLogin| {
            found.sets.contains(&(lost.family, lost.name.clone()))
                || found.declarations.iter().any(|it| it.server.name() == lost.server)
        };
        let lost = self.lost.iter().filter(|lost| !is_declared(lost));
        self.lost_problems = lost.map(PushedLogin::lost).collect();
        self.problems = self.with_unread_files(found.problems);
        let mut selected: BTreeMap<String, Declaration> = found
            .declarations
            .into_iter()
            .map(|declared| (declared.server.name().to_owned(), declared))
            .collect();
        let codespace = self.codespace_name();
        for (server, login) in self.stored.counting(now, codespace.as_deref()) {
            self.stored_end = self.stored_end.into_iter().chain(login.end()).min();
            let identity = Identity::Password {
                user: login.username.clone(),
                password: login.secret.0.clone(),
            };
            // The transport and the CA file declared for the server still apply.
            let declared = selected.get(server.name());
            let ca_file = declared.and_then(|declared| declared.ca_file.clone());
            let covers = declared.map(|declared| declared.name.clone());
            let server = declared.map_or_else(|| server.into(), |it| it.server.clone());
            let name = server.name().to_owned();
            let stored = Declaration {
                name: name.clone(),
                server,
                identity,
                auth_scheme: None,
                ca_file,
                source: STORED.to_owned(),
                variables: Vec::new(),
                password_file: None,
                stored: Some(StoredAs { key: login.key.clone().unwrap_or(name.clone()), covers }),
            };
            selected.insert(name, stored);
        }
        Some(selected.into_values().collect())
    }

    /// Replaces the pushed environment, unless the new one declares nothing. Returns what is
    /// missing from incomplete sets; those that were complete keep their previous values.
    pub fn push(&mut self, mut variables: Variables, now: Timestamp) -> Vec<Problem> {
        let wanted = Wanted::among(variables.keys().map(String::as_str));
        variables.retain(|name, _| wanted.has(name));
        if !layers::push_counts(self.pushed.as_ref(), &variables) {
            return Vec::new();
        }
        if layers::declares_registry(&variables) {
            self.lost.clear();
        }
        let held = self.pushed.clone().unwrap_or_default();
        let before = self.sources.clone();
        let mut after = before.clone();
        after.retain(|source| source.kind != SourceKind::Pushed);
        after.push(Source {
            kind: SourceKind::Pushed,
            name: PUSHED.to_owned(),
            variables: variables.clone(),
        });
        let IncompleteSets { variables: kept, kept: problems, ignored, others } =
            push::incomplete_sets(&held, &variables, &before, &after);
        variables.retain(|variable, _| {
            let set = push::set_of(variable).map(|(family, name)| (family, name.to_owned()));
            !set.is_some_and(|set| ignored.contains(&set))
        });
        variables.extend(kept);
        self.pushed = Some(variables);
        self.pushed_at = Some(now);
        self.kept.clone_from(&problems);
        problems.into_iter().chain(self.with_unread_files(others)).collect()
    }

    /// The problems, with the file that cannot be read in place of a missing variable that may be in it.
    fn with_unread_files(&self, mut problems: Vec<Problem>) -> Vec<Problem> {
        for problem in &mut problems {
            if let Reason::Declaration(DeclarationReason::Missing {
                missing, misspelt: None, ..
            }) = &problem.reason
                && let Some(file) = self.files.unread(missing)
            {
                problem.source = Some(file.path().to_owned());
                let (missing, file) = (missing.clone(), Box::new(file));
                problem.reason = DeclarationReason::InUnreadFile { missing, file }.into();
            }
        }
        problems
    }

    /// The names of those of `variables` whose effective value a push of them would change.
    pub fn difference(&self, mut variables: Variables) -> Vec<String> {
        let wanted = Wanted::among(variables.keys().map(String::as_str));
        variables.retain(|name, _| {
            wanted.has(name) && (self.github_token || name != discovery::AMBIENT_NAME)
        });
        if !layers::push_counts(self.pushed.as_ref(), &variables) {
            return Vec::new();
        }
        let names: Vec<String> = variables.keys().cloned().collect();
        let mut after = self.sources.clone();
        after.retain(|source| source.kind != SourceKind::Pushed);
        after.push(Source { kind: SourceKind::Pushed, name: PUSHED.to_owned(), variables });
        let (before, after) = (Layers::of(&self.sources), Layers::of(&after));
        let differs = |name: &String| {
            let (before, after) = (before.get(name), after.get(name));
            before.map(|value| value.text) != after.map(|value| value.text)
        };
        names.into_iter().filter(differs).collect()
    }

    /// The name of the current codespace, if the sources contain it.
    pub fn codespace_name(&self) -> Option<String> {
        layers::codespace_name(&self.sources)
    }

    /// The tokens of docker's web login, by docker's names for them.
    pub fn web_login_tokens(&self, now: Timestamp) -> BTreeMap<&'static str, Credential> {
        let codespace = self.codespace_name();
        let tokens = self.stored.web_login_tokens(now, codespace.as_deref());
        tokens
            .map(|(name, token)| {
                (name, Credential::plain(token.username.clone(), token.secret.0.clone()))
            })
            .collect()
    }

    /// The change that removes stored logins that ended or belong to another codespace.
    pub fn prune_stored(&self, now: Timestamp) -> Option<StoredChange> {
        let codespace = self.codespace_name();
        self.stored
            .needs_pruning(now, codespace.as_deref())
            .then_some(StoredChange::Prune(now, codespace))
    }

    /// When the next effective stored login ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.stored_end
    }

    /// Problems with the files and the declarations.
    pub fn problems(&self) -> Vec<Problem> {
        let parts = [&self.file_problems, &self.problems, &self.kept, &self.lost_problems];
        parts.into_iter().flatten().cloned().collect()
    }

    /// The sources as `status` shows them.
    pub fn sources(&self, logins: &LoginStore) -> Vec<SourceDocument> {
        let count =
            |name: &str| logins.logins().filter(|login| login.declaration.source == name).count();
        let mut shown = Vec::new();
        if logins.logins().any(Login::is_stored) {
            shown.push(SourceDocument {
                kind: "stored".to_owned(),
                name: STORED.to_owned(),
                updated_at: None,
                declarations: count(STORED),
            });
        }
        shown.extend(self.sources.iter().map(|source| SourceDocument {
            kind: source.kind.as_str().to_owned(),
            name: source.name.clone(),
            updated_at: match source.kind {
                SourceKind::Pushed => self.pushed_at,
                SourceKind::Environment => self.environment_at,
                _ => self.updated.get(&source.name).map(|(_, at)| *at),
            },
            declarations: count(&source.name),
        }));
        shown
    }

    /// Resolves when a file has changed.
    pub async fn changed(&mut self) {
        self.files.changed().await;
    }

    /// Saves the state that the next agent needs into `saved`.
    pub fn save_into(&self, saved: &mut SavedState) {
        saved.environment = reveal(&self.environment);
        saved.environment_at = self.environment_at;
        saved.pushed = self.pushed.as_ref().map(reveal);
        saved.pushed_at = self.pushed_at;
        saved.kept.clone_from(&self.kept);
        saved.files = self.files.save();
    }

    fn discover(&mut self) -> Option<Discovery> {
        // A declaration may name a file whose content is needed to evaluate it.
        let found = discovery::discover(&self.sources, &BTreeMap::new());
        let passwords = self.files.follow_passwords(&found.password_files)?;
        if passwords.is_empty() {
            return Some(found);
        }
        Some(discovery::discover(&self.sources, &passwords))
    }

    fn in_order(&self, mut files: Vec<Source>) -> Vec<Source> {
        let environment = |kind, name: &str, variables: &Variables| Source {
            kind,
            name: name.to_owned(),
            variables: variables.clone(),
        };
        files.extend(
            self.pushed.as_ref().map(|pushed| environment(SourceKind::Pushed, PUSHED, pushed)),
        );
        files.push(environment(SourceKind::Environment, "start", &self.environment));
        if !self.github_token {
            for source in &mut files {
                source.variables.remove(discovery::AMBIENT_NAME);
            }
        }
        // The sort is stable, so files of one kind keep the order in which they were configured.
        files.sort_by_key(|source| source.kind);
        files
    }

    fn note_updates(&mut self, now: Timestamp) {
        for source in &self.sources {
            match self.updated.get(&source.name) {
                Some((variables, _)) if *variables == source.variables => {}
                _ => {
                    let seen = (source.variables.clone(), now);
                    self.updated.insert(source.name.clone(), seen);
                }
            }
        }
    }
}
