//! What is wrong with what was declared, and how to put it right.

use serde::{Deserialize, Serialize};

use super::Reason;

/// Something a user should put right, shown in `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The `<NAME>` of the declaration, or the path of the file, that has the problem.
    pub name: String,
    /// The label of the source it was found in; `None` where it is in none.
    pub source: Option<String>,
    /// What is wrong, from the catalogue.
    pub reason: Reason,
}
