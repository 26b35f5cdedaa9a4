//! What is declared: variables, the sources they come from, and the sets they make.

pub mod changes;
pub mod declaration;
pub mod discovery;
pub mod file_format;
pub mod layers;
pub mod source;
pub mod variable;
