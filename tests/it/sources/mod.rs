//! Where variables come from, and what is made of them.

mod discovery;
mod formats;
