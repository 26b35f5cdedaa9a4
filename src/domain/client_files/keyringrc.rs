//! The lines in `keyringrc.cfg` that make Python's keyring, and with it poetry and twine, ask the agent.

use super::NewText;

/// The class of the agent's backend, in the module that the agent writes.
pub const BACKEND: &str = "registry_agent_keyring.Keyring";
/// The file of that module.
pub const MODULE_FILE: &str = "registry_agent_keyring.py";

const CREATED: &str = "# Created by registry-agent, which removes it when nothing else is in it.";
const ADDED: &str = "# Added by registry-agent, which removes it.";
const SECTION: &str = "[backend]";

/// The result of an edit.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyringrcEdit {
    /// What becomes of the file.
    pub text: NewText,
    /// The setting with which the user chose another backend.
    pub conflict: Option<String>,
}

/// Edits the text of the file, `None` if there is no file, so that it names the module in the directory
/// `module_dir`, or no longer does if that is `None`.
pub fn edit(text: Option<&str>, module_dir: Option<&str>) -> KeyringrcEdit {
    let old = text.unwrap_or_default();
    let mut lines: Vec<&str> = old.split_inclusive('\n').collect();
    let section = Section::find(&lines);
    let same = |conflict| KeyringrcEdit { text: NewText::Same, conflict };
    let own = section.as_ref().and_then(|section| section.own_lines(&lines));
    let wanted =
        module_dir.map(|dir| format!("default-keyring = {BACKEND}\nkeyring-path = {dir}\n"));
    match (&section, own, &wanted) {
        (_, None, None) | (None, Some(_), None) => return same(None),
        (None, None, Some(wanted)) => {
            let comment = if text.is_none() { CREATED } else { ADDED };
            let new = format!("{comment}\n{SECTION}\n{wanted}{old}");
            return KeyringrcEdit { text: NewText::Text(new.into()), conflict: None };
        }
        (Some(section), None, Some(wanted)) => {
            if let Some(conflict) = section.chosen(&lines) {
                return same(Some(conflict));
            }
            lines.insert(section.header + 1, wanted);
        }
        (_, Some(own), Some(wanted)) => {
            lines.splice(own, [wanted.as_str()]);
        }
        (Some(section), Some(own), None) => {
            let is_ours = |comment| section.comment(&lines) == Some(comment);
            let (is_added, is_created) = (is_ours(ADDED), is_ours(CREATED));
            let start = own.start;
            lines.drain(own);
            if (is_added || is_created)
                && start == section.header + 1
                && section.is_empty_in(&lines)
            {
                lines.drain(section.header - 1..=section.header);
                if is_created && lines.concat().trim().is_empty() {
                    return KeyringrcEdit { text: NewText::Removed, conflict: None };
                }
            }
        }
    }
    let new = lines.concat();
    let text = if new == old { NewText::Same } else { NewText::Text(new.into()) };
    KeyringrcEdit { text, conflict: None }
}

/// The place of `[backend]`.
struct Section {
    header: usize,
    end: usize,
}

impl Section {
    fn find(lines: &[&str]) -> Option<Self> {
        let header = lines.iter().position(|line| line.trim() == SECTION)?;
        let more = lines[header + 1..].iter().position(|line| line.starts_with('['));
        Some(Self { header, end: more.map_or(lines.len(), |more| header + 1 + more) })
    }

    /// The line of ours that names the backend, and the next one with the directory of its module.
    fn own_lines(&self, lines: &[&str]) -> Option<std::ops::Range<usize>> {
        let inner = self.header + 1..self.end;
        let first = inner
            .clone()
            .find(|at| option(lines[*at]) == Some(("default-keyring".to_owned(), BACKEND)))?;
        let has_path = inner.contains(&(first + 1))
            && option(lines[first + 1]).is_some_and(|(name, _)| name == "keyring-path");
        Some(first..first + 1 + usize::from(has_path))
    }

    /// The option with which the user chose a backend.
    fn chosen(&self, lines: &[&str]) -> Option<String> {
        let options = lines[self.header + 1..self.end].iter().filter_map(|line| option(line));
        let mut chosen =
            options.filter(|(name, _)| matches!(&**name, "default-keyring" | "keyring-path"));
        chosen.next().map(|(name, value)| format!("{name} = {value}"))
    }

    fn comment<'t>(&self, lines: &[&'t str]) -> Option<&'t str> {
        Some(lines.get(self.header.checked_sub(1)?)?.trim_end())
    }

    /// Whether no option is left after our lines were removed from `lines`.
    fn is_empty_in(&self, lines: &[&str]) -> bool {
        let rest = lines[self.header + 1..].iter().take_while(|line| !line.starts_with('['));
        rest.clone().all(|line| option(line).is_none())
    }
}

/// The name in lower case and the value of an option, as Python's `configparser` reads them.
fn option(line: &str) -> Option<(String, &str)> {
    if line.starts_with([';', '#', '[', ' ', '\t']) {
        return None;
    }
    let (name, value) = line.split_once(['=', ':'])?;
    Some((name.trim().to_ascii_lowercase(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: Option<&str> = Some("/home/dev/state/python");

    fn text_of(edit: KeyringrcEdit) -> String {
        assert_eq!(edit.conflict, None);
        match edit.text {
            NewText::Text(text) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whatever_a_user_wrote_comes_back_as_it_was() {
        for theirs in [
            "",
            "\n",
            "# comment\n[other]\na = b",
            "[backend]\n",
            "[backend]\nlimit = 1\n[other]\nx: y\n",
            "[a]\n  b = c\n[backend]\n\n# comment\n[d]\n",
        ] {
            let with = text_of(edit(Some(theirs), DIR));
            assert!(
                with.contains("registry_agent_keyring.Keyring\nkeyring-path = /home"),
                "{with}"
            );
            assert_eq!(with.matches(SECTION).count(), 1, "{with}");
            assert_eq!(edit(Some(&with), DIR).text, NewText::Same, "{with}");
            let moved = text_of(edit(Some(&with), Some("/elsewhere/python")));
            assert_eq!(text_of(edit(Some(&moved), DIR)), with);
            assert_eq!(text_of(edit(Some(&moved), None)), theirs);
        }
    }

    #[test]
    fn a_file_that_only_the_agent_needs_is_removed() {
        let created = text_of(edit(None, DIR));
        assert!(created.starts_with(CREATED), "{created}");
        assert_eq!(edit(Some(&created), None).text, NewText::Removed);
        assert_eq!(edit(None, None).text, NewText::Same);
        assert_eq!(text_of(edit(Some(&format!("{created}[x]\n")), None)), "[x]\n");
    }

    #[test]
    fn a_backend_that_the_user_chose_stays() {
        for theirs in [
            "[backend]\ndefault-keyring=keyring.backends.null.Keyring\n",
            "[backend]\nDefault-Keyring: keyring.backends.null.Keyring\n",
            "[backend]\nkeyring-path=/opt\n",
        ] {
            let edit = edit(Some(theirs), DIR);
            assert_eq!(edit.text, NewText::Same);
            assert!(edit.conflict.is_some(), "{theirs}");
            assert_eq!(self::edit(Some(theirs), None).text, NewText::Same);
        }
    }
}
