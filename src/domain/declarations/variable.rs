//! Names of variables: which belong to a `<NAME>_CONTAINER_REGISTRY_*` or `<NAME>_PACKAGE_REGISTRY_*`
//! set, which are misspelt, and which `sync` sends.

use serde::{Deserialize, Serialize};

use crate::domain::spelling::{is_typo_of, tolerated_typos};

/// What a set declares. One `<NAME>` may have a set of each family.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// `<NAME>_CONTAINER_REGISTRY_*`: a registry of container images.
    #[default]
    Container,
    /// `<NAME>_PACKAGE_REGISTRY_*`: a registry of packages.
    Package,
}

/// One variable of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The registry.
    Server,
    /// The user name, or an AWS access key ID.
    User,
    /// The password, token or AWS secret key.
    Password,
    /// A file that holds the password.
    PasswordFile,
    /// The session token of temporary AWS keys.
    SessionToken,
    /// The AWS role to assume first.
    RoleArn,
    /// The profile of the shared AWS files.
    Profile,
    /// A file with CA certificates for the registry.
    CaFile,
    /// How package clients send the credential.
    Scheme,
}

/// The parts of a variable's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetVariable<'a> {
    /// The family of the set.
    pub family: Family,
    /// The text before `_CONTAINER_REGISTRY_`, as written. It may be invalid: see [`is_name`].
    pub name: &'a str,
    /// The variable of the set that it is, or was meant to be.
    pub field: Field,
    /// Whether the spelling is exact; a misspelt variable declares nothing.
    pub exact: bool,
}

/// How many letters may be wrong, missing, swapped or too many in a word that is still recognized.
const TYPOS: usize = 2;

/// The exact spellings.
const SUFFIXES: [(&str, Field); 9] = [
    ("SERVER", Field::Server),
    ("USER", Field::User),
    ("PASSWORD", Field::Password),
    ("PASSWORD_FILE", Field::PasswordFile),
    ("SESSION_TOKEN", Field::SessionToken),
    ("ROLE_ARN", Field::RoleArn),
    ("PROFILE", Field::Profile),
    ("CA_FILE", Field::CaFile),
    ("SCHEME", Field::Scheme),
];

/// Common misspellings.
const MISSPELLINGS: [(&str, Field); 30] = [
    ("ADDRESS", Field::Server),
    ("DOMAIN", Field::Server),
    ("ENDPOINT", Field::Server),
    ("HOST", Field::Server),
    ("HOSTNAME", Field::Server),
    ("LOGIN_SERVER", Field::Server),
    ("REGISTRY", Field::Server),
    ("SERVER_URL", Field::Server),
    ("SERVERS", Field::Server),
    ("URI", Field::Server),
    ("URL", Field::Server),
    ("ACCESS_KEY_ID", Field::User),
    ("CLIENT_ID", Field::User),
    ("LOGIN", Field::User),
    ("USERID", Field::User),
    ("USERNAME", Field::User),
    ("USER_NAME", Field::User),
    ("ACCESS_TOKEN", Field::Password),
    ("API_KEY", Field::Password),
    ("AUTH_TOKEN", Field::Password),
    ("CLIENT_SECRET", Field::Password),
    ("KEY", Field::Password),
    ("PASS", Field::Password),
    ("PASSWD", Field::Password),
    ("PAT", Field::Password),
    ("PW", Field::Password),
    ("PWD", Field::Password),
    ("SECRET", Field::Password),
    ("SECRET_ACCESS_KEY", Field::Password),
    ("TOKEN", Field::Password),
];

impl Family {
    /// Both families.
    pub const ALL: [Self; 2] = [Self::Container, Self::Package];

    /// Its name in `status --json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Package => "package",
        }
    }

    /// What stands between the `<NAME>` and the rest of a variable's name.
    fn infix(self) -> &'static str {
        match self {
            Self::Container => "_CONTAINER_REGISTRY_",
            Self::Package => "_PACKAGE_REGISTRY_",
        }
    }

    /// Whether sets of this family have the variable.
    fn has(self, field: Field) -> bool {
        self == Self::Package || field != Field::Scheme
    }
}

impl Field {
    /// The full name of this variable in the set `name`.
    pub fn variable(self, family: Family, name: &str) -> String {
        let suffix = SUFFIXES.iter().find(|(_, field)| *field == self).map_or("", |(text, _)| text);
        format!("{name}{}{suffix}", family.infix())
    }
}

