//! A problem that `status` shows, with its source and its reason.

use serde::{Deserialize, Serialize};

use super::Reason;
use crate::domain::declarations::variable::Family;

/// Something for the user to fix, shown in `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The family of the affected set; `None` if the problem is not about a set.
    #[serde(default)]
    pub family: Option<Family>,
    /// The `<NAME>` of the affected declaration, or the path of the affected file.
    pub name: String,
    /// The label of the source that contains the problem; `None` if no source does.
    pub source: Option<String>,
    /// The canonical server of the affected declaration, where it is known.
    #[serde(default)]
    pub server: Option<String>,
    /// What is wrong, from the catalogue.
    pub reason: Reason,
}
