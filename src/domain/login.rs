//! The agent's record of one registry.
