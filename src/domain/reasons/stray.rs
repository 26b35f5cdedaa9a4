//! Characters in a user or a password that were probably copied by accident.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::FixContext;
use crate::domain::declarations::variable::Field;

/// What a rejected user or password has that values rarely have. It tells nothing else about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum StrayCharacters {
    /// The password is enclosed in quotation marks.
    #[error("the password is enclosed in quotation marks")]
    QuotedPassword,
    /// The user is enclosed in quotation marks.
    #[error("the user is enclosed in quotation marks")]
    QuotedUser,
    /// The password begins or ends with white space.
    #[error("the password begins or ends with white space")]
    BlankInPassword,
    /// The user begins or ends with white space.
    #[error("the user begins or ends with white space")]
    BlankInUser,
}

impl StrayCharacters {
    /// Examines a user and a password that a registry rejected.
    pub fn of(user: &str, password: &str) -> Option<Self> {
        let blank = |text: &str| text.trim() != text;
        if is_quoted(password.trim()) {
            Some(Self::QuotedPassword)
        } else if is_quoted(user.trim()) {
            Some(Self::QuotedUser)
        } else if blank(password) {
            Some(Self::BlankInPassword)
        } else {
            blank(user).then_some(Self::BlankInUser)
        }
    }

    /// What to do about it, for this login.
    pub fn fix(self, login: &FixContext) -> String {
        let (field, value) = match self {
            Self::QuotedPassword => (Field::Password, "the same value without quotation marks"),
            Self::QuotedUser => (Field::User, "the same value without quotation marks"),
            Self::BlankInPassword => {
                (Field::Password, "the same value without white space around it")
            }
            Self::BlankInUser => (Field::User, "the same value without white space around it"),
        };
        login.set(&[(field, value)])
    }
}

/// Whether `text` is enclosed in quotation marks, straight or typographic.
pub fn is_quoted(text: &str) -> bool {
    const PAIRS: [(char, char); 8] = [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('\u{201c}', '\u{201d}'),
        ('\u{2018}', '\u{2019}'),
        ('\u{201e}', '\u{201c}'),
        ('\u{201a}', '\u{2018}'),
        ('\u{ab}', '\u{bb}'),
    ];
    PAIRS
        .iter()
        .any(|(open, close)| text.strip_prefix(*open).is_some_and(|rest| rest.ends_with(*close)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_marks_and_blanks_around_a_value_are_noticed_and_others_are_not() {
        use StrayCharacters as S;
        for (user, password, expected) in [
            ("dev", "\"secret\"", Some(S::QuotedPassword)),
            ("dev", "'secret'", Some(S::QuotedPassword)),
            ("'dev'", "secret", Some(S::QuotedUser)),
            ("dev", "\u{201c}secret\u{201d}", Some(S::QuotedPassword)),
            ("\u{201e}dev\u{201c}", "secret", Some(S::QuotedUser)),
            ("dev", "secret ", Some(S::BlankInPassword)),
            ("dev", "secret\r", Some(S::BlankInPassword)),
            ("dev ", "secret", Some(S::BlankInUser)),
            ("dev", "it's a \"secret\" phrase", None),
            ("dev", "\"", None),
        ] {
            assert_eq!(S::of(user, password), expected, "{user} {password}");
        }
    }
}
