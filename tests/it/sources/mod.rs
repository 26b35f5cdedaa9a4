//! Where variables come from, and what is made of them.

mod amounts;
mod discovery;
mod files;
mod followed;
mod formats;
mod mistyped;
mod packages;
mod places;
mod spelling;
mod unresponsive;
mod watching;
