//! One line a login, for commands that say what became of it.

use super::login_table::painted;
use super::output::server_for_people;
use super::reason_text::ReasonText;
use crate::wire::api::RegistryDocument;

/// One line for each login; below it the reason and the fix, unless it is `ready`.
pub fn login_lines(registries: &[RegistryDocument], width: Option<usize>) -> String {
    registries.iter().map(|registry| login_line(registry, width)).collect()
}

/// The same for one login.
pub fn login_line(registry: &RegistryDocument, width: Option<usize>) -> String {
    let server = server_for_people(&registry.server);
    let name = registry.name.as_ref().map_or_else(String::new, |name| format!("{name} "));
    let mut text =
        format!("{name}{server}: {}\n", painted(&registry.state, registry.state.clone()));
    if registry.state != "ready"
        && let Some(reason) = ReasonText::of_login(registry)
    {
        text.push_str(&reason.below_login(width));
    }
    text
}
