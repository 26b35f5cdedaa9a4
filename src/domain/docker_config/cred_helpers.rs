//! Edits `credHelpers`: the registries for which docker uses our helper.

use super::json_document::spliced;
use super::{Edit, HELPER, PublishReason, Wanted, parse, section};

/// Updates the entries that name our helper to those wanted; `None` if nothing changes.
pub(super) fn edit(
    path: &str,
    text: &str,
    wanted: &Wanted,
    edit: &mut Edit,
) -> Result<Option<String>, PublishReason> {
    let document = parse(path, text)?;
    let mut section = section(path, text, &document, "credHelpers")?;
    let before = std::mem::take(&mut edit.ours.helpers);
    let stale: Vec<_> = section
        .entries()
        .filter(|entry| entry.exact && helper_named(entry.value).as_deref() == Some(HELPER))
        .filter(|entry| !wanted.helpers.contains(entry.key))
        .filter(|entry| before.contains(entry.key) || wanted.auths.contains_key(entry.key))
        .map(|entry| entry.id)
        .collect();
    for id in stale {
        section.remove(id);
    }
    for key in &wanted.helpers {
        match section.entry(key).map(|entry| helper_named(entry.value)) {
            Some(Some(helper)) if helper == HELPER => {}
            Some(named) => {
                edit.conflicts.push(PublishReason::OtherHelper {
                    path: path.to_owned(),
                    key: key.clone(),
                    helper: named.unwrap_or_default(),
                });
                continue;
            }
            None => {
                section.add(key, format!("\"{HELPER}\""));
                edit.repaired.extend(before.contains(key).then(|| key.clone()));
            }
        }
        edit.ours.helpers.insert(key.clone());
    }
    let splices = section.splices(&mut edit.ours.empty_helpers);
    Ok((!splices.is_empty()).then(|| spliced(text, splices)))
}

/// The helper that an entry names; `None` if it is not a string.
pub(super) fn helper_named(value: &str) -> Option<String> {
    serde_json::from_str(value).ok()
}
