//! Taking an ECR authorization token apart.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::secret::Secret;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The user and the password in an `authorizationToken`: base64 of `AWS:<password>`. `None` where it
/// is something else.
pub fn user_and_password(authorization_token: &str) -> Option<(String, Secret)> {
    let text =
        Secret::new(String::from_utf8(BASE64.decode(authorization_token.trim()).ok()?).ok()?);
    let (user, password) = text.reveal().split_once(':')?;
    (!user.is_empty() && !password.is_empty()).then(|| (user.to_owned(), Secret::new(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(text: &str) -> String {
        BASE64.encode(text)
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
