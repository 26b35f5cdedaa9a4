//! Parses `WWW-Authenticate`, which lists the ways to authenticate (RFC 9110, section 11.6.1).
//!
//! One response may have several header lines, and each line several challenges. Only what follows
//! a comma tells whether it separates challenges or parameters. Many registries deviate from the
//! grammar, so the parser also accepts unambiguous deviations: unquoted URLs, missing commas,
//! superfluous white space.

use std::collections::BTreeMap;

use thiserror::Error;

/// One authentication method that a registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme in lower case, such as `basic` or `bearer`.
    pub scheme: String,
    /// The parameters: names in lower case, values without quotes.
    pub parameters: BTreeMap<String, String>,
}

/// Why a header is not a list of challenges. Never contains its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChallengeFault {
    /// A quoted value does not end.
    #[error("it contains an unterminated quoted value")]
    Unterminated,
    /// There is a parameter where a scheme is expected, or an unexpected character.
    #[error("it is not a list of challenges")]
    Syntax,
    /// A parameter occurs twice, so that clients would disagree about its value.
    #[error("it contains a parameter twice")]
    Twice,
}

impl Challenge {
    /// The value of the parameter `name`, which is in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Parses the header lines of one response, in order.
    pub fn parse_all<'a>(
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Self>, ChallengeFault> {
        let mut challenges = Vec::new();
        for line in lines {
            parse_line(line, &mut challenges)?;
        }
        Ok(challenges)
    }
}

fn parse_line(line: &str, challenges: &mut Vec<Challenge>) -> Result<(), ChallengeFault> {
    let mut rest = Rest(line);
    let mut open: Option<Challenge> = None;
    loop {
        rest.skip(|c| is_blank(c) || c == ',');
        if rest.0.is_empty() {
            break;
        }
        let word = rest.take(is_token).to_ascii_lowercase();
        if word.is_empty() {
            return Err(ChallengeFault::Syntax);
        }
        let blanks = rest.skip(is_blank);
        if rest.0.starts_with('=') {
            let challenge = open.as_mut().ok_or(ChallengeFault::Syntax)?;
            rest.0 = &rest.0[1..];
            rest.skip(is_blank);
            let value = rest.value()?;
            if challenge.parameters.insert(word, value).is_some() {
                return Err(ChallengeFault::Twice);
            }
        } else {
            if blanks == 0 && !rest.0.is_empty() && !rest.0.starts_with(',') {
                return Err(ChallengeFault::Syntax);
            }
            challenges.extend(open.take());
            open = Some(Challenge { scheme: word, parameters: BTreeMap::new() });
            rest.skip_token68();
        }
    }
    challenges.extend(open);
    Ok(())
}

/// The unparsed rest of a line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !belongs(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn skip(&mut self, belongs: impl Fn(char) -> bool) -> usize {
        self.take(belongs).len()
    }

    /// Skips the token68 that schemes such as `Negotiate` have in place of parameters.
    fn skip_token68(&mut self) {
        let mut ahead = Rest(self.0);
        ahead.skip(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        ahead.skip(|c| c == '=');
        ahead.skip(is_blank);
        if ahead.0.is_empty() || ahead.0.starts_with(',') {
            self.0 = ahead.0;
        }
    }

    fn value(&mut self) -> Result<String, ChallengeFault> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            let bare = self.take(|c| !is_blank(c) && c != ',' && c != '"');
            return if bare.is_empty() { Err(ChallengeFault::Syntax) } else { Ok(bare.to_owned()) };
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.0 = &quoted[at + 1..];
                    return Ok(value);
                }
                '\\' => value.push(characters.next().ok_or(ChallengeFault::Unterminated)?.1),
                _ => value.push(c),
            }
        }
        Err(ChallengeFault::Unterminated)
    }
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}
