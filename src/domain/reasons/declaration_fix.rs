//! How to correct a set of variables.

use std::collections::BTreeMap;
use std::slice;

use super::declaration::{DeclarationReason, family_of, is_package, only_file};
use super::list;
use super::source::CODESPACES;
use super::sourced_variable::{SourcedVariable, THIS_SHELL, is_shell_name};
use crate::domain::declarations::variable::{self, Field};

impl DeclarationReason {
    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Missing { missing, misspelt: Some(other), .. }
            | Self::IncompletePush { missing, misspelt: Some(other) } => other.rename_to(missing, "it"),
            Self::Missing { missing, misspelt: None, others, all } => {
                let all = if all.is_empty() { slice::from_ref(missing) } else { all };
                add_missing(all, others)
            }
            Self::Misnamed { variables } => rename_all(variables, "them"),
            Self::Split { others, rest } => {
                let is_in_shell = |it: &SourcedVariable| ["sync", THIS_SHELL].contains(&&*it.source);
                rename_all(others, if rest.iter().any(is_in_shell) { "the whole set" } else { "them" })
            }
            Self::InUnreadFile { file, .. } => file.fix(),
            Self::IncompletePush { missing, misspelt: None } => {
                set(slice::from_ref(missing), "the whole set")
            }
            Self::Lost { .. } => {
                "run `registry-agent sync` in a shell that has the variables; to forget the login, run `registry-agent stop && registry-agent start`".to_owned()
            }
            Self::SpellingIgnored { ignored, used } => {
                format!("{}, or set {used} to its value if that is the right one", ignored.unset())
            }
            Self::OtherSpelling { ignored, read } => ignored.rename_to(read, "it"),
            Self::BadServer { variable, meant: Some(meant), .. } => variable.set_to(meant),
            Self::EmptyServer { variable } | Self::BadServer { variable, .. }
                if is_package(variable) =>
            {
                variable.set_to("the registry's URL, such as https://npm.pkg.github.com/")
            }
            Self::EmptyServer { variable } => {
                variable.set_to("the registry's host, such as ghcr.io or docker.io")
            }
            Self::BadServer { variable, .. } => {
                variable.set_to("HOST or HOST:PORT, such as mycompany.azurecr.io")
            }
            Self::WebSite { variable, registry, .. } => variable.set_to(registry),
            Self::PackageHost { renamed, .. } => rename_all(renamed, "them"),
            Self::KeysSwapped { user, password } => swap(user, password),
            Self::TwoKeyIds { user, password } => password
                .set_to(&format!("the secret access key of the access key ID in {}", user.variable)),
            Self::SecretKeyAsUser { user } => {
                user.set_to("the access key ID of that key, which begins with AKIA or ASIA")
            }
            Self::BadProxy { variable } => {
                format!("{}, or unset it", variable.set_to("http://PROXY:PORT"))
            }
            Self::BadRole { variable } => {
                variable.set_to("an ARN such as arn:aws:iam::111122223333:role/ROLE")
            }
            Self::BadScheme { variable } => {
                variable.set_to("bearer, basic or raw, or unset it to use the registry's own")
            }
            Self::BadValue { variable, .. } => variable.set_to("the value itself and nothing else"),
            Self::NotExpanded { variable } => {
                let fix = variable.set_to("the value that the reference stands for");
                match variable.variable.strip_suffix("_PASSWORD") {
                    Some(set) => {
                        format!(
                            "{fix}; if it is the password itself, put it in a file and set {set}_PASSWORD_FILE"
                        )
                    }
                    None => fix,
                }
            }
            Self::Quoted { variable, is_refused: true } => {
                variable.set_to("the value without the quotation marks")
            }
            Self::Quoted { variable, is_refused: false } => format!(
                "{}, unless the quotation marks belong to it",
                variable.set_to("the value without the quotation marks")
            ),
            Self::WhiteSpace { variable, .. } => format!(
                "{}, unless the white space belongs to it",
                variable.set_to("the value without the white space")
            ),
            Self::TwoPasswords { password, file } => {
                format!("{}, or {}", file.unset(), password.unset())
            }
            Self::Duplicate(duplicate) => duplicate.fix(),
            Self::PathDropped { variable, .. } => variable.set_to("its value without the path"),
            Self::BadName { variable } => {
                let family = family_of(variable);
                format!(
                    "rename {} and the rest of its set, for example to {}, \
                     then run `registry-agent sync` in a shell that has the whole set",
                    variable.variable,
                    Field::Server.variable(family, "ACME")
                )
            }
            Self::RelativePath { variable } => variable.set_to("an absolute path"),
            Self::PasswordFile { reason, .. } => reason.fix(),
            Self::TokenAlready { variable, .. } => format!(
                "{}, or declare an access key ID and its secret key instead of the token",
                variable.unset()
            ),
            Self::OnlyForEcr { variable, .. } => variable.unset(),
        }
    }
}

