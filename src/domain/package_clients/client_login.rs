//! The variables by which package clients that cannot run a helper take the login of one registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::format::PackageFormat;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::secret::Secret;
use crate::domain::servers::package_kind::PackageKind;
use crate::domain::servers::package_server::PackageServer;

/// All characters but the unreserved ones (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The login of a package registry, as the agent serves it.
pub struct ClientLogin {
    /// The declared `<NAME>`.
    pub name: String,
    /// The registry.
    pub server: PackageServer,
    /// How its clients send the credential.
    pub scheme: AuthScheme,
    /// The credential; the user of a token is empty.
    pub credential: Credential,
}

/// A variable and its value.
pub type Setting = (String, Secret);

impl ClientLogin {
    /// The variables that hold this login alone, by the conventions of all clients for which the registry
    /// may have packages.
    pub fn settings(&self) -> Vec<Setting> {
        let holds = |format: PackageFormat| format.may_be_in(&self.server);
        let mut settings = self.for_references();
        settings.extend(holds(PackageFormat::Npm).then(|| self.for_npm()).flatten());
        settings.extend(holds(PackageFormat::RubyGems).then(|| self.for_bundler()).flatten());
        settings.extend(holds(PackageFormat::NuGet).then(|| self.for_nuget()).flatten());
        if holds(PackageFormat::Maven) {
            settings.extend(self.for_gradle());
        }
        if self.is_code_artifact() {
            // The name in AWS's documentation of all clients.
            settings.push(("CODEARTIFACT_AUTH_TOKEN".to_owned(), self.credential.secret.clone()));
        }
        settings
    }

    /// The user and the secret for Composer, which takes the logins of all registries in one variable; no
    /// user if the secret is a token. `None` if Composer cannot send it.
    pub fn for_composer(&self) -> Option<(Option<&str>, &Secret)> {
        if !PackageFormat::Composer.may_be_in(&self.server) {
            return None;
        }
        match self.scheme {
            AuthScheme::Basic => Some((Some(&self.credential.user), &self.credential.secret)),
            AuthScheme::Bearer => Some((None, &self.credential.secret)),
            AuthScheme::Raw => None,
        }
    }

    /// For configuration files that refer to variables.
    fn for_references(&self) -> Vec<Setting> {
        let Self { name, credential, .. } = self;
        let user = (!credential.user.is_empty())
            .then(|| (format!("REGISTRY_AGENT_{name}_USER"), credential.user.as_str().into()));
        let password = (format!("REGISTRY_AGENT_{name}_PASSWORD"), credential.secret.clone());
        user.into_iter().chain([password]).collect()
    }

    /// npm looks for the longest URL above the one that it requests (`npm-registry-fetch`, `lib/auth.js`).
    fn for_npm(&self) -> Option<Setting> {
        let scheme = if self.is_code_artifact() { AuthScheme::Bearer } else { self.scheme };
        let (key, value) = match scheme {
            AuthScheme::Bearer => ("_authToken", self.credential.secret.clone()),
            AuthScheme::Basic => ("_auth", self.encoded_pair()),
            AuthScheme::Raw => return None,
        };
        let (authority, path) = (self.server.authority(), self.server.path());
        named(format!("npm_config_//{authority}{path}:{key}"), value)
    }

    /// Bundler looks for the URL of a source, then for its host with any scheme and port
    /// (`Bundler::Settings#credentials_for`).
    fn for_bundler(&self) -> Option<Setting> {
        let Self { server, scheme: AuthScheme::Basic, credential, .. } = self else { return None };
        let is_whole_host = server.authority() == server.host()
            && server.scheme() == "https"
            && server.path() == "/";
        let source = if is_whole_host { server.host() } else { server.name() };
        let name = source.replace('.', "__").replace('-', "___").to_uppercase();
        let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let (user, password) = (encoded(&credential.user), encoded(credential.secret.reveal()));
        named(format!("BUNDLE_{name}"), format!("{user}:{password}").into())
    }

    /// `NuGet` reads the login of the package source of this name
    /// (`NuGet.Configuration/PackageSource/PackageSourceCredential.cs`), and splits it at semicolons.
    fn for_nuget(&self) -> Option<Setting> {
        let Self { name, scheme: AuthScheme::Basic, credential, .. } = self else { return None };
        let (user, password) = (&credential.user, credential.secret.reveal());
        let value = format!("Username={user};Password={password}");
        let is_plain = value.matches(';').count() == 1;
        is_plain.then(|| (format!("NuGetPackageSourceCredentials_{name}"), value.into()))
    }

    /// Gradle reads the properties of the repository of this name: of `PasswordCredentials`, or of
    /// `HttpHeaderCredentials`.
    fn for_gradle(&self) -> Vec<Setting> {
        let repository = lower_camel_case(&self.name);
        let property = |end, value| (format!("ORG_GRADLE_PROJECT_{repository}{end}"), value);
        match self.scheme {
            AuthScheme::Basic => vec![
                property("Username", self.credential.user.as_str().into()),
                property("Password", self.credential.secret.clone()),
            ],
            AuthScheme::Bearer | AuthScheme::Raw => vec![
                property("AuthHeaderName", "Authorization".into()),
                property("AuthHeaderValue", self.scheme.authorization(&self.credential)),
            ],
        }
    }

    fn encoded_pair(&self) -> Secret {
        let pair = format!("{}:{}", self.credential.user, self.credential.secret.reveal());
        STANDARD.encode(zeroize::Zeroizing::new(pair).as_bytes()).into()
    }

    fn is_code_artifact(&self) -> bool {
        matches!(self.server.kind(), PackageKind::CodeArtifact(_))
    }
}

/// A variable whose name comes from a URL. The name of a variable ends at the first `=`.
fn named(name: String, value: Secret) -> Option<Setting> {
    (!name.contains('=')).then_some((name, value))
}

/// `ACME_MAVEN` as `acmeMaven`.
fn lower_camel_case(name: &str) -> String {
    let mut words = name.split('_').filter(|word| !word.is_empty());
    let mut camel = words.next().unwrap_or_default().to_lowercase();
    for word in words {
        let (first, rest) = word.split_at(1);
        camel.extend([first.to_uppercase(), rest.to_lowercase()]);
    }
    camel
}