/// Splits a variable's name; `None` when it does not belong to a set. Case is ignored and typing errors
/// are recognized, because a misspelt variable deserves a hint, but only the exact spelling declares
/// anything.
pub fn parse(variable: &str) -> Option<SetVariable<'_>> {
    let upper = variable.to_ascii_uppercase();
    let exact = Family::ALL.into_iter().filter_map(|family| {
        let at = upper.rfind(family.infix())?;
        Some((at, at + family.infix().len(), family))
    });
    let infix = exact.max().or_else(|| misspelt_infix(&upper));
    let (at, end, family) = infix.or_else(|| final_infix(&upper))?;
    let suffix = &upper[end..];
    let name = &variable[..at];
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    // `ACME_CONTAINER_REGISTRY` most likely holds the server.
    if end == upper.len() && !upper.ends_with('_') {
        return Some(SetVariable { family, name, field: Field::Server, exact: false });
    }
    if let Some(field) = known(&SUFFIXES, suffix, family) {
        let exact = variable[at..] == [family.infix(), suffix].concat();
        return Some(SetVariable { family, name, field, exact });
    }
    let field = field_of(suffix, family).or_else(|| misspelt_suffix(suffix, family))?;
    Some(SetVariable { family, name, field, exact: false })
}

/// The variable of a set that ends with `suffix`, or with another word for the same.
pub fn field_of(suffix: &str, family: Family) -> Option<Field> {
    known(&SUFFIXES, suffix, family).or_else(|| known(&MISSPELLINGS, suffix, family))
}

fn known(table: &[(&str, Field)], suffix: &str, family: Family) -> Option<Field> {
    let mut fields = table.iter().filter(|(_, field)| family.has(*field));
    fields.find(|(text, _)| *text == suffix).map(|(_, field)| *field)
}

/// Where an infix without a suffix starts and ends.
fn final_infix(variable: &str) -> Option<(usize, usize, Family)> {
    Family::ALL.into_iter().find_map(|family| {
        let name = variable.strip_suffix(family.infix().trim_end_matches('_'))?;
        Some((name.len(), variable.len(), family))
    })
}

/// Where a mistyped `_CONTAINER_REGISTRY_` or `_PACKAGE_REGISTRY_` starts and ends.
fn misspelt_infix(variable: &str) -> Option<(usize, usize, Family)> {
    let marks: Vec<usize> = variable.match_indices('_').map(|(at, _)| at).collect();
    // With the underscore in the middle, and without.
    let spans = [2, 1].into_iter().flat_map(|words| {
        marks.iter().zip(marks.iter().skip(words)).map(|(start, end)| (*start, *end))
    });
    let mut alike = spans.filter_map(|(start, end)| {
        let is_meant = |family: &Family| {
            let wanted = family.infix().trim_matches('_');
            is_typo_of(wanted, &variable[start + 1..end], TYPOS)
        };
        Some((start, end + 1, Family::ALL.into_iter().find(is_meant)?))
    });
    alike.next()
}

/// The variable that a mistyped suffix was meant to be.
fn misspelt_suffix(suffix: &str, family: Family) -> Option<Field> {
    let mut alike = SUFFIXES.iter().filter(|(text, field)| {
        family.has(*field) && is_typo_of(text, suffix, tolerated_typos(text))
    });
    alike.next().map(|(_, field)| *field)
}

/// Whether `name` can be the `<NAME>` of a set: letters, digits and underscores.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `sync` sends the variable of this name to the agent.
pub fn is_pushed(variable: &str) -> bool {
    matches!(variable, "GITHUB_TOKEN" | "GITHUB_USER" | "CODESPACE_NAME")
        || Family::ALL.iter().any(|family| variable.contains(family.infix()))
        // The agent names a misspelt variable.
        || parse(variable).is_some()
        || is_tool_variable(variable)
}

/// Whether the variable of this name configures AWS, proxies, TLS or docker, for the agent as for any
/// other program.
pub fn is_tool_variable(variable: &str) -> bool {
    variable.strip_prefix("AWS_").is_some_and(is_name)
        || matches!(variable, "SSL_CERT_FILE" | "SSL_CERT_DIR" | "DOCKER_CONFIG")
        || matches!(variable, "NO_PROXY" | "no_proxy")
        || is_proxy(variable)
}

