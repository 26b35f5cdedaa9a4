//! Variables, the sources they come from, and the sets that declare registries.

pub mod changes;
pub mod declaration;
pub mod discovery;
pub mod file_format;
pub mod layers;
pub mod other_names;
pub mod push;
pub mod source;
pub mod variable;
