//! Decodes an ECR authorization token.

use super::secret::Secret;

/// The user and the password in an `authorizationToken`, which is base64 of `AWS:<password>`.
/// `None` for anything else.
pub fn user_and_password(authorization_token: &str) -> Option<(String, Secret)> {
    let text = Secret::from_base64(authorization_token.trim())?;
    let (user, password) = text.reveal().split_once(':')?;
    (!user.is_empty() && !password.is_empty()).then(|| (user.to_owned(), Secret::new(password)))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn base64(text: &str) -> String {
        STANDARD.encode(text)
    }

    #[test]
    fn a_token_is_split_at_its_first_colon() {
        let (user, password) = user_and_password(&base64("AWS:pass:word")).unwrap();
        assert_eq!((user.as_str(), password.reveal()), ("AWS", "pass:word"));
    }

    #[test]
    fn padding_and_line_ends_do_not_matter() {
        let padded = base64("AWS:1234");
        for form in [padded.trim_end_matches('=').to_owned(), format!("{padded}\n")] {
            assert!(user_and_password(&form).is_some(), "{form:?}");
        }
    }

    #[test]
    fn invalid_tokens_are_rejected() {
        for text in ["", "%%%", &base64("AWS"), &base64("AWS:"), &base64(":x"), "/////w=="] {
            assert!(user_and_password(text).is_none(), "{text:?}");
        }
    }
}
