//! Names of variables: which belong to a `<NAME>_CONTAINER_REGISTRY_*` set, which are misspelt, and
//! which `sync` sends.

use strsim::osa_distance;

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
}

/// The parts of a variable's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetVariable<'a> {
    /// The text before `_CONTAINER_REGISTRY_`, as written. It may be invalid: see [`is_name`].
    pub name: &'a str,
    /// The variable of the set that it is, or was meant to be.
    pub field: Field,
    /// Whether the spelling is exact; a misspelt variable declares nothing.
    pub exact: bool,
}

const INFIX: &str = "_CONTAINER_REGISTRY_";

/// How many letters may be wrong, missing, swapped or too many in a word that is still recognized.
const TYPOS: usize = 2;

/// The exact spellings.
const SUFFIXES: [(&str, Field); 8] = [
    ("SERVER", Field::Server),
    ("USER", Field::User),
    ("PASSWORD", Field::Password),
    ("PASSWORD_FILE", Field::PasswordFile),
    ("SESSION_TOKEN", Field::SessionToken),
    ("ROLE_ARN", Field::RoleArn),
    ("PROFILE", Field::Profile),
    ("CA_FILE", Field::CaFile),
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

impl Field {
    /// The full name of this variable in the set `name`.
    pub fn variable(self, name: &str) -> String {
        let suffix = SUFFIXES.iter().find(|(_, field)| *field == self).map_or("", |(text, _)| text);
        format!("{name}{INFIX}{suffix}")
    }
}

/// Splits a variable's name; `None` when it does not belong to a set. Case is ignored and typing errors
/// are recognized, because a misspelt variable deserves a hint, but only the exact spelling declares
/// anything.
pub fn parse(variable: &str) -> Option<SetVariable<'_>> {
    let upper = variable.to_ascii_uppercase();
    let infix = upper.rfind(INFIX).map(|at| (at, at + INFIX.len()));
    let (at, end) = infix.or_else(|| misspelt_infix(&upper))?;
    let suffix = &upper[end..];
    let name = &variable[..at];
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let known = |table: &[(&str, Field)]| {
        table.iter().find(|(text, _)| *text == suffix).map(|(_, field)| *field)
    };
    if let Some(field) = known(&SUFFIXES) {
        return Some(SetVariable {
            name,
            field,
            exact: variable[at..] == [INFIX, suffix].concat(),
        });
    }
    let field = known(&MISSPELLINGS).or_else(|| misspelt_suffix(suffix))?;
    Some(SetVariable { name, field, exact: false })
}

/// Where a mistyped `_CONTAINER_REGISTRY_` starts and ends.
fn misspelt_infix(variable: &str) -> Option<(usize, usize)> {
    let wanted = INFIX.trim_matches('_');
    let marks: Vec<usize> = variable.match_indices('_').map(|(at, _)| at).collect();
    // With the underscore in the middle, and without.
    let spans = [2, 1].into_iter().flat_map(|words| {
        marks.iter().zip(marks.iter().skip(words)).map(|(start, end)| (*start, *end))
    });
    let mut alike =
        spans.filter(|(start, end)| is_typo_of(wanted, &variable[start + 1..*end], TYPOS));
    alike.next().map(|(start, end)| (start, end + 1))
}

/// The variable that a mistyped suffix was meant to be.
fn misspelt_suffix(suffix: &str) -> Option<Field> {
    // In a short word, two wrong letters make another word.
    let typos = |text: &str| if text.len() < 6 { 1 } else { TYPOS };
    let mut alike = SUFFIXES.iter().filter(|(text, _)| is_typo_of(text, suffix, typos(text)));
    alike.next().map(|(_, field)| *field)
}

fn is_typo_of(word: &str, text: &str, typos: usize) -> bool {
    word.len().abs_diff(text.len()) <= typos && osa_distance(word, text) <= typos
}

/// Whether `name` can be the `<NAME>` of a set: letters, digits and underscores.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `sync` sends the variable of this name to the agent.
pub fn is_pushed(variable: &str) -> bool {
    matches!(variable, "GITHUB_TOKEN" | "GITHUB_USER" | "CODESPACE_NAME")
        || variable.contains(INFIX)
        // The agent names a misspelt variable.
        || parse(variable).is_some()
        || is_tool_variable(variable)
}

/// Whether the variable of this name configures AWS, proxies, TLS or docker, for the agent as for any
/// other program.
pub fn is_tool_variable(variable: &str) -> bool {
    const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    let lower = |known: &&str| known.to_ascii_lowercase() == variable;
    variable.strip_prefix("AWS_").is_some_and(is_name)
        || matches!(variable, "SSL_CERT_FILE" | "SSL_CERT_DIR" | "DOCKER_CONFIG")
        || PROXIES.iter().any(|known| *known == variable || lower(known))
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
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!(parsed, SetVariable { name: parsed.name, field, exact: false }, "{text}");
            assert!(parsed.name.eq_ignore_ascii_case("ACR") && is_pushed(text), "{text}");
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
        for text in ["X_CONTAINER_REGISTRY_SERVER", "AWS_REGION", "https_proxy", "NO_PROXY"] {
            assert!(is_pushed(text), "{text}");
        }
        for text in ["PATH", "HOME", "AWSOME", "AWS_", "Https_Proxy", "GITHUB_TOKEN_2"] {
            assert!(!is_pushed(text), "{text}");
        }
    }

    #[test]
    fn every_field_spells_its_own_variable() {
        for (suffix, field) in SUFFIXES {
            let variable = field.variable("N");
            assert_eq!(variable, format!("N_CONTAINER_REGISTRY_{suffix}"));
            assert_eq!(parse(&variable), Some(SetVariable { name: "N", field, exact: true }));
        }
    }
}
