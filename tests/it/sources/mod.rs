//! Where variables come from, and what is made of them.

mod discovery;
mod files;
mod followed;
mod formats;
mod mistyped;
mod places;
mod spelling;
mod unresponsive;
mod watching;
