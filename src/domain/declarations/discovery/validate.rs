//! Validates one set: a declaration or its problems.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::PasswordFiles;
use super::identity::{needs_user, token_user};
use super::reference::is_reference;
use super::variable_set::{Set, Split};
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::declarations::declaration::{Declaration, Identity};
use crate::domain::declarations::layers::Value;
use crate::domain::declarations::variable::{Family, Field};
use crate::domain::printable::is_printable;
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::stray::is_quoted;
use crate::domain::reasons::{DeclarationReason, Reason, SourcedVariable};
use crate::domain::servers::ecr_typo;
use crate::domain::servers::mistyped;
use crate::domain::servers::package_server::{PackageKind, PackageServer};
use crate::domain::servers::registry_server::RegistryServer;
use crate::domain::servers::server::{Server, ServerFault};
use crate::domain::servers::userinfo::user_of;
use crate::domain::servers::web_sites;

/// The result for a set.
pub(super) struct Validated {
    /// The registry, if `_SERVER` is valid.
    pub(super) server: Option<RegistryServer>,
    /// The `_SERVER` variable.
    pub(super) server_variable: SourcedVariable,
    /// The declaration, if the set is complete and valid.
    pub(super) declaration: Option<Declaration>,
    /// Problems and remarks.
    pub(super) problems: Vec<Problem>,
    /// The file that holds its password.
    pub(super) password_file: Option<PathBuf>,
    /// Whether a required variable is missing.
    pub(super) is_incomplete: bool,
}

impl Set<'_> {
    /// Validates the set; `files` holds the contents of password files.
    pub(super) fn validate(&self, files: &PasswordFiles) -> Validated {
        let mut validator = Validator {
            set: self,
            refused: BTreeSet::new(),
            missing: Vec::new(),
            problems: Vec::new(),
        };
        if let Some(variables) = self.all_misspelt() {
            validator.remark(Field::Server, DeclarationReason::Misnamed { variables });
            return validator.without_declaration();
        }
        validator.refuse_values();
        let server = validator.server();
        let auth_scheme = validator.auth_scheme();
        let password_file = validator.password_file();
        let needs_user = needs_user(server.as_ref(), self.family, auth_scheme)
            || validator.text(Field::Server).is_some_and(|text| user_of(text).is_some());
        let file = password_file.as_deref();
        let credentials = validator.credentials(server.as_ref(), needs_user, file, files);
        validator.refuse_aws_identity(credentials.as_ref());
        validator.refuse_in_header(server.as_ref(), auth_scheme, credentials.as_ref());
        let ca_file = validator.path(Field::CaFile);
        let declaration = match (&server, credentials) {
            (Some(server), Some((identity, source))) if validator.refused.is_empty() => {
                validator.remark_on_idle_variables(server, &identity);
                let (name, server) = (self.name.to_owned(), server.clone());
                let variables = self.variables(&identity);
                Some(Declaration {
                    name,
                    server,
                    identity,
                    auth_scheme,
                    ca_file,
                    source,
                    variables,
                    password_file: password_file.clone(),
                    stored: None,
                })
            }
            _ => None,
        };
        validator.remark_on_other_spellings();
        if declaration.is_some() {
            validator.remark_on_other_user();
        }
        validator.join_missing();
        validator.name_all_missing();
        let server_variable = validator.sourced(Field::Server);
        Validated {
            server,
            server_variable,
            declaration,
            is_incomplete: !validator.missing.is_empty(),
            problems: validator.problems,
            password_file,
        }
    }

    /// The variables that are used; `_PASSWORD` hides `_PASSWORD_FILE`.
    fn variables(&self, identity: &Identity) -> Vec<SourcedVariable> {
        let hidden = self.values.contains_key(&Field::Password).then_some(Field::PasswordFile);
        let aws = matches!(identity, Identity::Aws(_));
        let for_aws = [Field::SessionToken, Field::RoleArn, Field::Profile];
        let used = |field: &Field| Some(*field) != hidden && (aws || !for_aws.contains(field));
        let variable = |(field, value): (&Field, &Value<'_>)| {
            SourcedVariable::new(self.variable(*field), value.source)
        };
        self.values.iter().filter(|(field, _)| used(field)).map(variable).collect()
    }
}

/// Variables whose values cannot begin with a quotation mark.
const NEVER_QUOTED: [Field; 4] =
    [Field::PasswordFile, Field::RoleArn, Field::CaFile, Field::Scheme];

/// The server that a mistyped one was meant to be. A single word may be anything, also a secret.
fn meant_server(text: &str) -> Option<String> {
    let (server, _) = Server::parse(&mistyped::repaired(text)).ok()?;
    let is_host = server.host().contains(['.', ':']) || server.is_loopback();
    is_host.then(|| server.declared())
}

pub(super) struct Validator<'a> {
    pub(super) set: &'a Set<'a>,
    /// Variables that are set but invalid.
    refused: BTreeSet<Field>,
    /// Variables that are required and not set.
    missing: Vec<Field>,
    problems: Vec<Problem>,
}