/// How to rename variables where each is set, the pushed ones in a shell that has `what`.
pub(super) fn rename_all(variables: &[(SourcedVariable, String)], what: &str) -> String {
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut pushed = Vec::new();
    for (other, read) in variables {
        match only_file([other]) {
            Some(file) => {
                files.entry(file).or_default().push(format!("{} to {read}", other.variable));
            }
            None => pushed.push((other, read)),
        }
    }
    let in_files =
        files.into_iter().map(|(file, renamed)| format!("rename {} in {file}", list(renamed)));
    let pushed = match &*pushed {
        [] => None,
        [(other, read)] => Some(other.rename_to(read, if what == "them" { "it" } else { what })),
        _ => Some(rename_pushed(&pushed, what)),
    };
    in_files.chain(pushed).collect::<Vec<_>>().join("; ")
}

fn rename_pushed(variables: &[(&SourcedVariable, &String)], what: &str) -> String {
    let names = variables.iter().flat_map(|(other, read)| [&*other.variable, read]);
    if !names.into_iter().all(is_shell_name) {
        let renamed = variables.iter().map(|(other, read)| format!("{} to {read}", other.variable));
        let renamed = list(renamed);
        return format!(
            "rename {renamed}, then run `registry-agent sync` in a shell that has {what}"
        );
    }
    let export = variables.iter().map(|(other, read)| format!("{read}=\"${}\"", other.variable));
    // The variables of another set would remain an incomplete set.
    let of_set = variables.iter().map(|(other, _)| &*other.variable);
    let of_set: Vec<&str> =
        of_set.filter(|it| variable::parse(it).is_some_and(|parsed| parsed.exact)).collect();
    let unset =
        if of_set.is_empty() { String::new() } else { format!("unset {} && ", of_set.join(" ")) };
    format!(
        "run `export {} && {unset}registry-agent sync` in a shell that has {what}, and rename the variables where they are set",
        export.collect::<Vec<_>>().join(" ")
    )
}

/// How to swap the values of two variables.
fn swap(one: &SourcedVariable, other: &SourcedVariable) -> String {
    if let Some(file) = only_file([one, other]) {
        return format!("swap the values of {} and {} in {file}", one.variable, other.variable);
    }
    let (one, other) = (&one.variable, &other.variable);
    format!(
        "run `export {one}=\"${other}\" {other}=\"${one}\" && registry-agent sync` in a shell that has them, and swap the values where they are set"
    )
}

/// How to add `missing` variables to the `others` of their set.
fn add_missing(missing: &[String], others: &[SourcedVariable]) -> String {
    if let Some(file) = only_file(others) {
        return add_to_file(missing, file);
    }
    // A push replaces the previous one.
    let pushed = others.iter().any(|other| &*other.source == "sync");
    let them = if missing.len() == 1 { "it" } else { "them" };
    set(missing, if pushed { "the whole set" } else { them })
}

fn add_to_file(missing: &[String], file: &str) -> String {
    let missing = list(missing);
    if file.starts_with(CODESPACES) {
        return format!(
            "add {missing} to the secrets of the codespace, then stop the codespace and start it again"
        );
    }
    format!("add {missing} to {file}")
}

/// How to set missing variables, for a push from a shell that has `what`.
fn set(missing: &[String], what: &str) -> String {
    let as_secret = |name: &String| {
        let is_secret = name.ends_with("_PASSWORD");
        format!("{name}{}", if is_secret { " as a secret (not in containerEnv)" } else { "" })
    };
    let missing = list(missing.iter().map(as_secret));
    format!("set {missing}, then run `registry-agent sync` in a shell that has {what}")
}