/// Whether the variable of this name names a proxy.
pub fn is_proxy(variable: &str) -> bool {
    const PROXIES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    PROXIES.iter().any(|known| *known == variable || known.to_ascii_lowercase() == variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_split_at_the_last_infix() {
        let parsed = parse("A_CONTAINER_REGISTRY_B_CONTAINER_REGISTRY_USER").unwrap();
        assert_eq!((parsed.name, parsed.field), ("A_CONTAINER_REGISTRY_B", Field::User));
    }

    #[test]
    fn misspelt_variables_are_found_and_not_used() {
        for (text, field) in [
            ("acr_container_registry_server", Field::Server),
            ("ACR_CONTAINER_REGISTRY_Password", Field::Password),
            ("ACR_CONTAINER_REGISTRY_TOKEN", Field::Password),
            ("ACR_CONTAINER_REGISTRY_USERNAME", Field::User),
            ("ACR_CONTAINER_REGISTRY_SEVER", Field::Server),
            ("ACR_CONTAINER_REGISTRY_PASSWROD", Field::Password),
            ("ACR_CONTAINER_REGISTRY_UESR", Field::User),
            ("ACR_CONTAINER_REGISTY_PASSWORD", Field::Password),
            ("ACR_CONTANER_REGISTRY_URL", Field::Server),
            ("ACR_CONTAINERREGISTRY_SERVER", Field::Server),
            ("ACR_CONTAINER_REGISTRY", Field::Server),
        ] {
            let parsed = parse(text).unwrap();
            let expected =
                SetVariable { family: Family::Container, name: parsed.name, field, exact: false };
            assert_eq!(parsed, expected, "{text}");
            assert!(parsed.name.eq_ignore_ascii_case("ACR") && is_pushed(text), "{text}");
        }
    }

    #[test]
    fn misspelt_variables_of_package_sets_are_found_and_not_used() {
        for (text, field) in [
            ("npm_package_registry_server", Field::Server),
            ("NPM_PACKAGE_REGISTRY_URL", Field::Server),
            ("NPM_PACKAGE_REGISTRY_TOKEN", Field::Password),
            ("NPM_PACKAGE_REGISTRY_SHEME", Field::Scheme),
            ("NPM_PACKAGES_REGISTRY_PASSWORD", Field::Password),
            ("NPM_PACKAGE_REGISTY_USER", Field::User),
            ("NPM_PACKAGEREGISTRY_SERVER", Field::Server),
        ] {
            let parsed = parse(text).unwrap();
            let expected =
                SetVariable { family: Family::Package, name: parsed.name, field, exact: false };
            assert_eq!(parsed, expected, "{text}");
            assert!(parsed.name.eq_ignore_ascii_case("NPM") && is_pushed(text), "{text}");
        }
    }

    #[test]
    fn other_variables_are_ignored() {
        for text in [
            "PATH",
            "CONTAINER_REGISTRY_SERVER",
            "_CONTAINER_REGISTRY_SERVER",
            "A_CONTAINER_REGISTRY_",
            "A_CONTAINER_REGISTRY_COLOUR",
            "A_CONTAINER_REGISTRY_SERVICE",
            "A_CONTAINER_REGISTRY_PORT",
            "A_CONTAINER_REGISTRY_SCHEME",
            "PACKAGE_REGISTRY_SERVER",
            "A_PACKAGE_REGISTRY_VERSION",
            "A_CONTAINERS_REGIONS_SERVER",
            "NPM_CONFIG_REGISTRY_SERVER",
            "CONTAINER_REGISTY_SERVER",
            "A\n_CONTAINER_REGISTRY_SERVER",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn sync_sends_what_the_contract_names_and_nothing_else() {
        for text in [
            "X_CONTAINER_REGISTRY_SERVER",
            "X_PACKAGE_REGISTRY_SCHEME",
            "AWS_REGION",
            "https_proxy",
            "NO_PROXY",
        ] {
            assert!(is_pushed(text), "{text}");
        }
        for text in ["PATH", "HOME", "AWSOME", "AWS_", "Https_Proxy", "GITHUB_TOKEN_2"] {
            assert!(!is_pushed(text), "{text}");
        }
    }

    #[test]
    fn every_field_spells_its_own_variable() {
        for (suffix, field) in SUFFIXES {
            for (family, infix) in
                Family::ALL.into_iter().zip(["_CONTAINER_REGISTRY_", "_PACKAGE_REGISTRY_"])
            {
                let variable = field.variable(family, "N");
                assert_eq!(variable, format!("N{infix}{suffix}"));
                let parsed = SetVariable { family, name: "N", field, exact: true };
                assert_eq!(parse(&variable), family.has(field).then_some(parsed));
            }
        }
    }
}
