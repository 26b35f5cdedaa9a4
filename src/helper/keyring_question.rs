//! What the arguments of `keyring` ask.

use std::ffi::OsString;

/// What `keyring get` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The password alone.
    Password,
    /// The user and the password.
    Credentials,
}

/// How `keyring get` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// One line each.
    Plain,
    /// One JSON object.
    Json,
}

/// A call about one service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `keyring get URL [USER]`
    Get { url: String, user: Option<String>, mode: Mode, output: Output },
    /// `keyring set URL USER` and `keyring del URL USER`
    Change { url: String },
}

impl Question {
    /// Reads the arguments; `None` for what only another `keyring` understands.
    pub(super) fn parse(arguments: &[OsString]) -> Option<Self> {
        let (mut mode, mut output) = (Mode::Password, Output::Plain);
        let mut positional = Vec::new();
        let mut arguments = arguments.iter().map(|argument| argument.to_str());
        while let Some(argument) = arguments.next() {
            let argument = argument?;
            if !argument.starts_with('-') {
                positional.push(argument.to_owned());
                continue;
            }
            let (option, value) = match argument.split_once('=') {
                Some((option, value)) => (option, value),
                None => (argument, arguments.next()??),
            };
            match (option, value) {
                ("--mode", "creds") => mode = Mode::Credentials,
                ("--mode", "password") => mode = Mode::Password,
                ("--output", "json") => output = Output::Json,
                ("--output", "plain") => output = Output::Plain,
                _ => return None,
            }
        }
        let mut positional = positional.into_iter();
        let (verb, url, user) = (positional.next()?, positional.next()?, positional.next());
        let user = user.filter(|user| !user.is_empty());
        match (&*verb, positional.next()) {
            // keyring requires a user for the password alone.
            ("get", None) if user.is_some() || mode == Mode::Credentials => {
                Some(Self::Get { url, user, mode, output })
            }
            ("set" | "del", None) => Some(Self::Change { url }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(user: Option<&str>, mode: Mode, output: Output) -> Question {
        Question::Get { url: "https://h/".to_owned(), user: user.map(str::to_owned), mode, output }
    }

    #[test]
    fn every_call_of_pip_and_uv_is_understood_and_others_are_left_to_another_keyring() {
        let (plain, json) = (Output::Plain, Output::Json);
        for (arguments, expected) in [
            ("--mode=creds --output=json get https://h/", Some(get(None, Mode::Credentials, json))),
            (
                "--mode=creds --output=json get https://h/ aws",
                Some(get(Some("aws"), Mode::Credentials, json)),
            ),
            ("get https://h/ aws", Some(get(Some("aws"), Mode::Password, plain))),
            ("get https://h/ --mode creds", Some(get(None, Mode::Credentials, plain))),
            ("get --output json https://h/ aws", Some(get(Some("aws"), Mode::Password, json))),
            ("get https://h/", None),
            ("set https://h/ aws", Some(Question::Change { url: "https://h/".to_owned() })),
            ("get https://h/ aws more", None),
            ("-b some.Backend get https://h/ aws", None),
            ("--mode=other get https://h/ aws", None),
            ("--list-backends", None),
            ("--mode", None),
            ("diagnose", None),
            ("", None),
        ] {
            let words: Vec<_> = arguments.split_whitespace().map(OsString::from).collect();
            assert_eq!(Question::parse(&words), expected, "{arguments}");
        }
    }
}
