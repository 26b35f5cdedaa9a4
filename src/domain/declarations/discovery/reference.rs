//! Recognizes values that are the text of a reference to another variable, because nothing has expanded
//! it: an env file, a secret and single quotes in a shell keep it as it is.

/// Whether all of `text` is `${NAME}`, `${localEnv:NAME}`, `${{ secrets.NAME }}` or `$NAME`, the last
/// in upper case. A password that only contains one of them is a password.
pub(super) fn is_reference(text: &str) -> bool {
    let within = |start, end| text.strip_prefix(start)?.strip_suffix(end).map(str::trim);
    if let Some(inner) = within("${{", "}}").or_else(|| within("${", "}")) {
        return begins_like_a_name(inner)
            && inner.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c));
    }
    let name = text.strip_prefix('$').unwrap_or_default();
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.len() > 1 && begins_like_a_name(name) && name.chars().all(upper)
}

fn begins_like_a_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_all_of_the_value() {
        for text in [
            "${ACME_PASSWORD}",
            "${localEnv:ACME_PASSWORD}",
            "${containerEnv:A:default}",
            "${A:-b}",
            "${{ secrets.ACME }}",
            "$ACME_PASSWORD",
        ] {
            assert!(is_reference(text), "{text}");
        }
        for text in ["", "$", "$a", "$A", "$5X", "$Abc", "a$ABC", "${", "${}", "${A}b", "${a b}"] {
            assert!(!is_reference(text), "{text}");
        }
    }
}