impl Validator<'_> {
    fn without_declaration(self) -> Validated {
        Validated {
            server: None,
            server_variable: self.sourced(Field::Server),
            declaration: None,
            problems: self.problems,
            password_file: None,
            is_incomplete: true,
        }
    }

    /// Refuses values that cannot be sent to a registry, or must not.
    fn refuse_values(&mut self) {
        for (&field, value) in &self.set.values {
            let text = value.text;
            if is_reference(text) {
                let variable = self.sourced(field);
                self.refuse(field, DeclarationReason::NotExpanded { variable });
                continue;
            }
            if NEVER_QUOTED.contains(&field) && is_quoted(text) {
                let variable = self.sourced(field);
                self.refuse(field, DeclarationReason::Quoted { variable, is_refused: true });
                continue;
            }
            let shown = !matches!(field, Field::Password | Field::SessionToken);
            let what = if text.contains('\0') {
                "a NUL character"
            } else if shown && text.chars().any(char::is_control) {
                "a control character"
            } else if shown && !text.chars().all(is_printable) {
                "an invisible character"
            } else if field == Field::User && text.contains(':') {
                "a colon"
            } else {
                continue;
            };
            let variable = self.sourced(field);
            self.refuse(field, DeclarationReason::BadValue { variable, what: what.to_owned() });
        }
    }

    fn server(&mut self) -> Option<RegistryServer> {
        let variable = self.sourced(Field::Server);
        let Some(text) = self.text(Field::Server) else {
            if self.set.empty_server.is_some() {
                self.refuse(Field::Server, DeclarationReason::EmptyServer { variable });
            } else if !self.refused.contains(&Field::Server) {
                self.miss(Field::Server);
                return self.misspelt_server();
            }
            return None;
        };
        let parsed = match self.set.family {
            Family::Container => Server::parse(text).map(|(server, path)| (server.into(), path)),
            Family::Package => PackageServer::parse(text).map(|server| (server.into(), None)),
        };
        match parsed {
            Ok((server, dropped)) => {
                if let RegistryServer::Container(container) = &server
                    && let Some(reason) = self.no_registry(container)
                {
                    self.refuse(Field::Server, reason);
                    return None;
                }
                if let Some(path) = dropped {
                    self.remark(Field::Server, DeclarationReason::PathDropped { variable, path });
                }
                Some(server)
            }
            Err(ServerFault::Empty) => {
                self.refuse(Field::Server, DeclarationReason::EmptyServer { variable });
                None
            }
            Err(fault) => {
                let meant = match self.set.family {
                    Family::Container => meant_server(text),
                    Family::Package => PackageServer::cleaned(text).map(|it| it.name().to_owned()),
                };
                let fault = fault.to_string();
                self.refuse(Field::Server, DeclarationReason::BadServer { variable, fault, meant });
                None
            }
        }
    }

    /// The registry of a set whose `_SERVER` is misspelt, which declares nothing.
    fn misspelt_server(&self) -> Option<RegistryServer> {
        let text = self.set.misspelt_server?;
        match self.set.family {
            Family::Container => Server::parse(text).ok().map(|(server, _)| server.into()),
            Family::Package => PackageServer::parse(text).ok().map(Into::into),
        }
    }

    /// Why a host is known to have no container registry.
    fn no_registry(&self, server: &Server) -> Option<DeclarationReason> {
        let (variable, host) = (self.sourced(Field::Server), server.host());
        if let Some((fault, meant)) = ecr_typo::fault_of(host) {
            let (fault, meant) = (fault.to_string(), Some(meant));
            return Some(DeclarationReason::BadServer { variable, fault, meant });
        }
        let host = host.to_owned();
        if let Some(registry) = web_sites::registry_of(&host) {
            let registry = registry.to_owned();
            return Some(DeclarationReason::WebSite { variable, host, registry });
        }
        let renamed =
            |field: &Field| (self.sourced(*field), field.variable(Family::Package, self.set.name));
        PackageKind::is_only_of_packages(&host).then(|| DeclarationReason::PackageHost {
            variable,
            host,
            renamed: self.set.values.keys().map(renamed).collect(),
        })
    }

    fn auth_scheme(&mut self) -> Option<AuthScheme> {
        let named = AuthScheme::named(self.text(Field::Scheme)?);
        if named.is_none() {
            let variable = self.sourced(Field::Scheme);
            self.refuse(Field::Scheme, DeclarationReason::BadScheme { variable });
        }
        named
    }

    pub(super) fn path(&mut self, field: Field) -> Option<PathBuf> {
        let path = Path::new(self.text(field)?);
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        let variable = self.sourced(field);
        self.refuse(field, DeclarationReason::RelativePath { variable });
        None
    }

    /// Adds a remark if what surrounds a value was probably copied by accident.
    pub(super) fn remark_on_stray_characters(
        &mut self,
        field: Field,
        text: &str,
        variable: SourcedVariable,
    ) {
        let at = match (text.trim_start() == text, text.trim_end() == text) {
            (false, _) => "starts",
            (true, false) => "ends",
            (true, true) if is_quoted(text) => {
                return self
                    .remark(field, DeclarationReason::Quoted { variable, is_refused: false });
            }
            (true, true) => return,
        };
        self.remark(field, DeclarationReason::WhiteSpace { variable, at: at.to_owned() });
    }

    /// Adds a remark about each misspelt variable whose correct spelling is set as well.
    fn remark_on_other_spellings(&mut self) {
        for (field, ignored) in &self.set.look_alikes {
            if self.is_set(*field) {
                let used = self.set.variable(*field);
                let reason = DeclarationReason::SpellingIgnored { ignored: ignored.clone(), used };
                self.remark(*field, reason);
            }
        }
    }

    /// Adds a remark if another variable has the user that the set may lack.
    fn remark_on_other_user(&mut self) {
        if !self.is_set(Field::User)
            && let Some(ignored) = self.set.instead_of(Field::User).cloned()
        {
            let read = self.set.variable(Field::User);
            self.remark(Field::User, DeclarationReason::OtherSpelling { ignored, read });
        }
    }

    /// Adds remarks about variables that do not apply to this registry.
    fn remark_on_idle_variables(&mut self, server: &RegistryServer, identity: &Identity) {
        if matches!(identity, Identity::Aws(_)) {
            return;
        }
        for field in [Field::SessionToken, Field::RoleArn, Field::Profile] {
            if !self.is_set(field) {
                continue;
            }
            let variable = self.sourced(field);
            let reason = match token_user(server) {
                Some(user) => DeclarationReason::TokenAlready { variable, user: user.to_owned() },
                None => {
                    DeclarationReason::OnlyForEcr { variable, server: server.shown().to_owned() }
                }
            };
            self.remark(field, reason);
        }
    }

    /// The value of a variable that is set and valid.
    pub(super) fn text(&self, field: Field) -> Option<&str> {
        let usable = !self.refused.contains(&field);
        self.set.values.get(&field).filter(|_| usable).map(|value| value.text)
    }

    /// A variable of the set with its source.
    pub(super) fn sourced(&self, field: Field) -> SourcedVariable {
        let value = self.set.values.get(&field).map(|value| value.source);
        let empty = self.set.empty_server.filter(|_| field == Field::Server);
        let source = value.or(empty).map(str::to_owned).or_else(|| self.set.source());
        SourcedVariable::new(self.set.variable(field), source.unwrap_or_default())
    }

    pub(super) fn is_set(&self, field: Field) -> bool {
        self.set.values.contains_key(&field)
    }

    pub(super) fn miss(&mut self, field: Field) {
        let required = [Field::Server, Field::User, Field::Password, Field::PasswordFile];
        let others = required.into_iter().filter(|&field| self.is_set(field));
        let reason = DeclarationReason::Missing {
            missing: self.set.variable(field),
            misspelt: self.set.instead_of(field).cloned(),
            others: others.map(|field| self.sourced(field)).collect(),
            all: Box::default(),
        };
        self.missing.push(field);
        self.refuse(field, reason);
    }

    /// Names all missing variables in one problem if each is set under another name.
    fn join_missing(&mut self) {
        let is_missing = |it: &Problem| {
            matches!(it.reason, Reason::Declaration(DeclarationReason::Missing { .. }))
        };
        if let Some(at) = self.problems.iter().position(is_missing)
            && let Some(Split { others, rest }) = self.set.split(&self.missing)
        {
            self.problems.retain(|it| !is_missing(it));
            self.remark(Field::Password, DeclarationReason::Split { others, rest });
            self.problems[at..].rotate_right(1);
        }
    }

    /// Names in the fix for each missing variable the others, too.
    fn name_all_missing(&mut self) {
        let unset = self.missing.iter().filter(|field| self.set.instead_of(**field).is_none());
        let names: Vec<String> = unset.map(|field| self.set.variable(*field)).collect();
        for problem in &mut self.problems {
            if let Reason::Declaration(DeclarationReason::Missing { misspelt: None, all, .. }) =
                &mut problem.reason
                && names.len() > 1
            {
                *all = names.clone().into();
            }
        }
    }

    pub(super) fn refuse(&mut self, field: Field, reason: DeclarationReason) {
        self.refused.insert(field);
        self.remark(field, reason);
    }

    pub(super) fn remark(&mut self, field: Field, reason: DeclarationReason) {
        let value = self.set.values.get(&field).map(|value| value.source.to_owned());
        self.problems.push(Problem {
            family: Some(self.set.family),
            name: self.set.name.to_owned(),
            source: value.or_else(|| self.set.source()),
            server: None,
            reason: reason.into(),
        });
    }
}
