//! Reads the expiry that a secret states about itself.

use jiff::Timestamp;
use serde_json::Value;

use super::secret::Secret;

/// The expiry (UTC, whole seconds) stated in a secret: `exp` of a JWT (RFC 7519, section 4.1.4), or
/// `expiration` of an ECR authorization token. `None` for anything else.
///
/// Signatures are not verified: the secret is the user's own, and a wrong expiry does no more harm
/// than a refresh at the wrong time.
pub fn end_of(secret: &Secret) -> Option<Timestamp> {
    let seconds = match claims_of(secret) {
        Some(claims) => number_in(&claims, "exp"),
        None => number_in(&json_in(secret.reveal().trim())?, "expiration"),
    };
    Timestamp::from_second(seconds?).ok()
}

/// The claims of a JWT, as JSON; `None` for anything else.
pub(crate) fn claims_of(token: &Secret) -> Option<Value> {
    let mut parts = token.reveal().trim().split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    json_in(claims)
}

fn json_in(encoded: &str) -> Option<Value> {
    serde_json::from_str(Secret::from_base64(encoded)?.reveal()).ok()
}

fn number_in(value: &Value, name: &str) -> Option<i64> {
    let number = value.get(name)?;
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second is nothing here")]
    number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    fn jwt(claims: &str) -> Secret {
        Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn the_expiry_of_a_jwt_is_read() {
        let end = end_of(&jwt(r#"{"exp": 1795500000, "x": "ÿ?~"}"#)).unwrap();
        assert_eq!(end.as_second(), 1_795_500_000);
        assert_eq!(end_of(&jwt(r#"{"exp": 1795500000.9}"#)), Some(end));
    }

    #[test]
    fn the_expiration_of_an_ecr_token_is_read() {
        let json = r#"{"payload":"x","datakey":"y","version":"2","type":"DATA_KEY","expiration":1795500000}"#;
        for text in [STANDARD.encode(json), format!("{}\n", STANDARD.encode(json))] {
            assert_eq!(end_of(&text.into()).unwrap().as_second(), 1_795_500_000);
        }
    }

    #[test]
    fn other_secrets_state_no_expiry() {
        let huge = jwt(r#"{"exp": 1e300}"#);
        for secret in ["", "hunter2", "a.b.c", "e30.e30.e30", "a.b.c.d", "ghp_abc", "{}", "MTIz"] {
            assert_eq!(end_of(&secret.into()), None, "{secret}");
        }
        assert_eq!(end_of(&huge), None);
    }
}
