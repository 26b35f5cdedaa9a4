//! The formats of packages, and which of them a registry may hold.

use crate::domain::servers::package_kind::PackageKind;
use crate::domain::servers::package_server::PackageServer;

/// A format of packages, named after the clients that install them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageFormat {
    /// npm, pnpm, yarn, bun.
    Npm,
    /// Bundler, gem.
    RubyGems,
    /// Composer.
    Composer,
    /// Maven, Gradle.
    Maven,
    /// `NuGet`.
    NuGet,
    /// pip, uv, poetry, twine.
    Python,
    /// cargo.
    Cargo,
    /// Go's module proxies.
    Go,
    /// Repositories of git, which no package registry has beside its packages.
    Git,
}

impl PackageFormat {
    /// Whether packages of this format may be below the registry's URL: where host or path states a
    /// format, it has to be this one.
    pub fn may_be_in(self, server: &PackageServer) -> bool {
        let is_served = self != Self::Git || *server.kind() == PackageKind::Packages;
        is_served && stated_format(server).is_none_or(|stated| self.names().contains(&stated))
    }

    /// The same, except that a registry of which the words of its path, or else of its host, name some
    /// formats probably has no others: `/repository/npm-group/` is for npm.
    pub fn is_likely_in(self, server: &PackageServer) -> bool {
        let formats_in = |text: &str| {
            let words = || text.split(|c: char| !c.is_ascii_alphanumeric());
            let is_named = |format: &Self| words().any(|word| format.words().contains(&word));
            Self::ALL.into_iter().filter(is_named).collect::<Vec<_>>()
        };
        let in_path = formats_in(server.path());
        let named = if in_path.is_empty() { formats_in(server.host()) } else { in_path };
        self.may_be_in(server) && (named.is_empty() || named.contains(&self))
    }

    const ALL: [Self; 9] = [
        Self::Npm,
        Self::RubyGems,
        Self::Composer,
        Self::Maven,
        Self::NuGet,
        Self::Python,
        Self::Cargo,
        Self::Go,
        Self::Git,
    ];

    /// The words with which people name repositories of the format.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["pypi", "python", "pip", "simple"],
            Self::Cargo => &["cargo", "crates"],
            Self::Go => &["go", "golang", "goproxy"],
            Self::Git => &["git"],
            _ => self.names(),
        }
    }

    /// The names of the format in hosts and paths.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Npm => &["npm"],
            Self::RubyGems => &["ruby", "rubygems", "gems"],
            Self::Composer => &["composer"],
            Self::Maven => &["maven"],
            Self::NuGet => &["nuget"],
            Self::Python => &["pypi", "python"],
            Self::Cargo => &["cargo"],
            Self::Go => &["go"],
            Self::Git => &[],
        }
    }
}

/// The one format that the registry's URL allows, if host or path states it.
fn stated_format(server: &PackageServer) -> Option<&str> {
    let (host, path) = (server.host(), server.path());
    let segment_after = |marker: &str, skipped: usize| {
        let (_, rest) = path.split_once(marker)?;
        rest.split('/').nth(skipped).filter(|segment| !segment.is_empty())
    };
    match server.kind() {
        PackageKind::CodeArtifact(_) => segment_after("/", 0),
        PackageKind::GithubPackages => host.split('.').next(),
        PackageKind::GooglePackages => match host.strip_suffix(".rep.pkg.dev") {
            Some(regional) => regional.split('.').next(),
            None => host.strip_suffix(".pkg.dev")?.rsplit('-').next(),
        },
        // `ORGANIZATION/[PROJECT/]_packaging/FEED/FORMAT/…`
        PackageKind::AzureArtifacts => segment_after("/_packaging/", 1),
        // `/api/v4/[projects|groups/ID/[-/]]packages/FORMAT/…`
        PackageKind::GitlabPackages => segment_after("/packages/", 0),
        // `/artifactory/api/FORMAT/REPOSITORY/`; a path without `api` is of any format.
        PackageKind::Jfrog => segment_after("/artifactory/api/", 0),
        PackageKind::Packages => None,
    }
}

#[cfg(test)]
mod tests {
    use super::PackageFormat::{self, Composer, Maven, Npm, NuGet, Python, RubyGems};
    use super::*;

    const ALL: [PackageFormat; 6] = [Npm, RubyGems, Composer, Maven, NuGet, Python];

    #[test]
    fn a_stated_format_excludes_all_others() {
        let domain = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com";
        for (url, formats) in [
            (format!("{domain}/"), &ALL[..]),
            (format!("{domain}/npm/shared/"), &[Npm]),
            (format!("{domain}/ruby/shared/"), &[RubyGems]),
            (format!("{domain}/pypi/shared/"), &[Python]),
            ("https://npm.pkg.github.com/".to_owned(), &[Npm]),
            ("https://nuget.pkg.github.com/acme/".to_owned(), &[NuGet]),
            ("https://rubygems.pkg.github.com/acme/".to_owned(), &[RubyGems]),
            ("https://maven.pkg.github.com/acme/".to_owned(), &[Maven]),
            ("https://europe-west1-npm.pkg.dev/project/repository/".to_owned(), &[Npm]),
            ("https://npm.europe-west1.rep.pkg.dev/project/".to_owned(), &[Npm]),
            ("https://us-python.pkg.dev/project/repository/".to_owned(), &[Python]),
            ("https://pkgs.dev.azure.com/acme/".to_owned(), &ALL),
            ("https://pkgs.dev.azure.com/acme/_packaging/feed/nuget/v3/".to_owned(), &[NuGet]),
            ("https://pkgs.dev.azure.com/acme/app/_packaging/feed/".to_owned(), &ALL),
            ("https://gitlab.com/api/v4/".to_owned(), &ALL),
            ("https://gitlab.com/api/v4/projects/7/packages/npm/".to_owned(), &[Npm]),
            ("https://gitlab.com/api/v4/group/7/-/packages/composer/".to_owned(), &[Composer]),
            ("https://acme.jfrog.io/artifactory/api/npm/npm/".to_owned(), &[Npm]),
            ("https://acme.jfrog.io/artifactory/libs-release/".to_owned(), &ALL),
            ("https://nexus.example.com/repository/npm/".to_owned(), &ALL),
        ] {
            let server = PackageServer::parse(&url).unwrap();
            let found: Vec<_> = ALL.into_iter().filter(|it| it.may_be_in(&server)).collect();
            assert_eq!(found, formats, "{url}");
        }
    }
}
