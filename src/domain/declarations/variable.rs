//! Names of variables: which belong to a `<NAME>_CONTAINER_REGISTRY_*` set, which are misspelt, and
//! which `sync` sends.

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

/// Splits a variable's name; `None` when it does not belong to a set. Case is ignored, because a
/// misspelt variable deserves a hint, but only the exact spelling declares anything.
pub fn parse(variable: &str) -> Option<SetVariable<'_>> {
    let upper = variable.to_ascii_uppercase();
    let at = upper.rfind(INFIX)?;
    let suffix = &upper[at + INFIX.len()..];
    let (name, rest) = (&variable[..at], &variable[at..]);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let known = |table: &[(&str, Field)]| {
        table.iter().find(|(text, _)| *text == suffix).map(|(_, field)| *field)
    };
    if let Some(field) = known(&SUFFIXES) {
        return Some(SetVariable { name, field, exact: rest == &upper[at..] });
    }
    known(&MISSPELLINGS).map(|field| SetVariable { name, field, exact: false })
}

/// Whether `name` can be the `<NAME>` of a set: letters, digits and underscores.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `sync` sends the variable of this name to the agent.
pub fn is_pushed(variable: &str) -> bool {
    matches!(variable, "GITHUB_TOKEN" | "GITHUB_USER" | "CODESPACE_NAME")
        || variable.contains(INFIX)
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
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!((parsed.field, parsed.exact), (field, false), "{text}");
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
